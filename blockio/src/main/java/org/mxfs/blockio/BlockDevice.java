// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;

/**
 * A disk, or a file used as one: blocks of a fixed size, read and written past the page cache.
 *
 * <p><b>Units.</b> Offsets and lengths are bytes, multiples of {@link #blockSize}; buffers begin at
 * such multiples too and lie in {@link #buffers}. A request that breaks this is refused with {@link
 * IllegalArgumentException} before anything is sent. A request may name 1 to 64 pieces of memory
 * instead of one; they follow each other on the device, and each is whole blocks.
 *
 * <p><b>Two forms.</b> The first form waits. The second calls back: it returns as soon as the
 * request is queued, waits only while the queue is full (that is the back-pressure), and reports
 * the end to a {@link Callback}, once. A callback must be quick, may start one request in the place
 * of the one that ended, and must not wait for another. Which thread calls back: the device's own
 * for io_uring, the caller's (before the method returns) for the other backends, the owner's for
 * {@link ConfinedBlockDevice}.
 *
 * <p><b>Durability.</b> A write is durable when {@link #writeThrough} or {@link #writeThenFlush}
 * ended well, or when a {@link #flush} did that began after the write ended. Requests under way at
 * the same time have no order; whoever needs one waits for the first before starting the second. Of
 * writes (discards, zeros) to ranges that overlap, never two are under way: the second waits for
 * the end of the first, also of one that was given up, as long as it may take itself, and is then
 * refused with {@code EBUSY}, not sent; within a callback it is refused at once. A write of one
 * block is not torn by a crash where the device promises that; longer ones may be.
 *
 * <p><b>Time-outs.</b> Each request has one, from {@link BlockDevices.Options#timeout} or {@link
 * #withTimeout}. {@code ETIMEDOUT} means that the outcome is unknown: the kernel was asked to end
 * the request, which a disk that hangs does not heed; until it does, the request counts as in
 * flight, and its memory must not be used for anything else. {@link Callback#released} tells when
 * that is over, {@link #mayStillUse} answers who waited. The backends that carry a request out on
 * the calling thread have no time-outs.
 *
 * <p><b>Errors.</b> The waiting form throws {@link org.mxfs.bindings.ErrnoException}; the other
 * gives {@code -errno}. {@code ECANCELED}: see {@link #cancel}. {@code EOPNOTSUPP}: the device
 * cannot do this. {@code EBADE}: a reservation of another initiator. After a failed flush nothing
 * written since the last good one may be taken as durable. {@code ENOTRECOVERABLE}: the way to the
 * device broke while the request was under way; its outcome stays unknown and its memory is never
 * free again; new requests are refused. {@link FrozenException}: {@link #freeze} or {@link #close}
 * came first; nothing was sent.
 *
 * <p>Thread-safe, except {@link ConfinedBlockDevice}.
 */
public interface BlockDevice extends Closeable {
  /** Told of the end of a request. */
  @FunctionalInterface
  interface Callback {
    /**
     * A request ended.
     *
     * @param tag what the caller gave with it
     * @param result 0, or {@code -errno}
     */
    void completed(long tag, int result);

    /**
     * After each {@link #completed} with {@code ETIMEDOUT}, once: now the kernel has ended the
     * request too. Its memory is free, and its range may be written again. Comes only when the
     * device answers, which may be never.
     *
     * @param tag what the caller gave with it
     * @param result what became of it: 0, or {@code -errno}
     */
    default void released(long tag, int result) {}
  }

  /** Bytes of the whole device. */
  long size();

  /** Bytes of a logical block: a power of two, at least 512. */
  int blockSize();

  /** How many requests may be under way at once. */
  int queueDepth();

  /**
   * The memory for all requests of this device. Callers divide it among themselves. It is gone when
   * the device is closed.
   */
  MemorySegment buffers();

  /** How long a request made through this object may take. */
  Duration timeout();

  /**
   * The same device, for requests with another time-out; make it once and keep it. Closing or
   * freezing either is closing or freezing both.
   */
  BlockDevice withTimeout(Duration timeout);

  /** Fills {@code buffer} from {@code offset}. */
  void read(long offset, MemorySegment buffer) throws IOException;

  /** Fills the pieces, one after the other, from {@code offset}. */
  void read(long offset, MemorySegment[] parts) throws IOException;

