// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.CommandLife;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Role;
import org.mxfs.daemon.core.fencing.FencingSettings;
import org.mxfs.daemon.core.membership.Beat;
import org.mxfs.daemon.core.membership.MemorySlots;
import org.mxfs.daemon.core.membership.Slot;

/** One survivor of a silent owner, driven by hand. */
@Timeout(60)
class OwnershipTakeoverTest {
  private static final int NODE = 0x20;
  private static final ReservationKey OWNER = ReservationKey.of(0x10, 7);
  private static final ReservationKey WAITER = ReservationKey.of(0x30, 7);
  private static final int NEXUS = 1;
  private static final int OWNER_NEXUS = 2;
  private static final long LEASE = 20_000;
  private static final FencingSettings RESET = FencingSettings.RESET_ENDS_ALL;

  private final SimulatedArray array = new SimulatedArray();
  private final MemorySlots memory = new MemorySlots();
  private final List<Slot> disk = memory.slots;
  private final Deeds done = new Deeds();
  private @Nullable FencingSettings takeover = RESET;
  private @Nullable Ownership running;

  /** Of the owner's record: it beats while this is set. */
  private boolean ownerLives;

  private boolean answersResets = true;
  private boolean hasSlot = true;
  private boolean refusesPreempt;
  private @Nullable Class<? extends DiskCommand> hangs;
  private Lockstate lockstate = new Lockstate(1, SimulatedDisk.MAP, 0, "");
  private final Deque<Long> openResets = new ArrayDeque<>();
  private long ownerSequence = 1;
  private long now = 100_000;

