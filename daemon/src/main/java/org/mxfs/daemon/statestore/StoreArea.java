// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.mxfs.blockio.BlockDevice;

/**
 * Where a store lies: extents of a device, one behind the other, with the memory that is read and
 * written through. Not thread-safe; the device outlives it.
 */
public final class StoreArea {
  /** A piece of the device: bytes, whole blocks. */
  public record Extent(long offset, long length) {
    public Extent {
      if (offset < 0 || length <= 0 || offset + length < 0) {
        throw new IllegalArgumentException("extent of " + length + " bytes at " + offset);
      }
    }
  }

  private final BlockDevice device;
  private final List<Extent> extents;
  private final MemorySegment memory;
  private final long size;

  /**
   * An area.
   *
   * @param extents whole blocks of the device, in the order of the area
   * @param memory {@link Journal#BATCH_MAX} bytes of {@link BlockDevice#buffers}, at a block's
   *     boundary, for this area alone
   */
  public StoreArea(BlockDevice device, List<Extent> extents, MemorySegment memory) {
    long total = 0;
    for (Extent extent : extents) {
      if (extent.offset % device.blockSize() != 0
          || extent.length % device.blockSize() != 0
          || extent.offset + extent.length > device.size()) {
        throw new IllegalArgumentException(
            extent + " is not whole blocks of " + device.blockSize() + " bytes within " + device);
      }
      total += extent.length;
    }
    if (memory.byteSize() != Journal.BATCH_MAX) {
      throw new IllegalArgumentException(
          memory.byteSize() + " bytes of memory, not " + Journal.BATCH_MAX);
    }
    this.device = device;
    this.extents = List.copyOf(extents);
    this.memory = memory;
    this.size = total;
  }

  /** The whole of a device, or its first bytes. */
  public static StoreArea of(BlockDevice device, long size, MemorySegment memory) {
    return new StoreArea(device, List.of(new Extent(0, size)), memory);
  }

  long size() {
    return size;
  }

  int blockSize() {
    return device.blockSize();
  }

  /**
   * The memory, to be filled: not while a request that was given up may still read or write it,
   * which would send something else than was meant, or read what nobody wrote.
   */
  MemorySegment memory() throws StoreException {
    if (device.mayStillUse(memory)) {
      throw new StoreException(
          StoreException.Kind.BUSY,
          "a request that was given up has not ended on " + device + ": its memory is in use");
    }
    return memory;
  }

  /** Fills {@code length} bytes of {@link #memory}, from {@code at} on, from {@code position}. */
  void read(long position, int at, int length) throws IOException {
    move(position, memory().asSlice(at, length), device::read);
  }

  /** Writes the first {@code length} bytes of {@link #memory} at {@code position}. */
  void write(long position, int length) throws IOException {
    move(position, memory().asSlice(0, length), device::write);
  }

  void flush() throws IOException {
    device.flush();
  }

  @FunctionalInterface
  private interface Transfer {
    void move(long offset, MemorySegment memory) throws IOException;
  }

  private void move(long position, MemorySegment part, Transfer transfer) throws IOException {
    long length = part.byteSize();
    long skip = position;
    long done = 0;
    for (Extent extent : extents) {
      if (done == length) {
        return;
      }
      if (skip >= extent.length) {
        skip -= extent.length;
        continue;
      }
      long piece = Math.min(length - done, extent.length - skip);
      transfer.move(extent.offset + skip, part.asSlice(done, piece));
      done += piece;
      skip = 0;
    }
    if (done < length) {
      throw new IllegalArgumentException(
          length + " bytes at " + position + " of an area of " + size);
    }
  }

  @Override
  public String toString() {
    return size + " bytes in " + extents.size() + " extents of " + device;
  }
}
