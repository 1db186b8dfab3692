// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.Structure.FieldOrder;
import java.lang.reflect.Field;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A second witness for the layouts: JNA computes offsets from field types by the C rules,
 * independently of the table and of the C compiler. It sees wrong padding and wrong sizes; that
 * fields have the right names in the right order is what the C assertions prove.
 */
class JnaWitnessTest {
  @FieldOrder({"nl_family", "nl_pad", "nl_pid", "nl_groups"})
  public static class sockaddr_nl extends Structure {
    public short nl_family;
    public short nl_pad;
    public int nl_pid;
    public int nl_groups;
  }

  @FieldOrder({"iov_base", "iov_len"})
  public static class iovec extends Structure {
    public @Nullable Pointer iov_base;
    public NativeLong iov_len = new NativeLong();
  }

  @FieldOrder({
    "msg_name",
    "msg_namelen",
    "msg_iov",
    "msg_iovlen",
    "msg_control",
    "msg_controllen",
    "msg_flags"
  })
  public static class msghdr extends Structure {
    public @Nullable Pointer msg_name;
    public int msg_namelen;
    public @Nullable Pointer msg_iov;
    public NativeLong msg_iovlen = new NativeLong();
    public @Nullable Pointer msg_control;
    public NativeLong msg_controllen = new NativeLong();
    public int msg_flags;
  }

  @FieldOrder({"nlmsg_len", "nlmsg_type", "nlmsg_flags", "nlmsg_seq", "nlmsg_pid"})
  public static class nlmsghdr extends Structure {
    public int nlmsg_len;
    public short nlmsg_type;
    public short nlmsg_flags;
    public int nlmsg_seq;
    public int nlmsg_pid;
  }

  @FieldOrder({"nla_len", "nla_type"})
  public static class nlattr extends Structure {
    public short nla_len;
    public short nla_type;
  }

  @FieldOrder({"cmd", "version", "reserved"})
  public static class genlmsghdr extends Structure {
    public byte cmd;
    public byte version;
    public short reserved;
  }

  @FieldOrder({"fd", "events", "revents"})
  public static class pollfd extends Structure {
    public int fd;
    public short events;
    public short revents;
  }

  @FieldOrder({
    "interface_id", "dxfer_direction", "cmd_len", "mx_sb_len", "iovec_count", "dxfer_len", "dxferp",
        "cmdp", "sbp",
    "timeout", "flags", "pack_id", "usr_ptr", "status", "masked_status", "msg_status", "sb_len_wr",
        "host_status",
    "driver_status", "resid", "duration", "info"
  })
  public static class sg_io_hdr extends Structure {
    public int interface_id;
    public int dxfer_direction;
    public byte cmd_len;
    public byte mx_sb_len;
    public short iovec_count;
    public int dxfer_len;
    public @Nullable Pointer dxferp;
    public @Nullable Pointer cmdp;
    public @Nullable Pointer sbp;
    public int timeout;
    public int flags;
    public int pack_id;
    public @Nullable Pointer usr_ptr;
    public byte status;
    public byte masked_status;
    public byte msg_status;
    public byte sb_len_wr;
    public short host_status;
    public short driver_status;
    public int resid;
    public int duration;
    public int info;
  }

  @FieldOrder({
    "opcode",
    "flags",
    "ioprio",
    "fd",
    "off",
    "addr",
    "len",
    "rw_flags",
    "user_data",
    "buf_index",
    "personality",
    "splice_fd_in",
    "addr3",
    "pad2"
  })
  public static class io_uring_sqe extends Structure {
    public byte opcode;
    public byte flags;
    public short ioprio;
    public int fd;
    public long off;
    public long addr;
    public int len;
    public int rw_flags;
    public long user_data;
    public short buf_index;
    public short personality;
    public int splice_fd_in;
    public long addr3;
    public long pad2;
  }

  @FieldOrder({"user_data", "res", "flags"})
  public static class io_uring_cqe extends Structure {
    public long user_data;
    public int res;
    public int flags;
  }

  static Stream<Arguments> layouts() {
    return Stream.of(
        Arguments.of(new sockaddr_nl(), org.mxfs.bindings.linux.sockaddr_nl.class),
        Arguments.of(new iovec(), org.mxfs.bindings.linux.iovec.class),
        Arguments.of(new msghdr(), org.mxfs.bindings.linux.msghdr.class),
        Arguments.of(new nlmsghdr(), org.mxfs.bindings.linux.nlmsghdr.class),
        Arguments.of(new nlattr(), org.mxfs.bindings.linux.nlattr.class),
        Arguments.of(new genlmsghdr(), org.mxfs.bindings.linux.genlmsghdr.class),
        Arguments.of(new pollfd(), org.mxfs.bindings.linux.pollfd.class),
        Arguments.of(new sg_io_hdr(), org.mxfs.bindings.linux.sg_io_hdr.class),
        Arguments.of(new io_uring_sqe(), org.mxfs.bindings.linux.io_uring_sqe.class),
        Arguments.of(new io_uring_cqe(), org.mxfs.bindings.linux.io_uring_cqe.class));
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void jnaComputesTheSameOffsets(Structure witness, Class<?> table) throws Exception {
    assertThat(table.getField("SIZE").getInt(null)).isEqualTo(witness.size());
    List<String> witnessed = fields(witness);
    int compared = 0;
    for (Field f : table.getFields()) {
      String name = f.getName();
      if (name.startsWith("OFFSET_") && witnessed.contains(name.substring(7))) {
        assertThat(f.getInt(null)).as(name).isEqualTo(offset(witness, name.substring(7)));
        compared++;
      }
    }
    // Padding and aliases of a union are on one side only; every other field must have been
    // compared.
    assertThat(compared).isGreaterThanOrEqualTo(witnessed.size() - 1);
    assertThat(Native.POINTER_SIZE).isEqualTo(8);
  }

  private static List<String> fields(Structure witness) {
    return Stream.of(witness.getClass().getDeclaredFields()).map(Field::getName).toList();
  }

  private static int offset(Structure witness, String field) throws Exception {
    var method = Structure.class.getDeclaredMethod("fieldOffset", String.class);
    method.setAccessible(true);
    return (int) method.invoke(witness, field);
  }
}
