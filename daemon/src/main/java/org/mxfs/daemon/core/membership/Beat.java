// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import org.mxfs.daemon.core.ReservationKey;

/**
 * A heartbeat record of a slot that somebody has.
 *
 * @param key whose slot it is: a node in one of its lives
 * @param epoch the highest one that the writer knew; of who holds the reservation that of its
 *     tenure, before it acts: see {@link SlotRules}
 * @param sequence larger with every write of the slot, whoever writes
 * @param leaseMillis how long after a beat its node may still start operations
 * @param host for messages
 */
public record Beat(
    ReservationKey key, long epoch, long sequence, State state, long leaseMillis, String host) {
  /** What the record says of its slot. */
  public enum State {
    /** The owner has given the slot to the key; its node has not written yet. */
    RESERVED,
    /** Written by the node itself, again and again. */
    ALIVE,
    /**
     * Written by the node itself, which will not write for a while: it gives the volume away, or
     * changes its key. That it is silent says nothing.
     */
    PAUSED,
    /**
     * Written by the holder of the reservation, which has shut this incarnation out: it may still
     * wake up with writes in its queues, so the disk stays reserved. {@link Beat#epoch} is the
     * writer's.
     */
    FENCED,
    /**
     * Written by the node itself, after XFS was detached and as its last: it stays registered so
     * that the disk stays reserved, and whoever mounts may shut it out.
     */
    LEFT
  }
}
