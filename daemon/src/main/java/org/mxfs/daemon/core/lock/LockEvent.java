// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/** What happens to a {@link LockManager}. */
public sealed interface LockEvent {
  /**
   * After a restart of the daemon, before the first view: a lock that the predecessor held for this
   * incarnation. Its value block is lost with the predecessor. The new daemon needs a new view.
   */
  record Held(long lock, ResourceId resource, Mode mode, long owner) implements LockEvent {}

  /**
   * At the start of a daemon, before anything else: what stands in a slot that this node writes,
   * left by an earlier daemon, none of whose writes is under way any more. Empty slots are not
   * told.
   *
   * @param number of the write that is there; those to come have higher ones
   * @param entry null: a tombstone
   */
  record Found(int slot, long number, SlotWrite.@Nullable Entry entry) implements LockEvent {}

  /** Membership has a new view, which has this node in it. */
  record NewView(View view) implements LockEvent {}

  /** A dead node's locks may go. */
  record Clear(Cleared proof) implements LockEvent {}

  /** A connection is there; what went over an earlier one may be lost. */
  record PeerUp(ReservationKey peer) implements LockEvent {}

  record PeerDown(ReservationKey peer) implements LockEvent {}

  record Received(ReservationKey from, Envelope envelope) implements LockEvent {}

  /** The answer to {@link LockAction.Persist}: all of it is on disk, or it is not known to be. */
  record Persisted(long batch, boolean done) implements LockEvent {}

  record Tick() implements LockEvent {}

  /**
   * This node wants a new lock.
   *
   * @param lock a number that was never used before
   */
  record Acquire(long lock, ResourceId resource, Mode mode, Wish wish) implements LockEvent {}

  /**
   * This node wants another mode. To a mode within the held one it is done when the step returns.
   *
   * <p>From PR to CW, or back, what the two do not have in common is given up first: the lock is
   * held in CR until it is granted, and if it is refused. Its master may grant the conversion, and
   * on the strength of it other locks, long before this node hears of it.
   *
   * @param value to be written; only with PW or EX held
   */
  record Convert(long lock, Mode mode, byte @Nullable [] value, Wish wish) implements LockEvent {}

  /** This node gives a lock back for which nothing is asked at the moment. */
  record Release(long lock, byte @Nullable [] value) implements LockEvent {}

  /**
   * This node does not want to wait any more. The request ends as {@link LockAction.Refused}, or as
   * {@link LockAction.Granted} if that was on its way.
   */
  record Cancel(long lock) implements LockEvent {}

  /**
   * How a lock is asked for.
   *
   * @param noQueue at once or not at all
   * @param owner whose it is, for deadlocks: somebody who, while one of his requests waits, gives
   *     nothing back; 0: nobody's but the lock's own, it is given back when called for
   * @param priority the request with the lowest one in a circle is refused
   * @param waitMillis how long it may wait at most
   */
  record Wish(boolean noQueue, long owner, int priority, long waitMillis) {
    public static final Wish PLAIN = new Wish(false, 0, 0, Long.MAX_VALUE);

    public Wish {
      if (waitMillis < 0) {
        throw new IllegalArgumentException("a wait of " + waitMillis + " ms");
      }
    }
  }
}
