// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Incarnations that were shut out, or may have been, and of which nobody knows that they are over.
 * Such a node may wake up at any time with writes in its queues; what stops them is that the disk
 * is reserved. So while there is one, the reservation is never given up: the last node to leave
 * leaves its key and the reservation in place.
 *
 * <p>An incarnation is accounted for when its node is seen registered under a later key (a kernel
 * mounts a device once, so the earlier life is over; an earlier key says nothing), or when a person
 * says that it is off. Time accounts for nobody: a paused machine can wake up next year.
 */
public final class Unaccounted {
  /** What is known of one, less before more; for {@code mxfsctl fence list}. */
  public enum State {
    /** Its slot was not left, and its key is not registered: as the disk and the array say now. */
    MISSING,
    /** A PREEMPT of it has gone out; how far that came is not known. */
    SHUT_OUT,
    /** There is a {@link Fenced}, or a record on disk that says so. */
    FENCED
  }

  private final Map<ReservationKey, State> keys = new LinkedHashMap<>();

  /** Those of which the disk tells: what it tells no more is over. */
  private final Set<ReservationKey> onDisk = new HashSet<>();

  private void atLeast(ReservationKey key, State state) {
    keys.merge(key, state, (a, b) -> a.compareTo(b) > 0 ? a : b);
  }

  /** A PREEMPT of this key goes out now: it may take effect even if we hear no more of it. */
  public void shuttingOut(ReservationKey key) {
    atLeast(key, State.SHUT_OUT);
  }

  public void fenced(Fenced proof) {
    atLeast(proof.victim(), State.FENCED);
  }

  /**
   * The array and then the disk were read. A slot whose node has not left, and whose key is not
   * registered, is of somebody who was shut out by a node that did not live to write that down, or
   * who changes its key at this moment: the next comparison tells.
   *
   * @param fenced keys of the slots that say so; what the disk said before and does not say now is
   *     over: a later life of that node has the slot, or a person has spoken
   * @param inSlots keys of the slots that nodes have written themselves, and not left
   * @param registered READ KEYS
   * @return whom that accounts for: their records on disk may go
   */
  public List<ReservationKey> compared(
      Collection<ReservationKey> fenced,
      Collection<ReservationKey> inSlots,
      Collection<ReservationKey> registered) {
    keys.values().removeIf(state -> state == State.MISSING);
    keys.keySet().removeIf(key -> onDisk.contains(key) && !fenced.contains(key));
    onDisk.clear();
    for (ReservationKey key : fenced) {
      atLeast(key, State.FENCED);
      onDisk.add(key);
    }
    for (ReservationKey key : inSlots) {
      if (!registered.contains(key)) {
        atLeast(key, State.MISSING);
      }
    }
    List<ReservationKey> over = new ArrayList<>();
    for (ReservationKey key : registered) {
      over.addAll(cameBack(key));
    }
    return over;
  }

  /**
   * READ KEYS, asked for after these were shut out, shows this key.
   *
   * @return whom that accounts for: their records on disk may go
   */
  public List<ReservationKey> cameBack(ReservationKey registered) {
    if (keys.containsKey(registered)) {
      // Shut out and registered: not shut out yet, or in again. Nobody has come back.
      return List.of();
    }
    List<ReservationKey> over =
        keys.keySet().stream()
            .filter(key -> key.nodeId() == registered.nodeId())
            .filter(key -> key.incarnation() < registered.incarnation())
            .toList();
    over.forEach(keys::remove);
    return over;
  }

  /**
   * A person says that this incarnation is off: {@code mxfsctl fence clear}.
   *
   * @return false if it is not one of these
   */
  public boolean cleared(ReservationKey key) {
    return keys.remove(key) != null;
  }

  /** Whether the disk may be left without a reservation. */
  public boolean mayLeaveUnguarded() {
    return keys.isEmpty();
  }

  /** In the order of their coming. */
  public Map<ReservationKey, State> list() {
    return new LinkedHashMap<>(keys);
  }

  @Override
  public String toString() {
    return keys.isEmpty() ? "none" : keys.toString();
  }
}
