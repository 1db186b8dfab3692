// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.LockstateMap;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.membership.Beat;
import org.mxfs.daemon.core.membership.Slot;

/**
 * The heartbeat slots of a volume, as the disk has them, and what has ever landed in them. Writes
 * take effect one after another; who may write is asked of the array when one arrives.
 */
final class SimulatedDisk {
  static final LockstateMap MAP =
      new LockstateMap(512, List.of(new LockstateMap.Extent(0, 1 << 20, 64 * 512)));

  private final List<Slot> slots;

  /** Whose each slot is, whether what is in it can be read or not. */
  private final ReservationKey[] owners;

  private final Map<ReservationKey, Long> epochs = new HashMap<>();
  private boolean made;

  SimulatedDisk(int count) {
    slots = new ArrayList<>(Collections.nCopies(count, (Slot) new Slot.Free()));
    owners = new ReservationKey[count];
    java.util.Arrays.fill(owners, ReservationKey.NONE);
  }

  boolean isMade() {
    return made;
  }

  void make() {
    made = true;
  }

  List<Slot> slots() {
    return List.copyOf(slots);
  }

  int size() {
    return slots.size();
  }

  ReservationKey ownerOf(int slot) {
    return owners[slot];
  }

  /** The first one that is this key's; -1: there is none. */
  int slotOf(ReservationKey key) {
    return java.util.Arrays.asList(owners).indexOf(key);
  }

  /** The highest epoch that this key has ever had on disk. */
  long epochOf(ReservationKey key) {
    return epochs.getOrDefault(key, 0L);
  }

  @Nullable Beat aliveRecordOf(ReservationKey key) {
    for (Slot slot : slots) {
      if (slot instanceof Slot.Taken taken
          && taken.beat().key().equals(key)
          && taken.beat().state() == Beat.State.ALIVE) {
        return taken.beat();
      }
    }
    return null;
  }

  /** A record of this key says that it would beat, or would be silent for a while. */
  boolean hasBeaten(ReservationKey key) {
    return slots.stream()
        .anyMatch(
            slot ->
                slot instanceof Slot.Taken taken
                    && taken.beat().key().equals(key)
                    && taken.beat().state() != Beat.State.RESERVED);
  }

  /** A record says that this key was shut out. */
  boolean isFenced(ReservationKey key) {
    return slots.stream()
        .anyMatch(
            slot ->
                slot instanceof Slot.Taken taken
                    && taken.beat().key().equals(key)
                    && taken.beat().state() == Beat.State.FENCED);
  }

  void damage(int slot, Slot.Kind kind) {
    slots.set(slot, new Slot.Damaged(kind, "on purpose"));
  }

  /** Whether a slot of this key is damaged. */
  boolean isHidden(ReservationKey key) {
    for (int i = 0; i < slots.size(); i++) {
      if (owners[i].equals(key) && slots.get(i) instanceof Slot.Damaged) {
        return true;
      }
    }
    return false;
  }

  int damaged() {
    return (int) slots.stream().filter(Slot.Damaged.class::isInstance).count();
  }

  /** It can be read again, and what it held is lost. */
  void mend() {
    for (int i = 0; i < slots.size(); i++) {
      if (slots.get(i) instanceof Slot.Damaged damaged && damaged.kind() == Slot.Kind.UNREADABLE) {
        damage(i, Slot.Kind.TORN);
      }
    }
  }

  /** {@code allowed}: by the array, now. */
  DiskAnswer execute(DiskCommand command, boolean allowed) {
    return switch (command) {
      case DiskCommand.Open _ -> new DiskAnswer.Opened();
      case DiskCommand.ReadBeats _ -> new DiskAnswer.Beats(slots);
      case DiskCommand.WriteBeat write -> {
        if (!allowed) {
          yield new DiskAnswer.Refused("reservation conflict");
        }
        Beat beat = write.beat();
        put(write.slot(), new Slot.Taken(beat), beat.key());
        if (beat.state() == Beat.State.ALIVE) {
          epochs.merge(beat.key(), beat.epoch(), Math::max);
        }
        yield new DiskAnswer.Written();
      }
      case DiskCommand.FreeSlot free -> {
        if (!allowed) {
          yield new DiskAnswer.Refused("reservation conflict");
        }
        put(free.slot(), new Slot.Free(free.epoch(), free.sequence()), ReservationKey.NONE);
        yield new DiskAnswer.Written();
      }
    };
  }

  private void put(int slot, Slot content, ReservationKey owner) {
    if (!(slots.get(slot) instanceof Slot.Damaged damaged)
        || damaged.kind() != Slot.Kind.UNREADABLE) {
      slots.set(slot, content);
    }
    owners[slot] = owner;
  }
}
