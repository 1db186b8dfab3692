// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

/** How what a fenced incarnation had under way came to its end. */
public sealed interface End {
  /** By our PREEMPT AND ABORT, on a disk that is known to end all with it. */
  record Aborted() implements End {}

  /** By a logical unit reset that was asked for after the victim was seen to be shut out. */
  record Reset() implements End {}

  /**
   * By itself: no command lives so long.
   *
   * @param millis from when the victim was seen to be shut out to when the array was asked again
   */
  record Waited(long millis) implements End {}
}
