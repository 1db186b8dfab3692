// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ReservationKey;

final class SuspicionTest {
  private static final ReservationKey A = ReservationKey.of(1, 7);
  private final Suspicion suspicion = new Suspicion(1_000);

  private void read(long sequence, long askedAt, long answeredAt) {
    suspicion.read(List.of(SlotTableTest.beat(A, 1, sequence)), askedAt, answeredAt);
  }

  @Test
  void silenceIsCountedFromTheEndOfOneReadingToTheBeginningOfTheNext() {
    read(1, 0, 10);
    assertThat(suspicion.silentFor(A)).isZero();
    read(1, 1_000, 1_020);
    assertThat(suspicion.silentFor(A)).isEqualTo(990);
    read(1, 2_000, 2_010);
    assertThat(suspicion.silentFor(A)).isEqualTo(990 + 980);
    read(2, 3_000, 3_010);
    assertThat(suspicion.silentFor(A)).isZero();
  }

  @Test
  void anArrayThatStallsForEverybodySilencesNobody() {
    read(1, 0, 10);
    read(1, 1_000, 31_000);
    assertThat(suspicion.silentFor(A)).isZero();
    read(1, 31_001, 31_010);
    assertThat(suspicion.silentFor(A)).as("what came late began nothing").isZero();
    read(1, 32_000, 32_010);
    assertThat(suspicion.silentFor(A)).isEqualTo(990);
  }

  @Test
  void aReaderThatWasStoppedItselfCountsNothing() {
    read(1, 0, 10);
    read(1, 60_000, 60_010);
    assertThat(suspicion.silentFor(A)).isZero();
  }

  @Test
  void aReadingThatFailedBeginsAnew() {
    read(1, 0, 10);
    suspicion.readFailed();
    read(1, 1_000, 1_010);
    assertThat(suspicion.silentFor(A)).isZero();
  }

  @Test
  void aSlotThatWasOnlyGivenIsNotSilent() {
    Slot given = new Slot.Taken(new Beat(A, 1, 1, Beat.State.RESERVED, 1_000, ""));
    for (long time = 0; time < 60_000; time += 1_000) {
      suspicion.read(List.of(given), time, time + 1);
    }
    assertThat(suspicion.silentFor(A)).isEqualTo(-1);
  }

  @Test
  void anotherLifeOfTheNodeIsAnotherSilence() {
    read(1, 0, 10);
    read(1, 1_000, 1_010);
    suspicion.read(List.of(SlotTableTest.beat(ReservationKey.of(1, 8), 1, 1)), 2_000, 2_010);
    assertThat(suspicion.silentFor(A)).isEqualTo(-1);
    assertThat(suspicion.silentFor(ReservationKey.of(1, 8))).isZero();
  }

  /** Ten seconds. */
  private void stand(Slot slot, long from) {
    for (long time = from; time <= from + 10_000; time += 1_000) {
      suspicion.read(List.of(slot), time, time);
    }
  }

  private static Slot record(Beat.State state) {
    return new Slot.Taken(new Beat(A, 1, 1, state, 1_000, ""));
  }

  @Test
  void thatANodeIsSilentIsProvenOfOneThatBeatOrPaused() {
    for (Beat.State state : Beat.State.values()) {
      stand(record(state), 0);
      boolean wasToBeat = state == Beat.State.ALIVE || state == Beat.State.PAUSED;
      assertThat(suspicion.proof(A, 10_000, 10_000) != null).as("%s", state).isEqualTo(wasToBeat);
      assertThat(suspicion.proof(A, 10_001, 10_000)).isNull();
      suspicion.read(List.of(), 20_000, 20_000);
    }
    stand(record(Beat.State.ALIVE), 30_000);
    assertThat(suspicion.proof(A, 0, 40_000)).as("nobody is to be shut out").isNull();
    suspicion.readFailed();
    assertThat(suspicion.proof(A, 10_000, 40_000)).as("what is so now is not known").isNull();
  }

  /** Each mount sets its own lease. */
  @Test
  void whoHasALongerLeaseHasToBeSilentForLonger() {
    Slot slot = new Slot.Taken(new Beat(A, 1, 1, Beat.State.ALIVE, 6_500, ""));
    stand(slot, 0);
    assertThat(suspicion.proof(A, 3_500, 10_000)).as("10 s, and 10,125 ms are needed").isNull();
    suspicion.read(List.of(slot), 11_000, 11_000);
    assertThat(suspicion.proof(A, 3_500, 11_000)).isNotNull();
  }

  /** What this node alone cannot read its writer may write, again and again. */
  @Test
  void aSlotThatCannotBeReadProvesNothing() {
    for (Slot.Kind kind : Slot.Kind.values()) {
      stand(record(Beat.State.ALIVE), 0);
      suspicion.read(List.of(new Slot.Damaged(kind, "damaged")), 11_000, 11_000);
      boolean mayBeOfItsDeath = kind == Slot.Kind.TORN;
      assertThat(suspicion.proof(A, 10_000, 11_000) != null)
          .as("%s", kind)
          .isEqualTo(mayBeOfItsDeath);
      suspicion.read(List.of(), 20_000, 20_000);
    }
  }

  /** Danger 43. */
  @Test
  void aProofIsAsOldAsItsReading() {
    stand(record(Beat.State.ALIVE), 0);
    assertThat(suspicion.proof(A, 10_000, 12_000)).isNotNull();
    assertThat(suspicion.proof(A, 10_000, 12_001)).isNull();
  }

  /** Danger 44: it may be the second slot of whoever is silent in the other. */
  @Test
  void aDamagedSlotOfNobodyKnownLetsNobodyBeProvenSilent() {
    Slot damaged = new Slot.Damaged(Slot.Kind.TORN, "torn");
    for (Slot before : List.of(damaged, new Slot.Free())) {
      suspicion.read(List.of(record(Beat.State.ALIVE), before), 0, 0);
      for (long time = 1_000; time <= 11_000; time += 1_000) {
        suspicion.read(List.of(record(Beat.State.ALIVE), damaged), time, time);
      }
      assertThat(suspicion.proof(A, 10_000, 11_000)).isNull();
      suspicion.read(List.of(record(Beat.State.ALIVE), new Slot.Free()), 12_000, 12_000);
      assertThat(suspicion.proof(A, 10_000, 12_000)).isNotNull();
      suspicion.read(List.of(), 20_000, 20_000);
    }
  }

  @Test
  void aNodeWithTwoSlotsIsAsSilentAsTheLivelier() {
    Slot first = record(Beat.State.ALIVE);
    for (long time = 0; time <= 10_000; time += 1_000) {
      suspicion.read(List.of(first, SlotTableTest.beat(A, 1, time)), time, time);
    }
    assertThat(suspicion.proof(A, 1_000, 10_000)).isNull();
  }
}
