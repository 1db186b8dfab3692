// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * The disk lock slots that this node writes as a master. A slot that was given back is free when
 * its tombstone is on disk, not before.
 *
 * <p>Under a new view the slots of the view before are left as they are. A lock that comes back to
 * this master keeps its slot. A record that nobody comes back for is worth keeping
 *
 * <ul>
 *   <li>until its node has said what it holds: it may hear of a grant of the view before until
 *       then, and holds the lock by that record; of a suspect until it is cleared;
 *   <li>and, where the resource has another master now, until that one has said that the records of
 *       all that was stated to it are on disk.
 * </ul>
 */
final class SlotPool {
  /** What a slot says. */
  record Left(int slot, SlotWrite.Entry entry) {}

  private final ReservationKey self;
  private final int first;
  private final int count;
  private final BitSet used = new BitSet();
  private int usedCount;

  /** No slot before this one is free. */
  private int hint;

  /** Of nodes that have still to say what they hold. */
  private final Map<ReservationKey, Map<Integer, SlotWrite.Entry>> awaited = new LinkedHashMap<>();

  /** By the master that may not have its own record yet. */
  private final Map<ReservationKey, Map<Integer, SlotWrite.Entry>> elsewhere =
      new LinkedHashMap<>();

  /** Nobody holds a lock by these. */
  private final Map<Integer, SlotWrite.Entry> left = new LinkedHashMap<>();

  private final Map<LockId, Integer> leftOf = new HashMap<>();
  private final Set<ReservationKey> recorded = new HashSet<>();
  private @Nullable View view;

  SlotPool(ReservationKey self, int first, int count) {
    this.self = self;
    this.first = first;
    this.count = count;
  }

  boolean hasFree() {
    return usedCount < count || !left.isEmpty();
  }

  int take() {
    int bit = used.nextClearBit(hint);
    if (bit < count) {
      used.set(bit);
      usedCount++;
      hint = bit + 1;
      return first + bit;
    }
    Left oldest = pollLeft();
    if (oldest == null) {
      throw new IllegalStateException("no slot is free");
    }
    return oldest.slot();
  }

  /** Its tombstone is on disk. */
  void free(int slot) {
    int bit = slot - first;
    if (!used.get(bit)) {
      throw new IllegalStateException("slot " + slot + " is free already");
    }
    used.clear(bit);
    usedCount--;
    hint = Math.min(hint, bit);
  }

  /** The slot is of the view before, or of an earlier daemon. */
  void leave(int slot, SlotWrite.Entry entry) {
    if (!used.get(slot - first)) {
      used.set(slot - first);
      usedCount++;
    }
    awaited.computeIfAbsent(entry.lock().node(), _ -> new LinkedHashMap<>()).put(slot, entry);
    leftOf.put(entry.lock(), slot);
  }

  /** All of a view's nodes are to say what they hold; who is in neither list holds nothing. */
  void begin(View next) {
    view = next;
    recorded.clear();
    for (Map<Integer, SlotWrite.Entry> slots : elsewhere.values()) {
      slots.forEach(this::leave);
    }
    elsewhere.clear();
    Collection<ReservationKey> expected = new HashSet<>(next.nodes());
    expected.addAll(next.suspects());
    List.copyOf(awaited.keySet()).stream()
        .filter(node -> !expected.contains(node))
        .forEach(this::heard);
  }

  /** The node has said what it holds. */
  void heard(ReservationKey node) {
    Map<Integer, SlotWrite.Entry> slots = awaited.remove(node);
    if (slots == null || view == null) {
      return;
    }
    for (Map.Entry<Integer, SlotWrite.Entry> slot : slots.entrySet()) {
      ReservationKey master = Mastering.masterOf(slot.getValue().resource(), view);
      if (master.equals(self) || recorded.contains(master)) {
        left.put(slot.getKey(), slot.getValue());
      } else {
        elsewhere
            .computeIfAbsent(master, _ -> new LinkedHashMap<>())
            .put(slot.getKey(), slot.getValue());
      }
    }
  }

  /** Under this view the master has the records of all that was stated to it on disk. */
  void recorded(ReservationKey master) {
    recorded.add(master);
    Map<Integer, SlotWrite.Entry> slots = elsewhere.remove(master);
    if (slots != null) {
      left.putAll(slots);
    }
  }

  /** The slot with a record of this lock, if there is one: it may say another mode. */
  @Nullable Left reuse(LockId lock) {
    Integer slot = leftOf.get(lock);
    if (slot == null) {
      return null;
    }
    SlotWrite.Entry entry = left.get(slot);
    if (entry == null) {
      entry = awaited.getOrDefault(lock.node(), Map.of()).get(slot);
    }
    if (entry == null || !entry.lock().equals(lock)) {
      return null;
    }
    remove(slot, lock);
    return new Left(slot, entry);
  }

  /** A dead node's. */
  List<Left> pollLeftOf(ReservationKey node) {
    List<Left> found = new ArrayList<>();
    List<Map<Integer, SlotWrite.Entry>> places = new ArrayList<>(elsewhere.values());
    places.add(left);
    Map<Integer, SlotWrite.Entry> expected = awaited.remove(node);
    if (expected != null) {
      places.add(expected);
    }
    for (Map<Integer, SlotWrite.Entry> slots : places) {
      slots.forEach(
          (slot, entry) -> {
            if (entry.lock().node().equals(node)) {
              found.add(new Left(slot, entry));
            }
          });
    }
    for (Left each : found) {
      places.forEach(slots -> slots.remove(each.slot()));
      leftOf.remove(each.entry().lock(), each.slot());
    }
    return found;
  }

  private void remove(int slot, LockId lock) {
    left.remove(slot);
    Map<Integer, SlotWrite.Entry> slots = awaited.get(lock.node());
    if (slots != null) {
      slots.remove(slot);
    }
    leftOf.remove(lock, slot);
  }

  /** One of those that nobody holds a lock by. */
  @Nullable Left pollLeft() {
    if (left.isEmpty()) {
      return null;
    }
    Map.Entry<Integer, SlotWrite.Entry> oldest = left.entrySet().iterator().next();
    Left found = new Left(oldest.getKey(), oldest.getValue());
    remove(found.slot(), found.entry().lock());
    return found;
  }
}
