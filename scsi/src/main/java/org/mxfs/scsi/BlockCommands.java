// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.nio.ByteBuffer;

/** Encodings of the block commands, SBC-3 5.2, 5.11, 5.22 and 5.34. */
final class BlockCommands {
  private static final int READ_16 = 0x88;
  private static final int COMPARE_AND_WRITE = 0x89;
  private static final int WRITE_16 = 0x8a;
  private static final int SYNCHRONIZE_CACHE_16 = 0x91;

  /** In byte 1 of all that move data: not before the data is on the medium (or comes from it). */
  private static final int FUA = 1 << 3;

  /** COMPARE AND WRITE counts its blocks in one byte. */
  static final int MAX_COMPARED_BLOCKS = 0xff;

  private BlockCommands() {}

  static byte[] read(long block, int blocks, boolean fua) {
    return cdb16(READ_16, fua ? FUA : 0, block).putInt(10, blocks).array();
  }

  static byte[] write(long block, int blocks, boolean fua) {
    return cdb16(WRITE_16, fua ? FUA : 0, block).putInt(10, blocks).array();
  }

  /** The data is as many blocks to compare with, then as many to write. */
  static byte[] compareAndWrite(long block, int blocks, boolean fua) {
    return cdb16(COMPARE_AND_WRITE, fua ? FUA : 0, block).put(13, (byte) blocks).array();
  }

  /** 0 blocks: from {@code block} to the end. */
  static byte[] synchronizeCache(long block, int blocks) {
    return cdb16(SYNCHRONIZE_CACHE_16, 0, block).putInt(10, blocks).array();
  }

  private static ByteBuffer cdb16(int code, int flags, long block) {
    return ByteBuffer.allocate(16).put(0, (byte) code).put(1, (byte) flags).putLong(2, block);
  }
}
