// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.recovery;

import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;

/** Step 4: the attach in which XFS replays its log. One that fails is tried again. */
public final class RecoverJournal {
  private final Fenced fenced;

  RecoverJournal(Fenced fenced) {
    this.fenced = fenced;
  }

  public ReservationKey victim() {
    return fenced.victim();
  }

  /** The end of an attach that was asked for with this in hand; null if it failed. */
  public @Nullable Recovered attached(Event.Attached end) {
    return end.errno() == 0 ? new Recovered(fenced, end.epoch()) : null;
  }

  @Override
  public String toString() {
    return "RecoverJournal[" + fenced + "]";
  }
}
