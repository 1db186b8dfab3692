// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/** Sense keys, SPC-4 table 43; the ordinal is the code. */
public enum SenseKey {
  NO_SENSE,
  RECOVERED_ERROR,
  NOT_READY,
  MEDIUM_ERROR,
  HARDWARE_ERROR,
  ILLEGAL_REQUEST,
  UNIT_ATTENTION,
  DATA_PROTECT,
  BLANK_CHECK,
  VENDOR_SPECIFIC,
  COPY_ABORTED,
  ABORTED_COMMAND,
  RESERVED_12,
  VOLUME_OVERFLOW,
  MISCOMPARE,
  COMPLETED;

  private static final SenseKey[] VALUES = values();

  static SenseKey of(int code) {
    return VALUES[code & 0xf];
  }
}
