// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.Optional;

/** Types of persistent reservations, SPC-4 table 60. */
public enum ReservationType {
  WRITE_EXCLUSIVE(1),
  EXCLUSIVE_ACCESS(3),
  WRITE_EXCLUSIVE_REGISTRANTS_ONLY(5),
  EXCLUSIVE_ACCESS_REGISTRANTS_ONLY(6),
  WRITE_EXCLUSIVE_ALL_REGISTRANTS(7),
  EXCLUSIVE_ACCESS_ALL_REGISTRANTS(8);

  private final int code;

  ReservationType(int code) {
    this.code = code;
  }

  /** The number in commands and parameter data. */
  public int code() {
    return code;
  }

  /** The type with this number, if it is one. */
  public static Optional<ReservationType> of(int code) {
    for (ReservationType type : values()) {
      if (type.code == code) {
        return Optional.of(type);
      }
    }
    return Optional.empty();
  }

  static ReservationType require(int code) throws ScsiFormatException {
    return of(code)
        .orElseThrow(
            () -> new ScsiFormatException("reservation type " + code + " is in no standard"));
  }
}
