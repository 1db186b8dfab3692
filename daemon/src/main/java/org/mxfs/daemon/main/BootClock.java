// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Processes;
import org.mxfs.bindings.linux.timespec;

/**
 * The policy's clock: milliseconds since the program began, of {@code CLOCK_BOOTTIME}, which never
 * runs backwards and goes on while the machine sleeps. The kernel reads the same clock, so an
 * instant of the policy can be told to it; {@link System#nanoTime} stands still in a suspended
 * machine, whose lease others see end. For one thread.
 */
final class BootClock {
  private final MemorySegment now = Arena.ofAuto().allocate(timespec.SIZE, timespec.ALIGN);
  private final long start;

  BootClock() throws ErrnoException {
    start = nanos();
  }

  private BootClock(long start) {
    this.start = start;
  }

  /** The same clock, for another thread. */
  BootClock twin() {
    return new BootClock(start);
  }

  private long nanos() throws ErrnoException {
    Errno.check(
        Linux.clock_gettime(Processes.CLOCK_BOOTTIME, now), "clock_gettime", "CLOCK_BOOTTIME");
    return TimeUnit.SECONDS.toNanos(timespec.tv_sec(now, 0)) + timespec.tv_nsec(now, 0);
  }

  /** Milliseconds since the start. */
  long millis() {
    try {
      return TimeUnit.NANOSECONDS.toMillis(nanos() - start);
    } catch (ErrnoException e) {
      throw new IllegalStateException("the clock was there at the start", e);
    }
  }

  /** The clock's own nanoseconds at a time that {@link #millis} gives. */
  long toBootNanos(long millis) {
    return start + TimeUnit.MILLISECONDS.toNanos(millis);
  }
}
