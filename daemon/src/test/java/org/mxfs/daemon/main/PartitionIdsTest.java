// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.mxfs.daemon.array.BlockDevice;
import org.mxfs.daemon.array.Partition;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.Fnv1a;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.Uuids;

/**
 * mxfs 0.2.0 drops an announcement whose node id is not that of its node UUID, and mounts a
 * partition without reservations when it hears nobody announce the volume. So a node that has one
 * mounted has to be heard by it.
 */
class PartitionIdsTest {
  private static final NodeIdentity NODE = new NodeIdentity(new UUID(0x1234_4000L, 0x5678L));
  private static final int LAST_BYTE = NODE.nodeId() & 0xff;

  /** Another than the last byte of the id: else nothing would be seen of it. */
  private static final int NUMBER = LAST_BYTE == 3 ? 4 : 3;

  private static final ArrayAnswer NONE = new ArrayAnswer.Unsupported("no reservations");

  private static BlockDevice block(boolean partition) {
    return new BlockDevice(
        "vdb3",
        254,
        19,
        partition
            ? Optional.of(new Partition(NUMBER, 2048, 4096, "vdb", List.of()))
            : Optional.empty(),
        List.of(),
        Optional.empty());
  }

  private static Predecessor ready(ReservationKey key) {
    return new Predecessor(key, 1, KernelState.ATTACHED, true, false, false);
  }

  private static void assertHeardByAll(
      Predecessor predecessor, @Nullable ArrayAnswer capabilities) {
    int id = NODE.nodeId(PartitionIds.number(block(true), predecessor, capabilities));
    assertThat(id).isEqualTo(Fnv1a.nodeId(Uuids.bytes(NODE.uuid())));
  }

  @Test
  void whoHasAPartitionThatTakesNoScsiIsHeardByAll() {
    assertHeardByAll(Predecessor.NOBODY, null);
  }

  @Test
  void whoHasAPartitionWithoutReservationsIsHeardByAll() {
    assertHeardByAll(Predecessor.NOBODY, NONE);
  }

  @Test
  void soIsADaemonThatIsStartedAnew() {
    assertHeardByAll(ready(ReservationKey.NONE), null);
    assertHeardByAll(ready(ReservationKey.NONE), NONE);
    assertHeardByAll(ready(ReservationKey.NONE), new ArrayAnswer.Unclear("unit away"));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whereThereAreReservationsTheIdTellsThePartition(boolean aptpl) {
    int number =
        PartitionIds.number(block(true), Predecessor.NOBODY, new ArrayAnswer.Supported(aptpl));
    assertThat(number).isEqualTo(NUMBER);
    assertThat(NODE.nodeId(number)).isEqualTo(ReservationKey.ofPartition(NODE.nodeId(), NUMBER));
    assertThat(
            PartitionIds.number(block(false), Predecessor.NOBODY, new ArrayAnswer.Supported(aptpl)))
        .isZero();
    assertThat(NODE.nodeId(0)).isEqualTo(NODE.nodeId());
  }

  /** The core refuses the mount when that turns out to be none. */
  @Test
  void whatIsNotClearIsTakenForReservations() {
    assertThat(
            PartitionIds.number(
                block(true), Predecessor.NOBODY, new ArrayAnswer.Unclear("unit away")))
        .isEqualTo(NUMBER);
  }

  /** The key is on the disk: it stays that of its partition, whatever the disk says now. */
  @Test
  void aKeyThatIsRegisteredStaysWhatItIs() {
    ReservationKey key = ReservationKey.of(ReservationKey.ofPartition(NODE.nodeId(), NUMBER), 7);
    for (ArrayAnswer each : List.of(NONE, new ArrayAnswer.Unclear("unit away"))) {
      assertThat(PartitionIds.number(block(true), ready(key), each)).isEqualTo(NUMBER);
    }
  }
}
