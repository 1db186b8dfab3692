// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.SplittableRandom;

/** Sends random requests to a device and does the same to an array of versions, one a block. */
final class Model {
  private static final int BLOCKS = 96;
  private static final int LONGEST = 12;

  /** What {@link #version} holds for a block of zeros. */
  private static final int ZEROS = -1;

  private final BlockDevice device;
  private final long seed;
  private final SplittableRandom random;
  private final int block;
  private final int[] version = new int[BLOCKS];

  Model(BlockDevice device, long seed) throws IOException {
    this.device = device;
    this.seed = seed;
    random = new SplittableRandom(seed);
    block = Math.max(device.blockSize(), 4096); // what files can discard
    device.zero(0, (long) BLOCKS * block);
    Arrays.fill(version, ZEROS);
  }

  void run(int steps) throws IOException {
    for (int step = 1; step <= steps; step++) {
      int first = random.nextInt(BLOCKS);
      int count = random.nextInt(1, Math.min(LONGEST, BLOCKS - first) + 1);
      change(step, first, count);
      check(step, random.nextInt(BLOCKS - LONGEST), LONGEST);
    }
    device.flush();
    for (int first = 0; first < BLOCKS; first += LONGEST) {
      check(steps, first, LONGEST);
    }
  }

  private void change(int step, int first, int count) throws IOException {
    long at = (long) first * block;
    long bytes = (long) count * block;
    Operation[] all = Operation.values();
    Operation operation = all[random.nextInt(all.length)];
    if (operation.writes()) {
      write(operation, at, pieces(at, bytes, step));
      Arrays.fill(version, first, first + count, step);
      return;
    }
    switch (operation) {
      case DISCARD, ZERO -> {
        // Files read as zeros after a discard; so does the memory device.
        if (operation == Operation.DISCARD) {
          device.discard(at, bytes);
        } else {
          device.zero(at, bytes);
        }
        Arrays.fill(version, first, first + count, ZEROS);
      }
      case FLUSH -> device.flush();
      default -> check(step, first, Math.min(count, BLOCKS - first));
    }
  }

  private void write(Operation operation, long at, MemorySegment[] pieces) throws IOException {
    switch (operation) {
      case WRITE -> device.write(at, pieces);
      case WRITE_THROUGH -> device.writeThrough(at, pieces);
      default -> device.writeThenFlush(at, pieces);
    }
  }

  /** The content, cut at random and laid into memory back to front. */
  private MemorySegment[] pieces(long at, long bytes, int step) {
    long cut = random.nextInt((int) (bytes / block)) * (long) block;
    MemorySegment head = device.buffers().asSlice(bytes - cut, cut);
    MemorySegment tail = device.buffers().asSlice(0, bytes - cut);
    Pattern.fill(head, at, step);
    Pattern.fill(tail, at + cut, step);
    return cut == 0 ? new MemorySegment[] {tail} : new MemorySegment[] {head, tail};
  }

  private void check(int step, int first, int count) throws IOException {
    MemorySegment in = device.buffers().asSlice(1 << 20, (long) count * block);
    device.read((long) first * block, in);
    for (int i = 0; i < count; i++) {
      MemorySegment one = in.asSlice((long) i * block, block);
      int expected = version[first + i];
      boolean right =
          expected == ZEROS
              ? Pattern.isZero(one)
              : Pattern.matches(one, (long) (first + i) * block, expected);
      if (!right) {
        throw new AssertionError(
            "seed "
                + seed
                + ", step "
                + step
                + ": block "
                + (first + i)
                + " is not version "
                + expected);
      }
    }
  }
}
