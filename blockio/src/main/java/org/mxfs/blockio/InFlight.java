// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.time.Duration;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.IntSupplier;
import org.mxfs.bindings.linux.Errnos;

/**
 * Counts the requests of backends that carry them out on the calling thread: the bound of the
 * queue, and the freeze.
 */
final class InFlight {
  private static final int RUNNING = 1;

  private final String name;
  private final int limit;
  private final FreezeReport report = new FreezeReport();

  /** Guards everything below. */
  private final ReentrantLock lock = new ReentrantLock();

  private final Condition changed = lock.newCondition();
  private int inFlight;
  private boolean frozen;

  InFlight(String name, int limit) {
    this.name = name;
    this.limit = limit;
  }

  int limit() {
    return limit;
  }

  int inFlight() {
    lock.lock();
    try {
      return inFlight;
    } finally {
      lock.unlock();
    }
  }

  void enter() throws FrozenException {
    lock.lock();
    try {
      while (inFlight == limit && !frozen) {
        changed.awaitUninterruptibly();
      }
      if (frozen) {
        throw new FrozenException(name);
      }
      inFlight++;
    } finally {
      lock.unlock();
    }
  }

  void leave() {
    lock.lock();
    try {
      inFlight--;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Refuses new requests and waits for those under way; returns how many are left. */
  int close(Duration timeout) {
    lock.lock();
    try {
      frozen = true;
      changed.signalAll();
      awaitLocked(System.nanoTime() + timeout.toNanos());
      return inFlight;
    } finally {
      lock.unlock();
    }
  }

  private void awaitLocked(long end) {
    boolean interrupted = false;
    long left = end - System.nanoTime();
    while (inFlight > 0 && left > 0) {
      try {
        left = changed.awaitNanos(left);
      } catch (InterruptedException e) {
        interrupted = true;
        left = end - System.nanoTime();
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * {@link BlockDevice#freeze}; {@code flush} returns 0 or {@code -errno} and may block for ever.
   */
  FreezeReport freeze(Duration deadline, IntSupplier flush) {
    long end = System.nanoTime() + deadline.toNanos();
    int left = close(deadline);
    if (left > 0) {
      return report.set(false, left, false, false);
    }
    int[] result = {RUNNING};
    lock.lock();
    try {
      inFlight++; // so that close() does not take the file from under it
    } finally {
      lock.unlock();
    }
    Thread.ofPlatform()
        .daemon()
        .name("blockio flush " + name)
        .start(
            () -> {
              int ended = -Errnos.EIO;
              try {
                ended = flush.getAsInt();
              } finally {
                lock.lock();
                try {
                  result[0] = ended;
                  inFlight--;
                  changed.signalAll();
                } finally {
                  lock.unlock();
                }
              }
            });
    lock.lock();
    try {
      boolean interrupted = false;
      long nanos = end - System.nanoTime();
      while (result[0] == RUNNING && nanos > 0) {
        try {
          nanos = changed.awaitNanos(nanos);
        } catch (InterruptedException e) {
          interrupted = true;
          nanos = end - System.nanoTime();
        }
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
      return report.set(true, 0, true, result[0] == 0);
    } finally {
      lock.unlock();
    }
  }
}
