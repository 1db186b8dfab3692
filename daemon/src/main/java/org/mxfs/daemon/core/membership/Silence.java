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
