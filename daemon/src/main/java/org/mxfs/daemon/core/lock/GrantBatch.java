// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Group commit of lock records: what is to be written while a batch is on its way to the disk goes
 * out as the next one. A slot that is written again before its turn is written once, in the turn
 * that it had.
 */
final class GrantBatch {
  /** A grant that may be told when its record is on disk. */
  record Grant(Lock lock, long sequence) {}

  /** What is on disk now. */
  record Done(List<Grant> grants, List<Integer> tombstones) {}

  /**
   * A write.
   *
   * @param since the number of the first write of this slot that it stands for
   */
  private record Item(SlotWrite write, long since, @Nullable Grant grant) {}

  private final int max;
  private final LockOutbox out;

  /** By slot; in the order of {@link Item#since}. */
  private final Map<Integer, Item> next = new LinkedHashMap<>();

  private List<Item> underWay = List.of();
  private long batch;
  private long written;

  GrantBatch(int max, LockOutbox out) {
    this.max = max;
    this.out = out;
  }

  /** A record of an earlier daemon has this number: those to come have higher ones. */
  void found(long number) {
    written = Math.max(written, number);
  }

  void write(int slot, SlotWrite.@Nullable Entry entry, @Nullable Grant grant) {
    Item before = next.get(slot);
    long number = ++written;
    long since = before == null ? number : before.since();
    next.put(slot, new Item(new SlotWrite(slot, number, entry), since, grant));
  }

  /** The number of the last write that was asked for. */
  long written() {
    return written;
  }

  /** All writes up to this number are on disk, they or those that took their place. */
  long doneThrough() {
    if (!underWay.isEmpty()) {
      return underWay.getFirst().since() - 1;
    }
    return next.isEmpty() ? written : next.values().iterator().next().since() - 1;
  }

  boolean isIdle() {
    return next.isEmpty() && underWay.isEmpty();
  }

  /** Sends the next batch if none is under way. */
  void flush() {
    if (!underWay.isEmpty() || next.isEmpty()) {
      return;
    }
    underWay = new ArrayList<>();
    Iterator<Item> items = next.values().iterator();
    while (items.hasNext() && underWay.size() < max) {
      underWay.add(items.next());
      items.remove();
    }
    batch++;
    out.add(new LockAction.Persist(batch, underWay.stream().map(Item::write).toList()));
  }

  /** The batch is on disk. */
  Done done(long number) {
    if (number != batch || underWay.isEmpty()) {
      throw new IllegalStateException("batch " + number + " is done, but " + batch + " is not it");
    }
    List<Grant> grants = new ArrayList<>();
    List<Integer> tombstones = new ArrayList<>();
    for (Item item : underWay) {
      if (item.grant() != null) {
        grants.add(item.grant());
      }
      if (item.write().entry() == null) {
        tombstones.add(item.write().slot());
      }
    }
    underWay = List.of();
    return new Done(grants, tombstones);
  }
}
