// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

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
      Thread thread = Thread.currentThread();
      thread.getUncaughtExceptionHandler().uncaughtException(thread, e);
    }
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

  static String notEnded(String device, int requests) {
    return device
        + ": "
        + requests
        + " requests have not ended; the device stays open and its memory is kept, because it may"
        + " still be written to";
  }
}
