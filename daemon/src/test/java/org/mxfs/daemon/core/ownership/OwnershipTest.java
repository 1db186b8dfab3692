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
  private static final int NODE = 0x20;
  private static final ReservationKey PEER = ReservationKey.of(0x10, 7);
  private static final int NEXUS = 1;
  private static final int PEER_NEXUS = 2;

  private final SimulatedArray array = new SimulatedArray();
  private final Ownership machine = machine();
  private final List<Action> done = new ArrayList<>();
  private long now;

  private static Ownership machine() {
    return new Ownership(new OwnershipSettings(NODE, 1_000, 1, 20_000, 100, "volume", "/dev/sdx"));
  }

  /** Gives an event, and executes every array command it leads to. */
  private void give(Event event) {
    List<Action> actions = machine.step(event, now);
    while (true) {
      done.addAll(actions);
      ArrayCommand command = null;
      for (Action action : actions) {
        if (action instanceof Action.Array issued) {
          command = issued.command();
        }
      }
      if (command == null) {
        return;
      }
      now++;
      ArrayAnswer answer = array.execute(NEXUS, command);
      actions = machine.step(new Event.Answered(answer), now);
    }
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

  private List<PeerMessage> sent() {
    return actions(Action.Send.class).stream().map(Action.Send::message).toList();
  }

  private void peerOwns() {
    array.execute(PEER_NEXUS, new ArrayCommand.Register(PEER, false));
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
    give(new Event.PeerUp(PEER, 5));
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
                  .contains(
                      "00000010", "0x0000001000000007", "not heard", "sg_persist", "/dev/sdx");
              assertThat(fail.message().length()).isLessThan(512);
            });
    assertThat(array.isRegistered(NEXUS)).as("registration of a failed mount").isFalse();
    assertThat(machine.isGone()).isTrue();
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
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.of(NODE, 5), false));
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
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.of(NODE, 5), false));
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
      actions.addAll(other.step(new Event.Answered(answer), time++));
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
    actions.addAll(machine.step(new Event.Answered(new ArrayAnswer.Unsupported("none")), 1));
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
    actions.addAll(machine.step(new Event.Answered(new ArrayAnswer.Unsupported("none")), 1));
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
    array.execute(PEER_NEXUS, new ArrayCommand.Register(PEER, false));
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
    array.execute(oldNexus, new ArrayCommand.Register(ReservationKey.of(NODE, 3), false));
    startAsMember();
    pass(20_000 / 4 + 100);
    assertThat(array.isRegistered(oldNexus)).isFalse();
    assertThat(array.holds(PEER_NEXUS)).isTrue();
    assertThat(actions(Action.Fenced.class)).isEmpty();
  }

  @Test
  void anOwnerRemovesTheKeyThatItsDeadIncarnationLeft() {
    int oldNexus = 9;
    array.execute(oldNexus, new ArrayCommand.Register(ReservationKey.of(NODE, 3), false));
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
    done.addAll(machine.step(new Event.Answered(keys), now));
    assertThat(actions(Action.Lease.class)).isEmpty();
    now += 400;
    ArrayAnswer reservation = array.execute(NEXUS, new ArrayCommand.ReadReservation());
    done.addAll(machine.step(new Event.Answered(reservation), now));
    assertThat(actions(Action.Lease.class)).containsExactly(new Action.Lease(20_000 - 700));
  }

  @Test
  void noLeaseWithoutAnAnswer() {
    startAsOwner();
    done.clear();
    while (actions(Action.Array.class).isEmpty()) {
      now = machine.deadline();
      done.addAll(machine.step(new Event.Tick(), now));
    }
    done.addAll(machine.step(new Event.Answered(new ArrayAnswer.Unclear("no path")), now));
    assertThat(actions(Action.Lease.class)).isEmpty();
    assertThat(actions(Action.Fenced.class)).isEmpty();
  }

  @Test
  void consentIsGivenOnlyAfterTheDetach() {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(PEER, false));
    give(new Event.PeerUp(PEER, 1));
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
    give(new Event.PeerUp(PEER, 1));
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
    give(new Event.PeerUp(PEER, 1));
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
    array.execute(PEER_NEXUS, new ArrayCommand.Register(PEER, false));
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
    // Too old: somebody has owned it since.
    give(
        new Event.Received(
            PEER, 5, new PeerMessage.OwnGrant(request.requestId(), 5, 0, List.of())));
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
            new Action.Left(Errno.NONE),
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
    assertThat(actions(Action.Left.class)).containsExactly(new Action.Left(Errno.ETIMEDOUT));
    assertThat(machine.isGone()).isTrue();
  }

  @Test
  void aLeavingOwnerLetsTheFirstWaiterTakeOver() {
    startAsOwner();
    array.execute(PEER_NEXUS, new ArrayCommand.Register(PEER, false));
    give(new Event.PeerUp(PEER, 1));
    give(new Event.Received(PEER, 1, new PeerMessage.OwnRequest(3)));
    give(new Event.Leave());
    assertThat(sent()).last().isInstanceOf(PeerMessage.OwnGrant.class);
    array.execute(PEER_NEXUS, new ArrayCommand.Preempt(PEER, machine.key()));
    give(new Event.Received(PEER, 2, new PeerMessage.OwnTaken(2)));
    assertThat(actions(Action.Left.class)).containsExactly(new Action.Left(Errno.NONE));
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
    array.execute(PEER_NEXUS, new ArrayCommand.Register(PEER, false));
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
      last =
          other.step(new Event.Answered(array.execute(NEXUS, commands.getFirst().command())), now);
      all.addAll(last);
    }
  }
}
