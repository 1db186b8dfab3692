// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * A designator of the device identification page (VPD 0x83, SPC-4 7.8.5): the name by which a
 * logical unit is the same one from every machine and on every path.
 *
 * @param association what it names: 0 the logical unit, 1 the target port, 2 the target device
 * @param type 0 vendor specific, 1 T10 vendor, 2 EUI-64, 3 NAA, 4 relative target port, 5 port
 *     group, 6 logical unit group, 7 MD5, 8 SCSI name string, 9 protocol specific, 10 UUID
 * @param codeSet 1 binary, 2 ASCII, 3 UTF-8
 * @param value the bytes
 */
public record Designator(int association, int type, int codeSet, byte[] value) {
  private static final int NAA = 3;

  /** Of NAA: assigned locally (SPC-4 7.8.6.6). */
  private static final int LOCALLY_ASSIGNED = 3;

  /**
   * Whether it names the logical unit and is unique in the world: NAA that is not assigned locally,
   * EUI-64, SCSI name string or UUID.
   */
  public boolean isWorldWideUnitName() {
    boolean local = type == NAA && value.length > 0 && (value[0] & 0xff) >> 4 == LOCALLY_ASSIGNED;
    return association == 0 && !local && (type == 2 || type == NAA || type == 8 || type == 10);
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
