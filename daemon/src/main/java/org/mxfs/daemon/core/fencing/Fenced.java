// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import org.mxfs.daemon.core.ReservationKey;

/**
 * Proof that an incarnation is shut out of the disk: when the array was last asked, the victim was
 * not registered, the disk was reserved (type 5) by somebody else, and nothing that the victim had
 * sent was under way or could come to life any more. It stays so while the disk stays reserved,
 * which is what {@link Unaccounted} is for.
 *
 * <p>Only {@link Proof} makes one.
 */
public final class Fenced {
  private final ReservationKey victim;

  /** The key of this node: it was registered all the time. */
  private final ReservationKey by;

  private final ReservationKey holder;
  private final long generation;
  private final End end;

  Fenced(
      ReservationKey victim, ReservationKey by, ReservationKey holder, long generation, End end) {
    this.victim = victim;
    this.by = by;
    this.holder = holder;
    this.generation = generation;
    this.end = end;
  }

  public ReservationKey victim() {
    return victim;
  }

  /** The victim's key, or one of an earlier life of its node: the victim would write by it. */
  public boolean isOfVictim(ReservationKey key) {
    return key.isOfLifeUpTo(victim);
  }

  /** Who held the reservation then: of several survivors that fence one victim, one. */
  public ReservationKey holder() {
    return holder;
  }

  /** Whether this node was that one. */
  public boolean isHolder() {
    return holder.equals(by);
  }

  /** PRGENERATION, the same from the first proof to the last. */
  public long generation() {
    return generation;
  }

  public End end() {
    return end;
  }

  @Override
  public String toString() {
    return "Fenced[victim="
        + victim
        + ", by="
        + by
        + ", holder="
        + holder
        + ", generation="
        + generation
        + ", end="
        + end
        + "]";
  }
}
