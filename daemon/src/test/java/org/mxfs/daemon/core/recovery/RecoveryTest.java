// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.recovery;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;
import org.mxfs.daemon.core.fencing.Proofs;
import org.mxfs.daemon.core.lock.LockAction;

/**
 * F4: each step from the proof of the step before. That there is no other way is the compiler's.
 */
@Timeout(60)
class RecoveryTest {
  private static final ReservationKey OWN = ReservationKey.of(1, 1);
  private static final ReservationKey OTHER = ReservationKey.of(2, 1);
  private static final ReservationKey DEAD = ReservationKey.of(3, 1);

  private static Fenced fenced(ReservationKey holder) {
    return Proofs.of(OWN, DEAD, holder);
  }

  @Test
  void recordsAreClearedWhenEachIsKnownToBeOnDisk() {
    ClearRecords clear = new ClearRecords(fenced(OWN), 3);
    assertThat(clear.read(4, List.of(70, 65, 70))).isTrue();
    assertThat(clear.left()).containsExactly(65, 70);
    assertThat(clear.done()).isNull();
    clear.written(65);
    clear.written(9);
    assertThat(clear.done()).as("one has failed, and is to be written again").isNull();
    assertThat(clear.left()).containsExactly(70);
    clear.written(70);
    assertThat(requireNonNull(clear.done()).victim()).isEqualTo(DEAD);
  }

  @Test
  void whoHadNoRecordsNeedsNoWrite() {
    ClearRecords clear = new ClearRecords(fenced(OWN), 3);
    clear.read(4, List.of());
    assertThat(clear.done()).isNotNull();
  }

  /** What the dead one has written last may come after a reading that was asked for before. */
  @Test
  void whichRecordsThereAreIsReadAfterTheProof() {
    ClearRecords clear = new ClearRecords(fenced(OWN), 3);
    assertThat(clear.done()).as("not read").isNull();
    assertThat(clear.read(3, List.of())).as("asked for before").isFalse();
    assertThat(clear.done()).isNull();
    assertThat(clear.read(4, List.of(65))).isTrue();
    assertThat(clear.read(5, List.of())).as("one is enough").isFalse();
    assertThat(clear.left()).containsExactly(65);
  }

  private static RecordsCleared recordsCleared(ReservationKey holder) {
    ClearRecords clear = new ClearRecords(fenced(holder), 0);
    clear.read(1, List.of());
    return requireNonNull(clear.done());
  }

  @Test
  void locksAreClearedWhenTheLockManagerSaysSoOfThisVictim() {
    RecordsCleared records = recordsCleared(OWN);
    assertThat(records.forLocks().victim()).isEqualTo(DEAD);
    assertThat(records.locksCleared(new LockAction.LocksCleared(OTHER))).isNull();
    LocksCleared locks = requireNonNull(records.locksCleared(new LockAction.LocksCleared(DEAD)));
    assertThat(locks.victim()).isEqualTo(DEAD);
  }

  private static LocksCleared locksCleared(ReservationKey holder) {
    return requireNonNull(recordsCleared(holder).locksCleared(new LockAction.LocksCleared(DEAD)));
  }

  @Test
  void theJournalIsRecoveredOnTheSurvivorThatHoldsTheReservation() {
    assertThat(locksCleared(OTHER).recoverJournal(7)).isNull();
    RecoverJournal journal = requireNonNull(locksCleared(OWN).recoverJournal(7));
    assertThat(journal.attached(new Event.Attached(7, 5, 0, "EIO"))).as("again").isNull();
    assertThat(journal.attached(new Event.Attached(6, 0, 0, "")))
        .as("the end of an earlier attach")
        .isNull();
    assertThat(journal.epoch()).isEqualTo(7);
    Recovered recovered = requireNonNull(journal.attached(new Event.Attached(7, 0, 0, "")));
    assertThat(recovered.epoch()).isEqualTo(7);
    assertThat(recovered.victim()).isEqualTo(DEAD);
    assertThat(recovered).asString().contains("epoch=7", DEAD.toString());
  }
}
