// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.mxfs.scsi.ScriptedTransport.hex;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Bytes against SPC-4 6.6 and 7.8, and SBC-3 5.16. */
class VpdTest {
  @Test
  void standardInquiryIsDecoded() throws Exception {
    Inquiry i =
        Vpd.inquiry(
            hex(
                "00 00 05 02 1f 00 00 02"
                    + "4945542020202020" // IET
                    + "5649525455414c2d4449534b20202020" // VIRTUAL-DISK
                    + "30303031"));
    assertThat(i).isEqualTo(new Inquiry(0, 0, 5, "IET", "VIRTUAL-DISK", "0001"));
  }

  @Test
  void pagesAreDecoded() throws Exception {
    assertThat(Vpd.supportedPages(hex("00 00 0003 00 80 83"))).containsExactly(0x00, 0x80, 0x83);
    assertThat(Vpd.serialNumber(hex("00 80 0008 2020202062656166"))).isEqualTo("beaf");
  }

  @Test
  void designatorsAreDecoded() throws Exception {
    List<Designator> d =
        Vpd.designators(
            hex(
                "00 83 0024"
                    + "02 01 00 08 4945542020202031" // T10 vendor, ASCII
                    + "01 03 00 08 6001405000000001" // NAA
                    + "51 94 00 04 00000001" // relative target port, of the port
                    + "53 28 00 00")); // name of the target device, empty
    assertThat(d).hasSize(4);
    assertThat(d.get(0).token()).isEqualTo("t10.IET_1");
    assertThat(d.get(1).token()).isEqualTo("naa.6001405000000001");
    assertThat(d.get(1).isWorldWideUnitName()).isTrue();
    assertThat(d.get(2).association()).isEqualTo(1);
    assertThat(d.get(2).isWorldWideUnitName()).isFalse();
    assertThat(d.get(3).association()).isEqualTo(2);
    assertThat(d.get(1))
        .isEqualTo(new Designator(0, 3, 1, hex("6001405000000001")))
        .isNotEqualTo(d.get(0));
  }

  /** NAA 3 is assigned locally (SPC-4 7.8.6.6): tgt gives it to a unit by two small numbers. */
  @Test
  void aNameThatIsAssignedLocallyIsNotUniqueInTheWorld() throws Exception {
    List<Designator> d =
        Vpd.designators(
            hex("00 83 0018 01 03 00 08 3000000100000001 01 03 00 08 5001405100000001"));
    assertThat(d).extracting(Designator::isWorldWideUnitName).containsExactly(false, true);
  }

  /**
   * As tgt 1.0.85 makes it where nobody has set {@code scsi_id} (spc_lu_init() and update_vpd_83()
   * in usr/spc.c): of the numbers 1 and 1 in every tgt.
   */
  @Test
  void noNameOfTgtsDefaultPageIsUniqueInTheWorld() throws Exception {
    List<Designator> d =
        Vpd.designators(
            hex(
                "00 83 0048"
                    + "02 01 00 24 4945542020202020 3030303130303031" // IET     00010001
                    + "00".repeat(20)
                    + "01 03 00 08 3000000100000001"
                    + "01 03 00 10 6000000000000000 0e00000000010001"));
    assertThat(d)
        .extracting(Designator::token)
        .contains("naa.60000000000000000e00000000010001", "naa.3000000100000001");
    assertThat(d).hasSize(3).noneMatch(Designator::isWorldWideUnitName);
    assertThat(d).allMatch(Designator::isUnitName);
  }

  /** Of the forms that the standard gives a SCSI name string. */
  @Test
  void aNameStringOfNoKnownFormIsNotUniqueInTheWorld() {
    assertThat(text("iqn.2003-01.org.linux-iscsi:disk").isWorldWideUnitName()).isTrue();
    assertThat(text("IQN.2003-01.org.linux-iscsi:disk").isWorldWideUnitName()).isTrue();
    for (String other : List.of("disk1", "uuid", "iqn", "iqn.", "lun iqn.2003-01.org", "")) {
      assertThat(text(other).isWorldWideUnitName()).as(other).isFalse();
    }
  }

