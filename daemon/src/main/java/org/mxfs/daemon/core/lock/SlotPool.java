// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * The disk lock slots that this node writes as a master.
 *
 * <p>Under a new view the slots of the view before are left as they are until grace has ended: a
 * lock that comes back as it was keeps its slot and its record; the others are taken last, and not
 * before their node has said what it holds: it may hear of a grant of the view before until then,
 * and holds the lock by that record.
 */
final class SlotPool {
  /** What a slot says. */
  record Left(int slot, SlotWrite.Entry entry) {}

  private final int first;
  private final int count;
  private final BitSet used = new BitSet();

  /** Of nodes that have still to say what they hold. */
  private final Map<ReservationKey, Map<Integer, SlotWrite.Entry>> awaited = new LinkedHashMap<>();

  /** Nobody holds a lock by these. */
  private final Map<Integer, SlotWrite.Entry> left = new LinkedHashMap<>();

  private final Map<LockId, Integer> leftOf = new HashMap<>();

  SlotPool(int first, int count) {
    this.first = first;
    this.count = count;
  }

  boolean hasFree() {
    return used.cardinality() < count || !left.isEmpty();
  }

  int take() {
    int bit = used.nextClearBit(0);
    if (bit < count) {
      used.set(bit);
      return first + bit;
    }
    Left oldest = pollLeft();
    if (oldest == null) {
      throw new IllegalStateException("no slot is free");
    }
    return oldest.slot();
  }

  void free(int slot) {
    if (!used.get(slot - first)) {
      throw new IllegalStateException("slot " + slot + " is free already");
    }
    used.clear(slot - first);
  }

  /** The slot is of the view before, or of an earlier daemon. */
  void leave(int slot, SlotWrite.Entry entry) {
    used.set(slot - first);
    awaited.computeIfAbsent(entry.lock().node(), _ -> new LinkedHashMap<>()).put(slot, entry);
    leftOf.put(entry.lock(), slot);
  }

  /** These nodes are to say what they hold; another one holds nothing. */
  void await(Collection<ReservationKey> nodes) {
    List.copyOf(awaited.keySet()).stream()
        .filter(node -> !nodes.contains(node))
        .forEach(this::heard);
  }

  /** The node has said what it holds. */
  void heard(ReservationKey node) {
    Map<Integer, SlotWrite.Entry> slots = awaited.remove(node);
    if (slots != null) {
      left.putAll(slots);
    }
  }

  /** The slot that says exactly this, if there is one. */
  int reuse(SlotWrite.Entry entry) {
    Integer slot = leftOf.get(entry.lock());
    if (slot == null
        || !(entry.equals(left.get(slot))
            || entry.equals(awaited.getOrDefault(entry.lock().node(), Map.of()).get(slot)))) {
      return Lock.NO_SLOT;
    }
    remove(slot, entry.lock());
    return slot;
  }

  List<Left> pollLeftOf(ReservationKey node) {
    heard(node);
    List<Left> found = new ArrayList<>();
    left.forEach(
        (slot, entry) -> {
          if (entry.lock().node().equals(node)) {
            found.add(new Left(slot, entry));
          }
        });
    found.forEach(each -> remove(each.slot(), each.entry().lock()));
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

  /** One of those that nobody came back for. */
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
