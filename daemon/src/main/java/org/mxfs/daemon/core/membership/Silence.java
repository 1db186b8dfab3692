// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import org.mxfs.daemon.core.ReservationKey;

/**
 * Proof that the record of a node that was to beat has stood still for so long, when the slots were
 * last read. Only {@link Suspicion} makes one.
 */
public final class Silence {
  private final ReservationKey key;
  private final long millis;

  Silence(ReservationKey key, long millis) {
    this.key = key;
    this.millis = millis;
  }

  public ReservationKey key() {
    return key;
  }

  /** By the reader's clock. */
  public long millis() {
    return millis;
  }

  /**
   * For how long a node with such a lease must have been silent to be shut out. Its lease counts
   * from when its last beat was asked for, by its own clock; the silence from when that was read,
   * by the reader's. So it has stopped strictly before others act, while its clock is not slower
   * than the reader's by more than a fifth.
   */
  public static long least(long leaseMillis, long beatMillis) {
    return leaseMillis + leaseMillis / 4 + 2 * beatMillis;
  }

  /** Two of one node that differ in nothing but how long permit the same. */
  @Override
  public boolean equals(Object other) {
    return other instanceof Silence silence && silence.key.equals(key);
  }

  @Override
  public int hashCode() {
    return key.hashCode();
  }

  @Override
  public String toString() {
    return "Silence[" + key + ", " + millis + " ms]";
  }
}
