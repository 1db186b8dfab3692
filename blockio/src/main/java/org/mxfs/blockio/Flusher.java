// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.util.concurrent.locks.LockSupport;
import java.util.function.IntSupplier;
import java.util.function.LongToIntFunction;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.linux.Errnos;

/**
 * A thread that flushes when a freeze asks for it, made when the device is opened: the flush may
 * hang for ever, which must not hold the freezing thread, and that thread must not need memory for
 * a new one.
 */
final class Flusher implements LongToIntFunction {
  private enum State {
    IDLE,
    WANTED,
    ENDED,
    STOPPED
  }

  private final IntSupplier flush;
  private final InFlight gate;
  private final Thread thread;
  private volatile State state = State.IDLE;
  private volatile @Nullable Thread waiter;
  private int result;

  /** Starts the thread. {@code flush} returns 0 or {@code -errno} and may block for ever. */
  Flusher(String name, InFlight gate, IntSupplier flush) {
    this.gate = gate;
    this.flush = flush;
    thread = Thread.ofPlatform().daemon().name("blockio flush " + name).unstarted(this::serve);
  }

  Flusher started() {
    thread.start();
    return this;
  }

  private void serve() {
    while (state != State.STOPPED) {
      if (state == State.WANTED) {
        carryOut();
      } else {
        LockSupport.park(this);
      }
    }
  }

  private void carryOut() {
    int ended = -Errnos.EIO;
    try {
      ended = flush.getAsInt();
    } finally {
      result = ended;
      state = State.ENDED;
      gate.leaveLast();
      LockSupport.unpark(waiter);
    }
  }

  /** Flushes; returns by {@code end} at the latest, with {@code -ETIMEDOUT} then. */
  @Override
  public int applyAsInt(long end) {
    gate.enterLast();
    waiter = Thread.currentThread();
    state = State.WANTED;
    LockSupport.unpark(thread);
    boolean interrupted = false;
    long left = end - System.nanoTime();
    while (state == State.WANTED && left > 0) {
      LockSupport.parkNanos(this, left);
      interrupted |= Thread.interrupted();
      left = end - System.nanoTime();
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return state == State.ENDED ? result : -Errnos.ETIMEDOUT;
  }

  /** Ends the thread, which must be idle. */
  void stop() {
    state = State.STOPPED;
    LockSupport.unpark(thread);
  }
}
