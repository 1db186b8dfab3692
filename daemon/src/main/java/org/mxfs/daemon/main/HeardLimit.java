// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Which announcements the policy hears of: of each node one a second, and of nodes that it has not
 * heard of before some at once and then two a second, since anybody can invent any number. For one
 * thread.
 */
final class HeardLimit {
  private static final int NODES_MAX = 256;
  private static final int NEW_BURST = 128;
  private static final long NEW_NANOS = TimeUnit.MILLISECONDS.toNanos(500);
  private static final long AGAIN_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final Map<Integer, Long> toldAt =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, Long> eldest) {
          return size() > NODES_MAX;
        }
      };

  /** When the next new node may be told, as far ahead of the clock as the burst reaches. */
  private long newDue = Long.MIN_VALUE;

  /**
   * Whether to tell of it.
   *
   * @param now {@link System#nanoTime}
   */
  boolean admit(ReservationKey key, long now) {
    Long told = toldAt.get(key.nodeId());
    if (told != null && now - told < AGAIN_NANOS) {
      return false;
    }
    if (told == null) {
      long earliest = now - NEW_BURST * NEW_NANOS;
      long due = newDue == Long.MIN_VALUE ? earliest : Math.max(newDue, earliest);
      if (due + NEW_NANOS > now) {
        return false;
      }
      newDue = due + NEW_NANOS;
    }
    toldAt.put(key.nodeId(), now);
    return true;
  }
}
