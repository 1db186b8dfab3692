// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Locale;

/**
 * A designator of the device identification page (VPD 0x83, SPC-4 7.8.6): the name by which a
 * logical unit is the same one from every machine and on every path.
 *
 * @param association what it names: 0 the logical unit, 1 the target port, 2 the target device
 * @param type 0 vendor specific, 1 T10 vendor, 2 EUI-64, 3 NAA, 4 relative target port, 5 port
 *     group, 6 logical unit group, 7 MD5, 8 SCSI name string, 9 protocol specific, 10 UUID
 * @param codeSet 1 binary, 2 ASCII, 3 UTF-8
 * @param value the bytes
 */
public record Designator(int association, int type, int codeSet, byte[] value) {
  private static final int T10_VENDOR = 1;
  private static final int EUI = 2;
  private static final int NAA = 3;
  private static final int MD5 = 7;
  private static final int NAME_STRING = 8;
  private static final int UUID = 10;

  /**
   * Of no maker of disks: it is what stands there where nobody has filled one in. tgt makes two
   * names of the numbers of target and unit, NAA 3 and this, equal in all tgts (usr/spc.c,
   * update_vpd_83()).
   */
  private static final String NO_COMPANY = "000000";

  private static final int EIGHT_BYTES = 16;

  /**
   * Whether it names the logical unit and is unique in the world: NAA or EUI-64 with a company's
   * number (IEEE OUI) in it, an iSCSI name, or a UUID.
   */
  public boolean isWorldWideUnitName() {
    return association == 0
        && switch (type) {
          case EUI -> isEuiOfCompany(HexFormat.of().formatHex(value));
          case NAA -> isNaaOfCompany(HexFormat.of().formatHex(value));
          case NAME_STRING -> isWorldWide(new String(value, StandardCharsets.UTF_8));
          case UUID -> true;
          default -> false;
        };
  }

  /**
   * Whether it names the logical unit, be it unique in the world or only where it was given. What
   * is vendor specific need not even name one unit.
   */
  public boolean isUnitName() {
    return association == 0
        && value.length > 0
        && switch (type) {
          case T10_VENDOR, EUI, NAA, MD5, NAME_STRING, UUID -> true;
          default -> false;
        };
  }

  /** SPC-4 7.8.6.5: 8 or 12 bytes begin with the company, 16 with an extension of 8. */
  private static boolean isEuiOfCompany(String hex) {
    int at = hex.length() == 2 * EIGHT_BYTES ? EIGHT_BYTES : 0;
    return hex.length() >= EIGHT_BYTES && isCompany(hex, at);
  }

  /** SPC-4 7.8.6.6: 2 is IEEE extended, 3 assigned locally, 5 and 6 are IEEE registered. */
  private static boolean isNaaOfCompany(String hex) {
    return hex.length() >= EIGHT_BYTES
        && switch (hex.charAt(0)) {
          case '2' -> isCompany(hex, 4);
          case '5', '6' -> isCompany(hex, 1);
          default -> false;
        };
  }

  /**
   * SPC-4 7.8.6.11: {@code eui.}, {@code naa.} or {@code iqn.}, filled up with zeros. What begins
   * otherwise is anybody's text.
   */
  private static boolean isWorldWide(String name) {
    String text = name.replace('\0', ' ').strip().toLowerCase(Locale.ROOT);
    if (text.startsWith("eui.")) {
      return isEuiOfCompany(text.substring(4));
    }
    if (text.startsWith("naa.")) {
      return isNaaOfCompany(text.substring(4));
    }
    return text.startsWith("iqn.") && text.length() > 4;
  }

  private static boolean isCompany(String hex, int at) {
    return !hex.startsWith(NO_COMPANY, at);
  }

  /**
   * Type and value as one readable token, e.g. {@code naa.6000c29…}; equal for equal designators.
   */
  public String token() {
    String prefix =
        switch (type) {
          case 0 -> "vendor.";
          case 1 -> "t10.";
          case 2 -> "eui.";
          case 3 -> "naa.";
          case 8 -> "name.";
          case 10 -> "uuid.";
          default -> "type" + type + ".";
        };
    return prefix
        + (codeSet == 1
            ? HexFormat.of().formatHex(value)
            : new String(value, StandardCharsets.UTF_8)
                .replace('\0', ' ')
                .strip()
                .replaceAll("\\s+", "_"));
  }

  @Override
  public boolean equals(Object o) {
    return o instanceof Designator d
        && association == d.association
        && type == d.type
        && codeSet == d.codeSet
        && Arrays.equals(value, d.value);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(value) * 31 + type;
  }

  @Override
  public String toString() {
    return token();
  }
}
