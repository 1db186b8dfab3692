// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What no thread has dealt with ends the process, whichever thread it was: one that goes on without
 * its array or its netlink thread looks alive to the kernel and does nothing. The kernel sees a
 * dead daemon, freezes the mount and starts a new one.
 */
final class FailStop implements Thread.UncaughtExceptionHandler {
  static final int STATUS = 3;

  private FailStop() {}

  /** For every thread that has no handler of its own, the main one included. */
  static void install() {
    // Made now: when it is needed, there may be no memory for it.
    Thread.setDefaultUncaughtExceptionHandler(new FailStop());
  }

  @Override
  public void uncaughtException(Thread thread, Throwable thrown) {
    try {
      Logger log = LoggerFactory.getLogger(FailStop.class);
      log.error("thread {} failed, the daemon ends: {}", thread.getName(), thrown.toString());
      StackTraceElement[] trace = thrown.getStackTrace();
      for (int i = 0; i < Math.min(trace.length, 12); i++) {
        log.error("  at {}", trace[i]);
      }
    } finally {
      // Not exit(): its hooks wait, and one of ours for ever.
      Runtime.getRuntime().halt(STATUS);
    }
  }
}
