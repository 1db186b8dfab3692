// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import org.mxfs.daemon.core.ReservationKey;

/**
 * A heartbeat record of a slot that somebody has.
 *
 * @param key who has the slot: a node in one of its lives
 * @param epoch the highest one that the writer knew; an owner's own before it acts
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
    PAUSED
  }
}
