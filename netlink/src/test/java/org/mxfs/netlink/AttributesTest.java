// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** {@code struct nlattr}, both ways. */
class AttributesTest {
  @Test
  void everyTypeIsReadAsItWasWritten() throws Exception {
    Attributes built =
        Attributes.builder()
            .u8(1, 0xfe)
            .u16(2, 0xfedc)
            .u32(3, 0xfedcba98L)
            .s32(4, -5)
            .u64(5, 0xfedcba9876543210L)
            .string(6, "größer")
            .bytes(7, new byte[] {1, 2, 3})
            .flag(8)
            .nested(9, b -> b.u8(1, 7).nested(2, c -> c.string(1, "deep")))
            .build();
    Attributes a = Attributes.parse(built.encoded());
    assertThat(a.size()).isEqualTo(9);
    assertThat(a.u8(1)).isEqualTo(0xfe);
    assertThat(a.u16(2)).isEqualTo(0xfedc);
    assertThat(a.u32(3)).isEqualTo(0xfedcba98L);
    assertThat(a.s32(4)).isEqualTo(-5);
    assertThat(a.u64(5)).isEqualTo(0xfedcba9876543210L);
    assertThat(a.string(6)).isEqualTo("größer");
    assertThat(a.findString(6)).contains("größer");
    assertThat(a.bytes(7)).containsExactly(1, 2, 3);
    assertThat(a.has(8)).isTrue();
    assertThat(a.nested(9).nested(2).string(1)).isEqualTo("deep");
    assertThat(Attributes.parse(a.encoded()).nested(9).u8(1)).as("re-encoded").isEqualTo(7);
    assertThat(a.encoded()).isEqualTo(built.encoded());
  }

  @Test
  void arraysAreReadAsTheyWereWritten() throws Exception {
    Attributes a =
        Attributes.builder()
            .array(1, List.of(e -> e.string(1, "one").u8(2, 1), e -> e.string(1, "two")))
            .u32s(2, 1, 0xffffffffL)
            .u32s(3)
            .nested(4, b -> b.u16(9, 90).u16(8, 80))
            .build();
    assertThat(a.array(1)).hasSize(2);
    assertThat(a.array(1).get(0).u8(2)).isEqualTo(1);
    assertThat(a.array(1).get(1).string(1)).isEqualTo("two");
    assertThat(a.nested(1).types()).as("numbers of the elements").containsExactly(1, 2);
    assertThat(a.u32s(2)).containsExactly(1, 0xffffffffL);
    assertThat(a.u32s(3)).isEmpty();
    Attributes numbered = a.nested(4);
    assertThat(numbered.types()).containsExactly(9, 8);
    assertThat(numbered.u16(8)).isEqualTo(80);
    assertThatExceptionOfType(MalformedMessageException.class)
        .isThrownBy(() -> numbered.u32s(8))
        .withMessageContaining("2 bytes, which are no 32 bit numbers");
    assertThatIllegalArgumentException().isThrownBy(() -> Attributes.builder().u32s(1, 1L << 32));
  }

  @Test
  void aNumberOfEitherWidthIsRead() throws Exception {
    Attributes a = Attributes.builder().u32(1, 0xffffffffL).u64(2, -1).u16(3, 1).build();
    assertThat(a.uint(1)).isEqualTo(0xffffffffL);
    assertThat(a.uint(2)).isEqualTo(-1);
    assertThatExceptionOfType(MalformedMessageException.class).isThrownBy(() -> a.uint(3));
  }

  @Test
  void nestedAttributesCarryTheNestedFlagOnTheWire() {
    byte[] wire = Attributes.builder().nested(9, b -> b.flag(1)).build().encoded();
    ByteBuffer b = ByteBuffer.wrap(wire).order(ByteOrder.nativeOrder());
    assertThat(b.getShort(0)).isEqualTo((short) 8);
    assertThat(b.getShort(2) & 0xffff).isEqualTo(0x8009);
  }

