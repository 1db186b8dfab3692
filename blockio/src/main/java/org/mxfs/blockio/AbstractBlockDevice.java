// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;

/**
 * The rules of {@link BlockDevice} that hold for every backend: limits, alignment, memory, error
 * texts.
 */
abstract class AbstractBlockDevice implements BlockDevice {
  /** The kernel moves no more in one request ({@code MAX_RW_COUNT} is a page less than 2 GiB). */
  static final long MAX_TRANSFER = 1L << 30;

  private static final Duration LONGEST_WAIT = Duration.ofDays(36_500);

  final String name;
  private final long size;
  private final int blockSize;
  private final MemorySegment buffers;
  private final long firstAddress;
  private final long lastAddress;
  private final long timeoutNanos;

  AbstractBlockDevice(
      String name, long size, int blockSize, MemorySegment buffers, Duration timeout) {
    if (Integer.bitCount(blockSize) != 1 || blockSize < 512) {
      throw new IllegalArgumentException(name + ": block size " + blockSize);
    }
    this.name = name;
    this.size = size;
    this.blockSize = blockSize;
    this.buffers = buffers;
    this.firstAddress = buffers.address();
    this.lastAddress = buffers.address() + buffers.byteSize();
    this.timeoutNanos = positiveNanos(timeout);
  }

