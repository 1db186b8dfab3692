// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.mxfs.scsi.ScriptedTransport.hex;

import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/** Bytes against SPC-4 4.5. */
class SenseTest {
  private static final OptionalLong NO_INFORMATION = OptionalLong.empty();

  @Test
  void fixedFormatIsDecoded() throws Exception {
    Sense s = Sense.decode(hex("70 00 06 00000000 0a 00000000 2a 05 00 000000"));
    assertThat(s)
        .isEqualTo(new Sense(SenseKey.UNIT_ATTENTION, 0x2a, 0x05, false, OptionalLong.empty()));
    assertThat(s.isUnitAttention()).isTrue();
    assertThat(s.isReservationLost()).isTrue();
    assertThat(s).hasToString("UNIT_ATTENTION 2A/05 (registrations preempted)");
  }

  @Test
  void descriptorFormatIsDecoded() throws Exception {
    Sense s = Sense.decode(hex("72 05 26 04 00000000"));
    assertThat(s)
        .isEqualTo(new Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x04, false, OptionalLong.empty()));
    assertThat(s.text()).isEqualTo("invalid release of persistent reservation");
    assertThat(s.isUnitAttention()).isFalse();
  }

  /** Of the same sense key are a unit that is away, or full, or that this machine may not use. */
  @Test
  void whatTheDeviceDoesNotHaveIsToldFromWhatItCannotDoNow() {
    for (int code : List.of(0x2000, 0x2400, 0x2600, 0x2601, 0x2602)) {
      Sense s = new Sense(SenseKey.ILLEGAL_REQUEST, code >> 8, code & 0xff, false, NO_INFORMATION);
      assertThat(s.isCommandUnknown()).as("%04x", code).isEqualTo(code <= 0x2400);
      assertThat(s.isFieldRefused()).as("%04x", code).isEqualTo(code >= 0x2400);
      assertThat(new Sense(SenseKey.ABORTED_COMMAND, s.asc(), s.ascq(), false, NO_INFORMATION))
          .satisfies(other -> assertThat(other.isCommandUnknown()).isFalse())
          .satisfies(other -> assertThat(other.isFieldRefused()).isFalse());
    }
    for (int code : List.of(0x0000, 0x2002, 0x200a, 0x2100, 0x2500, 0x2604, 0x2c00, 0x5504)) {
      Sense s = new Sense(SenseKey.ILLEGAL_REQUEST, code >> 8, code & 0xff, false, NO_INFORMATION);
      assertThat(s.isCommandUnknown()).as("%04x", code).isFalse();
      assertThat(s.isFieldRefused()).as("%04x", code).isFalse();
    }
  }

  @Test
  void anAttentionAboutAnEarlierCommandIsNoUnitAttention() throws Exception {
    for (String deferred :
        new String[] {"71 00 06 00000000 0a 00000000 29 00 00 000000", "73 06 29 00 00000000"}) {
      Sense s = Sense.decode(hex(deferred));
      assertThat(s.deferred()).isTrue();
      assertThat(s.isUnitAttention()).isFalse();
    }
  }

  @Test
  void theInformationFieldIsReadWhereItIsValid() throws Exception {
    assertThat(Sense.decode(hex("f0 00 0e 00000010 0a 00000000 1d 00 00 000000")))
        .satisfies(s -> assertThat(s.information()).hasValue(16))
        .satisfies(s -> assertThat(s.isMiscompare()).isTrue())
        .hasToString("MISCOMPARE 1D/00 (miscompare during verify operation), information 16");
    assertThat(Sense.decode(hex("70 00 0e 00000010 0a 00000000 1d 00 00 000000")).information())
        .isEmpty();
    assertThat(Sense.decode(hex("72 03 11 00 0000000c 00 0a 80 00 ffffffffffffffff")).information())
        .hasValue(-1L);
    assertThat(
            Sense.decode(
                    hex("72 03 11 00 00000014 02 06 000000000000 00 0a 80 00 0000000000000007"))
                .information())
        .as("behind another descriptor")
        .hasValue(7);
    assertThat(Sense.decode(hex("72 03 11 00 0000000c 00 0a 00 00 ffffffffffffffff")).information())
        .as("VALID is 0")
        .isEmpty();
    assertThat(Sense.decode(hex("72 03 11 00 0000000c 00 0a 80 00 ffff")).information())
        .as("cut off")
        .isEmpty();
  }

  @Test
  void textsAreOfTheExactCodeOrSayThatTheyAreNot() {
    assertThat(AdditionalSense.text(0x2a, 0x05)).isEqualTo("registrations preempted");
    assertThat(AdditionalSense.text(0x29, 0x55))
        .isEqualTo("power on, reset, or bus device reset occurred, qualifier not listed");
    assertThat(AdditionalSense.text(0x29, 0x85)).isEqualTo("vendor specific");
    assertThat(AdditionalSense.text(0x7f, 0x01)).isEqualTo("no text for this code");
  }

  @Test
  void theValidBitIsNotPartOfTheFormat() throws Exception {
    assertThat(Sense.decode(hex("f0 00 03 00000001 0a 00000000 11 00 00 000000")).key())
        .isEqualTo(SenseKey.MEDIUM_ERROR);
  }

  @Test
  void shortSenseDataHasZerosWhereItEnds() throws Exception {
    assertThat(Sense.decode(hex("70 00 02")))
        .isEqualTo(new Sense(SenseKey.NOT_READY, 0, 0, false, OptionalLong.empty()));
    assertThat(Sense.decode(hex("70 00 06 00000000 02 0000 0000 2a 05")))
        .as("an additional length that excludes the codes")
        .isEqualTo(new Sense(SenseKey.UNIT_ATTENTION, 0, 0, false, OptionalLong.empty()));
    assertThat(Sense.decode(hex("72 06")))
        .isEqualTo(new Sense(SenseKey.UNIT_ATTENTION, 0, 0, false, OptionalLong.empty()));
  }

  @Test
  void anUnknownFormatIsRefused() {
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Sense.decode(hex("7f 00 06")));
    assertThatExceptionOfType(ScsiFormatException.class).isThrownBy(() -> Sense.decode(hex("00")));
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Sense.decode(new byte[0]));
  }
}
