// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What this node is to its volume at one instant, for people: nothing here is evidence. Times are
 * those of {@link org.mxfs.daemon.core.ownership.Ownership#step}.
 *
 * @param at when this was so
 * @param state in a word
 * @param stateSince when it became so
 * @param xfs what the kernel has said of XFS
 * @param ready whether mount(2) may return, or has returned
 * @param key this node's; {@link ReservationKey#NONE} before it has one
 * @param epoch the highest that this node has had
 * @param holder of the reservation, as last read or heard; {@link ReservationKey#NONE}: nobody
 * @param leaseUntil until when the kernel lets operations start; {@link Long#MIN_VALUE}: no lease
 *     was told
 * @param waiting what operations of this node wait for; null: none waits
 * @param waiters who asks this node for the volume, first come first
 * @param neighbours the other nodes, by id
 */
public record VolumeStatus(
    long at,
    State state,
    long stateSince,
    KernelState xfs,
    boolean ready,
    ReservationKey key,
    long epoch,
    ReservationKey holder,
    long leaseUntil,
    @Nullable Wish waiting,
    List<Waiting> waiters,
    List<Neighbour> neighbours) {

  public VolumeStatus {
    waiters = List.copyOf(waiters);
    neighbours = List.copyOf(neighbours);
  }

  /** The machine has more phases than a person wants to tell apart. */
  public enum State {
    /** mount(2) has not returned. */
    MOUNTING,
    /** The device has no reservations: this node has it for itself. */
    ALONE,
    /** Another node has the volume, or nobody. */
    MEMBER,
    /** Taking the reservation. */
    TAKING,
    OWNER,
    /** Another node may take the volume, or has just taken it. */
    GIVING,
    LEAVING,
    /** Left, failed or shut out. */
    ENDED
  }

  /** Why an operation waits. */
  public enum Reason {
    /** The owner is asked, and has not given the volume up yet. */
    OWNER_HAS_IT,
    OWNER_NOT_CONNECTED,
    /** The reservation is of a kind, or by a key, that is not mxfs's. */
    FOREIGN_RESERVATION,
    /** This node is about to have it. */
    COMING
  }

  /**
   * Operations of this node wait for the volume.
   *
   * @param owner whom for; {@link ReservationKey#NONE}: for nobody in particular
   */
  public record Wish(long since, Reason reason, ReservationKey owner) {}

  /** Another node asks this one for the volume. */
  public record Waiting(ReservationKey key, long since) {}

  /**
   * Another node of the volume.
   *
   * @param key as it said when it was connected; {@link ReservationKey#NONE}: it is not
   * @param mounted whether mount(2) has returned there, as far as it has said
   * @param trouble why it cannot be connected, where that is known; else empty
   */
  public record Neighbour(
      int nodeId, ReservationKey key, String host, boolean mounted, String trouble) {
    public boolean isConnected() {
      return !key.isNone();
    }
  }
}
