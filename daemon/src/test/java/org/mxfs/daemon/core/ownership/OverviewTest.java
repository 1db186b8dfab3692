// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.VolumeStatus.Reason;
import org.mxfs.daemon.core.VolumeStatus.State;

/** What a person is told of one machine, which is driven by hand. */
class OverviewTest {
  private static final ReservationKey PEER = ReservationKey.of(0x10, 7);
  private static final int NEXUS = 1;
  private static final int PEER_NEXUS = 2;

  private final SimulatedArray array = new SimulatedArray();
  private final Ownership machine =
      new Ownership(new OwnershipSettings(0x20, 1_000, 1, 20_000, 100, "volume", "/dev/sdx", ""));
  private Action.Attach attach = new Action.Attach(0, false);
  private long now;

  private void give(Event event) {
    List<Action> actions = machine.step(event, now);
    while (true) {
      machine.status(); // as the daemon does, after each step
      Action.Array command = null;
      for (Action action : actions) {
        if (action instanceof Action.Array issued) {
          command = issued;
        } else if (action instanceof Action.Attach issued) {
          attach = issued;
        }
      }
      if (command == null) {
        return;
      }
      now++;
      actions = machine.step(command.answered(array.execute(NEXUS, command.command())), now);
    }
  }

  private void pass(long millis) {
    long end = now + millis;
    while (machine.deadline() <= end) {
      now = Math.max(now, machine.deadline());
      give(new Event.Tick());
    }
    now = Math.max(now, end);
  }

  private void startAsOwner() {
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.Attached(attach.epoch(), 0, 1, ""));
  }

  private void startAsMember() {
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    array.execute(PEER_NEXUS, new ArrayCommand.Reserve(PEER));
    give(new Event.Start(Predecessor.NOBODY));
    give(new Event.Heard(PEER, "peer"));
    give(new Event.PeerUp(PEER, 5, "peer", "", true));
  }

  @Test
  void aMountIsUnderWayUntilItIsReady() {
    array.execute(PEER_NEXUS, new ArrayCommand.Register(ReservationKey.NONE, PEER, false));
    array.execute(PEER_NEXUS, new ArrayCommand.Reserve(PEER));
    give(new Event.Start(Predecessor.NOBODY));
    pass(1_000);
    VolumeStatus status = machine.status();
    assertThat(status.state()).isEqualTo(State.MOUNTING);
    assertThat(status.ready()).isFalse();
    assertThat(status.holder()).isEqualTo(PEER);
    assertThat(status.waiting()).isNull();
  }

  @Test
  void anOwnerSaysSinceWhenAndWhoWaitsForHowLong() {
    startAsOwner();
    VolumeStatus status = machine.status();
    assertThat(status.state()).isEqualTo(State.OWNER);
    assertThat(status.xfs()).isEqualTo(KernelState.ATTACHED);
    assertThat(status.holder()).isEqualTo(machine.key()).isEqualTo(status.key());
    assertThat(status.epoch()).isEqualTo(machine.epoch()).isPositive();
    assertThat(status.leaseUntil()).isGreaterThan(now).isLessThanOrEqualTo(now + 20_000);
    assertThat(status.waiters()).isEmpty();
    assertThat(status.neighbours()).isEmpty();
    long since = status.stateSince();

    pass(5_000);
    give(new Event.PeerUp(PEER, 0, "peer", "", false));
    give(new Event.Received(PEER, 0, new PeerMessage.OwnRequest(1)));
    long asked = now;
    pass(700);
    give(new Event.Received(PEER, 0, new PeerMessage.OwnRequest(1)));
    status = machine.status();
    assertThat(status.stateSince()).isEqualTo(since);
    assertThat(status.waiters()).containsExactly(new VolumeStatus.Waiting(PEER, asked));
    assertThat(status.neighbours())
        .containsExactly(new VolumeStatus.Neighbour(0x10, PEER, "peer", false, ""));

    give(new Event.Detached(machine.epoch(), 0, 1, ""));
    status = machine.status();
    assertThat(status.state()).isEqualTo(State.GIVING);
    assertThat(status.stateSince()).isEqualTo(now);
    assertThat(status.waiters()).isEmpty();
  }

  @Test
  void aMemberSaysWhomItWaitsForAndWhy() {
    startAsMember();
    VolumeStatus status = machine.status();
    assertThat(status.state()).isEqualTo(State.MEMBER);
    assertThat(status.waiting()).isNull();
    assertThat(status.holder()).isEqualTo(PEER);

    pass(3_000);
    long since = now;
    give(new Event.Want());
    pass(600);
    assertThat(machine.status().waiting())
        .isEqualTo(new VolumeStatus.Wish(since, Reason.OWNER_HAS_IT, PEER));
    give(new Event.PeerDown(0x10));
    give(new Event.OtherVersion(0x10, "speaks version 9"));
    status = machine.status();
    assertThat(status.waiting())
        .isEqualTo(new VolumeStatus.Wish(since, Reason.OWNER_NOT_CONNECTED, PEER));
    assertThat(status.neighbours())
        .containsExactly(
            new VolumeStatus.Neighbour(
                0x10, ReservationKey.NONE, "peer", false, "speaks version 9"));
  }

  @Test
  void whoLeavesIsForgotten() {
    startAsMember();
    give(new Event.Received(PEER, 5, new PeerMessage.Leave()));
    give(new Event.PeerDown(0x10));
    assertThat(machine.status().neighbours()).isEmpty();
  }

  @Test
  void aVolumeOfThisNodeAloneSaysSo() {
    List<Action> actions = machine.step(new Event.Start(Predecessor.NOBODY), 0);
    Action.Array command =
        actions.stream()
            .filter(Action.Array.class::isInstance)
            .map(Action.Array.class::cast)
            .findFirst()
            .orElseThrow();
    machine.step(command.answered(new ArrayAnswer.Unsupported("none")), 1);
    now = OwnershipSettings.LISTEN_MILLIS;
    give(new Event.Tick());
    give(new Event.Attached(attach.epoch(), 0, 1, ""));
    assertThat(machine.status().state()).isEqualTo(State.ALONE);
    assertThat(machine.status().holder()).isEqualTo(ReservationKey.NONE);
  }

  @Test
  void whoIsShutOutHasEnded() {
    startAsOwner();
    array.execute(
        NEXUS, new ArrayCommand.Unregister(machine.key(), false)); // behind the machine's back
    give(new Event.UnitAttention("registrations preempted"));
    assertThat(machine.isGone()).isTrue();
    assertThat(machine.status().state()).isEqualTo(State.ENDED);
  }

  @Test
  void umountIsSeen() {
    startAsMember();
    give(new Event.Want());
    machine.step(new Event.Leave(), now);
    VolumeStatus status = machine.status();
    assertThat(status.state()).isEqualTo(State.LEAVING);
    assertThat(status.waiting()).isNull();
  }
}
