// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.membership.MemorySlots;
import org.mxfs.daemon.core.membership.Slot;

/**
 * Drives one machine by hand against a {@link SimulatedArray} and slots in memory: what it asks for
 * is done at once and answered, but for what a test holds back. What XFS does is the test's.
 */
final class Driver {
  final SimulatedArray array = new SimulatedArray();
  final MemorySlots memory = new MemorySlots();
  final List<Slot> disk = memory.slots;
  final Deeds done = new Deeds();

  /** What was not done, in its order. */
  final Deque<Action> held = new ArrayDeque<>();

  /** What is not done before {@link #release}, if ever. */
  Predicate<Action> holds = _ -> false;

  /** What the array answers with a conflict. */
  Predicate<ArrayCommand> refuses = _ -> false;

  /** What others do meanwhile, before each step of {@link #pass}. */
  Runnable meanwhile = () -> {};

  /** Where XFS is, when the machine asks; null: it is not answered. */
  @Nullable KernelState kernel;

  Lockstate lockstate = new Lockstate(1, SimulatedDisk.MAP, 0, "");
  int nexus = 1;
  long now = 100_000;

  private final Supplier<OwnershipSettings> settings;
  private @Nullable Ownership running;

  Driver(Supplier<OwnershipSettings> settings) {
    this.settings = settings;
  }

  Ownership machine() {
    Ownership machine = running;
    if (machine == null) {
      machine = new Ownership(settings.get());
      running = machine;
    }
    return machine;
  }

  /** It is gone, and what it has done: the next one begins with the settings of then. */
  void end() {
    running = null;
    held.clear();
    done.all.clear();
  }

  static boolean asks(Action action, Class<? extends ArrayCommand> kind) {
    return action instanceof Action.Array asked && kind.isInstance(asked.command());
  }

  static boolean asksDisk(Action action, Class<? extends DiskCommand> kind) {
    return action instanceof Action.Disk asked && kind.isInstance(asked.command());
  }

  void give(Event first) {
    Deque<Event> events = new ArrayDeque<>(List.of(first));
    while (!events.isEmpty()) {
      List<Action> actions = machine().step(events.remove(), now);
      done.all.addAll(actions);
      for (Action action : actions) {
        if (holds.test(action)) {
          held.add(action);
        } else {
          carryOut(action, events);
        }
      }
    }
  }

  private void carryOut(Action action, Deque<Event> events) {
    switch (action) {
      case Action.Array asked -> {
        now++;
        events.add(
            asked.answered(
                refuses.test(asked.command())
                    ? new ArrayAnswer.Conflict()
                    : array.execute(nexus, asked.command())));
      }
      case Action.AskLockstate _ -> events.add(new Event.LockstateTold(lockstate));
      case Action.Disk asked -> events.add(asked.answered(memory.execute(asked.command())));
      case Action.ResetUnit reset ->
          events.add(new Event.UnitReset(reset.question(), new ArrayAnswer.Done()));
      case Action.AskKernel ask -> {
        if (kernel != null) {
          events.add(new Event.Status(ask.question(), kernel, 0, false));
        }
      }
      default -> {}
    }
  }

  /** Does the first of what was held. */
  void release() {
    Deque<Event> events = new ArrayDeque<>();
    carryOut(held.remove(), events);
    events.forEach(this::give);
  }

  void pass(long millis) {
    long end = now + millis;
    while (!machine().isGone() && now < end) {
      meanwhile.run();
      now = Math.max(now, Math.min(end, machine().deadline()));
      give(new Event.Tick());
    }
  }
}
