// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.fencing.FencingSettings;
import org.mxfs.daemon.core.membership.Beat;
import org.mxfs.daemon.core.membership.MemorySlots;
import org.mxfs.daemon.core.membership.Slot;

/** Leaving while somebody who was shut out is not accounted for, and who comes after. */
@Timeout(60)
class OwnershipDepartedTest {
  private static final int NODE = 0x20;
  private static final ReservationKey FENCED = ReservationKey.of(0x10, 7);
  private static final ReservationKey OTHER = ReservationKey.of(0x30, 7);
  private static final int NEXUS = 1;
  private static final int OTHER_NEXUS = 3;
  private static final long LEASE = 20_000;

  private final SimulatedArray array = new SimulatedArray();
  private final MemorySlots memory = new MemorySlots();
  private final List<Slot> disk = memory.slots;
  private final Deeds done = new Deeds();
  private @Nullable FencingSettings takeover = FencingSettings.RESET_ENDS_ALL;
  private Lockstate lockstate = new Lockstate(1, SimulatedDisk.MAP, 0, "");
  private int node = NODE;
  private int nexus = NEXUS;
  private long unixSeconds = 1_000;
  private @Nullable Ownership running;
  private long now = 100_000;

  private Ownership machine() {
    Ownership machine = running;
    if (machine == null) {
      machine =
          new Ownership(
              new OwnershipSettings(
                  node,
                  unixSeconds,
                  1,
                  LEASE,
                  100,
                  "volume",
                  "device",
                  "",
                  1_000,
                  "host",
                  takeover));
      running = machine;
    }
    return machine;
  }

  private void give(Event first) {
    Deque<Event> events = new ArrayDeque<>(List.of(first));
    while (!events.isEmpty()) {
      List<Action> actions = machine().step(events.remove(), now);
      done.all.addAll(actions);
      for (Action action : actions) {
        switch (action) {
          case Action.Array asked -> {
            now++;
            events.add(asked.answered(array.execute(nexus, asked.command())));
          }
          case Action.AskLockstate _ -> events.add(new Event.LockstateTold(lockstate));
          case Action.Disk asked -> events.add(asked.answered(memory.execute(asked.command())));
          case Action.AskKernel ask ->
              events.add(new Event.Status(ask.question(), KernelState.DETACHED, 0, false));
          case Action.ResetUnit reset ->
              events.add(new Event.UnitReset(reset.question(), new ArrayAnswer.Done()));
          default -> {}
        }
      }
    }
  }

  private void pass(long millis) {
    long end = now + millis;
    while (!machine().isGone() && now < end) {
      now = Math.max(now, Math.min(end, machine().deadline()));
      give(new Event.Tick());
    }
  }

  private static Slot slot(ReservationKey key, Beat.State state) {
    return new Slot.Taken(new Beat(key, 5, 1, state, LEASE, "some"));
  }

  private List<Beat> records(Beat.State state) {
    return disk.stream()
        .filter(Slot.Taken.class::isInstance)
        .map(slot -> ((Slot.Taken) slot).beat())
        .filter(beat -> beat.state() == state)
        .toList();
  }

  /** Another life, or another node: nothing is left of the one before but what it has done. */
  private void next(int whichNode, int whichNexus) {
    running = null;
    node = whichNode;
    nexus = whichNexus;
    unixSeconds += 100;
    now += 1_000;
    done.all.clear();
  }

  private void mount() {
    give(new Event.Start(Predecessor.NOBODY));
    pass(3_000);
    give(new Event.Attached(done.of(Action.Attach.class).getLast().epoch(), 0, 1, ""));
    pass(3_000);
    assertThat(done.of(Action.Ready.class)).hasSize(1);
  }

  private void umount() {
    give(new Event.Leave());
    pass(10_000);
    assertThat(machine().isGone()).isTrue();
  }

