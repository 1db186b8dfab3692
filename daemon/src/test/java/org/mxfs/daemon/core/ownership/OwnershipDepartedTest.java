// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.mxfs.daemon.core.Action;
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

  private @Nullable FencingSettings takeover = FencingSettings.RESET_ENDS_ALL;
  private int node = NODE;
  private long unixSeconds = 1_000;
  private final Driver driver =
      new Driver(
          () ->
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
  private final SimulatedArray array = driver.array;
  private final List<Slot> disk = driver.disk;
  private final Deeds done = driver.done;

  OwnershipDepartedTest() {
    driver.kernel = KernelState.DETACHED;
  }

  private Ownership machine() {
    return driver.machine();
  }

  private void give(Event event) {
    driver.give(event);
  }

  private void pass(long millis) {
    driver.pass(millis);
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
    driver.end();
    node = whichNode;
    driver.nexus = whichNexus;
    unixSeconds += 100;
    driver.now += 1_000;
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
    assertThat(array.holds(driver.nexus)).as("the disk stays reserved").isTrue();
    assertThat(array.key(driver.nexus)).isEqualTo(key);
    assertThat(done.notes("stays registered")).hasSize(1);
    // Its registration is not gone.
    assertThat(done.of(Action.Broadcast.class))
        .doesNotContain(new Action.Broadcast(new PeerMessage.Leave()));
  }

  private void assertGone() {
    assertThat(done.of(Action.Left.class)).containsExactly(new Action.Left(Errno.NONE, false));
    assertThat(array.isRegistered(driver.nexus)).isFalse();
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

  /** Danger 61: a beat that was under way landed over it, and a REGISTER of its own came late. */
  @Test
  void whoWasShutOutIsUnaccountedForWhateverItsSlotSays() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey mine = machine().key();
    disk.set(5, slot(FENCED, Beat.State.ALIVE));
    pass(1_500);
    array.execute(OTHER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, FENCED, false));
    umount();
    assertStays(mine);
  }

  /** As it was read of the tenure before; or it tells of this one. */
  private void mountBesideOneThatIsRegistered(long epoch) {
    disk.set(5, new Slot.Taken(new Beat(FENCED, epoch, 1, Beat.State.ALIVE, LEASE, "some")));
    array.execute(OTHER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, FENCED, false));
    give(new Event.Start(Predecessor.NOBODY));
    pass(10_000);
    assertThat(done.of(Action.Ready.class)).hasSize(1);
    assertThat(array.holds(NEXUS)).isTrue();
  }

  /** Danger 70: it was shut out by one that has left, and a REGISTER of its own came late. */
  @Test
  void whoDoesNotTellOfATenureThatIsNotSettledIsUnaccountedFor() {
    mountBesideOneThatIsRegistered(5);
    ReservationKey mine = machine().key();
    assertThat(done.of(Action.Attach.class)).isEmpty();
    umount();
    assertStays(mine);
    assertThat(done.notes("stays registered").getFirst().text()).contains(FENCED.toString());
  }

  /** Danger 70. */
  @Test
  void whoTellsOfATenureThatIsNotSettledIsAMember() {
    mountBesideOneThatIsRegistered(5);
    disk.set(
        5, new Slot.Taken(new Beat(FENCED, machine().epoch(), 2, Beat.State.ALIVE, LEASE, "some")));
    umount();
    assertGone();
  }

  /** Danger 70: the reservation is seen to be ours as this node leaves. */
  @Test
  void whoDoesNotTellOfTheLastTenureThatWasReadIsUnaccountedFor() {
    disk.set(5, slot(FENCED, Beat.State.ALIVE));
    disk.set(6, new Slot.Free(9, 1));
    array.execute(OTHER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, FENCED, false));
    driver.holds = action -> Driver.asks(action, ArrayCommand.Reserve.class);
    give(new Event.Start(Predecessor.NOBODY));
    pass(100);
    ReservationKey mine = machine().key();
    give(new Event.Leave());
    driver.holds = _ -> false;
    driver.release();
    pass(10_000);
    assertStays(mine);
  }

  @Test
  void withoutSuchAOneItGoesAsBefore() {
    disk.set(5, slot(OTHER, Beat.State.LEFT));
    mount();
    disk.set(6, slot(ReservationKey.of(0x40, 1), Beat.State.PAUSED));
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
    driver.lockstate = new Lockstate(0, null, 2, "there is none");
    mount();
    umount();
    assertGone();
  }

  /** Who was shut out stands in slots that nobody here can read. */
  @Test
  void whatCannotBeReadMayNameOne() {
    driver.lockstate = new Lockstate(0, null, 5, "an error of the disk");
    give(new Event.Start(Predecessor.NOBODY));
    pass(10_000);
    assertThat(done.of(Action.Attach.class)).as("danger 40").isEmpty();
    umount();
    assertThat(array.holds(driver.nexus)).isTrue();
    assertThat(done.notes("cannot be read")).isNotEmpty();
    assertThat(done.notes("could not be written")).hasSize(1);
    next(0x50, 7);
    array.execute(NEXUS, new ArrayCommand.Unregister(array.key(NEXUS), false));
    driver.lockstate = new Lockstate(1, SimulatedDisk.MAP, 0, "");
    disk.set(9, new Slot.Damaged(Slot.Kind.TORN, "torn before it was ever read"));
    give(new Event.Start(Predecessor.NOBODY));
    pass(10_000);
    umount();
    assertThat(array.holds(driver.nexus)).isTrue();
  }

  /** Danger 49: another had the volume meanwhile, and has shut one out. */
  @ParameterizedTest
  @ValueSource(strings = {"hangs", "fails", "is of another volume", "lacks that slot"})
  void nothingIsGivenUpByWhatWasReadBefore(String reading) {
    disk.set(5, new Slot.Free(3, 9));
    mount();
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    switch (reading) {
      case "hangs" -> driver.holds = a -> Driver.asksDisk(a, DiskCommand.ReadBeats.class);
      case "fails" -> driver.memory.reading = new DiskAnswer.Failed("EIO");
      case "is of another volume" -> driver.memory.reading = new DiskAnswer.Foreign("another");
      default -> disk.set(5, new Slot.Damaged(Slot.Kind.UNREADABLE, "EIO"));
    }
    umount();
    assertThat(done.of(Action.Left.class)).hasSize(1);
    assertThat(array.holds(NEXUS)).as("the disk stays reserved").isTrue();
    assertThat(done.notes("stays registered"))
        .singleElement()
        .satisfies(note -> assertThat(note.text()).contains("a slot that cannot be read"));
  }

  /** Danger 49: what is damaged may have had records; what was not looked for may have them. */
  @ParameterizedTest
  @ValueSource(ints = {61, 117})
  void onlyALockStateThatNobodyEverUsedNamesNobody(int errno) {
    driver.lockstate = new Lockstate(0, null, errno, "as the kernel says");
    give(new Event.Start(Predecessor.NOBODY));
    pass(10_000);
    umount();
    assertThat(array.holds(NEXUS)).isTrue();
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
    startAsMember();
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

  private void startAsMember() {
    array.execute(OTHER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, OTHER, false));
    array.execute(OTHER_NEXUS, new ArrayCommand.Reserve(OTHER));
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.PeerUp(OTHER, 5, "other", OwnershipSettings.options("", true), true));
    pass(3_000);
    assertThat(done.of(Action.Ready.class)).hasSize(1);
  }

  private long preempts() {
    return done.all.stream().filter(a -> Driver.asks(a, ArrayCommand.Preempt.class)).count();
  }

  /** Danger 57. */
  @Test
  void aPreemptOfOneThatHasLeftIsNotTriedAgainAtOnceIfItHasNoEffect() {
    startAsMember();
    disk.set(5, slot(OTHER, Beat.State.LEFT));
    driver.refuses = ArrayCommand.Preempt.class::isInstance;
    give(new Event.Want());
    pass(30_000);
    assertThat(preempts()).as("in 30 s").isBetween(10L, 30L);
    driver.refuses = _ -> false;
    pass(6_000);
    assertThat(array.holds(NEXUS)).isTrue();
  }

  /** Danger 57: the same by a grant, of which there is one for each request. */
  @Test
  void aPreemptByAGrantIsNotTriedAgainAtOnceIfItHasNoEffect() {
    startAsMember();
    driver.refuses = ArrayCommand.Preempt.class::isInstance;
    give(new Event.Want());
    for (int i = 0; i < 300; i++) {
      PeerMessage last = done.of(Action.Send.class).getLast().message();
      if (last instanceof PeerMessage.OwnRequest request) {
        give(
            new Event.Received(
                OTHER, 5, new PeerMessage.OwnGrant(request.requestId(), 9, 1, List.of())));
      }
      pass(100);
    }
    assertThat(preempts()).as("in 30 s").isBetween(10L, 30L);
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
    driver.end();
    give(new Event.Start(new Predecessor(mine, 9, KernelState.DETACHED, true, false, false)));
    give(new Event.Leave());
    pass(10_000);
    assertThat(array.holds(NEXUS)).isTrue();
    ReservationKey held = array.key(NEXUS);
    assertThat(records(Beat.State.LEFT)).extracting(Beat::key).contains(held);
    next(0x40, 4);
    mount();
  }

  /** Danger 56: others look for the key that they see on the array. */
  @Test
  void whoseKeyIsReplacedAtUmountStaysByTheNewOneOfWhichItsSlotSpeaks() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey before = machine().key();
    array.execute(OTHER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, OTHER, false));
    give(new Event.PeerUp(OTHER, 5, "other", OwnershipSettings.options("", true), true));
    give(new Event.Received(OTHER, 5, new PeerMessage.OwnRequest(3)));
    pass(1_000);
    give(new Event.Detached(done.of(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    pass(100);
    driver.holds = action -> Driver.asks(action, ArrayCommand.Register.class);
    give(new Event.Received(OTHER, 5, new PeerMessage.OwnDecline(3)));
    assertThat(driver.held).as("to take the grant back").hasSize(1);
    driver.holds = _ -> false;
    give(new Event.Leave());
    driver.release();
    pass(10_000);
    ReservationKey after = array.key(NEXUS);
    assertThat(after).isNotEqualTo(before);
    assertStaysAndSaysSo(after);
  }

  private void assertStaysAndSaysSo(ReservationKey key) {
    assertStays(key);
    assertThat(done.of(Action.TellKey.class).getLast().key()).isEqualTo(key);
    assertThat(records(Beat.State.LEFT)).extracting(Beat::key).containsExactly(key);
    next(0x40, 4);
    give(new Event.Start(Predecessor.NOBODY));
    pass(3_000);
    assertThat(array.holds(4)).as("taken from who has left").isTrue();
  }

  /** Danger 56: the daemon before has registered one that it did not live to tell. */
  @Test
  void aKeyThatNobodyWasToldOfDoesNotStay() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey told = machine().key();
    ReservationKey untold = ReservationKey.of(NODE, told.incarnation() + 1);
    array.execute(NEXUS, new ArrayCommand.Register(told, untold, false));
    driver.end();
    give(new Event.Start(new Predecessor(told, 9, KernelState.DETACHED, true, false, true)));
    pass(10_000);
    ReservationKey after = array.key(NEXUS);
    assertThat(after).isNotIn(told, untold);
    assertStaysAndSaysSo(after);
  }

  /** The last REGISTER decides for all nodes whether registrations outlive the power. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aDaemonThatIsStartedToLeaveKeepsTheRegistrationsOfOthers(boolean on) {
    takeover = on ? FencingSettings.RESET_ENDS_ALL : null;
    array.aptpl = true;
    ReservationKey mine = ReservationKey.of(NODE, 900);
    array.execute(NEXUS, new ArrayCommand.Register(ReservationKey.NONE, mine, true));
    give(new Event.Start(new Predecessor(mine, 9, KernelState.DETACHED, true, false, true)));
    pass(10_000);
    assertGone();
    assertThat(done.of(Action.Array.class))
        .extracting(Action.Array::command)
        .contains(new ArrayCommand.Unregister(mine, true));
  }

  /** What an earlier daemon has found out is not known to its successor. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aDaemonThatIsStartedToLeaveGivesUpItsKeyWhereAptplIsRefused(boolean answers) {
    takeover = null;
    array.aptpl = true;
    ReservationKey mine = ReservationKey.of(NODE, 900);
    array.execute(NEXUS, new ArrayCommand.Register(ReservationKey.NONE, mine, false));
    array.rejectsAptpl = true;
    driver.refuses = c -> !answers && c instanceof ArrayCommand.ReportCapabilities;
    give(new Event.Start(new Predecessor(mine, 9, KernelState.DETACHED, true, false, true)));
    pass(10_000);
    assertGone();
    assertThat(done.notes("the device refuses APTPL")).hasSize(1);
  }

  /** Of a restarted daemon, or of one whose device has changed under it. */
  @Test
  void aKeyThatNobodyWasToldOfIsReplacedWhereAptplIsRefused() {
    array.aptpl = true;
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    ReservationKey told = machine().key();
    ReservationKey untold = ReservationKey.of(NODE, told.incarnation() + 1);
    array.execute(NEXUS, new ArrayCommand.Register(told, untold, false));
    array.rejectsAptpl = true;
    driver.end();
    give(new Event.Start(new Predecessor(told, 9, KernelState.DETACHED, true, false, true)));
    pass(10_000);
    ReservationKey after = array.key(NEXUS);
    assertThat(after).isNotIn(told, untold);
    assertThat(done.notes("the device refuses APTPL")).hasSize(1);
    assertStaysAndSaysSo(after);
  }

  @Test
  void aGrantIsTakenBackWhereAptplIsRefused() {
    array.aptpl = true;
    mount();
    ReservationKey before = machine().key();
    array.execute(OTHER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, OTHER, true));
    array.rejectsAptpl = true;
    give(new Event.PeerUp(OTHER, 5, "other", OwnershipSettings.options("", true), true));
    give(new Event.Received(OTHER, 5, new PeerMessage.OwnRequest(3)));
    pass(1_000);
    give(new Event.Detached(done.of(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    pass(100);
    give(new Event.Received(OTHER, 5, new PeerMessage.OwnDecline(3)));
    pass(3_000);
    assertThat(array.key(NEXUS)).isNotEqualTo(before).isEqualTo(machine().key());
    assertThat(done.notes("the device refuses APTPL")).hasSize(1);
    assertThat(array.holds(NEXUS)).isTrue();
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
    // It has come back to life under the same key, and is not shut out yet.
    driver.refuses = ArrayCommand.Preempt.class::isInstance;
    array.execute(8, new ArrayCommand.Register(ReservationKey.NONE, FENCED, false));
    pass(LEASE);
    give(new Event.FenceCleared(FENCED));
    assertThat(done.notes("its key is registered")).as("danger 51").hasSize(1);
    pass(LEASE);
    assertThat(records(Beat.State.FENCED)).hasSize(1);
    // And it is no word on what becomes of it later.
    driver.refuses = _ -> false;
    pass(LEASE);
    assertThat(array.isRegistered(8)).isFalse();
    assertThat(records(Beat.State.FENCED)).hasSize(1);
  }

  /** Danger 67: it writes by a key of an earlier life as well. */
  @Test
  void aWordOnOneThatIsRegisteredByAnEarlierKeyIsRefusedAndForgotten() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    ReservationKey earlier = ReservationKey.of(FENCED.nodeId(), 6);
    mount();
    pass(LEASE);
    driver.refuses = ArrayCommand.Preempt.class::isInstance;
    driver.memory.answer = new DiskAnswer.Failed("EIO");
    give(new Event.FenceCleared(FENCED));
    pass(500);
    array.execute(8, new ArrayCommand.Register(ReservationKey.NONE, earlier, false));
    pass(LEASE);
    give(new Event.FenceCleared(FENCED));
    assertThat(done.notes("its key is registered")).hasSize(1);
    array.execute(8, new ArrayCommand.Unregister(earlier, false));
    driver.memory.answer = null;
    pass(LEASE);
    assertThat(records(Beat.State.FENCED)).as("that word holds no more").hasSize(1);
  }

  /** Danger 51: it was not done yet when that one came back. */
  @Test
  void aWordOnOneThatIsRegisteredAgainIsForgotten() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    mount();
    pass(LEASE);
    driver.memory.answer = new DiskAnswer.Failed("EIO");
    give(new Event.FenceCleared(FENCED));
    pass(500);
    array.execute(8, new ArrayCommand.Register(ReservationKey.NONE, FENCED, false));
    pass(LEASE / 4);
    array.execute(8, new ArrayCommand.Unregister(FENCED, false));
    driver.memory.answer = null;
    pass(LEASE);
    assertThat(records(Beat.State.FENCED)).hasSize(1);
    give(new Event.FenceCleared(FENCED));
    pass(LEASE);
    assertThat(records(Beat.State.FENCED)).isEmpty();
  }

  @Test
  void aNodeThatDoesNotHoldTheReservationClearsNothing() {
    disk.set(5, slot(FENCED, Beat.State.FENCED));
    startAsMember();
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
    driver.memory.answer = new DiskAnswer.Failed("on purpose");
    long since = driver.now;
    umount();
    assertThat(driver.now - since).isLessThan(2_000);
    assertStays(mine);
    assertThat(done.notes("could not be written")).hasSize(1);
  }
}
