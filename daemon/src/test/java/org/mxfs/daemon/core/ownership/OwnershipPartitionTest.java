// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Two volumes on partitions of one disk have one set of registrations and one reservation. The one
 * that comes second is refused, whether the first has an owner or members alone, and whichever node
 * it is on.
 */
class OwnershipPartitionTest {
  /** As long as names of disks of a SAN are. */
  private static final String DEVICE =
      "/dev/disk/by-id/scsi-SVENDOR_MODEL_6000d310012345670000000000000042-part1";

  private static final int NODE = 0x2345_6789;
  private static final int PEER = 0x1234_5678;
  private static final int NEXUS = 1;
  private static final int PEER_NEXUS = 2;

  private final SimulatedArray array = new SimulatedArray();
  private final Ownership machine = machine(1);
  private final List<Action> done = new ArrayList<>();
  private long now;

  private static OwnershipSettings settings() {
    return new OwnershipSettings(NODE, 1_000, 1, 20_000, 100, "volume", DEVICE, "");
  }

  private static Ownership machine(int partition) {
    return new Ownership(settings().onPartition(partition));
  }

  private static ReservationKey key(int node, int partition) {
    return ReservationKey.of(ReservationKey.ofPartition(node, partition), 7);
  }

  private void run(Event event) {
    run(event, _ -> {});
  }

  /** Executes what is asked for; {@code before} sees each command before the array does. */
  private void run(Event event, Consumer<ArrayCommand> before) {
    List<Action> actions = machine.step(event, now);
    while (true) {
      done.addAll(actions);
      List<Action.Array> commands =
          actions.stream()
              .filter(Action.Array.class::isInstance)
              .map(Action.Array.class::cast)
              .toList();
      if (commands.isEmpty()) {
        return;
      }
      now++;
      before.accept(commands.getLast().command());
      ArrayAnswer answer = array.execute(NEXUS, commands.getLast().command());
      actions = machine.step(commands.getLast().answered(answer), now);
    }
  }

  private void start(Consumer<ArrayCommand> before) {
    run(new Event.Start(Predecessor.NOBODY), before);
    while (!machine.isGone() && machine.deadline() < 10_000) {
      now = Math.max(now, machine.deadline());
      run(new Event.Tick(), before);
    }
  }

  private <T extends Action> List<T> actions(Class<T> kind) {
    return done.stream().filter(kind::isInstance).map(kind::cast).toList();
  }

  private <T extends ArrayCommand> List<T> commands(Class<T> kind) {
    return actions(Action.Array.class).stream()
        .map(Action.Array::command)
        .filter(kind::isInstance)
        .map(kind::cast)
        .toList();
  }

  private void register(int nexus, ReservationKey key) {
    array.execute(nexus, new ArrayCommand.Register(ReservationKey.NONE, key, false));
    assertThat(array.isRegistered(nexus)).isTrue();
  }

  private void assertRefused(ReservationKey other, int partition) {
    assertThat(actions(Action.Fail.class))
        .singleElement()
        .satisfies(
            fail -> {
              assertThat(fail.errno()).isEqualTo(Errno.EBUSY);
              assertThat(fail.message())
                  .contains(
                      "key " + other + " is registered", "this partition, 1, ", "D=" + DEVICE + ";")
                  .contains("for partition " + partition + " ")
                  .endsWith("mount again");
              assertThat(fail.message().length()).as(fail.message()).isLessThan(512);
            });
    assertThat(actions(Action.Attach.class)).isEmpty();
    assertThat(commands(ArrayCommand.Reserve.class)).isEmpty();
    assertThat(commands(ArrayCommand.Preempt.class)).isEmpty();
    assertThat(machine.isGone()).isTrue();
  }

  @Test
  void anotherPartitionsOwnerIsSeenBeforeThisNodeRegisters() {
    register(PEER_NEXUS, key(PEER, 2));
    array.execute(PEER_NEXUS, new ArrayCommand.Reserve(key(PEER, 2)));
    start(_ -> {});
    assertRefused(key(PEER, 2), 2);
    assertThat(commands(ArrayCommand.Register.class)).isEmpty();
    assertThat(array.holds(PEER_NEXUS)).isTrue();
  }

