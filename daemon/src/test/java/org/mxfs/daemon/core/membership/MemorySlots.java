// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;

/** Slots in memory, which do at once what they are told, or answer what a test wants. */
public final class MemorySlots {
  private static final DiskAnswer BAD = new DiskAnswer.Failed("EIO");

  public final List<Slot> slots = new ArrayList<>(Collections.nCopies(64, (Slot) new Slot.Free()));

  /** What writes are answered, instead of being done; null: they are done. */
  public @Nullable DiskAnswer answer;

  /** What readings are answered; null: what is there. */
  public @Nullable DiskAnswer reading;

  /** Slots that take no write. */
  public final Set<Integer> bad = new HashSet<>();

  public DiskAnswer execute(DiskCommand command) {
    DiskAnswer instead = answer != null ? answer : isBad(command) ? BAD : null;
    switch (command) {
      case DiskCommand.Open _ -> {
        return new DiskAnswer.Opened();
      }
      case DiskCommand.ReadBeats _ -> {
        return reading != null ? reading : new DiskAnswer.Beats(slots);
      }
      case DiskCommand.WriteBeat write -> {
        if (instead == null) {
          slots.set(write.slot(), new Slot.Taken(write.beat()));
        }
      }
      case DiskCommand.FreeSlot free -> {
        if (instead == null) {
          slots.set(free.slot(), new Slot.Free(free.epoch(), free.sequence()));
        }
      }
    }
    return instead != null ? instead : new DiskAnswer.Written();
  }

  private boolean isBad(DiskCommand command) {
    return switch (command) {
      case DiskCommand.WriteBeat write -> bad.contains(write.slot());
      case DiskCommand.FreeSlot free -> bad.contains(free.slot());
      case DiskCommand.Open _, DiskCommand.ReadBeats _ -> false;
    };
  }
}
