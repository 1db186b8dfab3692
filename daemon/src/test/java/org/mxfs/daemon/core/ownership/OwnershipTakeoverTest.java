// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.CommandLife;
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

  private @Nullable FencingSettings takeover = RESET;
  private final Driver driver =
      new Driver(
          () ->
              new OwnershipSettings(
                  NODE, 1_000, 1, LEASE, 100, "volume", "device", "", 1_000, "host", takeover));
  private final SimulatedArray array = driver.array;
  private final MemorySlots memory = driver.memory;
  private final List<Slot> disk = driver.disk;
  private final Deeds done = driver.done;

  /** Of the owner's record: it beats while this is set. */
  private boolean ownerLives;

  /** And tells of the tenures that it reads of, as a member does. */
  private boolean ownerIsMember;

  private boolean hasSlot = true;
  private long ownerSequence = 1;

  OwnershipTakeoverTest() {
    driver.meanwhile =
        () -> {
          if (ownerLives) {
            disk.set(0, owner(Beat.State.ALIVE, ++ownerSequence));
          }
        };
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

  /** What the unit is asked to do is not answered, or is from now on. */
  private void answersResets(boolean now) {
    driver.holds = now ? _ -> false : Action.ResetUnit.class::isInstance;
  }

  private Slot owner(Beat.State state, long sequence) {
    long epoch = ownerIsMember ? highestEpoch() : 5;
    return new Slot.Taken(new Beat(OWNER, epoch, sequence, state, LEASE, "owner"));
  }

  private long highestEpoch() {
    return disk.stream()
        .mapToLong(slot -> slot instanceof Slot.Taken taken ? taken.beat().epoch() : 0)
        .max()
        .orElseThrow();
  }

  private boolean isPreempted() {
    return preempts() > 0;
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
    answersResets(false);
    start();
    ownerDies();
    pass(100_000);
    assertThat(driver.held).hasSize(1);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    assertThat(done.of(Action.Fenced.class)).as("its own lease goes on").isEmpty();
    give(new Event.UnitReset(2, new ArrayAnswer.Done()));
    pass(2_000);
    assertThat(done.of(Action.Attach.class)).as("the answer to another one").isEmpty();
    answersResets(true);
    driver.release();
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
    answersResets(false);
    start();
    ownerDies();
    pass(LEASE + LEASE / 4 + 6_000);
    assertThat(driver.held).hasSize(1);
    disk.set(0, owner(Beat.State.ALIVE, ++ownerSequence));
    answersResets(true);
    driver.release();
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
    answersResets(false);
    start();
    ownerDies();
    pass(LEASE + LEASE / 4 + 6_000);
    // Its last beat, which makes it wait between the proof and the mark.
    disk.set(0, owner(Beat.State.ALIVE, ++ownerSequence));
    answersResets(true);
    driver.release();
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
    answersResets(false);
    start();
    ownerDies();
    pass(LEASE + LEASE / 4 + 6_000);
    lateRegister();
    answersResets(true);
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
    driver.now += LEASE + 2_000;
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
  void whoIsRegisteredAndTellsOfTheTenureIsWaitedForAFewBeatsOnly() {
    lateRegister();
    ownerLives = true;
    disk.set(0, owner(Beat.State.ALIVE, 1));
    ownerIsMember = true;
    give(new Event.Start(Predecessor.NOBODY));
    pass(4_500);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(array.isRegistered(OWNER_NEXUS)).isTrue();
  }

  /** Danger 54: of who beats seldom, or is read seldom, nothing else is ever known. */
  @Test
  void whoBeatsSeldomIsAMemberByOneBeat() {
    lateRegister();
    disk.set(0, owner(Beat.State.ALIVE, 1));
    give(new Event.Start(Predecessor.NOBODY));
    pass(4_500);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    ownerIsMember = true;
    disk.set(0, owner(Beat.State.ALIVE, 2));
    pass(1_500);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(array.isRegistered(OWNER_NEXUS)).isTrue();
  }

  /** Danger 48: it woke up between two survivors, and is owner in its own eyes. */
  @Test
  void whoBeatsAndDoesNotTellOfTheTenureIsWaitedForUntilItIsSilent() {
    lateRegister();
    ownerLives = true;
    disk.set(0, owner(Beat.State.ALIVE, 1));
    give(new Event.Start(Predecessor.NOBODY));
    pass(60_000);
    give(new Event.Want());
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(done.of(Action.Attach.class)).isEmpty();
    assertThat(array.isRegistered(OWNER_NEXUS)).as("who beats is not shut out").isTrue();
    ownerLives = false;
    pass(LEASE + LEASE / 4 + 8_000);
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
    assertThat(done.of(Action.ResetUnit.class)).hasSize(1);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** Alone, with XFS attached and its epoch on disk. */
  private void own() {
    give(new Event.Start(Predecessor.NOBODY));
    pass(5_000);
    give(new Event.Want());
    pass(3_000);
    give(new Event.Attached(done.of(Action.Attach.class).getLast().epoch(), 0, 1, ""));
    pass(1_500);
    done.all.clear();
  }

  private List<Beat> beats() {
    return done.of(Action.Disk.class).stream()
        .filter(asked -> asked.command() instanceof DiskCommand.WriteBeat)
        .map(asked -> ((DiskCommand.WriteBeat) asked.command()).beat())
        .toList();
  }

  /** Danger 48: another has shut it out, and a REGISTER of its own has let it in again. */
  @Test
  void anOwnerThatReadsOfALaterTenureWritesNothingAndAsksTheArrayAtOnce() {
    own();
    while (done.indexOf(a -> Driver.asks(a, ArrayCommand.ReadKeys.class)) < 0) {
      pass(100); // the next time is a quarter of a lease later
    }
    done.all.clear();
    ReservationKey key = machine().key();
    lateRegister();
    array.execute(OWNER_NEXUS, new ArrayCommand.Preempt(OWNER, key));
    array.execute(NEXUS, new ArrayCommand.Register(ReservationKey.NONE, key, false));
    disk.set(1, new Slot.Taken(new Beat(OWNER, 100_000, 1, Beat.State.ALIVE, LEASE, "owner")));
    pass(1_100);
    assertThat(done.of(Action.Fenced.class)).hasSize(1);
    assertThat(beats()).isEmpty();
  }

  /** It reads of a tenure that was begun by mistake, or that never came to be. */
  @Test
  void anOwnerThatReadsOfALaterTenureAndHoldsGoesOnAndIsAboveItNextTime() {
    own();
    long epoch = ((Slot.Taken) disk.get(0)).beat().epoch();
    disk.set(1, new Slot.Free(100_000, 1));
    pass(10_000);
    assertThat(done.of(Action.Fenced.class)).isEmpty();
    assertThat(beats()).hasSizeGreaterThan(7).extracting(Beat::epoch).containsOnly(epoch);
    give(new Event.PeerUp(WAITER, 5, "waiter", options(), true));
    give(new Event.Received(WAITER, 5, new PeerMessage.OwnRequest(3)));
    pass(1_000);
    give(new Event.Detached(done.of(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    pass(3_000);
    assertThat(done.of(Action.Send.class))
        .extracting(Action.Send::message)
        .filteredOn(PeerMessage.OwnGrant.class::isInstance)
        .isNotEmpty()
        .allSatisfy(
            grant -> assertThat(((PeerMessage.OwnGrant) grant).newEpoch()).isGreaterThan(100_001));
  }

  /**
   * The reservation is ours when it is looked at first, and the keys are read when another has it:
   * this tenure would have the epoch of that one.
   */
  @Test
  void whoIsShutOutAndLetInAgainWhileItConfirmsBeginsNoTenure() {
    lateRegister();
    driver.holds = action -> array.holds(NEXUS) && Driver.asks(action, ArrayCommand.ReadKeys.class);
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.Want());
    assertThat(driver.held).hasSize(1);
    ReservationKey key = machine().key();
    array.execute(OWNER_NEXUS, new ArrayCommand.Preempt(OWNER, key));
    array.execute(NEXUS, new ArrayCommand.Register(ReservationKey.NONE, key, false));
    driver.holds = _ -> false;
    driver.release();
    pass(2_000);
    assertThat(done.of(Action.Fenced.class)).hasSize(1);
    assertThat(done.notes("holder: key=")).isEmpty();
  }

  /** Both are above all that is on disk, and the array counts from 0 again. */
  @Test
  void noTwoTenuresHaveOneEpochThoughOnesRecordIsStillUnderWay() {
    disk.set(5, new Slot.Free(1_000_000, 1));
    own();
    long first = machine().epoch();
    driver.end();
    disk.set(0, new Slot.Free());
    array.execute(NEXUS, new ArrayCommand.Unregister(array.key(NEXUS), false));
    own();
    assertThat(machine().epoch()).isNotEqualTo(first).isGreaterThan(1_000_000);
  }

  /** The volume is here, settled and not attached; nobody waits for it. */
  private void ownDetached() {
    own();
    give(new Event.PeerUp(WAITER, 5, "waiter", options(), true));
    give(new Event.Received(WAITER, 5, new PeerMessage.OwnRequest(3)));
    pass(1_000);
    give(new Event.PeerDown(WAITER.nodeId()));
    give(new Event.Detached(done.of(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    pass(1_000);
    assertThat(grants()).isZero();
    done.all.clear();
  }

  /** Another has shut it out, and a REGISTER of its own has let it in again. */
  private void shutOutAndLetInAgain() {
    ReservationKey key = machine().key();
    lateRegister();
    array.execute(OWNER_NEXUS, new ArrayCommand.Preempt(OWNER, key));
    array.execute(NEXUS, new ArrayCommand.Register(ReservationKey.NONE, key, false));
  }

  /** Danger 67: a REGISTER and a RESERVE of it came late, or of an earlier life of its node. */
  @ParameterizedTest
  @ValueSource(longs = {7, 6})
  void whoWasShutOutAndHoldsTheVolumeIsTakenFromAndFencedBeforeXfsIsAttached(long incarnation) {
    ReservationKey holder = ReservationKey.of(OWNER.nodeId(), incarnation);
    array.execute(OWNER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, holder, false));
    array.execute(OWNER_NEXUS, new ArrayCommand.Reserve(holder));
    disk.set(0, owner(Beat.State.FENCED, 1));
    give(new Event.Start(Predecessor.NOBODY));
    pass(10_000);
    assertThat(done.of(Action.Ready.class)).as("operations wait, and mount(2) does not").hasSize(1);
    assertThat(isPreempted()).isFalse();
    give(new Event.Want());
    pass(10_000);
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
    assertThat(array.holds(NEXUS)).isTrue();
    int preempt = done.indexOf(a -> Driver.asks(a, ArrayCommand.Preempt.class));
    int reset = done.indexOf(Action.ResetUnit.class::isInstance);
    int attach = done.indexOf(Action.Attach.class::isInstance);
    assertThat(List.of(0, preempt, reset, attach)).isSorted().doesNotContain(-1);
    assertThat(((Slot.Taken) disk.get(0)).beat().state()).isEqualTo(Beat.State.FENCED);
  }

  /** Danger 67: nobody is shut out beside a node without takeover. */
  @Test
  void whoWasShutOutAndHoldsTheVolumeIsLeftAloneBesideANodeWithoutTakeover() {
    join();
    ownerDies();
    array.execute(OWNER_NEXUS, new ArrayCommand.Reserve(OWNER));
    disk.set(0, owner(Beat.State.FENCED, 1));
    give(new Event.PeerUp(WAITER, 5, "waiter", "", true));
    give(new Event.Want());
    pass(60_000);
    assertThat(isPreempted()).isFalse();
    assertThat(done.of(Action.Attach.class)).isEmpty();
  }

  /** Danger 62: what it hears first when it runs again is that somebody wants the volume. */
  @Test
  void whoHasStoodStillAsksTheArrayBeforeItAttaches() {
    ownDetached();
    shutOutAndLetInAgain();
    driver.now += 3 * LEASE;
    give(new Event.Want());
    pass(3_000);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    assertThat(done.of(Action.Fenced.class)).hasSize(1);
  }

  /** Danger 62: and who waits gets no grant of it. */
  @Test
  void whoHasStoodStillAsksTheArrayBeforeItGrants() {
    ownDetached();
    shutOutAndLetInAgain();
    driver.now += 3 * LEASE;
    driver.holds = action -> Driver.asks(action, ArrayCommand.ReadKeys.class);
    give(new Event.PeerUp(WAITER, 5, "waiter", options(), true));
    give(new Event.Received(WAITER, 5, new PeerMessage.OwnRequest(4)));
    pass(3_000);
    assertThat(grants()).isZero();
    driver.holds = _ -> false;
    driver.release();
    pass(1_000);
    assertThat(grants()).isZero();
    assertThat(done.of(Action.Fenced.class)).hasSize(1);
  }

  /** Danger 62: it holds the volume still, and goes on. */
  @Test
  void whoHasStoodStillAndHoldsTheVolumeAttachesOnceTheArrayHasShownIt() {
    ownDetached();
    driver.now += 3 * LEASE;
    give(new Event.Want());
    pass(3_000);
    int asked = done.indexOf(a -> Driver.asks(a, ArrayCommand.ReadReservation.class));
    int attach = done.indexOf(Action.Attach.class::isInstance);
    assertThat(List.of(0, asked, attach)).isSorted().doesNotContain(-1);
    assertThat(done.of(Action.Fenced.class)).isEmpty();
  }

  /** Its last beat lands late, which makes it wait between the proof and the mark. */
  private void fencedAndNotYetMarked() {
    answersResets(false);
    start();
    ownerDies();
    pass(LEASE + LEASE / 4 + 6_000);
    disk.set(0, owner(Beat.State.ALIVE, ++ownerSequence));
    answersResets(true);
    driver.release();
    pass(1_000);
    assertThat(done.of(Action.ResetUnit.class)).hasSize(1);
  }

  /** Danger 65: what the array has taken of it between the two nobody has seen the end of. */
  @Test
  void aVictimThatWasLetInAndShutOutAgainAfterTheProofIsFencedAnew() {
    array.execute(3, new ArrayCommand.Register(ReservationKey.NONE, THIRD, false));
    fencedAndNotYetMarked();
    lateRegister();
    array.execute(3, new ArrayCommand.Preempt(THIRD, OWNER));
    pass(LEASE + LEASE / 4 + 8_000);
    assertThat(done.of(Action.ResetUnit.class)).hasSize(2);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(((Slot.Taken) disk.get(0)).beat().state()).isEqualTo(Beat.State.FENCED);
  }

  /** Danger 65: that it was only a newcomer nobody can tell, and it ends. */
  @Test
  void aNewcomerAfterTheProofCostsAResetAndNoMore() {
    fencedAndNotYetMarked();
    array.execute(3, new ArrayCommand.Register(ReservationKey.NONE, THIRD, false));
    pass(LEASE + LEASE / 4 + 8_000);
    assertThat(done.of(Action.ResetUnit.class)).hasSize(2);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** Danger 65: each PREEMPT of ours is known to have counted by one. */
  @Test
  void thatTheSecondVictimIsShutOutMakesTheFirstOnesProofNoOlder() {
    array.execute(3, new ArrayCommand.Register(ReservationKey.NONE, THIRD, false));
    disk.set(3, new Slot.Taken(new Beat(THIRD, 5, 1, Beat.State.ALIVE, LEASE, "third")));
    start();
    ownerDies();
    pass(LEASE + LEASE / 4 + 12_000);
    assertThat(array.isRegistered(3)).isFalse();
    assertThat(done.of(Action.ResetUnit.class)).hasSize(2);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** Danger 60: what another holder had given may land there. */
  @Test
  void aVictimWhoseSlotAnotherNodeHasIsFencedAllTheSame() {
    answersResets(false);
    start();
    ownerDies();
    pass(LEASE + LEASE / 4 + 6_000);
    assertThat(driver.held).hasSize(1);
    disk.set(0, new Slot.Taken(new Beat(THIRD, 5, 90, Beat.State.RESERVED, 0, "")));
    pass(5_000);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    answersResets(true);
    driver.release();
    pass(3_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(done.of(Action.ResetUnit.class)).hasSize(1);
  }

  /** Danger 63: what members tell of they read in its slot. */
  @Test
  void aRestartedDaemonThatHoldsTheVolumeHasASlotAtOnceSoThatMembersTellOfItsTenure() {
    ReservationKey before = ReservationKey.of(NODE, 900);
    array.execute(NEXUS, new ArrayCommand.Register(ReservationKey.NONE, before, false));
    array.execute(NEXUS, new ArrayCommand.Reserve(before));
    disk.set(1, new Slot.Taken(new Beat(before, 5, 1, Beat.State.ALIVE, LEASE, "host")));
    lateRegister();
    disk.set(0, owner(Beat.State.ALIVE, 1));
    ownerLives = true;
    ownerIsMember = true;
    give(new Event.Start(new Predecessor(before, 5, KernelState.DETACHED, true, true, false)));
    pass(15_000);
    assertThat(((Slot.Taken) disk.get(1)).beat().key()).isEqualTo(machine().key());
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(array.isRegistered(OWNER_NEXUS)).isTrue();
  }

  private void fencedOnDisk() {
    disk.set(2, new Slot.Taken(new Beat(OWNER, 5, 9, Beat.State.FENCED, 0, "owner")));
  }

  /** Danger 50: a REGISTER of it came when all was over, by its key or an earlier one. */
  @Test
  void whoWasShutOutAndIsRegisteredIsFencedBeforeXfsIsAttached() {
    for (ReservationKey key : List.of(OWNER, ReservationKey.of(OWNER.nodeId(), 3))) {
      driver.end();
      fencedOnDisk();
      array.execute(OWNER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, key, false));
      give(new Event.Start(Predecessor.NOBODY));
      give(new Event.Want());
      pass(6_000);
      int reset = done.indexOf(Action.ResetUnit.class::isInstance);
      int attach = done.indexOf(Action.Attach.class::isInstance);
      assertThat(array.isRegistered(OWNER_NEXUS)).as("%s", key).isFalse();
      assertThat(List.of(0, reset, attach)).as("%s", key).isSorted().doesNotContain(-1);
      array.execute(NEXUS, new ArrayCommand.Unregister(array.key(NEXUS), false));
    }
  }

  /** Beside XFS at once; and what it has sent since has to end before the next attach. */
  @Test
  void whoWasShutOutAndIsRegisteredIsShutOutBesideXfs() {
    fencedOnDisk();
    own();
    lateRegister();
    pass(LEASE / 4 + 1_000);
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
    assertThat(done.of(Action.ResetUnit.class)).as("not beside XFS").isEmpty();
    assertThat(preempts()).isOne();
    give(new Event.PeerUp(WAITER, 5, "waiter", options(), true));
    give(new Event.Received(WAITER, 5, new PeerMessage.OwnRequest(3)));
    answersResets(false);
    pass(1_000);
    give(new Event.Detached(done.of(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    pass(2_000);
    assertThat(driver.held).hasSize(1);
    assertThat(grants()).isZero();
    answersResets(true);
    driver.release();
    pass(2_000);
    assertThat(grants()).isPositive();
  }

  private static final ReservationKey EARLIER_LIFE = ReservationKey.of(NODE, 900);

  private void earlierLifeIsFencedOnDisk() {
    disk.set(2, new Slot.Taken(new Beat(EARLIER_LIFE, 5, 9, Beat.State.FENCED, 0, "host")));
  }

  private void earlierLifeRegisters() {
    array.execute(OWNER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, EARLIER_LIFE, false));
  }

  /** Danger 64: by a path that this machine has no more. */
  @Test
  void anEarlierLifeOfThisNodeThatWasShutOutAndIsRegisteredIsFencedBeforeXfsIsAttached() {
    earlierLifeIsFencedOnDisk();
    earlierLifeRegisters();
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.Want());
    pass(8_000);
    assertThat(done.of(Action.Fail.class)).isEmpty();
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
    int reset = done.indexOf(Action.ResetUnit.class::isInstance);
    int attach = done.indexOf(Action.Attach.class::isInstance);
    assertThat(List.of(0, reset, attach)).isSorted().doesNotContain(-1);
  }

  /** Danger 64. */
  @Test
  void anEarlierLifeOfThisNodeThatWasShutOutAndIsRegisteredIsShutOutBesideXfs() {
    ReservationKey key = ReservationKey.of(NODE, 1_000);
    disk.set(1, new Slot.Taken(new Beat(key, 5, 1, Beat.State.RESERVED, 0, "")));
    earlierLifeIsFencedOnDisk();
    own();
    assertThat(machine().key()).isEqualTo(key);
    earlierLifeRegisters();
    pass(LEASE / 4 + 1_000);
    assertThat(done.of(Action.Fenced.class)).isEmpty();
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
  }

  /** Danger 61: its REGISTER came after all, and a beat that was under way landed over the mark. */
  @Test
  void whoWasShutOutIsShutOutAgainAndMarkedAgainWhateverItsSlotSays() {
    fencedOnDisk();
    own();
    lateRegister();
    disk.set(2, owner(Beat.State.ALIVE, 8));
    pass(LEASE / 4 + 1_000);
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
    give(new Event.PeerUp(WAITER, 5, "waiter", options(), true));
    give(new Event.Received(WAITER, 5, new PeerMessage.OwnRequest(3)));
    pass(1_000);
    give(new Event.Detached(done.of(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    pass(LEASE / 2);
    assertThat(done.of(Action.ResetUnit.class)).hasSize(1);
    assertThat(grants()).isZero();
    pass(LEASE);
    assertThat(((Slot.Taken) disk.get(2)).beat().state()).isEqualTo(Beat.State.FENCED);
    assertThat(grants()).isPositive();
  }

  /**
   * Danger 61: whoever had not read that it was shut out sees a member that is dead; and what a
   * dead member has under way nobody knows.
   */
  @Test
  void whoIsRegisteredAndSilentAndDoesNotTellOfTheTenureIsFencedAtTheNextDetach() {
    own();
    lateRegister();
    disk.set(3, new Slot.Taken(new Beat(OWNER, 0, 1, Beat.State.ALIVE, LEASE, "owner")));
    pass(LEASE + LEASE / 4 + 6_000);
    assertThat(preempts()).as("beside XFS").isZero();
    give(new Event.PeerUp(WAITER, 5, "waiter", options(), true));
    give(new Event.Received(WAITER, 5, new PeerMessage.OwnRequest(3)));
    answersResets(false);
    pass(1_000);
    give(new Event.Detached(done.of(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    pass(2_000);
    assertThat(array.isRegistered(OWNER_NEXUS)).isFalse();
    assertThat(grants()).isZero();
    answersResets(true);
    driver.release();
    pass(3_000);
    assertThat(((Slot.Taken) disk.get(3)).beat().state()).isEqualTo(Beat.State.FENCED);
    assertThat(grants()).isPositive();
  }

  private long grants() {
    return done.of(Action.Send.class).stream()
        .filter(send -> send.message() instanceof PeerMessage.OwnGrant)
        .count();
  }

  /** Danger 53: it died within the beat of a record that landed late. */
  @Test
  void whoSaidThatItWouldBeSilentAndIsNotRegisteredIsFencedOnceItIsSilent() {
    disk.set(0, owner(Beat.State.PAUSED, 1));
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.Want());
    pass(LEASE);
    assertThat(done.of(Action.Attach.class)).isEmpty();
    assertThat(done.of(Action.ResetUnit.class)).as("it may be in the midst of a grant").isEmpty();
    pass(LEASE / 4 + 8_000);
    assertThat(done.of(Action.ResetUnit.class)).hasSize(1);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(((Slot.Taken) disk.get(0)).beat().state()).isEqualTo(Beat.State.FENCED);
  }

  /** In the midst of a grant it is neither registered nor does it beat, for a moment. */
  @Test
  void whoSaidThatItWouldBeSilentAndComesBackIsNotFenced() {
    disk.set(0, owner(Beat.State.PAUSED, 1));
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.Want());
    pass(4_000);
    lateRegister();
    ownerIsMember = true;
    ownerLives = true;
    pass(LEASE / 4 + 2_000);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
    assertThat(done.of(Action.ResetUnit.class)).isEmpty();
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
      driver.end();
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

  private static final ReservationKey THIRD = ReservationKey.of(0x30, 1);

  /** It holds the reservation, and waits for what becomes of one that was shut out. */
  private void unsettledBesideThird(String options) {
    disk.set(0, owner(Beat.State.ALIVE, 1));
    give(new Event.Start(Predecessor.NOBODY));
    pass(8_000);
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(done.of(Action.Ready.class)).hasSize(1);
    array.execute(3, new ArrayCommand.Register(ReservationKey.NONE, THIRD, false));
    give(new Event.PeerUp(THIRD, 5, "third", options, true));
    give(new Event.Want());
    pass(100_000);
  }

  /** Danger 52: whatever its tenure has begun by. */
  @Test
  void whoSeesANodeWithoutTakeoverBeginsNothingInATenure() {
    unsettledBesideThird("");
    assertThat(done.of(Action.ResetUnit.class)).isEmpty();
    assertThat(done.of(Action.Attach.class)).isEmpty();
    assertThat(
            done.notes("before XFS is attached: nobody is shut out before node 00000030 (third)"))
        .hasSize(1);
  }

  /** Danger 52. */
  @Test
  void aNodeWithoutTakeoverThatHasLeftIsForgotten() {
    unsettledBesideThird("");
    give(new Event.Received(ReservationKey.of(0x30, 0), 5, new PeerMessage.Leave()));
    give(new Event.Received(THIRD, 5, new PeerMessage.Leave()));
    pass(LEASE);
    assertThat(done.of(Action.ResetUnit.class)).as("the array shows it still").isEmpty();
    array.execute(3, new ArrayCommand.Unregister(THIRD, false));
    pass(LEASE);
    assertThat(done.notes("has left")).isNotEmpty();
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** Danger 52: its LEAVE was lost. Who gives the volume away is not registered for a moment. */
  @Test
  void aNodeWithoutTakeoverThatIsGoneForLongIsForgotten() {
    unsettledBesideThird("");
    array.execute(3, new ArrayCommand.Unregister(THIRD, false));
    pass(CommandLife.MILLIS - LEASE);
    assertThat(done.of(Action.ResetUnit.class)).isEmpty();
    pass(2 * LEASE);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** Danger 52. */
  @Test
  void aNodeThatComesBackWithTakeoverIsForgotten() {
    unsettledBesideThird("");
    give(new Event.PeerUp(ReservationKey.of(0x30, 2), 5, "third", options(), true));
    pass(LEASE);
    assertThat(done.of(Action.Attach.class)).hasSize(1);
  }

  /** Danger 52. */
  @Test
  void aRestartedDaemonSaysWhoHasNoTakeover() {
    ReservationKey key = ReservationKey.of(NODE, 900);
    array.execute(NEXUS, new ArrayCommand.Register(ReservationKey.NONE, key, false));
    ownerOnDisk();
    give(new Event.Start(new Predecessor(key, 5, KernelState.DETACHED, true, false, false)));
    give(new Event.PeerUp(THIRD, 5, "third", "", true));
    assertThat(done.notes("node 00000030 (third) has volume volume mounted without takeover"))
        .hasSize(1);
    assertThat(done.of(Action.Fail.class)).isEmpty();
  }

  private void reserveUnsettled() {
    array.execute(OWNER_NEXUS, new ArrayCommand.Unregister(OWNER, false));
  }

  /** Danger 40: an error of looking is no word on who was shut out. */
  @Test
  void whereTheLookForTheLockStateFailedItIsWaitedAsLongAsACommandCanLive() {
    driver.lockstate = new Lockstate(0, null, 5, "it cannot be looked for: EIO");
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
    driver.lockstate = new Lockstate(0, null, 2, "there is none");
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
    driver.holds = action -> Driver.asksDisk(action, DiskCommand.ReadBeats.class);
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
    driver.refuses = ArrayCommand.Preempt.class::isInstance;
    pass(LEASE + LEASE / 4 + 5_000);
    long before = preempts();
    assertThat(before).isPositive();
    pass(10_000);
    assertThat(preempts() - before).as("in 10 s").isBetween(1L, 30L);
  }

  private long preempts() {
    return done.all.stream().filter(a -> Driver.asks(a, ArrayCommand.Preempt.class)).count();
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
