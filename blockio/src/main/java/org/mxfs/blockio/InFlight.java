// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.LongToIntFunction;

/**
 * Counts the requests of backends that carry them out on the calling thread: the bound of the
 * queue, and the freeze.
 *
 * <p>Waits on its own monitor: unlike a lock's condition, that allocates nothing.
 */
final class InFlight {
  /** {@link #enter} without a time limit. */
  static final long FOR_EVER = Long.MAX_VALUE;

  private final String name;
  private final int limit;
  private final WriteRanges writing;
  private final FreezeReport report = new FreezeReport();
  private int inFlight;
  private boolean frozen;

  InFlight(String name, int limit) {
    this.name = name;
    this.limit = limit;
    this.writing = new WriteRanges(limit);
  }

  int limit() {
    return limit;
  }

  synchronized int inFlight() {
    return inFlight;
  }

  /** Counts a request, as soon as there is room for it and nothing else changes its range. */
  synchronized void enter(Operation operation, long at, long length, long waitNanos)
      throws IOException {
    boolean interrupted = false;
    long end = waitNanos == FOR_EVER ? FOR_EVER : System.nanoTime() + waitNanos;
    long left = waitNanos;
    while (mustWait(operation, at, length) && !frozen && left > 0) {
      interrupted |= interruptedIn(left);
      left = end == FOR_EVER ? FOR_EVER : end - System.nanoTime();
    }
    restoreInterrupt(interrupted);
    if (frozen) {
      throw new FrozenException(name);
    }
    if (mustWait(operation, at, length)) {
      throw Callbacks.refused(name, limit, inFlight == limit, at, length);
    }
    writing.begin(operation, at, length);
    inFlight++;
  }

  private boolean mustWait(Operation operation, long at, long length) {
    return inFlight == limit || writing.overlap(operation, at, length);
  }

  /** Counts the flush of a freeze, which comes when no other request does any more. */
  synchronized void enterLast() {
    inFlight++;
  }

  /** The end of a request that {@link #enter} counted. */
  synchronized void leave(Operation operation, long at) {
    writing.end(operation, at);
    leaveLast();
  }

  /** The end of {@link #enterLast}. */
  synchronized void leaveLast() {
    inFlight--;
    notifyAll();
  }

  /** Refuses new requests and waits for those under way; returns how many are left. */
  synchronized int close(long end) {
    frozen = true;
    notifyAll();
    boolean interrupted = false;
    long left = end - System.nanoTime();
    while (inFlight > 0 && left > 0) {
      interrupted |= interruptedIn(left);
      left = end - System.nanoTime();
    }
    restoreInterrupt(interrupted);
    return inFlight;
  }

  /** Waits for a change; returns whether the thread was interrupted in it. */
  private synchronized boolean interruptedIn(long nanos) {
    try {
      TimeUnit.NANOSECONDS.timedWait(this, nanos);
      return false;
    } catch (InterruptedException e) {
      return true;
    }
  }

  private static void restoreInterrupt(boolean interrupted) {
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * {@link BlockDevice#freeze}.
   *
   * @param flush gets the time ({@link System#nanoTime}) by which it must return; 0 or {@code
   *     -errno}
   */
  FreezeReport freeze(Duration deadline, LongToIntFunction flush) {
    long end = AbstractBlockDevice.after(System.nanoTime(), deadline);
    int left = close(end);
    if (left > 0) {
      return report.set(false, left, false, false);
    }
    return report.set(true, 0, true, flush.applyAsInt(end) == 0);
  }
}
