// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
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
import org.mxfs.daemon.core.Role;
import org.mxfs.daemon.core.membership.Beat;
import org.mxfs.daemon.core.membership.MemorySlots;
import org.mxfs.daemon.core.membership.Slot;

/** One machine with a heartbeat, driven by hand, against {@link SimulatedArray} and slots. */
class OwnershipBeatsTest {
  private static final int NODE = 0x20;
  private static final ReservationKey PEER = ReservationKey.of(0x10, 7);
  private static final int NEXUS = 1;
  private static final int PEER_NEXUS = 2;
  private static final long LEASE = 20_000;
  private static final int ESTALE = 116;

  private final Driver driver = new Driver(() -> settings(1_000));
  private final SimulatedArray array = driver.array;
  private final Ownership machine = driver.machine();
  private final Deeds done = driver.done;
  private final MemorySlots memory = driver.memory;
  private final List<Slot> disk = driver.disk;

  private static OwnershipSettings settings(long beatMillis) {
    return new OwnershipSettings(NODE, 1_000, 1, LEASE, 100, "volume", "device", "")
        .withBeats(beatMillis, "host");
  }

  private void give(Event event) {
    driver.give(event);
  }

  private void pass(long millis) {
    driver.pass(millis);
  }

  /** Writes are not answered while the disk stalls. */
  private void stalled(boolean now) {
    driver.holds =
        now
            ? a ->
                Driver.asksDisk(a, DiskCommand.WriteBeat.class)
                    || Driver.asksDisk(a, DiskCommand.FreeSlot.class)
            : _ -> false;
  }

  /** Readings are not answered. */
  private void blind(boolean now) {
    driver.holds = now ? a -> Driver.asksDisk(a, DiskCommand.ReadBeats.class) : _ -> false;
  }

  private static boolean writes(Action action, Beat.State state) {
    return action instanceof Action.Disk asked
        && asked.command() instanceof DiskCommand.WriteBeat write
        && write.beat().state() == state;
  }

  private void peerOwns() {
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    array.execute(PEER_NEXUS, new ArrayCommand.Reserve(PEER));
  }

  private void startAsOwner() {
    give(new Event.Start(Predecessor.NOBODY));
    attached();
    assertThat(done.of(Action.Ready.class)).containsExactly(new Action.Ready(Role.OWNER, true));
  }

  /** The peer owns the volume, and gives it to us, saying this epoch. */
  private void granted(long epoch) {
    give(new Event.Want());
    long request =
        done.of(Action.Send.class).stream()
            .filter(send -> send.message() instanceof PeerMessage.OwnRequest)
            .map(send -> ((PeerMessage.OwnRequest) send.message()).requestId())
            .reduce((_, second) -> second)
            .orElseThrow();
    give(new Event.Received(PEER, 9, new PeerMessage.OwnGrant(request, epoch, 1, List.of())));
  }

  private void peerLeaves() {
    array.execute(PEER_NEXUS, new ArrayCommand.Unregister(PEER, false));
    give(new Event.Received(PEER, 9, new PeerMessage.Leave()));
  }

  private void attached() {
    give(new Event.Attached(done.of(Action.Attach.class).getLast().epoch(), 0, 1_000_000, ""));
  }