  /** In each form the company stands elsewhere (SPC-4 7.8.6.5, 7.8.6.6, 7.8.6.11). */
  @Test
  void aNameWithoutACompanyIsNotUniqueInTheWorld() {
    for (String naa :
        List.of("2abc001405123456", "5001405123456789", "60014051234567890000000000000000")) {
      assertThat(name(3, hex(naa)).isWorldWideUnitName()).as(naa).isTrue();
      assertThat(text("naa." + naa).isWorldWideUnitName()).as(naa).isTrue();
    }
    for (String naa :
        List.of(
            "2abc000000123456",
            "500000000aaaaaaa",
            "6000000fffffffffffffffffffffffff",
            "3001405123456789",
            "7001405123456789",
            "6001405",
            "")) {
      String even = naa.length() % 2 == 0 ? naa : naa + "0";
      assertThat(name(3, hex(even)).isWorldWideUnitName()).as(naa).isFalse();
      assertThat(text("naa." + naa).isWorldWideUnitName()).as(naa).isFalse();
    }
    for (String eui :
        List.of(
            "0014050000000001", "001405000000000100000001", "00000000000000010014050000000001")) {
      assertThat(name(2, hex(eui)).isWorldWideUnitName()).as(eui).isTrue();
      assertThat(text("eui." + eui).isWorldWideUnitName()).as(eui).isTrue();
    }
    for (String eui :
        List.of(
            "0000001405000001",
            "000000140500000100000001",
            "00140500000000010000000000000001",
            "00140500")) {
      assertThat(name(2, hex(eui)).isWorldWideUnitName()).as(eui).isFalse();
      assertThat(text("EUI." + eui).isWorldWideUnitName()).as(eui).isFalse();
    }
    assertThat(text("iqn.2026-11.lab.mxfs:disk\0\0").isWorldWideUnitName()).isTrue();
    assertThat(text("\0\0").isWorldWideUnitName()).isFalse();
    assertThat(name(10, hex("10 00 00112233445566778899aabbccddeeff")).isWorldWideUnitName())
        .isTrue();
  }

  /** What is vendor specific, a port, a group or nothing at all names no unit. */
  @Test
  void whatMayNameAUnitIsToldFromWhatDoesNot() {
    for (int type = 0; type <= 10; type++) {
      boolean names = List.of(1, 2, 3, 7, 8, 10).contains(type);
      assertThat(name(type, hex("3000000100000001")).isUnitName()).as("%d", type).isEqualTo(names);
      assertThat(name(type, hex("")).isUnitName()).as("%d", type).isFalse();
      assertThat(new Designator(1, type, 1, hex("5001405123456789")))
          .as("%d, of a port", type)
          .matches(d -> !d.isUnitName() && !d.isWorldWideUnitName());
    }
  }

  private static Designator name(int type, byte[] value) {
    return new Designator(0, type, 1, value);
  }

  private static Designator text(String name) {
    return new Designator(0, 8, 3, name.getBytes(StandardCharsets.UTF_8));
  }

  @Test
  void capacityIsDecoded() throws Exception {
    Capacity c =
        Vpd.capacity(hex("00000000001fffff 00000200 00 03 c000 00000000000000000000000000000000"));
    assertThat(c.blockSize()).isEqualTo(512);
    assertThat(c.physicalBlockSize()).isEqualTo(4096);
    assertThat(c.size()).isEqualTo(1L << 30);
    assertThat(c.thinProvisioned()).isTrue();
    assertThat(c.unmappedReadsZero()).isTrue();
  }

  @Test
  void blockLimitsAreDecoded() throws Exception {
    BlockLimits b =
        Vpd.blockLimits(
            hex(
                "00 b0 003c 01 08 0010 00000800 00000400 00000000 ffffffff 00000100 00000008"
                    + "00000000 0000000000100000"
                    + "00".repeat(20)));
    assertThat(b)
        .isEqualTo(new BlockLimits(8, 16, 2048, 1024, 0xffffffffL, 256, 8, 0x100000, true));
    assertThat(Vpd.blockLimits(hex("00 b0 000c 00 00 0001 00000080 00000040")))
        .as("the short page of SBC-2")
        .isEqualTo(new BlockLimits(0, 1, 128, 64, 0, 0, 0, 0, false));
  }

  @Test
  void wrongPagesAndBadLengthsAreRefused() {
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Vpd.blockLimits(hex("00 b0 0004 00 00 0001")));
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Vpd.blockLimits(hex("00 b0 003c 00 00 0001 00000080 00000040")));
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Vpd.serialNumber(hex("00 83 0000")))
        .withMessageContaining("0x83");
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Vpd.serialNumber(hex("00 80 0005 41")));
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Vpd.designators(hex("00 83 0006 01 03 00 08 6000")));
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Vpd.designators(hex("00 83 0002 01 03")));
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Vpd.inquiry(hex("00 00 05 02")));
    assertThatExceptionOfType(ScsiFormatException.class)
        .isThrownBy(() -> Vpd.capacity(new byte[32]))
        .withMessageContaining("block size of 0");
  }
}
