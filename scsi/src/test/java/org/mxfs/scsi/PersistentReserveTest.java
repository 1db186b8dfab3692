// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.mxfs.scsi.ScriptedTransport.hex;

import java.util.HexFormat;
import org.junit.jupiter.api.Test;

/** Bytes against SPC-4 6.15 and 6.16. */
class PersistentReserveTest {
  @Test
  void keysAreDecoded() throws Exception {
    Keys keys = PersistentReserve.keys(hex("00000007 00000010 0123456789abcdef fedcba9876543210"));
    assertThat(keys.generation()).isEqualTo(7);
    assertThat(keys.keys()).containsExactly(0x0123456789abcdefL, 0xfedcba9876543210L);
    assertThat(keys.contains(0xfedcba9876543210L)).isTrue();
    assertThat(keys.contains(1)).isFalse();
    assertThat(keys).hasToString("generation 7, keys [0123456789abcdef, fedcba9876543210]");
  }

  @Test
  void theGenerationIsUnsigned() throws Exception {
    assertThat(PersistentReserve.keys(hex("ffffffff 00000000")).generation())
        .isEqualTo(0xffffffffL);
  }

  @Test
  void trailingBytesOfAnAllocationAreNotKeys() throws Exception {
    assertThat(
            PersistentReserve.keys(hex("00000001 00000008 0000000000000001 0000000000000000"))
                .keys())
        .containsExactly(1L);
  }

  @Test
  void aHeldReservationIsDecoded() throws Exception {
    Reservation r =
        PersistentReserve.reservation(
            hex("00000003 00000010 00000001000000ff 00000000 00 05 0000"));
    assertThat(r.heldBy(0x00000001000000ffL)).isTrue();
    assertThat(r.holder().orElseThrow().type())
        .isEqualTo(ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
    assertThat(r.generation()).isEqualTo(3);
  }

  @Test
  void noReservationIsDecoded() throws Exception {
    Reservation r = PersistentReserve.reservation(hex("00000003 00000000"));
    assertThat(r.holder()).isEmpty();
    assertThat(r.heldBy(0)).isFalse();
  }

  @Test
  void capabilitiesAreDecoded() throws Exception {
    Capabilities c = PersistentReserve.capabilities(hex("0008 0d 81 ea 01 0000"));
    assertThat(c.persistThroughPowerLoss()).isTrue();
    assertThat(c.persistThroughPowerLossActive()).isTrue();
    assertThat(c.allTargetPorts()).isTrue();
    assertThat(c.specifyInitiatorPorts()).isTrue();
    assertThat(c.compatibleReservationHandling()).isFalse();
    assertThat(c.types()).containsExactlyInAnyOrder(ReservationType.values());
    assertThat(PersistentReserve.capabilities(hex("0008 00 00 ea 01 0000")).types())
        .as("a type mask that is not marked valid")
        .isEmpty();
  }

  @Test
  void fullStatusIsDecoded() throws Exception {
    FullStatus s =
        PersistentReserve.fullStatus(
            hex(
                "00000002 0000003c"
                    + "00000000000000aa 00000000 01 05 00000000 0001 00000004 05000000"
                    + "00000000000000bb 00000000 02 00 00000000 0000 00000008 4500000061620000"));
    assertThat(s.registrants()).hasSize(2);
    Registrant holder = s.registrants().get(0);
    assertThat(holder.key()).isEqualTo(0xaa);
    assertThat(holder.holder()).contains(ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
    assertThat(holder.relativeTargetPort()).isEqualTo(1);
    assertThat(holder.transportId()).isEqualTo(hex("05000000"));
    Registrant other = s.registrants().get(1);
    assertThat(other.holder()).isEmpty();
    assertThat(other.allTargetPorts()).isTrue();
    assertThat(other.transportId()).hasSize(8);
  }

  @Test
  void truncatedAndOverlongDataIsRefused() {
    for (String bad :
        new String[] {
          "",
          "00",
          "00000000000000",
          "00000001 00000008",
          "00000001 ffffffff 00",
          "00000001 00000007 00000000000000"
        }) {
      byte[] data = hex(bad);
      assertThatExceptionOfType(ScsiFormatException.class)
          .as(bad)
          .isThrownBy(() -> PersistentReserve.keys(data));
      assertThatExceptionOfType(ScsiFormatException.class)
          .as(bad)
          .isThrownBy(() -> PersistentReserve.fullStatus(data));
    }
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(
            () ->
                PersistentReserve.reservation(
                    hex("00000003 00000010 00000001000000ff 00000000 00 04 0000")))
        .withMessageContaining("type 4");
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(
            () ->
                PersistentReserve.fullStatus(
                    hex(
                        "00000002 00000018 00000000000000aa 00000000 01 05 00000000 0001"
                            + " 00000004")))
        .withMessageContaining("transport id");
  }

  @Test
  void commandsAreEncoded() {
    assertThat(HexFormat.of().formatHex(PersistentReserve.inCdb(PersistentReserve.READ_KEYS, 1024)))
        .isEqualTo("5e000000000000040000");
    assertThat(
            HexFormat.of()
                .formatHex(PersistentReserve.inCdb(PersistentReserve.READ_FULL_STATUS, 0xfff8)))
        .isEqualTo("5e030000000000fff800");
    assertThat(
            HexFormat.of()
                .formatHex(PersistentReserve.outCdb(PersistentReserve.PREEMPT_AND_ABORT, 5, 24)))
        .isEqualTo("5f050500000000001800");
    assertThat(
            HexFormat.of()
                .formatHex(
                    PersistentReserve.outParameters(
                        0x0102030405060708L, 0x1112131415161718L, new RegisterOptions(true, true))))
        .isEqualTo("0102030405060708" + "1112131415161718" + "00000000" + "05" + "000000");
  }

  @Test
  void aMoveNamesTheOtherNexus() {
    byte[] id = hex("06000000 00000000 00000000 00000000 00000000 00000000");
    assertThat(
            HexFormat.of()
                .formatHex(PersistentReserve.moveParameters(0xa, 0xb, new Move(2, id), true, true)))
        .isEqualTo(
            "000000000000000a000000000000000b00030002000000180600000000000000"
                + "00000000000000000000000000000000");
    assertThat(PersistentReserve.moveParameters(1, 2, new Move(0x1234, id), false, false))
        .containsSequence(0, 0, 0x12, 0x34, 0, 0, 0, 24, 6);
    for (int length : new int[] {0, 4, 23, 26, 0x10000}) {
      assertThatIllegalArgumentException()
          .isThrownBy(
              () ->
                  PersistentReserve.moveParameters(
                      1, 2, new Move(1, new byte[length]), false, false));
    }
  }
}
