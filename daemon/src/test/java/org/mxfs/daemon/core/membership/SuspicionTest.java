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
}
