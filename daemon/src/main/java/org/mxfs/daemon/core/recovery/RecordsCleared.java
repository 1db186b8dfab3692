// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.recovery;

import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;
import org.mxfs.daemon.core.lock.Cleared;
import org.mxfs.daemon.core.lock.LockAction;

/** Step 2 is done. Step 3, clearing the locks in memory, is the lock manager's. */
public final class RecordsCleared {
  private final Fenced fenced;

  RecordsCleared(Fenced fenced) {
    this.fenced = fenced;
  }

  public ReservationKey victim() {
    return fenced.victim();
  }

  /** What the lock manager wants to see. */
  public Cleared forLocks() {
    return new Cleared(fenced.victim());
  }

  /** The lock manager says whose locks are gone; null if they are another's. */
  public @Nullable LocksCleared locksCleared(LockAction.LocksCleared told) {
    return told.victim().equals(fenced.victim()) ? new LocksCleared(fenced) : null;
  }

  @Override
  public String toString() {
    return "RecordsCleared[" + fenced + "]";
  }
}
