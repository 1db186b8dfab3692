// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.recovery;

import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;

/** All of F4 is done for one dead owner. */
public final class Recovered {
  private final Fenced fenced;
  private final long epoch;

  Recovered(Fenced fenced, long epoch) {
    this.fenced = fenced;
    this.epoch = epoch;
  }

  public ReservationKey victim() {
    return fenced.victim();
  }

  /** Of the tenure in which it was recovered. */
  public long epoch() {
    return epoch;
  }

  @Override
  public String toString() {
    return "Recovered[epoch=" + epoch + ", " + fenced + "]";
  }
}
