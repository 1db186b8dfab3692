// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
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
  private static final Mode[] MODES = Mode.values();

  final ResourceId id;

  /** Holders, in the order in which they came; converting ones too. */
  final Map<LockId, Lock> granted = new LinkedHashMap<>();

  final Set<Lock> converting = new LinkedHashSet<>();
  final Set<Lock> waiting = new LinkedHashSet<>();

  /** Those of both that do not want to wait, but for a slot on disk. */
  private final Set<Lock> notToWait = new LinkedHashSet<>();

  /** How many hold, or ask for, each mode: no step looks at all of them. */
  private final int[] held = new int[MODES.length];

  private final int[] asked = new int[MODES.length];

  /** What was asked when the holders were called back last; see {@link #signature}. */
  private int calledFor;

  ValueBlock value;

  /** The version that it was made with: the same is nothing that anybody wrote. */
  final long firstVersion;

  /** While it is rebuilt: its master before has told {@link #value}. */
  boolean certain;

  /** While it is rebuilt: somebody who knows the value excludes everybody that could write. */
  boolean heldFast;

  /** While it is rebuilt: who could have written since. */
  @Nullable LockId writer;

  /** While it is rebuilt: locks that were stated, also those that have been given back since. */
  final Set<LockId> stated = new HashSet<>();

  /** While it is rebuilt: nodes that have told what they wrote. */
  final Set<ReservationKey> toldBy = new HashSet<>();

  /** While it is rebuilt: whoever holds it to write does not know the value. */
  boolean forgotten;

  /** While it is rebuilt: it was there before. */
  boolean restated;

  long nextTicket;

  Resource(ResourceId id, ValueBlock value) {
    this.id = id;
    this.value = value;
    firstVersion = value.version();
  }

  boolean isUnused() {
    return granted.isEmpty() && waiting.isEmpty();
  }

  int waiters() {
    return converting.size() + waiting.size();
  }

  /** Nobody else holds what does not go with {@code mode}. */
  boolean fits(Lock lock, Mode mode) {
    for (Mode other : MODES) {
      int others = held[other.index()] - (lock.mode == other ? 1 : 0);
      if (others > 0 && !other.isCompatible(mode)) {
        return false;
      }
    }
    return true;
  }

  /** The lock is held in this mode now. */
  void hold(Lock lock, Mode mode) {
    drop(lock);
    lock.mode = mode;
    held[mode.index()]++;
    granted.put(lock.id, lock);
  }

  /** Where it stands among the holders is not kept. */
  private void drop(Lock lock) {
    if (lock.mode != null) {
      held[lock.mode.index()]--;
    }
  }

  /** The lock is held no more. */
  void release(Lock lock) {
    drop(lock);
    lock.mode = null;
    granted.remove(lock.id);
  }

  void enqueue(Lock lock) {
    (lock.mode == null ? waiting : converting).add(lock);
    asked[lock.wanted().mode.index()]++;
    if (lock.wanted().noQueue) {
      notToWait.add(lock);
    }
  }

  void dequeue(Lock lock) {
    if ((lock.mode == null ? waiting : converting).remove(lock)) {
      asked[lock.wanted().mode.index()]--;
      notToWait.remove(lock);
    }
  }

  /** Puts the queues in the order of their tickets; those without one stay behind, as they came. */
  void sort() {
    for (Set<Lock> queue : List.of(converting, waiting)) {
      List<Lock> order = new ArrayList<>(queue);
      order.sort(Comparator.comparingLong(lock -> lock.wanted().ticket));
      queue.clear();
      queue.addAll(order);
    }
  }

  /** Whose turn it is; he may not fit yet. */
  @Nullable Lock first() {
    if (asked[Mode.NL.index()] > 0) {
      for (Lock lock : waiting) {
        if (lock.wanted().mode == Mode.NL) {
          return lock;
        }
      }
    }
    if (!converting.isEmpty()) {
      return converting.iterator().next();
    }
    return waiting.isEmpty() ? null : waiting.iterator().next();
  }

  /** Whether it is this one's turn, and all that may keep him waiting is a slot on disk. */
  boolean isNext(Lock lock) {
    return first() == lock && fits(lock, lock.wanted().mode);
  }

  /** One that does not want to wait, and would have to for more than a slot. */
  @Nullable Lock notToWait() {
    for (Lock lock : notToWait) {
      if (!isNext(lock)) {
        return lock; // there is one first at most: the second one looked at is not
      }
    }
    return null;
  }

  /**
   * The modes for which {@code holder} is in somebody's way, as bits. New locks that stand behind
   * others count too: their turn comes sooner if the way is clear by then.
   */
  int wantedOf(Lock holder) {
    int bits = 0;
    Mode mode = holder.mode;
    if (mode == null) {
      return bits;
    }
    for (Mode other : MODES) {
      boolean own = holder.request != null && holder.request.mode == other;
      if (asked[other.index()] - (own ? 1 : 0) > 0 && !mode.isCompatible(other)) {
        bits |= other.bit();
      }
    }
    return bits;
  }

  /**
   * Whether holders may be in the way of something new, or not any more, since this was asked last.
   * A mode that one holder alone asks for is in the way of all the others; a second one that asks
   * for it makes it so for the first one too; a third one changes nothing.
   */
  boolean isAskedAnew() {
    int before = calledFor;
    calledFor = signature();
    return before != calledFor;
  }

  /** Whoever holds it has to be looked at again. */
  void askAnew() {
    calledFor = -1;
  }

  private int signature() {
    int bits = 0;
    for (int i = 0; i < asked.length; i++) {
      bits |= Math.min(asked[i], 2) << (2 * i);
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