  /** Nobody holds the reservation: nothing but the key says that the disk is another volume's. */
  @Test
  void anotherPartitionsMembersAreSeenToo() {
    register(PEER_NEXUS, key(PEER, 2));
    start(_ -> {});
    assertRefused(key(PEER, 2), 2);
    assertThat(commands(ArrayCommand.Register.class)).isEmpty();
    assertThat(array.isRegistered(PEER_NEXUS)).isTrue();
  }

  /** Its own node may have the other partition mounted at this moment: its key is not dead. */
  @ParameterizedTest
  @ValueSource(ints = {NEXUS, PEER_NEXUS})
  void thisNodesOwnKeyOfAnotherPartitionIsLeftAlone(int nexus) {
    register(nexus, key(NODE, 2));
    array.execute(nexus, new ArrayCommand.Reserve(key(NODE, 2)));
    start(_ -> {});
    assertRefused(key(NODE, 2), 2);
    assertThat(array.holds(nexus)).isTrue();
  }

  /** Both have looked before either was registered. */
  @Test
  void ofTwoThatComeAtOnceTheLaterOneGivesWay() {
    start(
        command -> {
          if (command instanceof ArrayCommand.Register register
              && register.old().isNone()
              && !array.isRegistered(PEER_NEXUS)) {
            register(PEER_NEXUS, key(PEER, 2));
          }
        });
    assertRefused(key(PEER, 2), 2);
    assertThat(commands(ArrayCommand.Register.class)).hasSize(1);
    assertThat(array.isRegistered(NEXUS)).as("registration of a mount that was refused").isFalse();
    assertThat(array.isRegistered(PEER_NEXUS)).isTrue();
  }

  /** The array itself keeps apart what no look has: REGISTER from no key meets a conflict. */
  @Test
  void aKeyThatComesOntoOurOwnPathMeanwhileIsNotReplaced() {
    start(
        command -> {
          if (command instanceof ArrayCommand.Register && !array.isRegistered(NEXUS)) {
            register(NEXUS, key(NODE, 2));
          }
        });
    assertThat(actions(Action.Fail.class))
        .singleElement()
        .satisfies(fail -> assertThat(fail.errno()).isEqualTo(Errno.EBUSY));
    assertThat(actions(Action.Attach.class)).isEmpty();
    ArrayAnswer keys = array.execute(PEER_NEXUS, new ArrayCommand.ReadKeys());
    assertThat(((ArrayAnswer.Keys) keys).keys()).containsExactly(key(NODE, 2));
  }

  @Test
  void deadNodesOfTheSamePartitionStopNobody() {
    register(PEER_NEXUS, key(PEER, 1));
    register(9, key(NODE, 1));
    start(_ -> {});
    assertThat(actions(Action.Fail.class)).isEmpty();
    assertThat(actions(Action.Attach.class)).hasSize(1);
    assertThat(array.holds(NEXUS)).isTrue();
    assertThat(machine.key().nodeId()).isEqualTo(0x2345_6701);
  }

  @ParameterizedTest
  @EnumSource(
      value = KernelState.class,
      names = {"ATTACHED", "DETACHED"})
  void aMountThatIsThereStaysWhoeverComes(KernelState kernel) {
    start(_ -> {});
    Action.Attach attach = actions(Action.Attach.class).getFirst();
    run(new Event.Attached(attach.epoch(), 0, 1_000_000, ""));
    register(PEER_NEXUS, key(PEER, 2));
    Ownership next = machine(1);
    List<Action> actions =
        next.step(
            new Event.Start(
                new Predecessor(machine.key(), machine.epoch(), kernel, true, false, false)),
            now);
    List<Action> all = new ArrayList<>(actions);
    while (actions.stream().anyMatch(Action.Array.class::isInstance)) {
      Action.Array command =
          actions.stream()
              .filter(Action.Array.class::isInstance)
              .map(Action.Array.class::cast)
              .toList()
              .getLast();
      ArrayAnswer answer = array.execute(NEXUS, command.command());
      actions = next.step(command.answered(answer), ++now);
      all.addAll(actions);
    }
    assertThat(all).noneMatch(a -> a instanceof Action.Fenced || a instanceof Action.Fail);
    assertThat(all).anyMatch(Action.Ready.class::isInstance);
    assertThat(array.isRegistered(NEXUS)).isTrue();
  }