  static long positiveNanos(Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException("a time-out of " + timeout);
    }
    return after(0, timeout);
  }

  /**
   * The time {@code wait} after {@code began}, both by {@link System#nanoTime}; a wait beyond all
   * reason does not overflow.
   */
  static long after(long began, Duration wait) {
    return began + (wait.compareTo(LONGEST_WAIT) > 0 ? LONGEST_WAIT : wait).toNanos();
  }

  /**
   * Queues a checked request.
   *
   * @param address of the memory; 0 where no data moves, or where there are {@code parts}
   * @param parts two or more pieces of memory, or null
   */
  abstract void start(
      Operation operation,
      long offset,
      long address,
      long length,
      MemorySegment @Nullable [] parts,
      Callback callback,
      long tag,
      long timeoutNanos)
      throws IOException;

  /** Carries out a checked request and waits; returns 0 or {@code -errno}. */
  abstract int run(
      Operation operation,
      long offset,
      long address,
      long length,
      MemorySegment @Nullable [] parts,
      long timeoutNanos)
      throws IOException;

  /** The device's own memory from an address that was checked before. */
  final MemorySegment memory(long address, long length) {
    return buffers.asSlice(address - firstAddress, length);
  }

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

  @Override
  public final Duration timeout() {
    return Duration.ofNanos(timeoutNanos);
  }

  @Override
  public BlockDevice withTimeout(Duration timeout) {
    return new TimedView(this, timeout);
  }

  // ---- the checks

  private IllegalArgumentException refused(Operation operation, long length, String why) {
    return new IllegalArgumentException(
        name + ": " + operation + " of " + length + " bytes " + why);
  }

  private void checkRange(Operation operation, long offset, long length) {
    if (((offset | length) & (blockSize - 1)) != 0 || length <= 0) {
      throw refused(operation, length, "at " + offset + " is not whole blocks of " + blockSize);
    }
    if (offset < 0 || length > size - offset) {
      throw refused(operation, length, "at " + offset + " passes the end at " + size);
    }
  }

  private long checkMemory(Operation operation, MemorySegment buffer) {
    long address = buffer.address();
    long length = buffer.byteSize();
    // A dead arena is found here: the device's memory is the only one allowed, and it lives as long
    // as the device.
    if (!buffer.isNative() || address < firstAddress || length > lastAddress - address) {
      throw refused(
          operation, length, "with memory that is not of this device; take it from buffers()");
    }
    if ((address & (blockSize - 1)) != 0 || length > MAX_TRANSFER) {
      throw refused(
          operation,
          length,
          "with memory at address 0x"
              + Long.toHexString(address)
              + "; it must be aligned to "
              + blockSize
              + " and at most "
              + MAX_TRANSFER
              + " bytes");
    }
    if (operation == Operation.READ && buffer.isReadOnly()) {
      throw refused(operation, length, "into read-only memory");
    }
    return address;
  }

  private long checkParts(Operation operation, long offset, MemorySegment[] parts) {
    if (parts.length == 0 || parts.length > RingRequests.MAX_PARTS) {
      throw new IllegalArgumentException(
          name
              + ": "
              + operation
              + " with "
              + parts.length
              + " pieces of memory, not between 1 and "
              + RingRequests.MAX_PARTS);
    }
    long length = 0;
    for (MemorySegment part : parts) {
      checkMemory(operation, part);
      checkRange(operation, offset + length, part.byteSize());
      length += part.byteSize();
    }
    if (length > MAX_TRANSFER) {
      throw refused(operation, length, "is more than " + MAX_TRANSFER);
    }
    return length;
  }

  private void check(Operation operation, long offset, long length, int result)
      throws ErrnoException {
    if (result < 0) {
      throw new ErrnoException(
          operation.name().toLowerCase(Locale.ROOT),
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
      case Errnos.EOPNOTSUPP -> "the device, or its file system, cannot do this";
      default -> "";
    };
  }

  // ---- the waiting form

  private void transfer(Operation operation, long offset, MemorySegment buffer) throws IOException {
    long length = buffer.byteSize();
    checkRange(operation, offset, length);
    long address = checkMemory(operation, buffer);
    check(operation, offset, length, run(operation, offset, address, length, null, timeoutNanos));
  }

  private void transfer(Operation operation, long offset, MemorySegment[] parts)
      throws IOException {
    if (parts.length == 1) {
      transfer(operation, offset, parts[0]);
      return;
    }
    long length = checkParts(operation, offset, parts);
    check(operation, offset, length, run(operation, offset, 0, length, parts, timeoutNanos));
  }

  private void range(Operation operation, long offset, long length) throws IOException {
    checkRange(operation, offset, length);
    check(operation, offset, length, run(operation, offset, 0, length, null, timeoutNanos));
  }

  @Override
  public final void read(long offset, MemorySegment buffer) throws IOException {
    transfer(Operation.READ, offset, buffer);
  }

  @Override
  public final void read(long offset, MemorySegment[] parts) throws IOException {
    transfer(Operation.READ, offset, parts);
  }

  @Override
  public final void write(long offset, MemorySegment buffer) throws IOException {
    transfer(Operation.WRITE, offset, buffer);
  }

  @Override
  public final void write(long offset, MemorySegment[] parts) throws IOException {
    transfer(Operation.WRITE, offset, parts);
  }

  @Override
  public final void writeThrough(long offset, MemorySegment buffer) throws IOException {
    transfer(Operation.WRITE_THROUGH, offset, buffer);
  }

  @Override
  public final void writeThrough(long offset, MemorySegment[] parts) throws IOException {
    transfer(Operation.WRITE_THROUGH, offset, parts);
  }

  @Override
  public final void writeThenFlush(long offset, MemorySegment buffer) throws IOException {
    transfer(Operation.WRITE_THEN_FLUSH, offset, buffer);
  }

  @Override
  public final void writeThenFlush(long offset, MemorySegment[] parts) throws IOException {
    transfer(Operation.WRITE_THEN_FLUSH, offset, parts);
  }

  @Override
  public final void flush() throws IOException {
    check(Operation.FLUSH, 0, 0, run(Operation.FLUSH, 0, 0, 0, null, timeoutNanos));
  }

  @Override
  public final void discard(long offset, long length) throws IOException {
    range(Operation.DISCARD, offset, length);
  }

  @Override
  public final void zero(long offset, long length) throws IOException {
    range(Operation.ZERO, offset, length);
  }

  // ---- the form that calls back

  private void transfer(
      Operation operation, long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException {
    long length = buffer.byteSize();
    checkRange(operation, offset, length);
    long address = checkMemory(operation, buffer);
    start(operation, offset, address, length, null, callback, tag, timeoutNanos);
  }

  private void transfer(
      Operation operation, long offset, MemorySegment[] parts, Callback callback, long tag)
      throws IOException {
    if (parts.length == 1) {
      transfer(operation, offset, parts[0], callback, tag);
      return;
    }
    long length = checkParts(operation, offset, parts);
    start(operation, offset, 0, length, parts, callback, tag, timeoutNanos);
  }

  private void range(Operation operation, long offset, long length, Callback callback, long tag)
      throws IOException {
    checkRange(operation, offset, length);
    start(operation, offset, 0, length, null, callback, tag, timeoutNanos);
  }

  @Override
  public final void read(long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException {
    transfer(Operation.READ, offset, buffer, callback, tag);
  }

  @Override
  public final void read(long offset, MemorySegment[] parts, Callback callback, long tag)
      throws IOException {
    transfer(Operation.READ, offset, parts, callback, tag);
  }

  @Override
  public final void write(long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException {
    transfer(Operation.WRITE, offset, buffer, callback, tag);
  }

  @Override
  public final void write(long offset, MemorySegment[] parts, Callback callback, long tag)
      throws IOException {
    transfer(Operation.WRITE, offset, parts, callback, tag);
  }

  @Override
  public final void writeThrough(long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException {
    transfer(Operation.WRITE_THROUGH, offset, buffer, callback, tag);
  }

  @Override
  public final void writeThrough(long offset, MemorySegment[] parts, Callback callback, long tag)
      throws IOException {
    transfer(Operation.WRITE_THROUGH, offset, parts, callback, tag);
  }

  @Override
  public final void writeThenFlush(long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException {
    transfer(Operation.WRITE_THEN_FLUSH, offset, buffer, callback, tag);
  }

  @Override
  public final void writeThenFlush(long offset, MemorySegment[] parts, Callback callback, long tag)
      throws IOException {
    transfer(Operation.WRITE_THEN_FLUSH, offset, parts, callback, tag);
  }

  @Override
  public final void flush(Callback callback, long tag) throws IOException {
    start(Operation.FLUSH, 0, 0, 0, null, callback, tag, timeoutNanos);
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
