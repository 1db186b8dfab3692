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
 * @param missing who was shut out and is not accounted for, as far as this node knows; null:
 *     takeover is off, and nobody is shut out
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
    List<Neighbour> neighbours,
    @Nullable List<Missing> missing) {

  public VolumeStatus {
    waiters = List.copyOf(waiters);
    neighbours = List.copyOf(neighbours);
    missing = missing == null ? null : List.copyOf(missing);
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

  /** What is known of one that is not accounted for, less before more. */
  public enum Shut {
    /** Its slot says that it lives, and its key is not registered. */
    MISSING,
    /** A PREEMPT of it has gone out. */
    SHUT_OUT,
    /** Nothing of it is under way, and its slot says so, or is to. */
    FENCED
  }

  /**
   * An incarnation that was shut out and is not accounted for.
   *
   * @param host as its slot says; else empty
   * @param epoch of its record on disk: where it was marked, of the tenure that did; 0: it has none
   * @param since when this daemon knew of it first
   * @param registered its key is, as the array has shown last
   */
  public record Missing(
      ReservationKey key, String host, Shut state, long epoch, long since, boolean registered) {
    /** Why the word of a person that it is off is not taken; null: it is. */
    public @Nullable String refusal() {
      return whyNotCleared(state, registered);
    }
  }

  /** The same; {@code state} is null for one that is not missing. */
  public static @Nullable String whyNotCleared(@Nullable Shut state, boolean registered) {
    if (state != null && registered) {
      return "its key is registered: it is not off, or a command of it has come late";
    }
    return switch (state) {
      case null -> NOT_MISSING;
      case MISSING, SHUT_OUT ->
          "it is not known yet that nothing of it is under way: who takes the volume over fences"
              + " it first";
      case FENCED -> null;
    };
  }

  public static final String NOT_MISSING =
      "it is none of those that were shut out and have not come back";

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
