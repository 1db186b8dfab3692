// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32;
import org.jspecify.annotations.Nullable;

/**
 * Whether the partition table on the disk has a partition as this kernel has it.
 *
 * <p>A kernel reads the table when it finds the disk and when it is told to, so what another
 * machine has changed since it does not know: it would write where another partition, or a file
 * system on the whole disk, is by now. And nodes tell by the partition's number whose key is whose,
 * so all of them have to mean the same by it: what is on the disk.
 */
final class PartitionTable {
  /** Reads whole logical blocks of the whole disk, past this kernel's caches. */
  @FunctionalInterface
  interface Reader {
    byte[] read(long block, int blocks) throws IOException;
  }

  private static final int SECTOR = 512;
  private static final int BLOCK_MAX = 1 << 16;
  private static final int XFS_MAGIC = 0x5846_5342; // "XFSB", the first four bytes

  // The MBR, as block/partitions/msdos.c reads it.
  private static final int MBR_ENTRIES = 446;
  private static final int MBR_ENTRY = 16;
  private static final int MBR_TYPE = 4;
  private static final int MBR_START = 8;
  private static final int MBR_SIZE = 12;
  private static final int MBR_PRIMARY = 4;
  private static final int MBR_MAGIC_AT = 510;
  private static final short MBR_MAGIC = (short) 0xaa55;
  private static final byte TYPE_GPT = (byte) 0xee;

  // The GPT, UEFI 2.10 5.3.2 and 5.3.3, as block/partitions/efi.c reads it.
  private static final long GPT_MAGIC = 0x5452_4150_2049_4645L; // "EFI PART"
  private static final int GPT_HEADER_SIZE = 12;
  private static final int GPT_HEADER_CRC = 16;
  private static final int GPT_MY_BLOCK = 24;
  private static final int GPT_ENTRIES_BLOCK = 72;
  private static final int GPT_ENTRIES = 80;
  private static final int GPT_ENTRY_SIZE = 84;
  private static final int GPT_ENTRIES_CRC = 88;
  private static final int GPT_HEADER_MIN = 92;
  private static final int GPT_ENTRY = 128;
  private static final int GPT_FIRST = 32;
  private static final int GPT_LAST = 40;
  private static final int GPT_ENTRIES_MAX = 1 << 12;

  private final Partition partition;
  private final int blockSize;
  private final Reader disk;

  private PartitionTable(Partition partition, int blockSize, Reader disk) {
    this.partition = partition;
    this.blockSize = blockSize;
    this.disk = disk;
  }

  /**
   * Looks.
   *
   * @param blockSize bytes of a logical block
   * @return null when it has; else what is different, to follow the name of the device
   */
  static @Nullable String differs(Partition partition, long blockSize, Reader disk)
      throws IOException {
    if (blockSize < SECTOR || blockSize > BLOCK_MAX || blockSize % SECTOR != 0) {
      return "is on a disk with blocks of " + blockSize + " bytes";
    }
    return new PartitionTable(partition, (int) blockSize, disk).differs();
  }

  private @Nullable String differs() throws IOException {
    ByteBuffer first = read(0, 1);
    if (Integer.reverseBytes(first.getInt(0)) == XFS_MAGIC) {
      return "is a partition to this kernel alone: the whole disk /dev/"
          + partition.disk()
          + " is an XFS file system. Read its table anew (blockdev --rereadpt)";
    }
    if (first.getShort(MBR_MAGIC_AT) != MBR_MAGIC) {
      return "is a partition of a table that mxfs does not know (it knows GPT and MBR), or the disk"
          + " has none any more";
    }
    for (int i = 0; i < MBR_PRIMARY; i++) {
      if (first.get(MBR_ENTRIES + i * MBR_ENTRY + MBR_TYPE) == TYPE_GPT) {
        return gpt();
      }
    }
    if (partition.number() > MBR_PRIMARY) {
      return "is a logical partition of an MBR, whose number changes when one before it goes, and"
          + " by the number nodes tell whose registration is whose: use a primary partition, or a"
          + " GPT";
    }
    int entry = MBR_ENTRIES + (partition.number() - 1) * MBR_ENTRY;
    byte type = first.get(entry + MBR_TYPE);
    if (type == 0x05 || type == 0x0f || type == (byte) 0x85) {
      return "is an extended partition";
    }
    return compare(
        Integer.toUnsignedLong(first.getInt(entry + MBR_START)),
        Integer.toUnsignedLong(first.getInt(entry + MBR_SIZE)));
  }

  private @Nullable String gpt() throws IOException {
    String broken =
        "is a partition of a GPT whose first copy does not check: repair it (gdisk, sgdisk -v)";
    ByteBuffer header = read(1, 1);
    int size = header.getInt(GPT_HEADER_SIZE);
    int count = header.getInt(GPT_ENTRIES);
    if (header.getLong(0) != GPT_MAGIC
        || size < GPT_HEADER_MIN
        || size > blockSize
        || header.getLong(GPT_MY_BLOCK) != 1
        || header.getInt(GPT_ENTRY_SIZE) != GPT_ENTRY
        || count < 1
        || count > GPT_ENTRIES_MAX) {
      return broken;
    }
    int crc = header.getInt(GPT_HEADER_CRC);
    header.putInt(GPT_HEADER_CRC, 0); // its own field counts as 0
    if (crc(header, size) != crc) {
      return broken;
    }
    int bytes = count * GPT_ENTRY;
    ByteBuffer entries =
        read(header.getLong(GPT_ENTRIES_BLOCK), (bytes + blockSize - 1) / blockSize);
    if (crc(entries, bytes) != header.getInt(GPT_ENTRIES_CRC)) {
      return broken;
    }
    int entry = (partition.number() - 1) * GPT_ENTRY;
    if (entry >= bytes || (entries.getLong(entry) | entries.getLong(entry + 8)) == 0) {
      return compare(0, 0);
    }
    long start = entries.getLong(entry + GPT_FIRST);
    return compare(start, entries.getLong(entry + GPT_LAST) - start + 1);
  }

  /** In logical blocks. */
  private @Nullable String compare(long start, long blocks) {
    int scale = blockSize / SECTOR;
    if (blocks != 0
        && partition.start() % scale == 0
        && partition.sectors() % scale == 0
        && partition.start() / scale == start
        && partition.sectors() / scale == blocks) {
      return null;
    }
    return "is partition "
        + partition.number()
        + " of "
        + partition.sectors() / scale
        + " blocks from "
        + partition.start() / scale
        + " on to this kernel, and the table on the disk has "
        + (blocks == 0
            ? "none of that number"
            : Long.toUnsignedString(blocks) + " from " + Long.toUnsignedString(start))
        + ": it was changed, perhaps by another machine. Read it anew (blockdev --rereadpt /dev/"
        + partition.disk()
        + ")";
  }

  private static int crc(ByteBuffer bytes, int length) {
    CRC32 crc = new CRC32();
    crc.update(bytes.slice(0, length));
    return (int) crc.getValue();
  }

  private ByteBuffer read(long block, int blocks) throws IOException {
    byte[] bytes = disk.read(block, blocks);
    if (bytes.length != blocks * blockSize) {
      throw new IOException(bytes.length + " bytes of " + blocks + " blocks were read");
    }
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
