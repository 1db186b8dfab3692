// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The table on a disk, made byte by byte after the standards, against what a kernel has. */
class PartitionTableTest {
  private static final int BLOCKS = 64;

  private static ByteBuffer disk(int blockSize) {
    return ByteBuffer.allocate(BLOCKS * blockSize).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static void mbr(ByteBuffer disk, int number, int type, int start, int size) {
    int entry = 446 + (number - 1) * 16;
    disk.put(entry + 4, (byte) type).putInt(entry + 8, start).putInt(entry + 12, size);
    disk.putShort(510, (short) 0xaa55);
  }

  private static int crc(ByteBuffer disk, int from, int length) {
    CRC32 crc = new CRC32();
    crc.update(disk.slice(from, length));
    return (int) crc.getValue();
  }

  /** 128 entries from block 2 on; each partition is {number, first, last}. */
  private static void gpt(ByteBuffer disk, int blockSize, long[]... partitions) {
    mbr(disk, 1, 0xee, 1, -1);
    for (long[] each : partitions) {
      int entry = 2 * blockSize + ((int) each[0] - 1) * 128;
      disk.putLong(entry, 0x0fc63daf_8483_4772L).putLong(entry + 8, 1);
      disk.putLong(entry + 32, each[1]).putLong(entry + 40, each[2]);
    }
    disk.putLong(blockSize, 0x5452415020494645L).putInt(blockSize + 8, 0x10000);
    disk.putInt(blockSize + 12, 92).putLong(blockSize + 24, 1).putLong(blockSize + 72, 2);
    disk.putInt(blockSize + 80, 128).putInt(blockSize + 84, 128);
    seal(disk, blockSize);
  }

  private static void seal(ByteBuffer disk, int blockSize) {
    disk.putInt(blockSize + 88, crc(disk, 2 * blockSize, 128 * 128)).putInt(blockSize + 16, 0);
    disk.putInt(blockSize + 16, crc(disk, blockSize, 92));
  }

  private static @Nullable String differs(
      ByteBuffer disk, int blockSize, int number, long start, long sectors) throws IOException {
    return PartitionTable.differs(
        new Partition(number, start, sectors, "sdb", List.of()),
        blockSize,
        (block, blocks) -> {
          byte[] bytes = new byte[blocks * blockSize];
          disk.get((int) block * blockSize, bytes);
          return bytes;
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {512, 4096})
  void aPartitionOfAGptIsFound(int blockSize) throws IOException {
    int scale = blockSize / 512;
    ByteBuffer disk = disk(blockSize);
    gpt(
        disk,
        blockSize,
        new long[] {1, 2048, 10_239},
        new long[] {128, 3_000_000_000_000L, 3_000_000_000_999L});
    assertThat(differs(disk, blockSize, 1, 2048L * scale, 8192L * scale)).isNull();
    assertThat(differs(disk, blockSize, 128, 3_000_000_000_000L * scale, 1000L * scale)).isNull();
    assertThat(differs(disk, blockSize, 1, 2049L * scale, 8192L * scale))
        .contains("8192 blocks from 2049 on", "8192 from 2048", "rereadpt /dev/sdb");
    assertThat(differs(disk, blockSize, 1, 2048L * scale, 8191L * scale)).isNotNull();
    assertThat(differs(disk, blockSize, 2, 2048L * scale, 8192L * scale))
        .contains("none of that number");
    assertThat(differs(disk, blockSize, 129, 2048L * scale, 8192L * scale))
        .contains("none of that number");
  }

  @Test
  void aPartitionThatDoesNotBeginWithABlockIsNoneOfTheTable() throws IOException {
    ByteBuffer disk = disk(4096);
    gpt(disk, 4096, new long[] {1, 2048, 10_239});
    assertThat(differs(disk, 4096, 1, 2048L * 8 + 1, 8192L * 8)).isNotNull();
    assertThat(differs(disk, 4096, 1, 2048L * 8, 8192L * 8 + 1)).isNotNull();
  }

  @Test
  void anyBitOfAGptCounts() throws IOException {
    ByteBuffer disk = disk(512);
    gpt(disk, 512, new long[] {1, 2048, 10_239});
    Random random = new Random(1);
    // Each of the header's 92 bytes, and some of the entries.
    for (int round = 0; round < 92 * 8 + 1_000; round++) {
      boolean header = round < 92 * 8;
      int at = header ? 512 + round / 8 : 1024 + random.nextInt(128 * 128);
      byte was = disk.get(at);
      disk.put(at, (byte) (was ^ 1 << (header ? round % 8 : random.nextInt(8))));
      assertThat(differs(disk, 512, 1, 2048, 8192)).as("byte %d", at).contains("does not check");
      disk.put(at, was);
    }
    assertThat(differs(disk, 512, 1, 2048, 8192)).isNull();
  }

  @Test
  void sizesInAGptThatChecksAreNotBelieved() throws IOException {
    for (int[] change :
        new int[][] {
          {80, -1}, {80, 0}, {80, 1 << 24}, {84, 64}, {84, 0}, {12, 513}, {12, -1}, {24, 2}
        }) {
      ByteBuffer disk = disk(512);
      gpt(disk, 512, new long[] {1, 2048, 10_239});
      disk.putInt(512 + change[0], change[1]).putInt(512 + 16, 0);
      disk.putInt(512 + 16, crc(disk, 512, 92));
      assertThat(differs(disk, 512, 1, 2048, 8192)).contains("does not check");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {512, 4096})
  void aPrimaryPartitionOfAnMbrIsFound(int blockSize) throws IOException {
    int scale = blockSize / 512;
    ByteBuffer disk = disk(blockSize);
    mbr(disk, 1, 0x83, 2048, 8192);
    mbr(disk, 4, 0x83, 0x8000_0000, 0x7000_0000);
    assertThat(differs(disk, blockSize, 1, 2048L * scale, 8192L * scale)).isNull();
    assertThat(differs(disk, blockSize, 4, 0x8000_0000L * scale, 0x7000_0000L * scale)).isNull();
    assertThat(differs(disk, blockSize, 1, 4096L * scale, 8192L * scale))
        .contains("8192 from 2048");
    assertThat(differs(disk, blockSize, 2, 2048L * scale, 8192L * scale))
        .contains("none of that number");
  }

  @Test
  void logicalAndExtendedPartitionsAreRefused() throws IOException {
    ByteBuffer disk = disk(512);
    mbr(disk, 1, 0x05, 2048, 8192);
    assertThat(differs(disk, 512, 5, 4096, 4096)).contains("logical partition");
    assertThat(differs(disk, 512, 1, 2048, 8192)).contains("extended");
  }

  @Test
  void aDiskWithoutATableOrWithAFileSystemOnAllOfItIsSeen() throws IOException {
    ByteBuffer disk = disk(512);
    assertThat(differs(disk, 512, 1, 2048, 8192)).contains("does not know");
    mbr(disk, 1, 0x83, 2048, 8192);
    disk.put(0, new byte[] {'X', 'F', 'S', 'B'});
    assertThat(differs(disk, 512, 1, 2048, 8192)).contains("whole disk", "XFS", "/dev/sdb");
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 511, 513, 1 << 17, 1L << 32})
  void blocksOfAnotherSizeAreRefused(long blockSize) throws IOException {
    assertThat(
            PartitionTable.differs(
                new Partition(1, 8, 8, "sdb", List.of()),
                blockSize,
                (_, _) -> {
                  throw new AssertionError("read");
                }))
        .contains("blocks of");
  }

  @Test
  void whatIsReadShortIsAnError() {
    assertThatThrownBy(
            () ->
                PartitionTable.differs(
                    new Partition(1, 8, 8, "sdb", List.of()), 512, (_, _) -> new byte[100]))
        .isInstanceOf(IOException.class);
  }
}
