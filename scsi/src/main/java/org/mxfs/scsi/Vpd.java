// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Decoders of INQUIRY, its vital product data pages and READ CAPACITY(16), SPC-4 6.6 and 7.8, SBC-3
 * 5.16 and 6.6.3.
 */
final class Vpd {
  static final int SUPPORTED_PAGES = 0x00;
  static final int SERIAL_NUMBER = 0x80;
  static final int DEVICE_IDENTIFICATION = 0x83;
  static final int BLOCK_LIMITS = 0xb0;

  private static final int HEADER = 4;

  /** Of SBC-3. */
  private static final int BLOCK_LIMITS_LENGTH = 64;

  private Vpd() {}

  static Inquiry inquiry(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("INQUIRY data", data);
    return new Inquiry(
        p.u8(0) & 0x1f, p.u8(0) >> 5, p.u8(2), p.ascii(8, 8), p.ascii(16, 16), p.ascii(32, 4));
  }

  /** Checks the header and returns the length of what follows it. */
  private static int page(Parameters p, int page) throws ScsiFormatException {
    if (p.u8(1) != page) {
      throw new ScsiFormatException(
          "VPD page 0x%02x came where 0x%02x was asked for".formatted(p.u8(1), page));
    }
    int length = p.u16(2);
    p.require(HEADER, length);
    return length;
  }

  static List<Integer> supportedPages(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("VPD page 0x00", data);
    int length = page(p, SUPPORTED_PAGES);
    List<Integer> pages = new ArrayList<>();
    for (int i = 0; i < length; i++) {
      pages.add(p.u8(HEADER + i));
    }
    return List.copyOf(pages);
  }

  static String serialNumber(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("VPD page 0x80", data);
    return p.ascii(HEADER, page(p, SERIAL_NUMBER));
  }

  static List<Designator> designators(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("VPD page 0x83", data);
    int end = HEADER + page(p, DEVICE_IDENTIFICATION);
    List<Designator> designators = new ArrayList<>();
    int at = HEADER;
    while (at < end) {
      int length = p.u8(at + 3);
      if (length > end - at - 4) {
        throw new ScsiFormatException("a designator at byte " + at + " reaches past its page");
      }
      designators.add(
          new Designator(
              p.u8(at + 1) >> 4 & 3, p.u8(at + 1) & 0xf, p.u8(at) & 0xf, p.bytes(at + 4, length)));
      at += 4 + length;
    }
    return List.copyOf(designators);
  }

  /** Fields past the end of the page, which grew from SBC to SBC, are zero: no limit stated. */
  static BlockLimits blockLimits(byte[] data) throws ScsiFormatException {
    Parameters received = new Parameters("VPD page 0xb0", data);
    int length = page(received, BLOCK_LIMITS);
    if (length < 12) {
      throw new ScsiFormatException("VPD page 0xb0: length " + length);
    }
    Parameters p =
        new Parameters(
            "VPD page 0xb0",
            Arrays.copyOf(received.bytes(0, HEADER + length), BLOCK_LIMITS_LENGTH));
    return new BlockLimits(
        p.u8(5),
        p.u16(6),
        p.u32(8),
        p.u32(12),
        p.u32(20),
        p.u32(24),
        p.u32(28),
        p.u64(36),
        p.bit(4, 0));
  }

  static Capacity capacity(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("READ CAPACITY(16) data", data);
    long blockSize = p.u32(8);
    if (blockSize == 0) {
      throw new ScsiFormatException("READ CAPACITY(16) data: a block size of 0");
    }
    return new Capacity(
        p.u64(0), blockSize, blockSize << (p.u8(13) & 0xf), p.bit(14, 7), p.bit(14, 6));
  }
}
