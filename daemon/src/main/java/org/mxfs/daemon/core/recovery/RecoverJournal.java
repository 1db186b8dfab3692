// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.recovery;

import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;

/** Step 4: the attach in which XFS replays its log. One that fails is tried again. */
public final class RecoverJournal {
  private final Fenced fenced;
  private final long epoch;

  RecoverJournal(Fenced fenced, long epoch) {
    this.fenced = fenced;
    this.epoch = epoch;
  }

  public ReservationKey victim() {
    return fenced.victim();
  }

  /** The number of the ATTACH that is asked for with this in hand, and of its end. */
  public long epoch() {
    return epoch;
  }

  /** Null if it failed, or is the end of another attach. */
  public @Nullable Recovered attached(Event.Attached end) {
    return end.epoch() == epoch && end.errno() == 0 ? new Recovered(fenced, epoch) : null;
  }

  @Override
  public String toString() {
    return "RecoverJournal[epoch=" + epoch + ", " + fenced + "]";
  }
}
