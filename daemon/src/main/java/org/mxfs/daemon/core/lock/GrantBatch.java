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
 * out as the next one. A slot that is written again before its turn is written once.
 */
final class GrantBatch {
  /** A grant that may be told when its record is on disk. */
  record Grant(Lock lock, long sequence) {}

  private record Item(SlotWrite write, @Nullable Grant grant) {}

  private final int max;
  private final LockOutbox out;
  private final Map<Integer, Item> next = new LinkedHashMap<>();
  private List<Item> underWay = List.of();
  private long batch;
  private long written;
  private long doneThrough;

  GrantBatch(int max, LockOutbox out) {
    this.max = max;
    this.out = out;
  }

  /** Returns the number of this write. */
  long write(int slot, SlotWrite.@Nullable Entry entry, @Nullable Grant grant) {
    next.remove(slot);
    next.put(slot, new Item(new SlotWrite(slot, ++written, entry), grant));
    return written;
  }

  /** The number of the last write that was asked for. */
  long written() {
    return written;
  }

  /** All writes up to this number are on disk, or were replaced by later ones. */
  long doneThrough() {
    return doneThrough;
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

  /** The batch is on disk: what may be told now. */
  List<Grant> done(long number) {
    if (number != batch || underWay.isEmpty()) {
      throw new IllegalStateException("batch " + number + " is done, but " + batch + " is not it");
    }
    List<Grant> grants = new ArrayList<>();
    for (Item item : underWay) {
      if (item.grant() != null) {
        grants.add(item.grant());
      }
      doneThrough = Math.max(doneThrough, item.write().number());
    }
    underWay = List.of();
    return grants;
  }
}
