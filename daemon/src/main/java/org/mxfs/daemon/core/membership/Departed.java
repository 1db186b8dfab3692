// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import org.mxfs.daemon.core.ReservationKey;

/**
 * Proof that an incarnation has left: its slot says so, which it wrote itself as its last, after
 * its XFS was detached. It attaches never again, so this holds for ever. Only {@link SlotTable}
 * makes one.
 */
public final class Departed {
  private final ReservationKey key;

  Departed(ReservationKey key) {
    this.key = key;
  }

  public ReservationKey key() {
    return key;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Departed departed && departed.key.equals(key);
  }

  @Override
  public int hashCode() {
    return key.hashCode();
  }

  @Override
  public String toString() {
    return "Departed[" + key + "]";
  }
}
