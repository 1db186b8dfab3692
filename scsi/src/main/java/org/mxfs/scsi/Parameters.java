// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Reads parameter data: big-endian, every access within what was received. */
final class Parameters {
  private final String what;
  private final byte[] data;

  Parameters(String what, byte[] data) {
    this.what = what;
    this.data = data;
  }

  int length() {
    return data.length;
  }

  void require(int at, int length) throws ScsiFormatException {
    if (at < 0 || length < 0 || length > data.length - at) {
      throw new ScsiFormatException(
          what + " has " + data.length + " bytes, " + length + " at byte " + at + " are due");
    }
  }

  int u8(int at) throws ScsiFormatException {
    require(at, 1);
    return data[at] & 0xff;
  }

  int u8OrZero(int at) {
    return at < data.length ? data[at] & 0xff : 0;
  }

  boolean bit(int at, int bit) throws ScsiFormatException {
    return (u8(at) >> bit & 1) != 0;
  }

  int u16(int at) throws ScsiFormatException {
    return u8(at) << 8 | u8(at + 1);
  }

  long u32(int at) throws ScsiFormatException {
    return (long) u16(at) << 16 | u16(at + 2);
  }

  long u64(int at) throws ScsiFormatException {
    return u32(at) << 32 | u32(at + 4);
  }

  byte[] bytes(int at, int length) throws ScsiFormatException {
    require(at, length);
    return Arrays.copyOfRange(data, at, at + length);
  }

  /** ASCII, without the blanks and NULs that fill a field. */
  String ascii(int at, int length) throws ScsiFormatException {
    return new String(bytes(at, length), StandardCharsets.US_ASCII).replace('\0', ' ').strip();
  }
}
