// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;

/**
 * The rules of {@link BlockDevice} that hold for every backend: limits, alignment, memory, error
 * texts.
 */
abstract class AbstractBlockDevice implements BlockDevice {
  /** The kernel moves no more in one request ({@code MAX_RW_COUNT} is a page less than 2 GiB). */
  static final long MAX_TRANSFER = 1L << 30;

  final String name;
  private final long size;
  private final int blockSize;
  private final MemorySegment buffers;
  private final long firstAddress;
  private final long lastAddress;

  AbstractBlockDevice(String name, long size, int blockSize, MemorySegment buffers) {
    if (Integer.bitCount(blockSize) != 1 || blockSize < 512) {
      throw new IllegalArgumentException(name + ": block size " + blockSize);
    }
    this.name = name;
    this.size = size;
    this.blockSize = blockSize;
    this.buffers = buffers;
    this.firstAddress = buffers.address();
    this.lastAddress = buffers.address() + buffers.byteSize();
  }

  /** Queues a checked request. {@code address} is 0 where no data moves. */
  abstract void start(
      Operation operation, long offset, long address, long length, Callback callback, long tag)
      throws IOException;

  /** Carries out a checked request and waits; returns 0 or {@code -errno}. */
  abstract int run(Operation operation, long offset, long address, long length) throws IOException;

  @Override
  public final long size() {
    return size;
  }

  @Override
  public final int blockSize() {
    return blockSize;
  }

  @Override
  public final MemorySegment buffers() {
    return buffers;
  }

  private void checkRange(Operation operation, long offset, long length) {
    if (((offset | length) & (blockSize - 1)) != 0 || length <= 0) {
      throw new IllegalArgumentException(
          name
              + ": "
              + operation
              + " of "
              + length
              + " bytes at "
              + offset
              + " is not whole blocks of "
              + blockSize);
    }
    if (offset < 0 || length > size - offset) {
      throw new IllegalArgumentException(
          name
              + ": "
              + operation
              + " of "
              + length
              + " bytes at "
              + offset
              + " passes the end at "
              + size);
    }
  }

  private long checkMemory(Operation operation, MemorySegment buffer) {
    long address = buffer.address();
    long length = buffer.byteSize();
    // A dead arena is found here: the device's memory is the only one allowed, and it lives as long
    // as the device.
    if (!buffer.isNative() || address < firstAddress || length > lastAddress - address) {
      throw new IllegalArgumentException(
          name
              + ": "
              + operation
              + " with memory that is not of this device; take it from buffers()");
    }
    if ((address & (blockSize - 1)) != 0 || length > MAX_TRANSFER) {
      throw new IllegalArgumentException(
          name
              + ": "
              + operation
              + " with memory at address 0x"
              + Long.toHexString(address)
              + ", "
              + length
              + " bytes; it must be aligned to "
              + blockSize
              + " and at most "
              + MAX_TRANSFER);
    }
    if (operation == Operation.READ && buffer.isReadOnly()) {
      throw new IllegalArgumentException(name + ": READ into read-only memory");
    }
    return address;
  }

  private void transfer(Operation operation, long offset, MemorySegment buffer) throws IOException {
    checkRange(operation, offset, buffer.byteSize());
    check(
        operation,
        offset,
        buffer.byteSize(),
        run(operation, offset, checkMemory(operation, buffer), buffer.byteSize()));
  }

  private void transfer(
      Operation operation, long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException {
    checkRange(operation, offset, buffer.byteSize());
    start(operation, offset, checkMemory(operation, buffer), buffer.byteSize(), callback, tag);
  }

  private void range(Operation operation, long offset, long length) throws IOException {
    checkRange(operation, offset, length);
    check(operation, offset, length, run(operation, offset, 0, length));
  }

  private void range(Operation operation, long offset, long length, Callback callback, long tag)
      throws IOException {
    checkRange(operation, offset, length);
    start(operation, offset, 0, length, callback, tag);
  }

  private void check(Operation operation, long offset, long length, int result)
      throws ErrnoException {
    if (result < 0) {
      throw new ErrnoException(
          operation.name().toLowerCase(java.util.Locale.ROOT),
          name + ", offset=" + offset + ", length=" + length,
          -result,
          hint(-result));
    }
  }

  private static String hint(int errno) {
    return switch (errno) {
      case Errnos.ETIMEDOUT -> "the device did not answer in time; the outcome is unknown";
      case Errnos.EBADE -> "another initiator's reservation keeps this one out";
      case Errnos.EIO -> "see the kernel log for the device's own error";
      case Errnos.EPERM, Errnos.EBADF -> "the device may be open for reading only";
      default -> "";
    };
  }

  @Override
  public final void read(long offset, MemorySegment buffer) throws IOException {
    transfer(Operation.READ, offset, buffer);
  }

  @Override
  public final void write(long offset, MemorySegment buffer) throws IOException {
    transfer(Operation.WRITE, offset, buffer);
  }

  @Override
  public final void writeThrough(long offset, MemorySegment buffer) throws IOException {
    transfer(Operation.WRITE_THROUGH, offset, buffer);
  }

  @Override
  public final void flush() throws IOException {
    check(Operation.FLUSH, 0, 0, run(Operation.FLUSH, 0, 0, 0));
  }

  @Override
  public final void discard(long offset, long length) throws IOException {
    range(Operation.DISCARD, offset, length);
  }

  @Override
  public final void zero(long offset, long length) throws IOException {
    range(Operation.ZERO, offset, length);
  }

  @Override
  public final void read(long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException {
    transfer(Operation.READ, offset, buffer, callback, tag);
  }

  @Override
  public final void write(long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException {
    transfer(Operation.WRITE, offset, buffer, callback, tag);
  }

  @Override
  public final void writeThrough(long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException {
    transfer(Operation.WRITE_THROUGH, offset, buffer, callback, tag);
  }

  @Override
  public final void flush(Callback callback, long tag) throws IOException {
    start(Operation.FLUSH, 0, 0, 0, callback, tag);
  }

  @Override
  public final void discard(long offset, long length, Callback callback, long tag)
      throws IOException {
    range(Operation.DISCARD, offset, length, callback, tag);
  }

  @Override
  public final void zero(long offset, long length, Callback callback, long tag) throws IOException {
    range(Operation.ZERO, offset, length, callback, tag);
  }
}