  private Ownership machine() {
    Ownership machine = running;
    if (machine == null) {
      machine =
          new Ownership(
              new OwnershipSettings(
                  NODE, 1_000, 1, LEASE, 100, "volume", "device", "", 1_000, "host", takeover));
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
            boolean refused = refusesPreempt && asked.command() instanceof ArrayCommand.Preempt;
            events.add(
                asked.answered(
                    refused ? new ArrayAnswer.Conflict() : array.execute(NEXUS, asked.command())));
          }
          case Action.AskLockstate _ -> events.add(new Event.LockstateTold(lockstate));
          case Action.Disk asked -> {
            if (!asked.command().getClass().equals(hangs)) {
              events.add(asked.answered(memory.execute(asked.command())));
            }
          }
          case Action.ResetUnit reset -> {
            if (answersResets) {
              events.add(new Event.UnitReset(reset.question(), new ArrayAnswer.Done()));
            } else {
              openResets.add(reset.question());
            }
          }
          default -> {}
        }
      }
    }
  }

  private void pass(long millis) {
    long end = now + millis;
    while (!machine().isGone() && now < end) {
      if (ownerLives) {
        disk.set(0, owner(Beat.State.ALIVE, ++ownerSequence));
      }
      now = Math.max(now, Math.min(end, machine().deadline()));
      give(new Event.Tick());
    }
  }

  private static Slot owner(Beat.State state, long sequence) {
    return new Slot.Taken(new Beat(OWNER, 5, sequence, state, LEASE, "owner"));
  }

  private boolean isPreempted() {
    return done.indexOf(
            a -> a instanceof Action.Array asked && asked.command() instanceof ArrayCommand.Preempt)
        >= 0;
  }

  private static boolean marks(Action action) {
    return action instanceof Action.Disk asked
        && asked.command() instanceof DiskCommand.WriteBeat write
        && write.beat().state() == Beat.State.FENCED;
  }

  private void ownerOnDisk() {
    array.execute(OWNER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, OWNER, false));
    array.execute(OWNER_NEXUS, new ArrayCommand.Reserve(OWNER));
    disk.set(0, owner(Beat.State.ALIVE, 1));
  }

  private String options() {
    return takeover == null ? "" : "mxfs.takeover";
  }

  /** A member, with a slot, that wants the volume. */
  private void start() {
    join();
    give(new Event.Want());
  }

  private void join() {
    ownerOnDisk();
    ownerLives = true;
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.PeerUp(OWNER, 5, "owner", options(), true));
    if (hasSlot) {
      disk.set(1, new Slot.Taken(new Beat(machine().key(), 5, 1, Beat.State.RESERVED, 0, "")));
    }
    pass(5_000);
  }

  private void ownerDies() {
    ownerLives = false;
    give(new Event.PeerDown(OWNER.nodeId()));
  }

  @Test
  void aSilentOwnerIsShutOutFencedMarkedAndThenXfsIsAttached() {
    start();
    ownerDies();
    pass(LEASE + LEASE / 4);
    assertThat(isPreempted()).as("its lease and a margin").isFalse();
    pass(6_000);
    assertThat(isPreempted()).isTrue();
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    int reset = done.indexOf(Action.ResetUnit.class::isInstance);
    int marked = done.indexOf(OwnershipTakeoverTest::marks);
    int attach = done.indexOf(Action.Attach.class::isInstance);
    assertThat(List.of(0, reset, marked, attach)).isSorted().doesNotContain(-1);
    assertThat(((Slot.Taken) disk.get(0)).beat().state()).isEqualTo(Beat.State.FENCED);
    give(new Event.Attached(done.of(Action.Attach.class).getLast().epoch(), 0, 1, ""));
    assertThat(done.notes("taken over from " + OWNER)).hasSize(1);
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
  }

  @Test
  void anOwnerThatBeatsIsLeftAlone() {
    start();
    give(new Event.PeerDown(OWNER.nodeId()));
    pass(200_000);
    assertThat(isPreempted()).isFalse();
    assertThat(array.isRegistered(OWNER_NEXUS)).isTrue();
  }

  @Test
  void withoutTheSettingASilentOwnerIsWaitedFor() {
    takeover = null;
    start();
    ownerDies();
    pass(200_000);
    assertThat(isPreempted()).isFalse();
    assertThat(done.of(Action.ResetUnit.class)).isEmpty();
  }

  @Test
  void nothingIsAttachedOrGrantedWhileTheResetIsUnderWay() {
    answersResets = false;
    start();
    ownerDies();
    pass(100_000);
    assertThat(openResets).hasSize(1);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    assertThat(done.of(Action.Fenced.class)).as("its own lease goes on").isEmpty();
    give(new Event.UnitReset(openResets.remove() + 1, new ArrayAnswer.Done()));
    pass(2_000);
    assertThat(done.of(Action.Attach.class)).as("the answer to another one").isEmpty();
    answersResets = true;
    give(new Event.UnitReset(1, new ArrayAnswer.Done()));
    pass(3_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** A disk of which nothing is known: as long as a command can live. */
  @Test
  void whereAResetDoesNotReachItIsWaited() {
    takeover = FencingSettings.UNKNOWN_DISK;
    start();
    ownerDies();
    pass(300_000);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    pass(60_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(done.of(Action.ResetUnit.class)).isEmpty();
  }

  /** Its last beat was under way when it was shut out: its lease counts anew from that. */
  @Test
  void aBeatThatLandsLateMakesItWaitForTheLeaseAgain() {
    answersResets = false;
    start();
    ownerDies();
    pass(LEASE + LEASE / 4 + 6_000);
    assertThat(openResets).hasSize(1);
    disk.set(0, owner(Beat.State.ALIVE, ++ownerSequence));
    answersResets = true;
    give(new Event.UnitReset(openResets.remove(), new ArrayAnswer.Done()));
    pass(LEASE);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    pass(LEASE / 4 + 6_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  private void lateRegister() {
    array.execute(OWNER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, OWNER, false));
  }

  /** Danger 39: it was under way when the victim died, and comes when all was proven. */
  @Test
  void aVictimThatIsRegisteredAgainStaysOne() {
    answersResets = false;
    start();
    ownerDies();
    pass(LEASE + LEASE / 4 + 6_000);
    // Its last beat, which makes it wait between the proof and the mark.
    disk.set(0, owner(Beat.State.ALIVE, ++ownerSequence));
    answersResets = true;
    give(new Event.UnitReset(openResets.remove(), new ArrayAnswer.Done()));
    lateRegister();
    pass(LEASE);
    assertThat(array.isRegistered(OWNER_NEXUS)).isTrue();
    assertThat(done.of(Action.Attach.class)).as("with the victim registered").isEmpty();
    pass(LEASE / 4 + 6_000);
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
    assertThat(done.of(Action.ResetUnit.class)).as("it may have written since").hasSize(2);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(((Slot.Taken) disk.get(0)).beat().state()).isEqualTo(Beat.State.FENCED);
  }

  /** It stood still; that its record moves again says nothing of what it had under way. */
  @Test
  void aVictimThatBeatsAgainStaysOneUntilItIsSilentAgain() {
    answersResets = false;
    start();
    ownerDies();
    pass(LEASE + LEASE / 4 + 6_000);
    lateRegister();
    answersResets = true;
    ownerLives = true;
    pass(10_000);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    assertThat(array.isRegistered(OWNER_NEXUS)).as("who beats is not shut out").isTrue();
    ownerLives = false;
    pass(LEASE + LEASE / 4 + 8_000);
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** It gave the volume away, stood still, and others may have begun to shut it out. */
  @Test
  void whoComesBackAfterItsLeaseComesBackAsAnother() {
    start();
    ReservationKey before = machine().key();
    give(new Event.Received(OWNER, 5, new PeerMessage.OwnGrant(1, 6, 0, List.of())));
    pass(2_000);
    give(new Event.Attached(done.of(Action.Attach.class).getLast().epoch(), 0, 1, ""));
    array.execute(OWNER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, OWNER, false));
    give(new Event.Received(OWNER, 6, new PeerMessage.OwnRequest(1)));
    pass(1_000);
    give(new Event.Detached(done.of(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    pass(100);
    assertThat(done.of(Action.Send.class).getLast().message())
        .isInstanceOf(PeerMessage.OwnGrant.class);
    array.execute(OWNER_NEXUS, new ArrayCommand.Preempt(OWNER, before));
    now += LEASE + 2_000;
    pass(2_000);
    assertThat(machine().key()).isNotEqualTo(before);
    assertThat(array.key(NEXUS)).isEqualTo(machine().key());
    assertThat(done.of(Action.Fenced.class)).isEmpty();
  }

  /**
   * It was shut out by somebody who has gone since, and a REGISTER of it came late: for this node
   * it is a member that is dead.
   */
  @Test
  void whoIsRegisteredAndDoesNotBeatIsShutOutBeforeXfsIsAttached() {
    lateRegister();
    disk.set(0, owner(Beat.State.ALIVE, 1));
    give(new Event.Start(Predecessor.NOBODY));
    pass(10_000);
    give(new Event.Want());
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(done.of(Action.Attach.class)).isEmpty();
    pass(LEASE + LEASE / 4);
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
    assertThat(done.of(Action.ResetUnit.class)).hasSize(1);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  @Test
  void whoIsRegisteredAndBeatsIsWaitedForAFewBeatsOnly() {
    lateRegister();
    ownerLives = true;
    give(new Event.Start(Predecessor.NOBODY));
    pass(4_500);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(array.isRegistered(OWNER_NEXUS)).isTrue();
  }

  /** It has shut the owner out and dies; a second one finds that on the disk. */
  @Test
  void whoFindsASlotOfOneThatIsNotRegisteredFencesIt() {
    start();
    ownerDies();
    array.execute(OWNER_NEXUS, new ArrayCommand.Unregister(OWNER, false));
    pass(LEASE);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    pass(LEASE / 4 + 6_000);
    assertThat(done.of(Action.ResetUnit.class)).hasSize(1);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(((Slot.Taken) disk.get(0)).beat().state()).isEqualTo(Beat.State.FENCED);
  }

  @Test
  void whoReadsThatItWasShutOutIsFenced() {
    start();
    disk.set(1, new Slot.Taken(new Beat(machine().key(), 5, 9_000, Beat.State.FENCED, 0, "host")));
    pass(2_000);
    assertThat(done.of(Action.Fenced.class)).hasSize(1);
  }

  /** Danger 37: it would attach where an owner that was shut out has writes under way. */
  @Test
  void whoHasTakeoverAndWhoHasNotDoNotMountTheSameVolume() {
    for (boolean here : List.of(true, false)) {
      takeover = here ? RESET : null;
      running = null;
      done.all.clear();
      ownerOnDisk();
      give(new Event.Start(Predecessor.NOBODY));
      give(new Event.PeerUp(OWNER, 5, "owner", here ? "" : "mxfs.takeover", true));
      assertThat(done.of(Action.Attach.class)).isEmpty();
      pass(5_000);
      assertThat(done.of(Action.Fail.class))
          .singleElement()
          .satisfies(
              fail -> {
                assertThat(fail.errno()).isEqualTo(Errno.EINVAL);
                assertThat(fail.message())
                    .contains("00000010 (owner)", here ? "without takeover" : "with takeover");
              });
    }
  }

  /** Both were mounting when nobody owned the volume, or its daemon came back with another. */
  @Test
  void whoSeesANodeWithoutTakeoverShutsNobodyOut() {
    start();
    give(new Event.PeerUp(ReservationKey.of(0x30, 1), 5, "third", "", true));
    give(new Event.PeerDown(0x30));
    ownerDies();
    pass(200_000);
    assertThat(isPreempted()).isFalse();
  }

  private void reserveUnsettled() {
    array.execute(OWNER_NEXUS, new ArrayCommand.Unregister(OWNER, false));
  }

  /** Danger 40: an error of looking is no word on who was shut out. */
  @Test
  void whereTheLookForTheLockStateFailedItIsWaitedAsLongAsACommandCanLive() {
    lockstate = new Lockstate(0, null, 5, "it cannot be looked for: EIO");
    start();
    ownerDies();
    reserveUnsettled();
    pass(CommandLife.MILLIS);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    pass(10_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** None of this volume's was ever there, so nobody has beaten. */
  @Test
  void whereThereIsNoLockStateNobodyIsWaitedFor() {
    lockstate = new Lockstate(0, null, 2, "there is none");
    start();
    ownerDies();
    reserveUnsettled();
    pass(3_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** Danger 45: it never had a slot, so nobody would see that it does not go on. */
  @Test
  void whereTheSlotsCannotBeReadItIsWaitedAsLongAsACommandCanLive() {
    hasSlot = false;
    start();
    ownerDies();
    memory.reading = new DiskAnswer.Foreign("another volume is there");
    array.execute(OWNER_NEXUS, new ArrayCommand.Unregister(OWNER, false));
    pass(10_000);
    give(new Event.PeerUp(WAITER, 5, "waiter", options(), true));
    give(new Event.Received(WAITER, 5, new PeerMessage.OwnRequest(3)));
    pass(60_000);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    assertThat(done.of(Action.Send.class))
        .filteredOn(send -> send.message() instanceof PeerMessage.OwnBusy)
        .as("who waits is told, and not each second")
        .hasSizeBetween(3, 8);
    pass(CommandLife.MILLIS);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** Danger 43: a reading hangs while the owner comes to life again. */
  @Test
  void aProofOfSilenceGrowsOld() {
    join();
    ownerDies();
    pass(LEASE + LEASE / 4 + 5_000);
    hangs = DiskCommand.ReadBeats.class;
    pass(4_000);
    give(new Event.Want());
    pass(4_000);
    assertThat(isPreempted()).isFalse();
  }

  /** Danger 46. */
  @Test
  void aPreemptThatDoesNotTakeIsNotTriedAgainAtOnce() {
    start();
    ownerDies();
    refusesPreempt = true;
    pass(LEASE + LEASE / 4 + 5_000);
    long before = preempts();
    assertThat(before).isPositive();
    pass(10_000);
    assertThat(preempts() - before).as("in 10 s").isBetween(1L, 30L);
  }

  private long preempts() {
    return done.of(Action.Array.class).stream()
        .filter(asked -> asked.command() instanceof ArrayCommand.Preempt)
        .count();
  }

  /** Danger 41: mount(2) waits for 30 s, and silence takes 27 s. */
  @Test
  void aMountReturnsWhileItsOwnerIsSilentAndTakesOverAfterwards() {
    ownerOnDisk();
    give(new Event.Start(Predecessor.NOBODY));
    pass(8_000);
    assertThat(done.of(Action.Ready.class)).containsExactly(new Action.Ready(Role.MEMBER, true));
    assertThat(isPreempted()).isFalse();
    disk.set(1, new Slot.Taken(new Beat(machine().key(), 5, 1, Beat.State.RESERVED, 0, "")));
    give(new Event.Want());
    pass(LEASE + LEASE / 4 + 8_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(done.of(Action.Fail.class)).isEmpty();
  }

  /** It lives, and this node cannot reach it: as without takeover. */
  @Test
  void aMountWhoseOwnerBeatsAndIsNotReachedFails() {
    ownerOnDisk();
    ownerLives = true;
    give(new Event.Start(Predecessor.NOBODY));
    pass(12_000);
    assertThat(done.of(Action.Fail.class))
        .singleElement()
        .satisfies(fail -> assertThat(fail.errno()).isEqualTo(Errno.EHOSTUNREACH));
    assertThat(isPreempted()).isFalse();
  }

  /** It has the reservation, and what a dead owner had under way takes 303 s to end. */
  @Test
  void aMountReturnsBeforeItsTenureIsSettled() {
    takeover = FencingSettings.UNKNOWN_DISK;
    disk.set(0, owner(Beat.State.ALIVE, 1));
    give(new Event.Start(Predecessor.NOBODY));
    pass(8_000);
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(done.of(Action.Ready.class)).containsExactly(new Action.Ready(Role.MEMBER, true));
    assertThat(done.of(Action.Attach.class)).isEmpty();
    give(new Event.Want());
    pass(CommandLife.MILLIS + LEASE + LEASE / 4 + 10_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  @Test
  void takeoverNeedsHeartbeats() {
    assertThatThrownBy(
            () ->
                new OwnershipSettings(
                    NODE, 1, 1, LEASE, 100, "volume", "device", "", 0, "host", RESET))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
