// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;

/** What threads allocate on the Java heap. */
final class Allocations {
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  static {
    THREADS.getCurrentThreadAllocatedBytes(); // the first question loads classes
  }

  private Allocations() {}

  /** Bytes since the current thread began. */
  static long ofThisThread() {
    return THREADS.getCurrentThreadAllocatedBytes();
  }
}
