// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.OptionalInt;
import org.mxfs.daemon.core.ReservationKey;

/**
 * The heartbeat slots, and who gets which.
 *
 * <p><b>One writer a slot.</b> A slot belongs to the key that is written in it, and only that node
 * writes it. Who holds the reservation, and nobody else, gives slots out: it writes the key into a
 * slot that nobody has, or whose key is not registered on the array any more. A node that is not
 * registered cannot write (type 5: Write Exclusive, Registrants Only), so that slot has no writer;
 * what such a node had sent before may still be on its way, so its slot rests for {@link
 * #REST_MILLIS} first. A node uses a slot once it has read its own key there. That takes no
 * message: the holder sees who is registered, and the others see the disk.
 */
public final class SlotTable {
  /**
   * How long a slot of a key that is gone from the array stays unused: longer than a command can
   * live (30 s, and the kernel's error handling).
   */
  public static final long REST_MILLIS = 60_000;

  private List<Slot> slots = List.of();
  private long[] restingSince = new long[0];

  /** What was read. */
  public void read(List<Slot> read) {
    if (read.size() != restingSince.length) {
      restingSince = new long[read.size()];
      Arrays.fill(restingSince, Long.MAX_VALUE);
    }
    for (int i = 0; i < read.size(); i++) {
      // Another key, or one that beats: its registration was away for a moment only.
      if (slots.size() <= i || !slots.get(i).equals(read.get(i))) {
        restingSince[i] = Long.MAX_VALUE;
      }
    }
    slots = List.copyOf(read);
  }

  public List<Slot> slots() {
    return slots;
  }

  private static ReservationKey keyOf(Slot slot) {
    return slot instanceof Slot.Taken taken ? taken.beat().key() : ReservationKey.NONE;
  }

  /** The slot with this key. */
  public OptionalInt slotOf(ReservationKey key) {
    for (int i = 0; i < slots.size(); i++) {
      if (!key.isNone() && keyOf(slots.get(i)).equals(key)) {
        return OptionalInt.of(i);
      }
    }
    return OptionalInt.empty();
  }

  /** The last record of this slot, or one before all. */
  public long sequenceOf(int slot) {
    return slots.get(slot) instanceof Slot.Taken taken ? taken.beat().sequence() : 0;
  }

  /** The highest epoch that any record tells. */
  public long maxEpoch() {
    long max = 0;
    for (Slot slot : slots) {
      if (slot instanceof Slot.Taken taken) {
        max = Math.max(max, taken.beat().epoch());
      }
    }
    return max;
  }

  /** What cannot be trusted, for the log: "slot 3: why". */
  public List<String> damage() {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < slots.size(); i++) {
      if (slots.get(i) instanceof Slot.Damaged damaged) {
        texts.add("slot " + i + ": " + damaged.why());
      }
    }
    return texts;
  }

  /** Most slots are records of this volume: the place is the right one. */
  public boolean isCredible() {
    return damage().size() <= slots.size() / 2 && !slots.isEmpty();
  }

  /**
   * The holder has seen who is registered: slots of others begin to rest.
   *
   * @param registered as the array has shown it to the holder
   */
  public void sawRegistered(Collection<ReservationKey> registered, long now) {
    for (int i = 0; i < slots.size(); i++) {
      ReservationKey key = keyOf(slots.get(i));
      if (key.isNone() || registered.contains(key)) {
        restingSince[i] = Long.MAX_VALUE;
      } else if (restingSince[i] == Long.MAX_VALUE) {
        restingSince[i] = now;
      }
    }
  }

  /**
   * A free slot, for a key that is registered and has none; -1: there is none. What an earlier life
   * of the same node had is taken over at once: that life is over, by the kernel's word or by a
   * start of the machine.
   *
   * @param alone only our own key is registered: a damaged slot has no other writer
   */
  public int freeSlot(ReservationKey key, boolean alone, long now) {
    if (!isCredible()) {
      return -1;
    }
    for (int i = 0; i < slots.size(); i++) {
      if (restingSince[i] != Long.MAX_VALUE && keyOf(slots.get(i)).nodeId() == key.nodeId()) {
        return i;
      }
    }
    for (int i = 0; i < slots.size(); i++) {
      boolean free =
          switch (slots.get(i)) {
            case Slot.Free _ -> true;
            case Slot.Taken _ ->
                restingSince[i] != Long.MAX_VALUE && now - restingSince[i] >= REST_MILLIS;
            case Slot.Damaged _ -> alone;
          };
      if (free) {
        return i;
      }
    }
    return -1;
  }
}