  /**
   * A node id that tells the partition is not understood by mxfs 0.2.0, which would mount it, too,
   * and where there are no reservations nothing else keeps it from that.
   */
  @Test
  void whoTellsThePartitionIsNeverAloneOnIt() {
    List<Action> actions = machine.step(new Event.Start(Predecessor.NOBODY), now);
    answerNone(machine, actions);
    while (!machine.isGone() && machine.deadline() < 10_000) {
      now = Math.max(now, machine.deadline());
      answerNone(machine, machine.step(new Event.Tick(), now));
    }
    assertThat(actions(Action.Attach.class)).isEmpty();
    assertThat(actions(Action.Fail.class))
        .singleElement()
        .satisfies(
            fail -> {
              assertThat(fail.errno()).isEqualTo(Errno.EIO);
              assertThat(fail.message()).contains(DEVICE, "mount it again");
            });
  }

  /** Its id was chosen, and announced, for a device without reservations: no key of it may be. */
  @Test
  void whoDoesNotTellThePartitionNeverRegisters() {
    Ownership plain = new Ownership(settings().aloneOnPartition());
    answerAll(plain, plain.step(new Event.Start(Predecessor.NOBODY), now));
    assertThat(commands(ArrayCommand.Register.class)).isEmpty();
    assertThat(actions(Action.Attach.class)).isEmpty();
    assertThat(actions(Action.Fail.class))
        .singleElement()
        .satisfies(
            fail -> {
              assertThat(fail.errno()).isEqualTo(Errno.EIO);
              assertThat(fail.message()).contains(DEVICE, "mount it again");
            });
    assertThat(plain.isGone()).isTrue();
  }

  /** XFS is attached here, and any node may take the reservation. */
  @ParameterizedTest
  @CsvSource({
    "true, ATTACHED",
    "true, ATTACHING",
    "true, DETACHED",
    "false, ATTACHED",
    "false, DETACHING"
  })
  void reservationsThatCameMeanwhileShutTheMountDown(boolean partition, KernelState kernel) {
    Ownership next = new Ownership(partition ? settings().aloneOnPartition() : settings());
    answerAll(
        next,
        next.step(
            new Event.Start(new Predecessor(ReservationKey.NONE, 1, kernel, true, false, false)),
            now));
    assertThat(commands(ArrayCommand.Register.class)).isEmpty();
    assertThat(actions(Action.Ready.class)).isEmpty();
    assertThat(actions(Action.Fenced.class))
        .singleElement()
        .satisfies(
            fenced -> assertThat(fenced.message()).contains(DEVICE, "had none", "mount it again"));
  }

  /** On a whole disk the id is right, and nothing is attached: it joins as any other. */
  @Test
  void aWholeDiskThatIsDetachedJoins() {
    Ownership next = new Ownership(settings());
    answerAll(
        next,
        next.step(
            new Event.Start(
                new Predecessor(ReservationKey.NONE, 1, KernelState.DETACHED, true, false, false)),
            now));
    assertThat(actions(Action.Fenced.class)).isEmpty();
    assertThat(commands(ArrayCommand.Register.class)).hasSize(1);
    assertThat(actions(Action.Ready.class)).hasSize(1);
  }