  /** Writes {@code buffer} at {@code offset}; durable after a {@link #flush}. */
  void write(long offset, MemorySegment buffer) throws IOException;

  /** Writes the pieces, one after the other, at {@code offset}; durable after a {@link #flush}. */
  void write(long offset, MemorySegment[] parts) throws IOException;

  /**
   * Writes {@code buffer} at {@code offset}; this write is durable on return (FUA, or a write and a
   * flush where the device has none).
   */
  void writeThrough(long offset, MemorySegment buffer) throws IOException;

  /** {@link #writeThrough(long, MemorySegment)} of several pieces. */
  void writeThrough(long offset, MemorySegment[] parts) throws IOException;

  /**
   * Writes {@code buffer} at {@code offset}, then flushes, in one request: durable on return are
   * this write and all that ended before it began.
   */
  void writeThenFlush(long offset, MemorySegment buffer) throws IOException;

  /** {@link #writeThenFlush(long, MemorySegment)} of several pieces. */
  void writeThenFlush(long offset, MemorySegment[] parts) throws IOException;

  /** Makes durable every write that ended before. */
  void flush() throws IOException;

  /**
   * Gives a range's space back, and makes it read as zeros; {@code EOPNOTSUPP} where the device
   * cannot do both.
   */
  void discard(long offset, long length) throws IOException;

  /** Makes a range read as zeros and keeps its space. */
  void zero(long offset, long length) throws IOException;

  /** {@link #read(long, MemorySegment)} with a callback. */
  void read(long offset, MemorySegment buffer, Callback callback, long tag) throws IOException;

  /** {@link #read(long, MemorySegment[])} with a callback. */
  void read(long offset, MemorySegment[] parts, Callback callback, long tag) throws IOException;

  /** {@link #write(long, MemorySegment)} with a callback. */
  void write(long offset, MemorySegment buffer, Callback callback, long tag) throws IOException;

  /** {@link #write(long, MemorySegment[])} with a callback. */
  void write(long offset, MemorySegment[] parts, Callback callback, long tag) throws IOException;

  /** {@link #writeThrough(long, MemorySegment)} with a callback. */
  void writeThrough(long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException;

  /** {@link #writeThrough(long, MemorySegment[])} with a callback. */
  void writeThrough(long offset, MemorySegment[] parts, Callback callback, long tag)
      throws IOException;

  /** {@link #writeThenFlush(long, MemorySegment)} with a callback. */
  void writeThenFlush(long offset, MemorySegment buffer, Callback callback, long tag)
      throws IOException;

  /** {@link #writeThenFlush(long, MemorySegment[])} with a callback. */
  void writeThenFlush(long offset, MemorySegment[] parts, Callback callback, long tag)
      throws IOException;

  /** {@link #flush()} with a callback. */
  void flush(Callback callback, long tag) throws IOException;

  /** {@link #discard(long, long)} with a callback. */
  void discard(long offset, long length, Callback callback, long tag) throws IOException;

  /** {@link #zero(long, long)} with a callback. */
  void zero(long offset, long length, Callback callback, long tag) throws IOException;

  /**
   * Collects requests instead of sending each at once, until {@link #unplug}: one system call for
   * all of them. May be nested. A full queue and a request that is waited for send what is
   * collected in any case.
   */
  void plug();

  /** Undoes one {@link #plug}; the last one sends what was collected. */
  void unplug();

  /**
   * Asks that the requests of the callback form with this tag end early, with {@code ECANCELED}.
   * What the hardware has begun cannot be stopped; each request is still reported, one way or the
   * other.
   *
   * @return how many were found and told to end
   */
  int cancel(long tag);

  /**
   * Stops for good: refuses new requests, waits for those under way, flushes. Returns by the
   * deadline whatever the device does, and allocates nothing.
   *
   * @return what is known then; the same object every time, valid until the next call
   */
  FreezeReport freeze(Duration deadline);

  /** Requests queued or under way. */
  int inFlight();

  /**
   * Whether a request that was given up ({@code ETIMEDOUT}, {@code ENOTRECOVERABLE}) may still use
   * some of this memory.
   */
  boolean mayStillUse(MemorySegment memory);

  /**
   * Waits for the requests under way, for {@link BlockDevices.Options#timeout} at most, and closes.
   * Idempotent.
   *
   * @throws IOException if some did not end; their memory is then kept for good, because the device
   *     may still write into it
   */
  @Override
  void close() throws IOException;
}
