// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.recovery;

import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;

/**
 * Step 3 is done, and waiters go on. For a member that was all, as it had no journal; of an owner
 * XFS's log is left.
 */
public final class LocksCleared {
  private final Fenced fenced;

  LocksCleared(Fenced fenced) {
    this.fenced = fenced;
  }

  public ReservationKey victim() {
    return fenced.victim();
  }

  /**
   * Step 4, on exactly one survivor: who held the reservation when the victim was shut out. Null on
   * the others. The rules of ownership want their own proof of that as well.
   *
   * @param epoch of the tenure in which it is recovered
   */
  public @Nullable RecoverJournal recoverJournal(long epoch) {
    return fenced.isHolder() ? new RecoverJournal(fenced, epoch) : null;
  }

  @Override
  public String toString() {
    return "LocksCleared[" + fenced + "]";
  }
}
