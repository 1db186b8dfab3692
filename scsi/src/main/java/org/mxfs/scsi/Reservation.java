// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.Optional;

/**
 * What READ RESERVATION returns.
 *
 * @param generation as in {@link Keys}
 * @param holder who holds the reservation, if anyone does
 */
public record Reservation(long generation, Optional<Holder> holder) {
  /**
   * The reservation that is held.
   *
   * @param key of the holder; 0 for the all-registrants types, where everybody holds it
   * @param type how it excludes
   */
  public record Holder(long key, ReservationType type) {
    @Override
    public String toString() {
      return "key %016x, %s".formatted(key, type);
    }
  }

  /** Whether the reservation is held under this key. */
  public boolean heldBy(long key) {
    return holder.isPresent() && holder.get().key() == key;
  }

  @Override
  public String toString() {
    return "generation " + generation + ", " + holder.map(h -> "held by " + h).orElse("not held");
  }
}
