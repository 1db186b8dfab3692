// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import org.mxfs.daemon.core.ReservationKey;

/**
 * One lock: the incarnation whose it is, and a number that this incarnation uses for one lock only.
 */
public record LockId(ReservationKey node, long number) implements Comparable<LockId> {
  @Override
  public int compareTo(LockId other) {
    int order = Long.compareUnsigned(node.value(), other.node.value());
    return order != 0 ? order : Long.compareUnsigned(number, other.number);
  }

  @Override
  public String toString() {
    return node + "/" + number;
  }
}
