// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Netlink;

/**
 * Framing, acknowledgements, and what garbage does to them: nothing but {@link
 * MalformedMessageException}.
 */
@Timeout(60)
class WireTest {
  private static final Family FAMILY = new Family(0x20, "test", 3, 0, 0, Map.of());

  private static byte[] frame(int type, int flags, int sequence, byte[]... payload) {
    int length = 16;
    for (byte[] p : payload) {
      length += p.length;
    }
    ByteBuffer b = ByteBuffer.allocate((length + 3) & ~3).order(ByteOrder.nativeOrder());
    b.putInt(length).putShort((short) type).putShort((short) flags).putInt(sequence).putInt(77);
    for (byte[] p : payload) {
      b.put(p);
    }
    return b.array();
  }

  private static byte[] ints(int... values) {
    ByteBuffer b = ByteBuffer.allocate(values.length * 4).order(ByteOrder.nativeOrder());
    for (int v : values) {
      b.putInt(v);
    }
    return b.array();
  }

  private static byte[] join(byte[]... parts) {
    int length = 0;
    for (byte[] p : parts) {
      length += p.length;
    }
    ByteBuffer b = ByteBuffer.allocate(length);
    for (byte[] p : parts) {
      b.put(p);
    }
    return b.array();
  }

  @Test
  void aRequestReadsBackAsTheMessageItIs() throws Exception {
    byte[] wire =
        Wire.request(FAMILY, 9, Netlink.NLM_F_REQUEST, 5, 6, Attributes.builder().u8(1, 2).build());
    Message m = Wire.frames(wire).getFirst().message(0);
    assertThat(m.family()).isEqualTo(0x20);
    assertThat(m.command()).isEqualTo(9);
    assertThat(m.version()).isEqualTo(3);
    assertThat(m.sequence()).isEqualTo(5);
    assertThat(m.port()).isEqualTo(6);
    assertThat(m.flags()).isEqualTo(Netlink.NLM_F_REQUEST);
    assertThat(m.attributes().u8(1)).isEqualTo(2);
  }

  @Test
  void aFamilysOwnHeaderIsLeftOut() throws Exception {
    Family withHeader = new Family(0x20, "test", 1, 6, 0, Map.of());
    byte[] wire = Wire.request(withHeader, 1, 0, 1, 1, Attributes.builder().u8(1, 2).build());
    assertThat(Wire.frames(wire).getFirst().message(6).attributes().u8(1)).isEqualTo(2);
    assertThatExceptionOfType(MalformedMessageException.class)
        .isThrownBy(() -> Wire.frames(frame(0x20, 0, 1, new byte[8])).getFirst().message(6));
  }

  @Test
  void severalMessagesInOneDatagramAreTakenApart() throws Exception {
    byte[] one = frame(0x20, 0, 1, new byte[] {1, 1, 0, 0});
    byte[] two = frame(0x20, 0, 2, new byte[] {2, 1, 0, 0, 5, 0, 1, 0, 9});
    List<Wire.Frame> frames = Wire.frames(join(one, two, one));
    assertThat(frames).hasSize(3);
    assertThat(frames.get(1).message(0).attributes().u8(1)).isEqualTo(9);
  }

  @Test
  void theKernelsExplanationIsInTheException() throws Exception {
    byte[] tlvs =
        Attributes.builder()
            .string(Netlink.NLMSGERR_ATTR_MSG, "no such thing")
            .u32(Netlink.NLMSGERR_ATTR_OFFS, 24)
            .u32(Netlink.NLMSGERR_ATTR_MISS_TYPE, 3)
            .u32(Netlink.NLMSGERR_ATTR_MISS_NEST, 20)
            .build()
            .encoded();
    byte[] request = Wire.request(FAMILY, 9, 1, 5, 6, Attributes.builder().u8(1, 2).build());
    byte[] capped =
        frame(
            Netlink.NLMSG_ERROR,
            Netlink.NLM_F_CAPPED | Netlink.NLM_F_ACK_TLVS,
            5,
            ints(-Errnos.EINVAL),
            Arrays.copyOf(request, 16),
            tlvs);
    byte[] full =
        frame(Netlink.NLMSG_ERROR, Netlink.NLM_F_ACK_TLVS, 5, ints(-Errnos.EINVAL), request, tlvs);
    byte[] done = frame(Netlink.NLMSG_DONE, Netlink.NLM_F_ACK_TLVS, 5, ints(-Errnos.EINVAL), tlvs);
    for (byte[] wire : List.of(capped, full, done)) {
      Wire.Frame f = Wire.frames(wire).getFirst();
      assertThat(f.result()).isEqualTo(-Errnos.EINVAL);
      NetlinkErrorException e = f.error("family test, command 9", Errnos.EINVAL);
      assertThat(e.kernelMessage()).contains("no such thing");
      assertThat(e.badAttributeOffset()).hasValue(24);
      assertThat(e.missingAttribute()).hasValue(3);
      assertThat(e.missingIn()).hasValue(20);
      assertThat(e)
          .hasMessage(
              "netlink family test, command 9: EINVAL (invalid argument), the kernel says \"no such"
                  + " thing\", about the attribute at byte 24 of the request, attribute 3 is"
                  + " missing inside the attribute at byte 20");
    }
  }

