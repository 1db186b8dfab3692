// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;

/** What both io_uring devices say and do alike. */
final class Callbacks {
  private Callbacks() {}

  /**
   * Calls back. A callback's bug must not stop the others' completions; it is reported where a
   * thread's death would be.
   */
  static void call(BlockDevice.Callback whom, long tag, int result) {
    try {
      whom.completed(tag, result);
    } catch (RuntimeException | Error e) {
      report(e);
    }
  }

  /** Tells that the memory of a request is free that {@link #call} gave ETIMEDOUT for. */
  static void callReleased(BlockDevice.Callback whom, long tag, int result) {
    try {
      whom.released(tag, result);
    } catch (RuntimeException | Error e) {
      report(e);
    }
  }

  /**
   * Calls back for a request that has ended. A disk may itself say ETIMEDOUT: whoever is told so
   * waits for the second call.
   */
  static void callEnded(BlockDevice.Callback whom, long tag, int result) {
    call(whom, tag, result);
    if (result == -Errnos.ETIMEDOUT) {
      callReleased(whom, tag, result);
    }
  }

  /** {@link #callEnded} on the caller's own thread, to which a callback's bug goes as it is. */
  static void tell(BlockDevice.Callback whom, long tag, int result) {
    whom.completed(tag, result);
    if (result == -Errnos.ETIMEDOUT) {
      whom.released(tag, result);
    }
  }

  private static void report(Throwable e) {
    Thread thread = Thread.currentThread();
    thread.getUncaughtExceptionHandler().uncaughtException(thread, e);
  }

  /** Whether the kernel knew the request and will end it as early as it can. */
  static boolean wasToldToEnd(int cancelResult) {
    return cancelResult >= 0 || cancelResult == -Errnos.EALREADY || cancelResult == -Errnos.ETIME;
  }

  /** What a placed request ends with when {@code io_uring_enter} returned {@code taken} for it. */
  static int refusal(int taken) {
    return switch (taken) {
      case 0 -> -Errnos.EIO;
      case -Errnos.EAGAIN, -Errnos.EBUSY -> -Errnos.ENOMEM; // no memory for even one request
      default -> taken;
    };
  }

  static ErrnoException queueStaysFull(String device, int depth) {
    return new ErrnoException(
        "wait for a free place in the queue",
        device + ", queue depth " + depth,
        Errnos.EBUSY,
        "all requests under way hang, or take longer than this one may; it was not sent");
  }

  /** Why a request was not sent: the queue is full, or what it would change is being changed. */
  static ErrnoException refused(String device, int depth, boolean full, long at, long length) {
    if (full) {
      return queueStaysFull(device, depth);
    }
    return new ErrnoException(
        "wait for the end of another write to this range",
        device + ", offset=" + at + ", length=" + length,
        Errnos.EBUSY,
        "what it may still change is not written anew; it was not sent");
  }

  static IOException broken(String device, Throwable why) {
    return new IOException(device + " can do no I/O any more: " + why.getMessage(), why);
  }

  static String notEnded(String device, int requests) {
    return device
        + ": "
        + requests
        + " requests have not ended; the device stays open and its memory is kept, because it may"
        + " still be written to";
  }
}
