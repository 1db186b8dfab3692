// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.LockstateMap;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.membership.Slot;
import org.mxfs.daemon.core.ownership.Ownership;
import org.mxfs.daemon.kernel.KernelLink;

/**
 * Walks a machine of its own through a life that ends in being fenced, with invented answers and no
 * edges: every class of that path is loaded before the volume is in use. A node that must stop at
 * once may not be able to read its own program from disk any more.
 */
final class Warmup {
  private static final int NODE = 0x1001;
  private static final int OTHER = 0x1000;

  private Warmup() {}

  /**
   * Walks it.
   *
   * @param beats whether this node has a heartbeat
   */
  static void run(boolean beats) throws IOException {
    KernelLink.rehearse();
    Ownership machine =
        new Ownership(
            new OwnershipSettings(NODE, 1, 1, 20_000, 100, "warm-up", "warm-up", "")
                .withBeats(beats ? 1_000 : 0, "warm-up"));
    ReservationKey other = ReservationKey.of(OTHER, 7);
    List<Action> actions = machine.step(new Event.Start(Predecessor.NOBODY), 0);
    ReservationKey key = ReservationKey.NONE;
    boolean taken = false;
    boolean gone = false;
    long time = 1;
    Deque<Event> events = new ArrayDeque<>();
    List<Slot> slots = new ArrayList<>(List.of(new Slot.Free(), new Slot.Free()));
    for (int i = 0; i < 200 && !machine.isGone(); i++) {
      for (Action action : actions) {
        switch (action) {
          case Action.Disk disk ->
              events.add(
                  disk.answered(
                      switch (disk.command()) {
                        case DiskCommand.Open _ -> new DiskAnswer.Opened();
                        case DiskCommand.ReadBeats _ -> new DiskAnswer.Beats(slots);
                        case DiskCommand.WriteBeat write -> {
                          slots.set(write.slot(), new Slot.Taken(write.beat()));
                          yield new DiskAnswer.Written();
                        }
                        case DiskCommand.FreeSlot _ -> new DiskAnswer.Written();
                      }));
          case Action.AskLockstate _ ->
              events.add(
                  new Event.LockstateTold(
                      new Lockstate(1, new LockstateMap(512, List.of()), 0, "")));
          case Action.Array array -> {
            events.add(
                array.answered(
                    switch (array.command()) {
                      case ArrayCommand.ReportCapabilities _ -> new ArrayAnswer.Supported(false);
                      case ArrayCommand.ReadKeys _ ->
                          gone
                              ? new ArrayAnswer.Keys(9, List.of(other))
                              : new ArrayAnswer.Keys(
                                  i, key.isNone() ? List.of(other) : List.of(key, other));
                      case ArrayCommand.ReadReservation _ ->
                          new ArrayAnswer.Reservation(taken ? key : other, 5);
                      case ArrayCommand.ReadFullStatus _ ->
                          new ArrayAnswer.Registrations(List.of());
                      case ArrayCommand.Preempt _ -> {
                        taken = true;
                        yield new ArrayAnswer.Done();
                      }
                      case ArrayCommand.Register register -> {
                        key = register.key();
                        yield new ArrayAnswer.Done();
                      }
                      case ArrayCommand.Unregister _, ArrayCommand.Reserve _ ->
                          new ArrayAnswer.Done();
                    }));
          }
          case Action.Send send when send.message() instanceof PeerMessage.OwnRequest request ->
              events.add(
                  new Event.Received(
                      other, 8, new PeerMessage.OwnGrant(request.requestId(), 9, 1, List.of())));
          case Action.Attach attach -> events.add(new Event.Attached(attach.epoch(), 0, 1, ""));
          case Action.Ready _ -> events.add(new Event.Want());
          default -> {}
        }
      }
      if (events.isEmpty()) {
        if (machine.key().isNone() || !taken) {
          events.add(new Event.PeerUp(other, 8, "peer", "", true));
        } else {
          gone = true;
          events.add(new Event.UnitAttention("registrations preempted"));
        }
      }
      actions = machine.step(events.remove(), time);
      time += 10;
    }
    if (!machine.isGone()) {
      throw new IllegalStateException("the warm-up did not end in being fenced");
    }
  }
}