  private void startAsMember() {
    peerOwns();
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.PeerUp(PEER, 5, "peer", "", true));
    assertThat(done.of(Action.Ready.class)).containsExactly(new Action.Ready(Role.MEMBER, true));
    disk.set(3, new Slot.Taken(new Beat(machine.key(), 5, 1, Beat.State.RESERVED, 0, "")));
    pass(2_000);
    assertThat(mine().state()).isEqualTo(Beat.State.ALIVE);
  }

  private Beat mine() {
    return disk.stream()
        .filter(Slot.Taken.class::isInstance)
        .map(slot -> ((Slot.Taken) slot).beat())
        .filter(beat -> beat.key().equals(machine.key()))
        .findFirst()
        .orElseThrow();
  }

  private long leaseEnd() {
    return done.of(Action.Lease.class).getLast().untilMillis();
  }

  @Test
  void withoutTheSettingNothingIsAskedForAndNothingTouched() {
    Ownership plain = new Ownership(settings(0));
    List<Action> actions =
        new ArrayList<>(plain.step(new Event.Start(Predecessor.NOBODY), driver.now));
    for (int i = 0; i < actions.size(); i++) {
      if (actions.get(i) instanceof Action.Array asked) {
        actions.addAll(
            plain.step(asked.answered(array.execute(NEXUS, asked.command())), ++driver.now));
      }
    }
    assertThat(actions).anyMatch(Action.Attach.class::isInstance);
    assertThat(actions)
        .noneMatch(a -> a instanceof Action.Disk || a instanceof Action.AskLockstate);
  }

  @Test
  void theEpochIsOnDiskBeforeXfsIsAttached() {
    startAsOwner();
    int beat = done.indexOf(a -> writes(a, Beat.State.ALIVE));
    int attach = done.indexOf(Action.Attach.class::isInstance);
    assertThat(beat).isNotNegative().isLessThan(attach);
    assertThat(mine().epoch()).isEqualTo(done.of(Action.Attach.class).getFirst().epoch());
    assertThat(driver.now).isLessThan(100_050);
  }

  /** Danger 21. */
  @Test
  void aTenureBeginsAboveEveryEpochOnDisk() {
    disk.set(9, new Slot.Free(700, 1));
    startAsOwner();
    assertThat(done.of(Action.Attach.class).getFirst().epoch()).isEqualTo(701);
  }

  /** Danger 28: the array counts from 0, and what the disk has is not read yet. */
  @Test
  void aTenureWaitsForAReadingAfterTheReservation() {
    disk.set(9, new Slot.Free(700, 1));
    blind(true);
    give(new Event.Start(Predecessor.NOBODY));
    pass(OwnershipSettings.DISK_MILLIS - 500);
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(done.of(Action.Attach.class)).isEmpty();
    blind(false);
    driver.release();
    assertThat(done.of(Action.Attach.class).getFirst().epoch()).isEqualTo(701);
  }

  /** Danger 28. */
  @Test
  void aReadingFromBeforeTheReservationIsNotEnough() {
    startAsMember();
    disk.set(9, new Slot.Free(900, 1));
    peerLeaves();
    give(new Event.Want());
    pass(500);
    assertThat(done.of(Action.Attach.class).getFirst().epoch()).isEqualTo(901);
  }

  /** Danger 28. */
  @Test
  void aDiskThatCannotBeReadIsNotWaitedForLonger() {
    memory.reading = new DiskAnswer.Failed("EIO");
    give(new Event.Start(Predecessor.NOBODY));
    pass(OwnershipSettings.DISK_MILLIS - 500);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    pass(OwnershipSettings.DISK_MILLIS + 1_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** Danger 28: what is told is believed where the disk says so, too. */
  @Test
  void anEpochThatIsFarAheadOfTheArrayIsLookedForOnDisk() {
    startAsMember();
    disk.set(9, new Slot.Free(200_000, 1));
    granted(200_001);
    pass(500);
    assertThat(done.of(Action.Attach.class).getFirst().epoch()).isEqualTo(200_001);
  }

  @Test
  void aGrantIsNotHeldUpByAReading() {
    startAsMember();
    blind(true);
    granted(30);
    assertThat(done.of(Action.Lease.class)).isNotEmpty();
    assertThat(machine.epoch()).as("a tenure has begun").isEqualTo(30);
  }

  @Test
  void theLeaseNeedsBothProofs() {
    startAsOwner();
    pass(30_000);
    assertThat(leaseEnd()).isGreaterThan(driver.now + LEASE - 7_000);
    memory.answer = new DiskAnswer.Failed("EIO");
    long last = driver.now;
    pass(15_000);
    assertThat(leaseEnd()).as("READ KEYS alone extends nothing").isLessThan(last + LEASE);
    memory.answer = null;
    pass(6_000);
    assertThat(leaseEnd()).isGreaterThan(driver.now + LEASE - 7_000);
    // And beats alone do not, either.
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    pass(6_000);
    assertThat(done.of(Action.Fenced.class)).hasSize(1);
  }

  @Test
  void aWriteThatTheArrayRefusesMakesItLookAtItsKeyAtOnce() {
    startAsMember();
    pass(6_000);
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    memory.answer = new DiskAnswer.Refused("reservation conflict");
    pass(1_100);
    assertThat(done.of(Action.Fenced.class)).hasSize(1);
  }

  private void allSlotsAreTaken(boolean registered) {
    for (int i = 0; i < 64; i++) {
      ReservationKey key = ReservationKey.of(0x100 + i, 1);
      disk.set(i, new Slot.Taken(new Beat(key, 1, 1, Beat.State.ALIVE, LEASE, "other")));
      if (registered) {
        array.execute(100 + i, new ArrayCommand.Register(ReservationKey.NONE, key, false));
      }
    }
  }

  /** Danger 29. */
  @Test
  void whoCrashedAndIsNotRegisteredKeepsNobodyOut() {
    allSlotsAreTaken(false);
    peerOwns();
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.PeerUp(PEER, 5, "peer", "", true));
    pass(OwnershipSettings.PEER_WAIT_MILLIS + 100);
    assertThat(done.of(Action.Ready.class)).containsExactly(new Action.Ready(Role.MEMBER, true));
  }

  /** Danger 29. */
  @Test
  void whoIsRegisteredAloneMounts() {
    allSlotsAreTaken(false);
    startAsOwner();
  }

  /** Danger 31. */
  @Test
  void whoCanNeverBeatAgainAsksForNothing() {
    startAsMember();
    memory.reading = new DiskAnswer.Foreign("another volume");
    pass(2_000);
    assertThat(done.notes("no more heartbeats")).hasSize(1);
    give(new Event.Want());
    pass(3_000);
    assertThat(done.of(Action.Send.class))
        .noneMatch(send -> send.message() instanceof PeerMessage.OwnRequest);
    peerLeaves();
    pass(3_000);
    assertThat(array.holds(NEXUS)).isFalse();
  }

  /** Danger 3. */
  @Test
  void aMountWithoutAFreeSlotFailsBeforeItWantsTheVolume() {
    allSlotsAreTaken(true);
    peerOwns();
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.PeerUp(PEER, 5, "peer", "", true));
    pass(OwnershipSettings.PEER_WAIT_MILLIS + 100);
    assertThat(done.of(Action.Fail.class))
        .singleElement()
        .satisfies(
            fail -> {
              assertThat(fail.errno()).isEqualTo(Errno.EBUSY);
              assertThat(fail.message()).contains("all heartbeat slots");
            });
    assertThat(array.isRegistered(NEXUS)).isFalse();
    assertThat(done.of(Action.Send.class))
        .noneMatch(send -> send.message() instanceof PeerMessage.OwnRequest);
    assertThat(done.of(Action.Disk.class))
        .noneMatch(asked -> asked.command() instanceof DiskCommand.WriteBeat);
  }

  /** Danger 3. */
  @Test
  void anOwnerWhoseEpochCannotBeWrittenLetsOthersHaveTheVolume() {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(50)));
    give(new Event.Detached(done.of(Action.Attach.class).getLast().epoch(), 0, 1_000, ""));
    // The peer takes it, and gives it back.
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    give(new Event.Received(PEER, 9, new PeerMessage.OwnTaken(9)));
    give(new Event.Want());
    memory.answer = new DiskAnswer.Failed("EIO");
    long request =
        done.of(Action.Send.class).stream()
            .filter(send -> send.message() instanceof PeerMessage.OwnRequest)
            .map(send -> ((PeerMessage.OwnRequest) send.message()).requestId())
            .reduce((_, second) -> second)
            .orElseThrow();
    done.all.clear();
    give(new Event.Received(PEER, 9, new PeerMessage.OwnGrant(request, 10, 1, List.of())));
    assertThat(array.holds(NEXUS)).isTrue();
    give(new Event.Received(PEER, 9, new PeerMessage.OwnRequest(51)));
    pass(OwnershipSettings.DISK_MILLIS - 100);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    assertThat(done.of(Action.Send.class)).isEmpty();
    give(new Event.PeerUp(PEER, 9, "peer", "", true));
    give(new Event.Received(PEER, 9, new PeerMessage.OwnRequest(51)));
    pass(OwnershipSettings.LAST_RECORD_MILLIS + 500);
    assertThat(done.of(Action.Send.class))
        .anyMatch(send -> send.message() instanceof PeerMessage.OwnGrant);
    assertThat(done.notes("cannot be written to the heartbeat slot")).hasSize(1);
    assertThat(done.of(Action.Attach.class)).isEmpty();
  }

  /** Danger 4. */
  @Test
  void aDeviceWithoutReservationsHasNoBeats() {
    List<Action> actions =
        new ArrayList<>(machine.step(new Event.Start(Predecessor.NOBODY), driver.now));
    Action.Array asked =
        actions.stream()
            .filter(Action.Array.class::isInstance)
            .map(Action.Array.class::cast)
            .findFirst()
            .orElseThrow();
    machine.step(asked.answered(new ArrayAnswer.Unsupported("none")), driver.now);
    give(new Event.LockstateTold(driver.lockstate));
    pass(OwnershipSettings.LISTEN_MILLIS);
    attached();
    pass(30_000);
    assertThat(done.of(Action.Ready.class)).hasSize(1);
    assertThat(done.of(Action.Disk.class)).isEmpty();
    assertThat(leaseEnd()).isGreaterThan(driver.now);
    assertThat(done.of(Action.Attach.class)).noneMatch(Action.Attach::alone);
  }

  /** Danger 5. */
  @Test
  void aloneIsWhoWasJustSeenToBe() {
    startAsOwner();
    assertThat(done.of(Action.Attach.class)).singleElement().matches(Action.Attach::alone);
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(50)));
    give(new Event.Detached(done.of(Action.Attach.class).getLast().epoch(), 0, 1_000, ""));
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    give(new Event.Received(PEER, 9, new PeerMessage.OwnTaken(9)));
    give(new Event.Want());
    long request =
        done.of(Action.Send.class).stream()
            .filter(send -> send.message() instanceof PeerMessage.OwnRequest)
            .map(send -> ((PeerMessage.OwnRequest) send.message()).requestId())
            .reduce((_, second) -> second)
            .orElseThrow();
    done.all.clear();
    // Who gives it loses its registration by that, and comes back.
    give(new Event.Received(PEER, 9, new PeerMessage.OwnGrant(request, 10, 1, List.of())));
    assertThat(array.isRegistered(PEER_NEXUS)).isFalse();
    assertThat(done.of(Action.Attach.class)).singleElement().matches(a -> !a.alone());
  }

  /** Danger 27. */
  @Test
  void aloneIsNobodyWhoSeesAnotherBeforeItAttaches() {
    stalled(true);
    give(new Event.Start(Predecessor.NOBODY));
    assertThat(done.of(Action.Attach.class)).isEmpty();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.UnitAttention("REGISTRATIONS PREEMPTED"));
    stalled(false);
    driver.release();
    assertThat(done.of(Action.Attach.class)).singleElement().matches(a -> !a.alone());
  }

  /** Danger 27. */
  @Test
  void whoWaitsForItsEpochIsAloneStill() {
    stalled(true);
    give(new Event.Start(Predecessor.NOBODY));
    pass(2_000);
    stalled(false);
    driver.release();
    assertThat(done.of(Action.Attach.class)).singleElement().matches(Action.Attach::alone);
  }

  /** Danger 27. */
  @Test
  void thatItIsAloneGrowsOld() {
    stalled(true);
    give(new Event.Start(Predecessor.NOBODY));
    pass(OwnershipSettings.DISK_MILLIS + 100);
    assertThat(done.of(Action.Attach.class)).singleElement().matches(a -> !a.alone());
  }

  /** Danger 27: who is not registered at the moment comes back. */
  @Test
  void aloneIsNobodyWhoHasSeenAnotherInThisMount() {
    startAsMember();
    peerLeaves();
    give(new Event.Want());
    pass(500);
    assertThat(done.of(Action.Attach.class)).singleElement().matches(a -> !a.alone());
  }

  /** Danger 13. */
  @Test
  void aGrantFollowsTheLastRecord() {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(50)));
    done.all.clear();
    give(new Event.Detached(machine.epoch(), 0, 1_000, ""));
    int paused = done.indexOf(a -> writes(a, Beat.State.PAUSED));
    int grant =
        done.indexOf(
            a -> a instanceof Action.Send s && s.message() instanceof PeerMessage.OwnGrant);
    assertThat(paused).isNotNegative().isLessThan(grant);
    assertThat(mine().state()).isEqualTo(Beat.State.PAUSED);
  }

  /** Danger 3. */
  @Test
  void aGrantDoesNotWaitForADiskThatStallsForLongerThanASecond() {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(50)));
    stalled(true);
    give(new Event.Detached(machine.epoch(), 0, 1_000, ""));
    pass(OwnershipSettings.LAST_RECORD_MILLIS - 10);
    assertThat(done.of(Action.Send.class)).isEmpty();
    pass(20);
    assertThat(done.of(Action.Send.class)).isNotEmpty();
    // And who is not registered any more does not register before its write has ended.
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    give(new Event.Received(PEER, 9, new PeerMessage.OwnTaken(9)));
    pass(5_000);
    assertThat(array.isRegistered(NEXUS)).isFalse();
    stalled(false);
    give(
        ((Action.Disk) driver.held.remove())
            .answered(new DiskAnswer.Refused("reservation conflict")));
    pass(500);
    assertThat(array.isRegistered(NEXUS)).isTrue();
  }

  /** Danger 13. */
  @Test
  void leavingGivesTheSlotBackBeforeTheKey() {
    startAsOwner();
    pass(3_000);
    done.all.clear();
    give(new Event.Leave());
    int free =
        done.indexOf(
            a -> a instanceof Action.Disk d && d.command() instanceof DiskCommand.FreeSlot);
    int key =
        done.indexOf(
            a -> a instanceof Action.Array c && c.command() instanceof ArrayCommand.Unregister);
    assertThat(free).isNotNegative().isLessThan(key);
    assertThat(disk).allMatch(Slot.Free.class::isInstance);
    assertThat(done.of(Action.Left.class)).containsExactly(new Action.Left(Errno.NONE, false));
  }

  /** Danger 18. */
  @Test
  void leavingDoesNotWaitForADiskThatStalls() {
    startAsOwner();
    stalled(true);
    give(new Event.Leave());
    pass(OwnershipSettings.LAST_RECORD_MILLIS + 100);
    assertThat(done.of(Action.Left.class)).containsExactly(new Action.Left(Errno.NONE, false));
    assertThat(array.isRegistered(NEXUS)).isFalse();
  }

  @Test
  void whereTheAttachHasMadeTheFileBeatsBegin() {
    driver.lockstate = new Lockstate(0, null, 2, "there is none");
    give(new Event.Start(Predecessor.NOBODY));
    assertThat(done.of(Action.Attach.class)).singleElement().matches(Action.Attach::alone);
    driver.lockstate = new Lockstate(1, SimulatedDisk.MAP, 0, "");
    attached();
    pass(6_000);
    assertThat(mine().state()).isEqualTo(Beat.State.ALIVE);
    assertThat(mine().epoch()).isEqualTo(machine.epoch());
  }

  /** Danger 22. */
  @Test
  void anAttachThatFailsAsksWhereTheLockStateIsNow() {
    give(new Event.Start(Predecessor.NOBODY));
    assertThat(done.of(Action.AskLockstate.class)).hasSize(1);
    long epoch = done.of(Action.Attach.class).getLast().epoch();
    give(new Event.Attached(epoch, ESTALE, 0, "XFS cannot be mounted"));
    long question = done.of(Action.AskKernel.class).getLast().question();
    give(new Event.Status(question, KernelState.DETACHED, 0, false));
    assertThat(done.of(Action.AskLockstate.class)).hasSize(2);
  }

  /** Danger 8. */
  @Test
  void aRestartedDaemonOfAnOwnerExtendsTheLeaseOnceItHasBeaten() {
    startAsOwner();
    ReservationKey key = machine.key();
    Ownership next =
        new Ownership(
            new OwnershipSettings(NODE, 1_001, 1 << 20, LEASE, 100, "volume", "device", "")
                .withBeats(1_000, "host"));
    Predecessor before =
        new Predecessor(
            key, machine.epoch(), org.mxfs.daemon.core.KernelState.ATTACHED, true, false, false);
    List<Action> actions = new ArrayList<>(next.step(new Event.Start(before), driver.now));
    List<Action.Disk> disks = new ArrayList<>();
    for (int i = 0; i < actions.size(); i++) {
      switch (actions.get(i)) {
        case Action.Array asked ->
            actions.addAll(
                next.step(asked.answered(array.execute(NEXUS, asked.command())), ++driver.now));
        case Action.AskLockstate _ ->
            actions.addAll(next.step(new Event.LockstateTold(driver.lockstate), driver.now));
        case Action.Disk asked -> disks.add(asked);
        default -> {}
      }
    }
    assertThat(actions).noneMatch(Action.Lease.class::isInstance);
    while (!disks.isEmpty()) {
      Action.Disk asked = disks.removeFirst();
      List<Action> more = next.step(asked.answered(memory.execute(asked.command())), ++driver.now);
      actions.addAll(more);
      more.forEach(
          action -> {
            if (action instanceof Action.Disk disk) {
              disks.add(disk);
            }
          });
    }
    assertThat(actions).anyMatch(Action.Lease.class::isInstance);
  }
}