  private void assertStays(ReservationKey key) {
    assertThat(done.of(Action.Left.class)).containsExactly(new Action.Left(Errno.NONE, true));
    assertThat(array.holds(nexus)).as("the disk stays reserved").isTrue();
    assertThat(array.key(nexus)).isEqualTo(key);
    assertThat(done.notes("stays registered")).hasSize(1);
    // Its registration is not gone.
    assertThat(done.of(Action.Broadcast.class))
        .doesNotContain(new Action.Broadcast(new PeerMessage.Leave()));
  }

  private void assertGone() {
    assertThat(done.of(Action.Left.class)).containsExactly(new Action.Left(Errno.NONE, false));
    assertThat(array.isRegistered(nexus)).isFalse();
    assertThat(done.notes("stays registered")).isEmpty();
  }

  @Test
  void theLastNodeToLeaveKeepsTheDiskReservedWhileOneIsUnaccountedFor() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey mine = machine().key();
    umount();
    assertStays(mine);
    assertThat(records(Beat.State.LEFT)).singleElement().extracting(Beat::key).isEqualTo(mine);
    assertThat(done.notes("stays registered").getFirst().text())
        .contains(FENCED.toString(), "any node can mount");
    int written =
        done.indexOf(
            a ->
                a instanceof Action.Disk asked
                    && asked.command() instanceof DiskCommand.WriteBeat write
                    && write.beat().state() == Beat.State.LEFT);
    assertThat(written).isLessThan(done.indexOf(Action.Left.class::isInstance));
  }

  @Test
  void withoutSuchAOneItGoesAsBefore() {
    disk.set(5, slot(OTHER, Beat.State.LEFT));
    disk.set(6, slot(ReservationKey.of(0x40, 1), Beat.State.PAUSED));
    mount();
    umount();
    assertGone();
    assertThat(records(Beat.State.LEFT)).extracting(Beat::key).containsExactly(OTHER);
  }

  @Test
  void withoutTakeoverItGoesAsBefore() {
    takeover = null;
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    umount();
    assertGone();
  }

  @Test
  void whereThereIsNoLockStateNobodyWasEverShutOut() {
    lockstate = new Lockstate(0, null, 2, "there is none");
    mount();
    umount();
    assertGone();
  }

  /** Who was shut out stands in slots that nobody here can read. */
  @Test
  void whatCannotBeReadMayNameOne() {
    lockstate = new Lockstate(0, null, 5, "an error of the disk");
    give(new Event.Start(Predecessor.NOBODY));
    pass(10_000);
    assertThat(done.of(Action.Attach.class)).as("danger 40").isEmpty();
    umount();
    assertThat(array.holds(nexus)).isTrue();
    assertThat(done.notes("cannot be read")).isNotEmpty();
    assertThat(done.notes("could not be written")).hasSize(1);
    next(0x50, 7);
    array.execute(NEXUS, new ArrayCommand.Unregister(array.key(NEXUS), false));
    lockstate = new Lockstate(1, SimulatedDisk.MAP, 0, "");
    disk.set(9, new Slot.Damaged(Slot.Kind.TORN, "torn before it was ever read"));
    give(new Event.Start(Predecessor.NOBODY));
    pass(10_000);
    umount();
    assertThat(array.holds(nexus)).isTrue();
  }

  /** By its own next mount, whoever has the volume then. */
  @Test
  void theFencedNodesLaterLifeAccountsForIt() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey later = ReservationKey.of(FENCED.nodeId(), FENCED.incarnation() + 1);
    array.execute(8, new ArrayCommand.Register(ReservationKey.NONE, later, false));
    pass(LEASE);
    assertThat(records(Beat.State.FENCED)).isEmpty();
    array.execute(8, new ArrayCommand.Unregister(later, false));
    umount();
    assertGone();
  }

  @Test
  void aLaterLifeThatIsRegisteredAccountsForItAtOnce() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey later = ReservationKey.of(FENCED.nodeId(), FENCED.incarnation() + 1);
    array.execute(8, new ArrayCommand.Register(ReservationKey.NONE, later, false));
    umount();
    assertGone();
  }

  @Test
  void anEarlierKeyOfTheFencedNodeDoesNot() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey mine = machine().key();
    ReservationKey earlier = ReservationKey.of(FENCED.nodeId(), FENCED.incarnation() - 1);
    array.execute(8, new ArrayCommand.Register(ReservationKey.NONE, earlier, false));
    umount();
    assertStays(mine);
  }

  /** Shut out by one that died before it could write that down. */
  @Test
  void whoSaysThatItIsAliveAndIsNotRegisteredCountsAsWell() {
    mount();
    ReservationKey mine = machine().key();
    disk.set(5, slot(FENCED, Beat.State.ALIVE));
    umount();
    assertStays(mine);
  }

  /** Two leave at once: the member's slot is free before its key is gone. */
  @Test
  void aMemberThatLeavesAtTheSameTimeIsNotMissing() {
    mount();
    array.execute(OTHER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, OTHER, false));
    disk.set(5, slot(OTHER, Beat.State.ALIVE));
    pass(LEASE);
    array.execute(OTHER_NEXUS, new ArrayCommand.Unregister(OTHER, false));
    disk.set(5, new Slot.Free(1, 2));
    umount();
    assertGone();
  }

  @Test
  void whoDoesNotHoldTheReservationUnregisters() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    array.execute(OTHER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, OTHER, false));
    array.execute(OTHER_NEXUS, new ArrayCommand.Reserve(OTHER));
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.PeerUp(OTHER, 5, "other", OwnershipSettings.options("", true), true));
    pass(3_000);
    umount();
    assertGone();
    assertThat(array.holds(OTHER_NEXUS)).isTrue();
  }

  /** Whoever mounts next takes the volume at once, and is then the one who stays. */
  @Test
  void whoMountsNextShutsOutTheOneThatStayed() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    umount();
    next(0x40, 4);
    mount();
    assertThat(array.isRegistered(NEXUS)).isFalse();
    assertThat(done.of(Action.ResetUnit.class)).as("it has ended in order").isEmpty();
    ReservationKey second = machine().key();
    umount();
    assertStays(second);
    assertThat(records(Beat.State.LEFT)).hasSize(2);
  }

  @Test
  void withoutTakeoverNobodyTakesFromIt() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey stayed = machine().key();
    umount();
    next(0x40, 4);
    takeover = null;
    give(new Event.Start(Predecessor.NOBODY));
    pass(10_000);
    assertThat(array.key(NEXUS)).isEqualTo(stayed);
    assertThat(done.of(Action.Fail.class))
        .singleElement()
        .extracting(Action.Fail::errno)
        .isEqualTo(Errno.EHOSTUNREACH);
  }

  @Test
  void theNodeThatStayedMountsAgainByItself() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey before = machine().key();
    umount();
    next(NODE, NEXUS);
    mount();
    ReservationKey after = machine().key();
    assertThat(after).isNotEqualTo(before);
    assertThat(records(Beat.State.LEFT)).as("its slot is its own again").isEmpty();
    umount();
    assertStays(after);
  }

  /** After a boot its path may be another one. */
  @Test
  void theNodeThatStayedMountsAgainByAnotherPath() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    umount();
    next(NODE, 9);
    mount();
    assertThat(array.isRegistered(NEXUS)).isFalse();
    assertThat(array.holds(9)).isTrue();
  }

  @Test
  void theFencedNodeMountsNextAndThenTheDiskMayBeLeft() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    umount();
    next(FENCED.nodeId(), 6);
    mount();
    assertThat(records(Beat.State.FENCED)).isEmpty();
    umount();
    assertGone();
    assertThat(array.holder()).isNull();
  }

  /** It wrote that it has left, and died before it could say so to the kernel. */
  @Test
  void aDaemonThatDiedBetweenTheStepsIsFollowedByOneThatStays() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey mine = machine().key();
    umount();
    running = null;
    done.all.clear();
    give(new Event.Start(new Predecessor(mine, 9, KernelState.DETACHED, true, false, false)));
    give(new Event.Leave());
    pass(10_000);
    assertThat(array.holds(NEXUS)).isTrue();
    ReservationKey held = array.key(NEXUS);
    assertThat(records(Beat.State.LEFT)).extracting(Beat::key).contains(held);
    next(0x40, 4);
    mount();
  }

  /** mxfsctl fence clear. */
  @Test
  void theWordOfAPersonAccountsForTheOneThatIsNamed() {
    ReservationKey second = ReservationKey.of(0x11, 3);
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    disk.set(6, slot(second, Beat.State.FENCED));
    mount();
    pass(LEASE);
    assertThat(listed()).containsExactly(FENCED, second);
    give(new Event.FenceCleared(FENCED));
    pass(LEASE);
    assertThat(listed()).containsExactly(second);
    assertThat(records(Beat.State.FENCED)).extracting(Beat::key).containsExactly(second);
    assertThat(done.notes("is off for certain")).hasSize(1);
    give(new Event.FenceCleared(second));
    pass(LEASE);
    umount();
    assertGone();
  }

  @Test
  void aWordThatIsRefusedChangesNothing() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    pass(LEASE);
    disk.set(7, slot(OTHER, Beat.State.ALIVE));
    pass(LEASE);
    List<Slot> before = List.copyOf(disk.subList(5, 8));
    give(new Event.FenceCleared(OTHER));
    give(new Event.FenceCleared(machine().key()));
    give(new Event.FenceCleared(ReservationKey.of(FENCED.nodeId(), 8)));
    pass(5_000);
    assertThat(disk.subList(5, 8)).isEqualTo(before);
    assertThat(done.notes("refused: ")).hasSize(3);
    assertThat(listed()).containsExactly(FENCED, OTHER);
    // It has come back to life under the same key.
    array.execute(8, new ArrayCommand.Register(ReservationKey.NONE, FENCED, false));
    pass(LEASE);
    give(new Event.FenceCleared(FENCED));
    pass(LEASE);
    assertThat(records(Beat.State.FENCED)).hasSize(1);
  }

  @Test
  void aNodeThatDoesNotHoldTheReservationClearsNothing() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    array.execute(OTHER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, OTHER, false));
    array.execute(OTHER_NEXUS, new ArrayCommand.Reserve(OTHER));
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.PeerUp(OTHER, 5, "other", OwnershipSettings.options("", true), true));
    pass(LEASE);
    assertThat(listed()).as("it knows of it").containsExactly(FENCED);
    give(new Event.FenceCleared(FENCED));
    pass(LEASE);
    assertThat(records(Beat.State.FENCED)).hasSize(1);
    assertThat(done.notes("does not hold")).hasSize(1);
  }

  private List<ReservationKey> listed() {
    return Objects.requireNonNull(machine().status().missing()).stream()
        .map(VolumeStatus.Missing::key)
        .toList();
  }

  /** It took the reservation of one that stayed, and must not lose it. */
  @Test
  void aMountThatFailsStaysAsWell() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    umount();
    next(0x40, 4);
    give(new Event.Start(Predecessor.NOBODY));
    pass(3_000);
    give(new Event.Attached(done.of(Action.Attach.class).getLast().epoch(), 117, 1, "damaged"));
    pass(10_000);
    assertThat(done.of(Action.Fail.class)).hasSize(1);
    assertThat(array.holds(4)).isTrue();
    assertThat(records(Beat.State.LEFT)).extracting(Beat::key).contains(array.key(4));
  }

  /** The reservation stays all the same, and umount ends in time. */
  @Test
  void aDiskThatTakesNoWriteHoldsUpNobody() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey mine = machine().key();
    memory.answer = new DiskAnswer.Failed("on purpose");
    long since = now;
    umount();
    assertThat(now - since).isLessThan(2_000);
    assertStays(mine);
    assertThat(done.notes("could not be written")).hasSize(1);
  }
}
