// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.log;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * How many lines of one kind may be written: some at once, then one in a while; the rest is
 * counted, and the count is said with the next line that is written. For lines that a stranger on
 * the network can cause as often as he likes. Not thread-safe.
 */
final class LineLimit {
  static final int BURST = 20;
  static final long AGAIN_NANOS = TimeUnit.SECONDS.toNanos(10);

  /** Kinds are patterns of the program, so there are few; more would share the last. */
  private static final int KINDS_MAX = 64;

  private static final class Kind {
    long due;
    long leftOut;
  }

  private final Map<String, Kind> kinds = new LinkedHashMap<>();

  /**
   * Whether to write the line.
   *
   * @param now {@link System#nanoTime}
   * @return how many lines of its kind were left out since the last one that was written; negative
   *     when this one is to be left out, too
   */
  long admit(String name, long now) {
    Kind kind = kinds.get(name);
    if (kind == null) {
      kind = kinds.get(kinds.size() < KINDS_MAX ? name : "");
    }
    if (kind == null) {
      kind = new Kind();
      kind.due = now - BURST * AGAIN_NANOS;
      kinds.put(kinds.size() < KINDS_MAX ? name : "", kind);
    }
    kind.due = Math.max(kind.due, now - BURST * AGAIN_NANOS);
    if (kind.due + AGAIN_NANOS > now) {
      kind.leftOut++;
      return -1;
    }
    kind.due += AGAIN_NANOS;
    long leftOut = kind.leftOut;
    kind.leftOut = 0;
    return leftOut;
  }
}