  @Test
  void resultsThatAreNoErrnoAreRefused() {
    for (int bad : new int[] {1, -4096, Integer.MIN_VALUE}) {
      assertThatExceptionOfType(MalformedMessageException.class)
          .isThrownBy(
              () ->
                  Wire.frames(frame(Netlink.NLMSG_ERROR, 0, 1, ints(bad), new byte[16]))
                      .getFirst()
                      .result());
    }
    assertThatExceptionOfType(MalformedMessageException.class)
        .isThrownBy(
            () -> Wire.frames(frame(Netlink.NLMSG_ERROR, 0, 1, ints(0))).getFirst().result());
  }

  @Test
  void lengthsThatDoNotFitAreRefused() {
    byte[] good = frame(0x20, 0, 1, new byte[] {1, 1, 0, 0});
    for (int length = 1; length < good.length; length++) {
      byte[] cut = Arrays.copyOf(good, length);
      assertThatExceptionOfType(MalformedMessageException.class)
          .as("%d bytes", length)
          .isThrownBy(() -> Wire.frames(cut));
    }
    for (int claim : new int[] {0, 15, 21, -1, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      byte[] bad = good.clone();
      ByteBuffer.wrap(bad).order(ByteOrder.nativeOrder()).putInt(0, claim);
      assertThatExceptionOfType(MalformedMessageException.class)
          .as("a claim of %d", claim)
          .isThrownBy(() -> Wire.frames(bad));
    }
  }

  @Test
  void mutatedDatagramsGiveValuesOrMalformedMessageExceptions() throws Exception {
    byte[] reply =
        frame(
            0x20,
            0,
            1,
            new byte[] {1, 1, 0, 0},
            Attributes.builder()
                .u16(1, 0x20)
                .string(2, "test")
                .u32(3, 1)
                .u32(4, 0)
                .u32(5, 9)
                .nested(7, b -> b.nested(1, c -> c.string(1, "group").u32(2, 4)))
                .build()
                .encoded());
    byte[] error =
        frame(
            Netlink.NLMSG_ERROR,
            Netlink.NLM_F_ACK_TLVS,
            1,
            ints(-22),
            Arrays.copyOf(
                Wire.request(FAMILY, 9, 1, 5, 6, Attributes.builder().u8(1, 2).build()), 28),
            Attributes.builder().string(1, "text").u32(2, 24).build().encoded());
    byte[] done = frame(Netlink.NLMSG_DONE, Netlink.NLM_F_MULTI, 1, ints(0));
    byte[] good = join(reply, error, done);
    assertThat(read(good)).isPositive();
    SplittableRandom random = new SplittableRandom(20_261_120);
    int refused = 0;
    for (int i = 0; i < 100_000; i++) {
      byte[] data =
          Arrays.copyOf(
              good, random.nextInt(4) == 0 ? random.nextInt(good.length + 16) : good.length);
      int changes = random.nextInt(5);
      for (int c = 0; c < changes && data.length > 0; c++) {
        int at = random.nextInt(data.length);
        // Lengths are where parsers break.
        data[at] =
            (byte) (random.nextBoolean() ? random.nextInt(256) : data[at] + random.nextInt(-4, 5));
      }
      try {
        read(data);
      } catch (MalformedMessageException e) {
        refused++;
      } catch (RuntimeException e) {
        throw new AssertionError(HexFormat.of().formatHex(data), e);
      }
    }
    assertThat(refused).isBetween(10_000, 99_999);
  }

  /** Everything that is done with what the kernel sends. */
  private static int read(byte[] datagram) throws MalformedMessageException {
    int values = 0;
    for (Wire.Frame f : Wire.frames(datagram)) {
      if (f.isData()) {
        Message m = f.message(0);
        values += m.attributes().toString().length();
        values += Wire.family(m).groups().size();
      } else if (f.type() == Netlink.NLMSG_ERROR || f.type() == Netlink.NLMSG_DONE) {
        int result = f.result();
        if (result < 0) {
          values += f.error("test", -result).toString().length();
        }
      }
    }
    return values;
  }
}
