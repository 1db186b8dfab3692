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

  @FieldOrder({"tv_sec", "tv_nsec"})
  public static class timespec extends Structure {
    public long tv_sec;
    public long tv_nsec;
  }

  @FieldOrder({"last_op", "ops_len", "resv", "resv2"})
  public static class io_uring_probe extends Structure {
    public byte last_op;
    public byte ops_len;
    public short resv;
    public byte[] resv2 = new byte[12];
  }

  @FieldOrder({"op", "resv", "flags", "resv2"})
  public static class io_uring_probe_op extends Structure {
    public byte op;
    public byte resv;
    public short flags;
    public int resv2;
  }

  @FieldOrder({"sigmask", "sigmask_sz", "pad", "ts"})
  public static class io_uring_getevents_arg extends Structure {
    public long sigmask;
    public int sigmask_sz;
    public int pad;
    public long ts;
  }

  @FieldOrder({
    "stx_mask",
    "stx_blksize",
    "stx_attributes",
    "stx_nlink",
    "stx_uid",
    "stx_gid",
    "stx_mode",
    "spare0",
    "stx_ino",
    "stx_size",
    "stx_blocks",
    "stx_attributes_mask",
    "times",
    "stx_rdev_major",
    "stx_rdev_minor",
    "stx_dev_major",
    "stx_dev_minor",
    "stx_mnt_id",
    "stx_dio_mem_align",
    "stx_dio_offset_align",
    "spare3"
  })
  public static class statx extends Structure {
    public int stx_mask;
    public int stx_blksize;
    public long stx_attributes;
    public int stx_nlink;
    public int stx_uid;
    public int stx_gid;
    public short stx_mode;
    public short spare0;
    public long stx_ino;
    public long stx_size;
    public long stx_blocks;
    public long stx_attributes_mask;
    public byte[] times = new byte[64];
    public int stx_rdev_major;
    public int stx_rdev_minor;
    public int stx_dev_major;
    public int stx_dev_minor;
    public long stx_mnt_id;
    public int stx_dio_mem_align;
    public int stx_dio_offset_align;
    public byte[] spare3 = new byte[96];
  }

  static Stream<Arguments> layouts() {
    return Stream.of(
        Arguments.of(new sockaddr_nl(), org.mxfs.bindings.linux.sockaddr_nl.class),
        Arguments.of(new iovec(), org.mxfs.bindings.linux.iovec.class),
        Arguments.of(new msghdr(), org.mxfs.bindings.linux.msghdr.class),
        Arguments.of(new nlmsghdr(), org.mxfs.bindings.linux.nlmsghdr.class),
        Arguments.of(new nlattr(), org.mxfs.bindings.linux.nlattr.class),
        Arguments.of(new genlmsghdr(), org.mxfs.bindings.linux.genlmsghdr.class),
        Arguments.of(new timespec(), org.mxfs.bindings.linux.timespec.class),
        Arguments.of(new io_uring_probe(), org.mxfs.bindings.linux.io_uring_probe.class),
        Arguments.of(new io_uring_probe_op(), org.mxfs.bindings.linux.io_uring_probe_op.class),
        Arguments.of(
            new io_uring_getevents_arg(), org.mxfs.bindings.linux.io_uring_getevents_arg.class),
        Arguments.of(new statx(), org.mxfs.bindings.linux.statx.class),
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
    // Padding, aliases of a union and fields that the table leaves out are on one side only; every
    // other field must have been compared.
    assertThat(compared).isGreaterThanOrEqualTo(Math.min(witnessed.size() - 1, tableFields(table)));
    assertThat(Native.POINTER_SIZE).isEqualTo(8);
  }

  private static int tableFields(Class<?> table) {
    return (int)
        Stream.of(table.getFields()).filter(f -> f.getName().startsWith("OFFSET_")).count();
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
