// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import org.mxfs.daemon.core.ReservationKey;

/**
 * Proof that an incarnation was shut out for its silence and may never come back: its slot says so.
 * Only {@link SlotTable} makes one.
 */
public final class Outcast {
  private final ReservationKey key;

  Outcast(ReservationKey key) {
    this.key = key;
  }

  public ReservationKey key() {
    return key;
  }

  /** It is its key, or one of an earlier life of its node: the array takes its writes by it. */
  public boolean writesBy(ReservationKey registered) {
    return registered.isOfLifeUpTo(key);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Outcast outcast && outcast.key.equals(key);
  }

  @Override
  public int hashCode() {
    return key.hashCode();
  }

  @Override
  public String toString() {
    return "Outcast[" + key + "]";
  }
}
