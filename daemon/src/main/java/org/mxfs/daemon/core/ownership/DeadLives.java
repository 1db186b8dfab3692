// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.Collection;
import java.util.HashSet;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.ToIntFunction;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Keys with this node's id that were registered before we were. The kernel mounts a device once, so
 * they belong to incarnations that are dead, unless another machine runs under the same id.
 */
record DeadLives(int nodeId, Set<ReservationKey> keys, boolean twin) {
  DeadLives {
    keys = Set.copyOf(keys);
  }

  static DeadLives unknown(int nodeId) {
    return new DeadLives(nodeId, Set.of(), false);
  }

  /** What is registered before we are; {@code ours} is not dead. */
  DeadLives found(Collection<ReservationKey> registered, ReservationKey ours) {
    Set<ReservationKey> all = new HashSet<>(keys);
    for (ReservationKey other : registered) {
      if (other.nodeId() == nodeId && !other.equals(ours)) {
        all.add(other);
      }
    }
    return new DeadLives(nodeId, all, twin);
  }

  /** Another machine runs under this node's id: no key with that id is known to be dead. */
  DeadLives withTwin() {
    return new DeadLives(nodeId, keys, true);
  }

  boolean contains(ReservationKey key) {
    return !twin && keys.contains(key);
  }

  /** Whether a key that is found on our own path may be overwritten. */
  boolean mayOverwrite(ReservationKey key) {
    return !twin && key.nodeId() == nodeId;
  }

  /** See {@link TenureRules#digest}. */
  long digest(ToIntFunction<ReservationKey> code) {
    long bits = twin ? 1 : 0;
    for (ReservationKey dead : keys) {
      bits |= 2L << code.applyAsInt(dead);
    }
    return bits;
  }

  @Override
  public String toString() {
    return (keys.isEmpty() ? "none" : new TreeSet<>(keys.stream().map(Object::toString).toList()))
        + (twin ? " twin" : "");
  }
}
