// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Role;

/**
 * One machine, driven by hand, against {@link SimulatedArray}. The schedules are {@link
 * Simulation}'s business.
 */
class OwnershipTest {
  /** As long as names of disks of a SAN are. */
  private static final String DEVICE =
      "/dev/disk/by-id/scsi-SVENDOR_MODEL_6000d310012345670000000000000042";

  private static final int NODE = 0x20;
  private static final ReservationKey PEER = ReservationKey.of(0x10, 7);
  private static final int NEXUS = 1;
  private static final int PEER_NEXUS = 2;

  private final SimulatedArray array = new SimulatedArray();
  private final Ownership machine = machine();
  private final List<Action> done = new ArrayList<>();
  private long now;

  private static Ownership machine() {
    return machine("");
  }

  private static Ownership machine(String xfsOptions) {
    return new Ownership(
        new OwnershipSettings(NODE, 1_000, 1, 20_000, 100, "volume", DEVICE, xfsOptions));
  }

  /** Gives an event, and executes every array command it leads to. */
  private void give(Event event) {
    List<Action> actions = machine.step(event, now);
    while (true) {
      done.addAll(actions);
      Action.Array command = null;
      for (Action action : actions) {
        if (action instanceof Action.Array issued) {
          command = issued;
        }
      }
      if (command == null) {
        return;
      }
      now++;
      ArrayAnswer answer = array.execute(NEXUS, command.command());
      actions = machine.step(command.answered(answer), now);
    }
  }

  /** The answer to the last command among these. */
  private static Event.Answered answered(List<Action> issued, ArrayAnswer answer) {
    return actions(Action.Array.class, issued).getLast().answered(answer);
  }

  private void pass(long millis) {
    long end = now + millis;
    while (!machine.isGone() && machine.deadline() <= end) {
      now = Math.max(now, machine.deadline());
      give(new Event.Tick());
    }
    now = Math.max(now, end);
  }

  private <T extends Action> List<T> actions(Class<T> kind) {
    return done.stream().filter(kind::isInstance).map(kind::cast).toList();
  }

  /** The kernel's answer to the last question. */
  private Event.Status status(KernelState state, long epoch, boolean leaving) {
    return new Event.Status(
        actions(Action.AskKernel.class).getLast().question(), state, epoch, leaving);
  }

  private List<PeerMessage> sent() {
    return actions(Action.Send.class).stream().map(Action.Send::message).toList();
  }

  private void peerOwns() {
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    array.execute(PEER_NEXUS, new ArrayCommand.Reserve(PEER));
  }

  private void startAsOwner() {
    give(new Event.Start(Predecessor.NOBODY));
    Action.Attach attach = actions(Action.Attach.class).getFirst();
    give(new Event.Attached(attach.epoch(), 0, 1_000_000, ""));
    assertThat(actions(Action.Ready.class)).containsExactly(new Action.Ready(Role.OWNER, true));
  }