  @Test
  void missingAttributesHaveDefaultsOnlyWhereAskedFor() throws Exception {
    Attributes a = Attributes.builder().u32(3, 9).build();
    assertThat(a.u32(4, 77)).isEqualTo(77);
    assertThat(a.u32(3, 77)).isEqualTo(9);
    assertThat(a.u16(4, 5)).isEqualTo(5);
    assertThat(a.u64(4, 6)).isEqualTo(6);
    assertThat(a.findString(4)).isEmpty();
    assertThat(a.has(4)).isFalse();
    assertThatExceptionOfType(MalformedMessageException.class)
        .isThrownBy(() -> a.u32(4))
        .withMessageContaining("attribute 4 is missing");
    assertThatExceptionOfType(MalformedMessageException.class).isThrownBy(() -> a.string(4));
    assertThatExceptionOfType(MalformedMessageException.class).isThrownBy(() -> a.nested(4));
  }

  @Test
  void aWrongLengthIsNotAnotherType() {
    Attributes a = Attributes.builder().u32(3, 9).u16(4, 1).build();
    assertThatExceptionOfType(MalformedMessageException.class)
        .isThrownBy(() -> a.u64(3))
        .withMessageContaining("4 bytes where 8 are due");
    assertThatExceptionOfType(MalformedMessageException.class).isThrownBy(() -> a.u8(4));
  }

  @Test
  void theLastOfRepeatedAttributesCountsAndAllAreThere() throws Exception {
    Attributes a =
        Attributes.builder()
            .u32(1, 10)
            .u32(1, 20)
            .nested(2, b -> b.u8(1, 1))
            .nested(2, b -> b.u8(1, 2))
            .build();
    assertThat(a.u32(1)).isEqualTo(20);
    assertThat(a.all(2)).hasSize(2);
    assertThat(a.all(2).get(0).u8(1)).isEqualTo(1);
    assertThat(a.nested(2).u8(1)).isEqualTo(2);
  }

  @Test
  void textEndsAtItsNulOrAtItsEnd() throws Exception {
    Attributes a =
        Attributes.builder()
            .bytes(1, new byte[] {'a', 'b', 0, 'c'})
            .bytes(2, new byte[] {'x'})
            .flag(3)
            .build();
    assertThat(a.string(1)).isEqualTo("ab");
    assertThat(a.string(2)).isEqualTo("x");
    assertThat(a.string(3)).isEmpty();
  }

  @Test
  void paddingAfterTheLastAttributeMayBeMissing() throws Exception {
    byte[] wire = Attributes.builder().u8(1, 5).build().encoded();
    assertThat(wire).hasSize(8);
    assertThat(Attributes.parse(Arrays.copyOf(wire, 5)).u8(1)).isEqualTo(5);
  }

  @Test
  void lengthsThatDoNotFitAreRefused() {
    byte[] wire = Attributes.builder().u32(1, 5).u32(2, 6).build().encoded();
    for (int length : new int[] {1, 3, 4, 7, 9, 11, 12, 15}) {
      assertThatExceptionOfType(MalformedMessageException.class)
          .as("%d bytes", length)
          .isThrownBy(() -> Attributes.parse(Arrays.copyOf(wire, length)));
    }
    for (int claim : new int[] {0, 1, 3, 17, 0xffff}) {
      byte[] bad = wire.clone();
      ByteBuffer.wrap(bad).order(ByteOrder.nativeOrder()).putShort(0, (short) claim);
      assertThatExceptionOfType(MalformedMessageException.class)
          .as("a claim of %d", claim)
          .isThrownBy(() -> Attributes.parse(bad));
    }
  }

  @Test
  void whatTheFormatCannotHoldIsRefusedByTheBuilder() {
    Attributes.Builder b = Attributes.builder();
    assertThatIllegalArgumentException().isThrownBy(() -> b.u8(1, 256));
    assertThatIllegalArgumentException().isThrownBy(() -> b.u16(1, -1));
    assertThatIllegalArgumentException().isThrownBy(() -> b.u32(1, 1L << 32));
    assertThatIllegalArgumentException().isThrownBy(() -> b.string(1, "a\0b"));
    assertThatIllegalArgumentException().isThrownBy(() -> b.flag(0x4000));
    assertThatIllegalArgumentException().isThrownBy(() -> b.flag(-1));
    assertThatIllegalArgumentException().isThrownBy(() -> b.bytes(1, new byte[65_532]));
    assertThat(b.build().size()).isZero();
    assertThat(Attributes.builder().bytes(1, new byte[65_531]).build().size()).isEqualTo(1);
  }
}
