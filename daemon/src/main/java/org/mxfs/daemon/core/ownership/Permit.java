// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.membership.Departed;
import org.mxfs.daemon.core.membership.Outcast;
import org.mxfs.daemon.core.membership.Silence;

/**
 * Why this node may PREEMPT a key. A permit only names its reason: {@link TenureRules} checks it
 * again when it is used, so that one that was made up is worth nothing.
 *
 * <p>A further reason is a further record here, and a further case in {@link TenureRules#preempt}
 * and {@code Claim}, which do not compile without it. It has to prove that whoever holds the key
 * has stopped: the argument of {@link TenureRules} rests on there being no other way to lose a
 * reservation.
 */
sealed interface Permit {
  ReservationKey victim();

  /** The victim has consented, for a request of ours that is still open. */
  record Granted(ReservationKey victim, long request, long newEpoch) implements Permit {}

  /**
   * The victim's node has not written its heartbeat for longer than its lease and a margin, so its
   * kernel has stopped; or this is a key of an earlier life of that node.
   */
  record Silent(Silence proof, ReservationKey victim) implements Permit {}

  /** The victim has left, and stays registered only to keep the disk reserved. */
  record Left(Departed proof) implements Permit {
    @Override
    public ReservationKey victim() {
      return proof.key();
    }
  }

  /**
   * The victim was shut out for its silence, as its slot says, and is registered again, or this is
   * a key of an earlier life of that node. It may be an earlier life of this very node. If it holds
   * the reservation that is taken, for a tenure that is not settled.
   */
  record ShutOut(Outcast proof, ReservationKey victim) implements Permit {}

  /** The victim is an earlier incarnation of this very node, and dead: see {@link DeadLives}. */
  record DeadLife(ReservationKey victim) implements Permit {}
}