  private void startAsMember() {
    peerOwns();
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.PeerUp(PEER, 5, "peer", "", true));
    assertThat(actions(Action.Ready.class)).containsExactly(new Action.Ready(Role.MEMBER, true));
  }

  @Test
  void aLoneNodeOwnsAtOnceWithoutWaitingForAnybody() {
    startAsOwner();
    assertThat(now).isLessThan(50);
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(actions(Action.Lease.class)).isNotEmpty();
    // The kernel has the key before anything else happens, and a lease before it attaches.
    List<Class<?>> order =
        done.stream()
            .filter(a -> !(a instanceof Action.Array) && !(a instanceof Action.Note))
            .<Class<?>>map(Object::getClass)
            .toList();
    assertThat(order.indexOf(Action.TellKey.class)).isZero();
    assertThat(order.indexOf(Action.Lease.class)).isLessThan(order.indexOf(Action.Attach.class));
  }

  /** The kernel would refuse it: another may have the volume by then. */
  @Test
  void whoHasStoodStillForALeaseAsksTheArrayBeforeItAttaches() {
    startAsOwner();
    give(new Event.PeerUp(PEER, 5, "peer", "", true));
    give(new Event.Received(PEER, 5, new PeerMessage.OwnRequest(3)));
    give(new Event.PeerDown(PEER.nodeId()));
    give(new Event.Detached(actions(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    done.clear();
    now += 60_000;
    give(new Event.Want());
    pass(1_000);
    List<Class<?>> order = done.stream().<Class<?>>map(Object::getClass).toList();
    assertThat(order).contains(Action.Attach.class);
    assertThat(order.indexOf(Action.Lease.class))
        .isNotNegative()
        .isLessThan(order.indexOf(Action.Attach.class));
    assertThat(actions(Action.Lease.class).getFirst().untilMillis()).isGreaterThan(now);
  }

  /** The machine may have stood still between the ATTACH and the kernel's look at the lease. */
  @Test
  void anAttachThatComesPastTheLeaseFailsNoMountAndIsTriedAgainOnANewLease() {
    give(new Event.Start(Predecessor.NOBODY));
    Action.Attach first = actions(Action.Attach.class).getFirst();
    now += 20_000;
    give(new Event.Attached(first.epoch(), Errno.ETIME.number(), 0, "the lease is over"));
    done.clear();
    give(new Event.Status(1, KernelState.DETACHED, 0, false));
    assertThat(actions(Action.Array.class).getFirst().command())
        .as("what is asked for at once")
        .isEqualTo(new ArrayCommand.ReadKeys());
    pass(2_000);
    assertThat(actions(Action.Fail.class)).isEmpty();
    assertThat(actions(Action.Attach.class))
        .singleElement()
        .extracting(Action.Attach::epoch)
        .isEqualTo(first.epoch());
    give(new Event.Attached(first.epoch(), 0, 1_000_000, ""));
    assertThat(actions(Action.Ready.class)).containsExactly(new Action.Ready(Role.OWNER, true));
  }

  /** The rest of a lease may be over when the kernel has the command. */
  @Test
  void nothingIsAttachedOnTheLastOfALease() {
    startAsOwner();
    give(new Event.PeerUp(PEER, 5, "peer", "", true));
    give(new Event.Received(PEER, 5, new PeerMessage.OwnRequest(3)));
    give(new Event.PeerDown(PEER.nodeId()));
    give(new Event.Detached(actions(Action.Detach.class).getLast().epoch(), 0, 1, ""));
    now = actions(Action.Lease.class).getLast().untilMillis() - 100;
    done.clear();
    step(new Event.Want());
    assertThat(actions(Action.Attach.class)).isEmpty();
    give(answered(done, array.execute(NEXUS, issued(done))));
    assertThat(actions(Action.Attach.class)).hasSize(1);
  }

  /** A quarter of a lease is no pause for a node whose programs wait. */
  @Test
  void anAnswerThatCameLaterThanALeaseIsAskedForAgainAtOnce() {
    startAsMember();
    pass(4_900);
    done.clear();
    step(new Event.Tick());
    while (actions(Action.Array.class).isEmpty()) {
      now = machine.deadline();
      step(new Event.Tick());
    }
    Event.Answered late = answered(done, array.execute(NEXUS, issued(done)));
    done.clear();
    now += 20_000;
    step(late);
    assertThat(actions(Action.Lease.class)).isEmpty();
    assertThat(issued(done)).isEqualTo(new ArrayCommand.ReadKeys());
    assertThat(actions(Action.Note.class))
        .filteredOn(note -> note.level() == Action.Level.WARN)
        .singleElement()
        .satisfies(note -> assertThat(note.text()).contains("20000 ms", "lease_ms=", DEVICE));
  }

  @Test
  void aMountThatGetsNoNewLeaseFailsWithTheReason() {
    give(new Event.Start(Predecessor.NOBODY));
    long epoch = actions(Action.Attach.class).getFirst().epoch();
    now += 20_000;
    give(new Event.Attached(epoch, Errno.ETIME.number(), 0, "the lease is over"));
    long until = actions(Action.Lease.class).getLast().untilMillis();
    done.clear();
    List<Action> last = step(new Event.Status(1, KernelState.DETACHED, 0, false));
    // It lets XFS go before it says so to the kernel.
    while (errors().isEmpty() && now < 60_000) {
      if (actions(Action.Array.class, last).isEmpty()) {
        now = Math.max(now + 1, machine.deadline());
        last = step(new Event.Tick());
        continue;
      }
      boolean read = issued(last) instanceof ArrayCommand.ReadKeys;
      now++;
      ArrayAnswer answer =
          read ? new ArrayAnswer.Unclear("a broken cable") : array.execute(NEXUS, issued(last));
      last = step(answered(last, answer));
    }
    assertThat(now)
        .isBetween(
            until, until + OwnershipSettings.START_ERRORS_MAX * OwnershipSettings.RETRY_MILLIS);
    assertThat(errors())
        .singleElement()
        .asString()
        .contains("mount fails with EIO", "READ KEYS", DEVICE, "a broken cable");
    pass(OwnershipSettings.LET_GO_MILLIS + 100);
    assertThat(actions(Action.Fail.class)).hasSize(1);
  }

  private List<String> errors() {
    return actions(Action.Note.class).stream()
        .filter(note -> note.level() == Action.Level.ERROR)
        .map(Action.Note::text)
        .toList();
  }

  /** What a restart of the daemon meets must not be worse than what a running one bears. */
  @Test
  void aRestartedDaemonWaitsForAnArrayThatDoesNotAnswer() {
    startAsOwner();
    Ownership next = machine();
    List<Action> all = new ArrayList<>();
    List<Action> last =
        next.step(
            new Event.Start(
                new Predecessor(
                    machine.key(), machine.epoch(), KernelState.ATTACHED, true, false, false)),
            now);
    long end = now + 30_000;
    while (now < end) {
      all.addAll(last);
      if (actions(Action.Array.class, last).isEmpty()) {
        now = Math.max(now + 1, next.deadline());
        last = next.step(new Event.Tick(), now);
      } else {
        last = next.step(answered(last, new ArrayAnswer.Unclear("a broken cable")), ++now);
      }
    }
    assertThat(actions(Action.Array.class, all)).hasSizeGreaterThan(50);
    assertThat(all).noneMatch(a -> a instanceof Action.Fail || a instanceof Action.Fenced);
    assertThat(next.isGone()).isFalse();
  }

  @Test
  void theHolderIsWaitedForAndThenNamed() {
    peerOwns();
    give(new Event.Start(Predecessor.NOBODY));
    pass(OwnershipSettings.PEER_WAIT_MILLIS + 100);
    assertThat(actions(Action.Fail.class))
        .singleElement()
        .satisfies(
            fail -> {
              assertThat(fail.errno()).isEqualTo(Errno.EHOSTUNREACH);
              assertThat(fail.message())
                  .contains("00000010", "0x0000001000000007", "not heard", "sg_persist")
                  .containsOnlyOnce(DEVICE)
                  .endsWith("mount again");
              // What the kernel takes; the rest would be cut off, in the midst of a command.
              assertThat(fail.message().length()).isLessThan(512);
            });
    assertThat(array.isRegistered(NEXUS)).as("registration of a failed mount").isFalse();
    assertThat(machine.isGone()).isTrue();
  }

  @Test
  void aHolderOfAnotherVersionOfMxfsIsNamedAsThatAndNotToBeShutOut() {
    peerOwns();
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.OtherVersion(PEER.nodeId(), "speaks version 1, this node 2"));
    pass(OwnershipSettings.PEER_WAIT_MILLIS + 10);
    assertThat(actions(Action.Fail.class))
        .singleElement()
        .satisfies(
            fail -> {
              assertThat(fail.errno()).isEqualTo(Errno.EHOSTUNREACH);
              assertThat(fail.message())
                  .contains("00000010", "speaks version 1, this node 2", "same version of mxfs")
                  .doesNotContain("sg_persist", "firewall");
            });
  }

  @Test
  void aMemberWhoseOwnerComesBackWithAnotherVersionSaysSo() {
    startAsMember();
    give(new Event.PeerDown(PEER.nodeId()));
    give(new Event.OtherVersion(PEER.nodeId(), "speaks version 1, this node 2"));
    give(new Event.OtherVersion(PEER.nodeId(), "speaks version 1, this node 2"));
    assertThat(actions(Action.Note.class))
        .filteredOn(n -> n.text().contains("speaks version 1, this node 2"))
        .as("said once")
        .hasSize(1);
  }

  @Test
  void aHolderThatLeavesWhileItIsLookedForMakesUsTheOwner() {
    peerOwns();
    give(new Event.Start(Predecessor.NOBODY));
    pass(1_000);
    array.execute(PEER_NEXUS, new ArrayCommand.Unregister(PEER, false));
    pass(1_000);
    assertThat(actions(Action.Attach.class)).hasSize(1);
  }

  @Test
  void ourOwnDeadIncarnationIsReplacedAfterListeningForATwin() {
    array.execute(
        PEER_NEXUS,
        new ArrayCommand.Register(ReservationKey.NONE, ReservationKey.of(NODE, 5), false));
    array.execute(PEER_NEXUS, new ArrayCommand.Reserve(ReservationKey.of(NODE, 5)));
    give(new Event.Start(Predecessor.NOBODY));
    pass(OwnershipSettings.LISTEN_MILLIS - 50);
    assertThat(array.holds(NEXUS)).isFalse();
    pass(200);
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(array.isRegistered(PEER_NEXUS)).isFalse();
  }

  @Test
  void aTwinOnTheNetworkEndsTheMount() {
    array.execute(
        PEER_NEXUS,
        new ArrayCommand.Register(ReservationKey.NONE, ReservationKey.of(NODE, 5), false));
    array.execute(PEER_NEXUS, new ArrayCommand.Reserve(ReservationKey.of(NODE, 5)));
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.Collision("node id used twice"));
    assertThat(actions(Action.Fail.class))
        .containsExactly(new Action.Fail(Errno.ENOTUNIQ, "node id used twice"));
    assertThat(array.holds(PEER_NEXUS)).isTrue();
  }

  @Test
  void aForeignReservationIsNotTouched() {
    peerOwns();
    give(new Event.Start(Predecessor.NOBODY));
    assertThat(array.holds(PEER_NEXUS)).isTrue();
    List<Action> actions = new ArrayList<>();
    Ownership other = machine();
    actions.addAll(other.step(new Event.Start(Predecessor.NOBODY), 0));
    long time = 1;
    for (int i = 0; i < 10 && actions(Action.Fail.class, actions).isEmpty(); i++) {
      Action.Array command = actions(Action.Array.class, actions).getLast();
      ArrayAnswer answer =
          switch (command.command()) {
            case ArrayCommand.ReportCapabilities _ -> new ArrayAnswer.Supported(true);
            case ArrayCommand.ReadKeys _ ->
                new ArrayAnswer.Keys(1, List.of(other.key(), new ReservationKey(99)));
            case ArrayCommand.ReadReservation _ ->
                new ArrayAnswer.Reservation(new ReservationKey(99), 1);
            default -> new ArrayAnswer.Done();
          };
      actions.addAll(other.step(command.answered(answer), time++));
    }
    assertThat(actions(Action.Fail.class, actions))
        .singleElement()
        .satisfies(fail -> assertThat(fail.errno()).isEqualTo(Errno.EBUSY));
    assertThat(actions(Action.Array.class, actions))
        .noneMatch(a -> a.command() instanceof ArrayCommand.Preempt);
  }

  private static <T extends Action> List<T> actions(Class<T> kind, List<Action> from) {
    return from.stream().filter(kind::isInstance).map(kind::cast).toList();
  }

  @Test
  void aDeviceWithoutReservationsIsForOneNodeAlone() {
    List<Action> actions = new ArrayList<>(machine.step(new Event.Start(Predecessor.NOBODY), 0));
    actions.addAll(machine.step(answered(actions, new ArrayAnswer.Unsupported("none")), 1));
    assertThat(actions(Action.Attach.class, actions)).as("before it has listened").isEmpty();
    actions.addAll(machine.step(new Event.Tick(), OwnershipSettings.LISTEN_MILLIS));
    assertThat(actions(Action.Attach.class, actions)).hasSize(1);
    actions.addAll(machine.step(new Event.Attached(1, 0, 1, ""), 1_100));
    assertThat(actions(Action.Ready.class, actions))
        .containsExactly(new Action.Ready(Role.OWNER, false));
  }

  @Test
  void aDeviceWithoutReservationsThatAnotherNodeUsesIsRefused() {
    List<Action> actions = new ArrayList<>(machine.step(new Event.Start(Predecessor.NOBODY), 0));
    actions.addAll(machine.step(answered(actions, new ArrayAnswer.Unsupported("none")), 1));
    actions.addAll(machine.step(new Event.Heard(PEER, "other"), 2));
    assertThat(actions(Action.Fail.class, actions))
        .singleElement()
        .satisfies(
            fail -> {
              assertThat(fail.errno()).isEqualTo(Errno.EBUSY);
              assertThat(fail.message()).contains("other");
            });
  }

  @Test
  void anOwnerWhoseKeyIsGoneStopsAndReleasesNothing() {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    done.clear();
    give(new Event.UnitAttention("registrations preempted"));
    assertThat(actions(Action.Fenced.class)).hasSize(1);
    assertThat(actions(Action.Array.class))
        .extracting(Action.Array::command)
        .containsExactly(new ArrayCommand.ReadKeys());
    assertThat(machine.isGone()).isTrue();
  }

  @Test
  void aKeyThatADeadIncarnationLeftIsRemoved() {
    int oldNexus = 9;
    array.execute(
        oldNexus,
        new ArrayCommand.Register(ReservationKey.NONE, ReservationKey.of(NODE, 3), false));
    startAsMember();
    pass(20_000 / 4 + 100);
    assertThat(array.isRegistered(oldNexus)).isFalse();
    assertThat(array.holds(PEER_NEXUS)).isTrue();
    assertThat(actions(Action.Fenced.class)).isEmpty();
  }

  @Test
  void anOwnerRemovesTheKeyThatItsDeadIncarnationLeft() {
    int oldNexus = 9;
    array.execute(
        oldNexus,
        new ArrayCommand.Register(ReservationKey.NONE, ReservationKey.of(NODE, 3), false));
    startAsOwner();
    pass(20_000 / 4 + 100);
    assertThat(array.isRegistered(oldNexus)).isFalse();
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(actions(Action.Fenced.class)).isEmpty();
  }

  @Test
  void aMemberWhoseKeyIsGoneStopsAtTheNextCheck() {
    startAsMember();
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    pass(20_000 / 4 + 100);
    assertThat(actions(Action.Fenced.class)).hasSize(1);
  }

  @Test
  void theLeaseIsCountedFromTheQuestionNotFromTheAnswer() {
    startAsOwner();
    pass(4_990);
    done.clear();
    // The next check: READ KEYS answered after 300 ms, READ RESERVATION after another 400.
    while (actions(Action.Array.class).isEmpty()) {
      now = machine.deadline();
      done.addAll(machine.step(new Event.Tick(), now));
    }
    now += 300;
    ArrayAnswer keys = array.execute(NEXUS, new ArrayCommand.ReadKeys());
    done.addAll(machine.step(answered(done, keys), now));
    assertThat(actions(Action.Lease.class)).isEmpty();
    now += 400;
    ArrayAnswer reservation = array.execute(NEXUS, new ArrayCommand.ReadReservation());
    done.addAll(machine.step(answered(done, reservation), now));
    assertThat(actions(Action.Lease.class)).containsExactly(new Action.Lease(now - 700 + 20_000));
  }

  @Test
  void noLeaseWithoutAnAnswer() {
    startAsOwner();
    done.clear();
    while (actions(Action.Array.class).isEmpty()) {
      now = machine.deadline();
      done.addAll(machine.step(new Event.Tick(), now));
    }
    done.addAll(machine.step(answered(done, new ArrayAnswer.Unclear("no path")), now));
    assertThat(actions(Action.Lease.class)).isEmpty();
    assertThat(actions(Action.Fenced.class)).isEmpty();
  }

  @Test
  void consentIsGivenOnlyAfterTheDetach() {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    done.clear();
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(77)));
    assertThat(actions(Action.Detach.class)).hasSize(1);
    assertThat(sent()).isEmpty();
    give(new Event.Detached(1, 0, 30_000_000, ""));
    assertThat(sent())
        .containsExactly(new PeerMessage.OwnGrant(77, machine.epoch() + 1, 30, List.of()));
    // Consent given: whatever the kernel wants, nothing is attached.
    done.clear();
    give(new Event.Want());
    assertThat(actions(Action.Attach.class)).isEmpty();
    // The peer takes it; we register again with the same key and ask for it in our turn.
    ReservationKey key = machine.key();
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, key));
    give(new Event.Received(PEER, 9, new PeerMessage.OwnTaken(9)));
    assertThat(array.key(NEXUS)).isEqualTo(key);
    assertThat(sent()).last().isInstanceOf(PeerMessage.OwnRequest.class);
  }

  @Test
  void aDetachThatFailsKeepsTheVolumeAndTellsWhy() {
    startAsOwner();
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(77)));
    give(new Event.Detached(1, 16, 0, "a reflinked file is mapped"));
    assertThat(sent())
        .singleElement()
        .isInstanceOfSatisfying(
            PeerMessage.OwnBusy.class,
            busy -> assertThat(busy.message()).contains("errno 16", "a reflinked file is mapped"));
    assertThat(array.holds(NEXUS)).isTrue();
  }

  @Test
  void aGrantNobodyTakesIsWithdrawnByANewKey() {
    startAsOwner();
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(77)));
    give(new Event.Detached(1, 0, 0, ""));
    give(new Event.Want());
    ReservationKey granted = machine.key();
    done.clear();
    pass(OwnershipSettings.CONSENT_MILLIS + 500);
    assertThat(machine.key()).isNotEqualTo(granted);
    assertThat(array.key(NEXUS)).isEqualTo(machine.key());
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(actions(Action.TellKey.class)).containsExactly(new Action.TellKey(machine.key()));
    assertThat(actions(Action.Attach.class)).hasSize(1);
    // The old grant, wherever it is, is void.
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    assertThat(array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, granted)))
        .isEqualTo(new ArrayAnswer.Conflict());
  }

  @Test
  void aMemberTakesTheVolumeWithAGrantForItsRequestOnly() {
    startAsMember();
    give(new Event.Want());
    PeerMessage.OwnRequest request = (PeerMessage.OwnRequest) sent().getLast();
    done.clear();
    // Not ours: declined, and nothing happens.
    give(
        new Event.Received(
            PEER, 5, new PeerMessage.OwnGrant(request.requestId() + 1, 6, 0, List.of())));
    assertThat(sent()).containsExactly(new PeerMessage.OwnDecline(request.requestId() + 1));
    assertThat(array.holds(PEER_NEXUS)).isTrue();
    give(
        new Event.Received(
            PEER, 5, new PeerMessage.OwnGrant(request.requestId(), 6, 0, List.of())));
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(actions(Action.Attach.class)).hasSize(1);
    assertThat(actions(Action.Attach.class).getFirst().epoch()).isGreaterThanOrEqualTo(6);
  }

  @Test
  void leavingTakesTheKeyBackAndSaysSo() {
    startAsOwner();
    done.clear();
    give(new Event.Leave());
    assertThat(array.isRegistered(NEXUS)).isFalse();
    assertThat(array.holder()).isNull();
    assertThat(
            done.stream().filter(a -> !(a instanceof Action.Note) && !(a instanceof Action.Array)))
        .containsExactly(
            new Action.Broadcast(new PeerMessage.Leave()),
            new Action.Left(Errno.NONE, false),
            new Action.Exit());
  }

  @Test
  void leavingIsBoundedEvenWhenTheArrayDoesNotAnswer() {
    startAsOwner();
    done.clear();
    done.addAll(machine.step(new Event.Leave(), now));
    assertThat(machine.isGone()).isFalse();
    now += OwnershipSettings.LEAVE_MILLIS;
    done.addAll(machine.step(new Event.Tick(), now));
    assertThat(actions(Action.Left.class)).containsExactly(new Action.Left(Errno.ETIMEDOUT, true));
    // A command may still be under way: "my registration is gone" would be a guess.
    assertThat(actions(Action.Broadcast.class)).isEmpty();
    assertThat(machine.isGone()).isTrue();
  }

  @Test
  void aLeavingOwnerLetsTheFirstWaiterTakeOver() {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(3)));
    give(new Event.Leave());
    assertThat(sent()).last().isInstanceOf(PeerMessage.OwnGrant.class);
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    give(new Event.Received(PEER, 2, new PeerMessage.OwnTaken(2)));
    assertThat(actions(Action.Left.class)).containsExactly(new Action.Left(Errno.NONE, false));
    assertThat(array.holds(PEER_NEXUS)).isTrue();
  }

  @Test
  void aRestartedDaemonOfAnOwnerGoesOnWithItsKey() {
    startAsOwner();
    ReservationKey key = machine.key();
    long epoch = machine.epoch();
    Ownership next = machine();
    List<Action> actions =
        drive(next, new Predecessor(key, epoch, KernelState.ATTACHED, true, false, false));
    assertThat(next.key()).isEqualTo(key);
    assertThat(actions(Action.Ready.class, actions))
        .containsExactly(new Action.Ready(Role.OWNER, true));
    assertThat(actions(Action.Attach.class, actions)).isEmpty();
    assertThat(array.holds(NEXUS)).isTrue();
  }

  @Test
  void aRestartedDaemonThatMayHaveGrantedTakesANewKeyFirst() {
    startAsOwner();
    ReservationKey key = machine.key();
    Ownership next = machine();
    List<Action> actions =
        drive(next, new Predecessor(key, machine.epoch(), KernelState.DETACHED, true, true, false));
    assertThat(array.key(NEXUS)).isEqualTo(next.key()).isNotEqualTo(key);
    assertThat(actions(Action.Attach.class, actions)).hasSize(1);
  }

  @Test
  void aRestartedDaemonWhoseKeyIsGoneStopsTheMount() {
    startAsOwner();
    ReservationKey key = machine.key();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, key));
    List<Action> actions =
        drive(
            machine(),
            new Predecessor(key, machine.epoch(), KernelState.ATTACHED, true, false, false));
    assertThat(actions(Action.Fenced.class, actions)).hasSize(1);
    assertThat(array.isRegistered(NEXUS)).isFalse();
  }

  private List<Action> drive(Ownership other, Predecessor predecessor) {
    List<Action> all = new ArrayList<>(other.step(new Event.Start(predecessor), now));
    List<Action> last = all;
    while (true) {
      List<Action.Array> commands = actions(Action.Array.class, last);
      if (commands.isEmpty()) {
        return all;
      }
      now++;
      last = other.step(answered(last, array.execute(NEXUS, commands.getFirst().command())), now);
      all.addAll(last);
    }
  }

  // ---- late answers, hints, and what else must not be believed ----

  private List<Action> step(Event event) {
    List<Action> actions = machine.step(event, now);
    done.addAll(actions);
    return actions;
  }

  private ArrayCommand issued(List<Action> actions) {
    return actions(Action.Array.class, actions).getLast().command();
  }

  private void grantTo(ReservationKey peer) {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, peer, false));
    give(new Event.PeerUp(peer, 1, "peer", "", true));
    give(new Event.Received(peer, 1, new PeerMessage.OwnRequest(77)));
    give(new Event.Detached(machine.epoch(), 0, 0, ""));
    give(new Event.Want());
    assertThat(sent()).last().isInstanceOf(PeerMessage.OwnGrant.class);
    done.clear();
  }

  @Test
  void anAnswerThatIsOlderThanWhatAPeerSaidIsNoEvidence() {
    grantTo(PEER);
    // READ RESERVATION is executed, its answer delayed.
    now += OwnershipSettings.GRANT_MILLIS;
    ArrayCommand read = issued(step(new Event.Tick()));
    ArrayAnswer late = array.execute(NEXUS, read);
    assertThat(late).isEqualTo(new ArrayAnswer.Reservation(machine.key(), 5));
    // The peer takes the volume with our grant, and declines the request, which it has used.
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    step(new Event.Received(PEER, 2, new PeerMessage.OwnDecline(77)));
    give(answered(done, late));
    assertThat(actions(Action.Attach.class)).isEmpty();
    assertThat(array.holds(PEER_NEXUS)).isTrue();
  }

  @Test
  void aLeaveThatIsNotTrueTakesTheGrantBackInsteadOfBeingBelieved() {
    grantTo(PEER);
    ReservationKey granted = machine.key();
    give(new Event.Received(PEER, 2, new PeerMessage.Leave()));
    assertThat(machine.key()).isNotEqualTo(granted);
    assertThat(actions(Action.Attach.class)).hasSize(1);
    assertThat(array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, granted)))
        .as("the PREEMPT that was under way")
        .isEqualTo(new ArrayAnswer.Conflict());
    assertThat(array.holds(NEXUS)).isTrue();
  }

  @Test
  void aGrantIsTakenBackOnceTheGranteeHasUsedItWithoutOurSeeing() {
    grantTo(PEER);
    ReservationKey granted = machine.key();
    // It took the volume and left before we looked: whether the grant is used up is not known.
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, granted));
    array.execute(PEER_NEXUS, new ArrayCommand.Unregister(PEER, false));
    pass(OwnershipSettings.GRANT_MILLIS + 50);
    assertThat(machine.key()).isNotEqualTo(granted);
    assertThat(array.holds(NEXUS)).isTrue();
  }

  @Test
  void epochsHeardOnTheNetworkRaiseNothing() {
    startAsMember();
    give(new Event.PeerUp(PEER, Long.MAX_VALUE, "peer", "", true));
    give(new Event.Received(PEER, Long.MAX_VALUE, new PeerMessage.OwnTaken(Long.MAX_VALUE)));
    give(new Event.Want());
    assertThat(machine.epoch()).isLessThan(100);
    PeerMessage.OwnRequest request = (PeerMessage.OwnRequest) sent().getLast();
    give(
        new Event.Received(
            PEER, 5, new PeerMessage.OwnGrant(request.requestId(), 6, 0, List.of())));
    assertThat(array.holds(NEXUS)).as("the honest grant is used").isTrue();
    assertThat(actions(Action.Attach.class).getFirst().epoch()).isBetween(6L, 100L);
  }

  @Test
  void aGrantWithAnAbsurdEpochDoesNotSpreadIt() {
    startAsMember();
    give(new Event.Want());
    PeerMessage.OwnRequest request = (PeerMessage.OwnRequest) sent().getLast();
    give(
        new Event.Received(
            PEER, 5, new PeerMessage.OwnGrant(request.requestId(), Long.MAX_VALUE, 0, List.of())));
    assertThat(actions(Action.Attach.class).getFirst().epoch()).isLessThan(100);
  }

  @Test
  void aMountThatFailsWhileTheKernelIsAttachingLetsGoOfXfsFirst() {
    give(new Event.Start(Predecessor.NOBODY));
    long epoch = actions(Action.Attach.class).getFirst().epoch();
    done.clear();
    give(new Event.Collision("another machine uses this node's id"));
    assertThat(array.holds(NEXUS)).as("while XFS is being mounted").isTrue();
    assertThat(actions(Action.Fail.class)).isEmpty();
    give(new Event.Attached(epoch, 0, 1_000_000, ""));
    assertThat(actions(Action.Detach.class)).containsExactly(new Action.Detach(epoch, 0));
    assertThat(array.holds(NEXUS)).as("while XFS is mounted").isTrue();
    give(new Event.Detached(epoch, 0, 1_000_000, ""));
    assertThat(array.isRegistered(NEXUS)).isFalse();
    assertThat(actions(Action.Fail.class))
        .containsExactly(new Action.Fail(Errno.ENOTUNIQ, "another machine uses this node's id"));
  }

  @Test
  void aMountWhoseKernelDoesNotLetGoFailsWithItsKeyStillRegistered() {
    give(new Event.Start(Predecessor.NOBODY));
    done.clear();
    give(new Event.Collision("another machine uses this node's id"));
    pass(OwnershipSettings.LET_GO_MILLIS + 100);
    assertThat(actions(Action.Fail.class)).hasSize(1);
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(actions(Action.Broadcast.class)).as("LEAVE without proof").isEmpty();
  }

  @Test
  void aRestartedDaemonWhosePredecessorsGrantIsUsedMeanwhileIsAMember() {
    startAsOwner();
    ReservationKey key = machine.key();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    Ownership next = machine();
    List<Action> all = new ArrayList<>();
    List<Action> last =
        next.step(
            new Event.Start(
                new Predecessor(key, machine.epoch(), KernelState.DETACHED, true, true, false)),
            now);
    while (!actions(Action.Array.class, last).isEmpty()) {
      all.addAll(last);
      ArrayCommand command = issued(last);
      ArrayAnswer answer = array.execute(NEXUS, command);
      if (command instanceof ArrayCommand.ReadKeys) {
        // Right after READ KEYS has shown our key.
        array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, key));
      }
      now++;
      last = next.step(answered(last, answer), now);
    }
    all.addAll(last);
    assertThat(actions(Action.Fenced.class, all)).isEmpty();
    assertThat(actions(Action.Ready.class, all))
        .containsExactly(new Action.Ready(Role.MEMBER, true));
    assertThat(array.key(NEXUS)).isEqualTo(next.key());
    assertThat(array.holds(PEER_NEXUS)).isTrue();
  }

  @Test
  void anotherNodesKeyOnOurPathIsRefusedAndLeftAlone() {
    array.execute(NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.Start(Predecessor.NOBODY));
    pass(5_000);
    assertThat(actions(Action.Fail.class))
        .singleElement()
        .satisfies(
            fail -> {
              assertThat(fail.errno()).isEqualTo(Errno.EBUSY);
              assertThat(fail.message()).contains("initiator name", PEER.toString());
              assertThat(fail.message().length()).isLessThan(512);
            });
    assertThat(array.key(NEXUS)).isEqualTo(PEER);
  }

  @Test
  void ourOwnStaleKeyOnOurPathIsReplacedAfterListening() {
    ReservationKey stale = ReservationKey.of(NODE, 5);
    array.execute(NEXUS, new ArrayCommand.Register(ReservationKey.NONE, stale, false));
    array.execute(NEXUS, new ArrayCommand.Reserve(stale));
    give(new Event.Start(Predecessor.NOBODY));
    pass(OwnershipSettings.LISTEN_MILLIS - 100);
    assertThat(array.key(NEXUS)).isEqualTo(stale);
    pass(200);
    assertThat(array.key(NEXUS)).isEqualTo(machine.key()).isNotEqualTo(stale);
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(actions(Action.Attach.class)).hasSize(1);
    // What the earlier life had under way meets a conflict.
    assertThat(array.execute(NEXUS, new ArrayCommand.Unregister(stale, false)))
        .isEqualTo(new ArrayAnswer.Conflict());
  }

  @Test
  void twoMachinesThatRegisteredTheSameKeyDoNotBothOwn() {
    List<Action> first = machine.step(new Event.Start(Predecessor.NOBODY), now);
    while (!(issued(first) instanceof ArrayCommand.Register register)) {
      first = machine.step(answered(first, array.execute(NEXUS, issued(first))), ++now);
    }
    array.execute(
        PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, register.key(), false));
    done.addAll(first);
    give(answered(first, array.execute(NEXUS, register)));
    assertThat(actions(Action.Attach.class)).isEmpty();
    assertThat(actions(Action.Fail.class))
        .singleElement()
        .satisfies(fail -> assertThat(fail.errno()).isEqualTo(Errno.ENOTUNIQ));
    assertThat(array.isRegistered(NEXUS)).isFalse();
    assertThat(array.isRegistered(PEER_NEXUS)).isTrue();
  }

  @Test
  void aHolderUnderOurIdThatCameLaterIsNotTakenForADeadSelf() {
    startAsMember();
    ReservationKey clone = ReservationKey.of(NODE, 2_000);
    array.execute(PEER_NEXUS, new ArrayCommand.Unregister(PEER, false));
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, clone, false));
    array.execute(PEER_NEXUS, new ArrayCommand.Reserve(clone));
    give(new Event.Want());
    pass(30_000);
    assertThat(array.holds(PEER_NEXUS)).isTrue();
    assertThat(array.key(PEER_NEXUS)).isEqualTo(clone);
  }

  @Test
  void reservationsOfAnotherTypeAreRefusedByNameAndOurKeyIsRemoved() {
    for (int type : new int[] {1, 3, 6, 7, 8}) {
      Ownership other = machine();
      SimulatedArray unit = new SimulatedArray();
      ReservationKey holder = type > 6 ? ReservationKey.NONE : new ReservationKey(99);
      List<Action> all = new ArrayList<>();
      List<Action> last = other.step(new Event.Start(Predecessor.NOBODY), 0);
      long time = 1;
      while (!actions(Action.Array.class, last).isEmpty()) {
        all.addAll(last);
        ArrayCommand command = issued(last);
        ArrayAnswer answer =
            command instanceof ArrayCommand.ReadReservation
                ? new ArrayAnswer.Reservation(holder, type)
                : unit.execute(NEXUS, command);
        last = other.step(answered(last, answer), time++);
      }
      all.addAll(last);
      String named = "with type " + type + ", ";
      assertThat(actions(Action.Fail.class, all))
          .singleElement()
          .satisfies(
              fail -> {
                assertThat(fail.errno()).isEqualTo(Errno.EBUSY);
                assertThat(fail.message())
                    .contains(named, holder.isNone() ? "all registrants" : holder.toString());
                assertThat(fail.message().length()).isLessThan(512);
              });
      assertThat(actions(Action.Array.class, all))
          .noneMatch(a -> a.command() instanceof ArrayCommand.Reserve);
      assertThat(unit.isRegistered(NEXUS)).isFalse();
    }
  }

  @Test
  void aReserveThatIsRefusedWithoutAReservationIsNotRepeatedWithoutAPause() {
    List<Action> all = new ArrayList<>();
    List<Action> last = machine.step(new Event.Start(Predecessor.NOBODY), 0);
    int reserves = 0;
    while (actions(Action.Fail.class, all).isEmpty() && now < 60_000) {
      if (actions(Action.Array.class, last).isEmpty()) {
        now = Math.max(now + 1, machine.deadline());
        last = machine.step(new Event.Tick(), now);
      } else {
        ArrayCommand command = issued(last);
        boolean reserve = command instanceof ArrayCommand.Reserve;
        reserves += reserve ? 1 : 0;
        last =
            machine.step(
                answered(
                    last, reserve ? new ArrayAnswer.Conflict() : array.execute(NEXUS, command)),
                ++now);
      }
      all.addAll(last);
    }
    assertThat(reserves).isBetween(2, OwnershipSettings.START_ERRORS_MAX);
    assertThat(now).isGreaterThan((reserves - 1) * OwnershipSettings.RETRY_MILLIS);
    assertThat(actions(Action.Fail.class, all))
        .singleElement()
        .satisfies(fail -> assertThat(fail.message()).contains("RESERVE", "refused"));
  }

  @Test
  void aKeyOfNobodyThatIsHeardIsNamedInTheLog() {
    array.execute(
        PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, new ReservationKey(99), false));
    startAsOwner();
    pass(6_000);
    assertThat(actions(Action.Note.class))
        .filteredOn(note -> note.level() == Action.Level.WARN)
        .extracting(Action.Note::text)
        .anyMatch(text -> text.contains(new ReservationKey(99).toString()));
  }

  @Test
  void theKernelsAnswerToAnotherEpochIsIgnoredAndALostOneAskedFor() {
    give(new Event.Start(Predecessor.NOBODY));
    long epoch = actions(Action.Attach.class).getFirst().epoch();
    done.clear();
    give(new Event.Attached(epoch + 7, 0, 1, ""));
    assertThat(actions(Action.Ready.class)).as("of another epoch").isEmpty();
    assertThat(actions(Action.AskKernel.class)).hasSize(1);
    pass(OwnershipSettings.KERNEL_MILLIS + 10);
    assertThat(actions(Action.AskKernel.class)).hasSize(2);
    give(status(KernelState.ATTACHING, 0, false));
    assertThat(actions(Action.Ready.class)).isEmpty();
    give(status(KernelState.ATTACHED, epoch, false));
    assertThat(actions(Action.Ready.class)).hasSize(1);
  }

  @Test
  void anAttachThatFailedIsBelievedOnlyWhenTheKernelSaysThatXfsIsNotThere() {
    startAsOwner();
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(77)));
    give(new Event.Detached(machine.epoch(), 0, 0, ""));
    ReservationKey granted = machine.key();
    give(new Event.Want());
    pass(OwnershipSettings.CONSENT_MILLIS + 500);
    assertThat(machine.key()).isNotEqualTo(granted);
    Action.Attach attach = actions(Action.Attach.class).getLast();
    done.clear();
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(78)));
    give(new Event.Attached(attach.epoch(), 114, 0, "not detached"));
    assertThat(sent()).as("a grant while XFS may be there").isEmpty();
    give(status(KernelState.ATTACHED, attach.epoch(), false));
    assertThat(actions(Action.Detach.class)).hasSize(1);
  }

  /** The lock state is made by who is alone: by evidence of this tenure, for one attach. */
  @Test
  void anAttachSaysWhetherTheArrayShowsNoOtherKey() {
    startAsOwner();
    Action.Attach first = actions(Action.Attach.class).getFirst();
    assertThat(first.alone()).as("registered alone").isTrue();
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(77)));
    give(new Event.Detached(machine.epoch(), 0, 0, ""));
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.Want());
    pass(OwnershipSettings.CONSENT_MILLIS + 500);
    assertThat(actions(Action.Attach.class)).hasSize(2);
    assertThat(actions(Action.Attach.class).getLast().alone()).as("beside another").isFalse();
  }

  @Test
  void whatTheKernelSaidBeforeACommandIsNotItsEnd() {
    startAsOwner();
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(77)));
    assertThat(actions(Action.Detach.class)).hasSize(1);
    give(new Event.PeerDown(PEER.nodeId()));
    // Detaching takes long, so the kernel is asked, and has just ended it when it answers.
    pass(OwnershipSettings.KERNEL_MILLIS + 10);
    Event.Status detached = status(KernelState.DETACHED, machine.epoch(), false);
    give(new Event.Detached(machine.epoch(), 0, 0, ""));
    give(new Event.Want());
    assertThat(actions(Action.Attach.class)).hasSize(2);
    done.clear();
    give(detached); // on its way since before the attach
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(78)));
    assertThat(sent()).as("a grant while XFS is being attached").isEmpty();
    give(new Event.Attached(machine.epoch(), 0, 0, ""));
    assertThat(actions(Action.Detach.class)).hasSize(1);
  }

  @Test
  void whatTheKernelSaidBeforeTheEndOfACommandIsOldAfterIt() {
    startAsOwner();
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(77)));
    pass(OwnershipSettings.KERNEL_MILLIS + 10);
    Event.Status detaching = status(KernelState.DETACHING, machine.epoch(), false);
    give(new Event.Detached(machine.epoch(), 0, 0, ""));
    assertThat(sent()).hasAtLeastOneElementOfType(PeerMessage.OwnGrant.class);
    give(detaching);
    assertThat(actions(Action.Fenced.class)).isEmpty();
    assertThat(machine.isGone()).isFalse();
  }

  @Test
  void aMistakeOfTheProgramStopsTheMountAndDoesNothingElse() {
    startAsOwner();
    done.clear();
    give(new Event.Start(Predecessor.NOBODY));
    assertThat(done)
        .hasSize(3)
        .anySatisfy(
            a ->
                assertThat(a)
                    .isInstanceOfSatisfying(
                        Action.Fenced.class,
                        f -> assertThat(f.message()).contains("mistake in mxfsd")));
    assertThat(machine.isGone()).isTrue();
  }

  // ---- one set of XFS's options ----

  /** Of a machine with {@code ours}, whose peer owns the volume: how its mount ends. */
  private List<Action> joins(String ours, Event.PeerUp peer) {
    Ownership other = machine(ours);
    List<Action> all = drive(other, Predecessor.NOBODY);
    List<Action> last = other.step(peer, ++now);
    while (true) {
      all.addAll(last);
      List<Action.Array> commands = actions(Action.Array.class, last);
      if (commands.isEmpty()) {
        return all;
      }
      last = other.step(answered(last, array.execute(NEXUS, commands.getFirst().command())), ++now);
    }
  }

  @Test
  void aMountWithOtherXfsOptionsThanThoseOfTheOwnerIsRefusedByName() {
    peerOwns();
    for (boolean mounted : new boolean[] {true, false}) {
      Event.PeerUp peer = new Event.PeerUp(PEER, 5, "peer", "discard,logbsize=65536", mounted);
      List<Action> all = joins("allocsize=65536", peer);
      assertThat(actions(Action.Ready.class, all)).isEmpty();
      assertThat(actions(Action.Fail.class, all))
          .singleElement()
          .satisfies(
              fail -> {
                assertThat(fail.errno()).isEqualTo(Errno.EINVAL);
                assertThat(fail.message())
                    .contains("00000010 (peer)")
                    .contains("discard,logbsize=65536 there, allocsize=65536 here");
                assertThat(fail.message().length()).isLessThan(512);
              });
      assertThat(array.isRegistered(NEXUS)).as("registration of a failed mount").isFalse();
    }
    List<Action> all = joins("discard", new Event.PeerUp(PEER, 5, "peer", "discard", true));
    assertThat(actions(Action.Fail.class, all)).isEmpty();
    assertThat(actions(Action.Ready.class, all)).hasSize(1);
  }

  @Test
  void aNodeThatIsMountedStaysWhateverOptionsAnotherComesWith() {
    startAsOwner();
    done.clear();
    give(new Event.PeerUp(PEER, 5, "peer", "discard", false));
    assertThat(done.stream().filter(a -> !(a instanceof Action.Array))).isEmpty();
    // Members alone, and nobody owned the volume when it was mounted here: said, and gone on.
    give(new Event.PeerUp(PEER, 5, "peer", "discard", true));
    assertThat(actions(Action.Note.class))
        .anyMatch(n -> n.level() == Action.Level.WARN && n.text().contains("discard there"));
    assertThat(machine.isGone()).isFalse();
  }

  // ---- one command at a time, the most urgent first ----

  @Test
  void anAnswerToAnOlderQuestionIsRefusedWhateverItSays() {
    startAsOwner();
    pass(4_990);
    done.clear();
    while (actions(Action.Array.class).isEmpty()) {
      now = machine.deadline();
      step(new Event.Tick());
    }
    Action.Array asked = actions(Action.Array.class).getFirst();
    // Our key is gone, says an answer to something that was asked before.
    step(new Event.Answered(asked.question() - 1, new ArrayAnswer.Keys(9, List.of(PEER))));
    assertThat(actions(Action.Fenced.class)).isEmpty();
    give(asked.answered(array.execute(NEXUS, asked.command())));
    assertThat(actions(Action.Lease.class)).hasSize(1);
    // And so does one to no question at all.
    step(asked.answered(new ArrayAnswer.Keys(9, List.of(PEER))));
    assertThat(actions(Action.Fenced.class)).isEmpty();
  }

  @Test
  void aGrantDoesNotWaitForTheArrayWhereAFormerQuestionIsUnderWay() {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    give(new Event.PeerUp(PEER, 1, "peer", "", true));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(77)));
    done.clear();
    now = Math.max(now, 30_000);
    Action.Array check = actions(Action.Array.class, step(new Event.Tick())).getLast();
    step(new Event.Detached(machine.epoch(), 0, 0, ""));
    assertThat(sent()).hasAtLeastOneElementOfType(PeerMessage.OwnGrant.class);
    // What was asked before the grant extends nothing and fences nobody.
    done.clear();
    step(check.answered(new ArrayAnswer.Keys(9, List.of(PEER))));
    assertThat(actions(Action.Lease.class)).isEmpty();
    assertThat(actions(Action.Fenced.class)).isEmpty();
  }

  @Test
  void aLeaseIsCheckedInTimeHoweverSlowTheArrayAnswersAndHoweverMuchIsAskedOfIt() {
    startAsMember();
    give(new Event.Want());
    long last = now;
    List<Action> issued = step(new Event.Tick());
    for (int i = 0; i < 40; i++) {
      // Each answer takes longer than the pause between two looks for the holder.
      now += OwnershipSettings.WAIT_READ_MILLIS + 200;
      List<Action.Array> commands = actions(Action.Array.class, issued);
      issued =
          commands.isEmpty()
              ? step(new Event.Tick())
              : step(answered(issued, array.execute(NEXUS, commands.getLast().command())));
      if (!actions(Action.Lease.class, issued).isEmpty()) {
        assertThat(now - last).isLessThan(15_000);
        last = now;
      }
    }
    assertThat(now - last).isLessThan(15_000);
  }
}
