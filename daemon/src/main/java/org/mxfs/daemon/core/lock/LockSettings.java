// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import org.mxfs.daemon.core.ReservationKey;

/**
 * Limits and times of one node's lock manager.
 *
 * @param self this incarnation
 * @param firstSlot the first disk lock slot that this node, as a master, writes; no other node
 *     writes them
 * @param slots how many
 * @param holdingsMax locks that this node has or asks for
 * @param locksMax locks that this node keeps as a master, waiting ones included; without a slot
 *     (NL) they cost memory alone
 * @param waitersMax requests that wait for one resource
 * @param unsentMax messages to one peer that it has not acknowledged, from which on this node's own
 *     requests to it are refused
 * @param batchMax records that are written at once
 * @param probeMillis a request that waits this long looks for a deadlock, and again, less and less
 *     often
 */
public record LockSettings(
    ReservationKey self,
    int firstSlot,
    int slots,
    int holdingsMax,
    int locksMax,
    int waitersMax,
    int unsentMax,
    int batchMax,
    long probeMillis) {
  /** Disk lock slots of a volume (design.md 7). */
  public static final int SLOTS_MAX = 65_536;

  public LockSettings {
    if (firstSlot < 0 || slots < 1 || firstSlot + slots > SLOTS_MAX) {
      throw new IllegalArgumentException("slots " + firstSlot + " and " + slots + " from there");
    }
    if (holdingsMax < 1 || locksMax < 1 || waitersMax < 1 || unsentMax < 1 || batchMax < 1) {
      throw new IllegalArgumentException("a limit below 1");
    }
    if (probeMillis < 1) {
      throw new IllegalArgumentException("a probe every " + probeMillis + " ms");
    }
  }

  public static LockSettings of(ReservationKey self, int firstSlot, int slots) {
    return new LockSettings(self, firstSlot, slots, 65_536, 131_072, 4_096, 65_536, 1_024, 250);
  }
}
