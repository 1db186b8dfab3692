// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * The queues of one resource at its master: who holds it, who waits to convert, who waits for a new
 * lock.
 *
 * <p>The rules are those of VMS: conversions go before new locks, both in the order in which they
 * came; whoever is not the first does not go past him, even if he would fit (or a stream of readers
 * would starve a writer). A conversion that waits keeps what it holds. NL stands in nobody's way
 * and so waits for nobody.
 */
final class Resource {
  final ResourceId id;

  /** Holders, in the order in which they came; converting ones too. */
  final Map<LockId, Lock> granted = new LinkedHashMap<>();

  final List<Lock> converting = new ArrayList<>();
  final List<Lock> waiting = new ArrayList<>();
  ValueBlock value = ValueBlock.NONE;

  /** While it is rebuilt: its master before has told {@link #value}. */
  boolean certain;

  /** While it is rebuilt: somebody who knows the value excludes everybody that could write. */
  boolean heldFast;

  /** While it is rebuilt: who could have written since. */
  @Nullable LockId writer;

  /** While it is rebuilt: nodes that have told what they wrote. */
  final Set<ReservationKey> toldBy = new HashSet<>();

  /** While it is rebuilt: whoever holds it to write does not know the value. */
  boolean forgotten;

  /** While it is rebuilt: it was there before. */
  boolean restated;

  long nextTicket;

  Resource(ResourceId id) {
    this.id = id;
  }

  boolean isUnused() {
    return granted.isEmpty() && waiting.isEmpty();
  }

  int waiters() {
    return converting.size() + waiting.size();
  }

  /** Nobody else holds what does not go with {@code mode}. */
  boolean fits(Lock lock, Mode mode) {
    for (Lock other : granted.values()) {
      if (other != lock && other.mode != null && !other.mode.isCompatible(mode)) {
        return false;
      }
    }
    return true;
  }

  void enqueue(Lock lock) {
    (lock.mode == null ? waiting : converting).add(lock);
  }

  void dequeue(Lock lock) {
    (lock.mode == null ? waiting : converting).remove(lock);
  }

  /** Whose turn it is; he may not fit yet. */
  @Nullable Lock first() {
    for (Lock lock : waiting) {
      if (lock.wanted().mode == Mode.NL) {
        return lock;
      }
    }
    if (!converting.isEmpty()) {
      return converting.getFirst();
    }
    return waiting.isEmpty() ? null : waiting.getFirst();
  }

  /**
   * The modes for which {@code holder} is in somebody's way, as bits. New locks that stand behind
   * others count too: their turn comes sooner if the way is clear by then.
   */
  int wantedOf(Lock holder) {
    int bits = 0;
    Mode held = holder.mode;
    if (held == null) {
      return bits;
    }
    for (Lock other : converting) {
      if (other != holder && !held.isCompatible(other.wanted().mode)) {
        bits |= other.wanted().mode.bit();
      }
    }
    for (Lock other : waiting) {
      if (!held.isCompatible(other.wanted().mode)) {
        bits |= other.wanted().mode.bit();
      }
    }
    return bits;
  }

  /** What {@code lock}, which waits, waits for. */
  List<LockMessage.Hop> blockers(Lock lock) {
    Lock.Request request = lock.wanted();
    LockMessage.Waiter waiter = waiter(lock);
    List<LockMessage.Hop> hops = new ArrayList<>();
    for (Lock holder : granted.values()) {
      if (holder != lock && holder.mode != null && !holder.mode.isCompatible(request.mode)) {
        hops.add(new LockMessage.Hop(waiter, holder.id, holder.sequence, false));
      }
    }
    for (Lock before : converting) {
      if (before == lock) {
        return hops;
      }
      hops.add(hopBehind(waiter, request, before));
    }
    for (Lock before : waiting) {
      if (before == lock) {
        return hops;
      }
      hops.add(hopBehind(waiter, request, before));
    }
    throw new IllegalStateException(lock + " is in no queue of " + id);
  }

  LockMessage.Waiter waiter(Lock lock) {
    return new LockMessage.Waiter(lock.id, lock.wanted().sequence, id, lock.wanted().priority);
  }

  private static LockMessage.Hop hopBehind(
      LockMessage.Waiter waiter, Lock.Request request, Lock before) {
    Lock.Request ahead = before.wanted();
    boolean together = ahead.mode.isCompatible(request.mode);
    return new LockMessage.Hop(waiter, before.id, ahead.sequence, together);
  }
}