  /** While it is being unmounted, it has nothing to take back. */
  @Test
  void anUmountOfOneThatWasAloneAsksNothing() {
    Ownership next = new Ownership(settings().aloneOnPartition());
    answerAll(
        next,
        next.step(
            new Event.Start(
                new Predecessor(ReservationKey.NONE, 1, KernelState.DETACHED, true, false, true)),
            now));
    assertThat(actions(Action.Fenced.class)).isEmpty();
    assertThat(actions(Action.Left.class)).hasSize(1);
  }

  private void answerAll(Ownership to, List<Action> actions) {
    List<Action> next = actions;
    while (true) {
      done.addAll(next);
      List<Action.Array> asked =
          next.stream()
              .filter(Action.Array.class::isInstance)
              .map(Action.Array.class::cast)
              .toList();
      if (asked.isEmpty()) {
        return;
      }
      Action.Array last = asked.getLast();
      next = to.step(last.answered(array.execute(NEXUS, last.command())), ++now);
    }
  }

  @Test
  void reservationsThatAreGoneShutTheMountDown() {
    List<Action> actions =
        machine.step(
            new Event.Start(
                new Predecessor(key(NODE, 1), 1, KernelState.ATTACHED, true, false, false)),
            now);
    answerNone(machine, actions);
    assertThat(actions(Action.Fenced.class))
        .singleElement()
        .satisfies(fenced -> assertThat(fenced.message()).contains(DEVICE));
    assertThat(actions(Action.Ready.class)).isEmpty();
  }

  /** Another node may have the volume, and no reservation keeps either from writing any more. */
  @ParameterizedTest
  @EnumSource(names = {"ATTACHED", "DETACHED"})
  void aSharedWholeDiskWhoseReservationsAreGoneIsNotTakenForOneOfThisNodeAlone(KernelState state) {
    Ownership whole = new Ownership(settings());
    List<Action> actions =
        whole.step(
            new Event.Start(new Predecessor(key(NODE, 1), 1, state, true, false, false)), now);
    answerNone(whole, actions);
    assertThat(actions(Action.Fenced.class))
        .singleElement()
        .satisfies(
            fenced -> assertThat(fenced.message()).contains(DEVICE, "says now that it has none"));
    assertThat(actions(Action.Attach.class)).isEmpty();
    assertThat(actions(Action.Ready.class)).isEmpty();
    assertThat(whole.isGone()).isTrue();
  }

  private void answerNone(Ownership to, List<Action> actions) {
    List<Action> next = actions;
    while (true) {
      done.addAll(next);
      List<Action.Array> asked =
          next.stream()
              .filter(Action.Array.class::isInstance)
              .map(Action.Array.class::cast)
              .toList();
      if (asked.isEmpty()) {
        return;
      }
      next = to.step(asked.getLast().answered(new ArrayAnswer.Unsupported("none")), ++now);
    }
  }

  /** On a whole disk the last byte of a node id means nothing. */
  @Test
  void aWholeDiskHasNoPartitions() {
    register(PEER_NEXUS, key(PEER, 2));
    Ownership whole = new Ownership(settings());
    List<Action> actions = whole.step(new Event.Start(Predecessor.NOBODY), 0);
    for (int i = 1; i < 20 && actions.stream().noneMatch(Action.Attach.class::isInstance); i++) {
      Action.Array command = (Action.Array) actions.getLast();
      actions = whole.step(command.answered(array.execute(NEXUS, command.command())), i);
    }
    assertThat(actions).anyMatch(Action.Attach.class::isInstance);
    assertThat(whole.key().nodeId()).isEqualTo(NODE);
  }

  @Test
  void aNodeIdOfAPartitionKeepsTheNode() {
    assertThat(ReservationKey.ofPartition(NODE, 255)).isEqualTo(0x2345_67ff);
    assertThat(ReservationKey.isSameNode(NODE, 0x2345_6701)).isTrue();
    assertThat(ReservationKey.isSameNode(NODE, 0x2345_6801)).isFalse();
    for (int number : new int[] {0, -1, 256}) {
      assertThatThrownBy(() -> ReservationKey.ofPartition(NODE, number))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }
}
