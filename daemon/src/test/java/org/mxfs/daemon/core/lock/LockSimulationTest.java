// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/**
 * Runs {@link LockSimulation} over many seeds. {@code -Dmxfs.lock.seeds=N} sets how many, {@code
 * -Dmxfs.lock.seed=S} replays one, {@code -Dmxfs.lock.lines=N} shows more of its end, and {@code
 * -Dmxfs.lock.new=true} takes a third of them that no run has seen before.
 */
class LockSimulationTest {
  private static final int SEEDS = Integer.getInteger("mxfs.lock.seeds", 250);
  private static final boolean NEW =
      Boolean.parseBoolean(System.getProperty("mxfs.lock.new", "false"));
  private static final long REPLAY = Long.getLong("mxfs.lock.seed", -1);

  @Test
  void neverTwoLocksThatExcludeEachOtherAndEveryRequestEnds() {
    if (REPLAY >= 0) {
      System.out.println(LockSimulation.run(REPLAY));
      return;
    }
    long first = System.currentTimeMillis() << 16;
    long grants = 0;
    long deadlocks = 0;
    long deaths = 0;
    long reclaims = 0;
    int kept = SEEDS * 2 / 3;
    int runs = NEW ? SEEDS : kept;
    for (long seed = 0; seed < runs; seed++) {
      LockSimulation.Outcome outcome = LockSimulation.run(seed < kept ? seed : first + seed);
      grants += outcome.grants();
      deadlocks += outcome.deadlocks();
      deaths += outcome.deaths();
      reclaims += outcome.reclaims();
    }
    assertThat(grants).isGreaterThan(runs * 20L);
    assertThat(deadlocks).isGreaterThan(runs / 10);
    assertThat(deaths).isGreaterThan(runs / 10);
    assertThat(reclaims).isGreaterThan(runs / 10);
  }

  /** The slot was given to another lock while a grant of the view before was on its way. */
  @Test
  void aRecordStaysUntilItsNodeHasSaidWhatItHolds() {
    assertThat(LockSimulation.run(117_702_932_288_110_815L).grants()).isPositive();
  }

  /** A value that was forgotten with its resource was told again. */
  @Test
  void aResourceMadeAnewBeginsAboveWhatWasForgotten() {
    assertThat(LockSimulation.run(179_600_989_313_658L).grants()).isPositive();
  }

  @Test
  void aSeedReplaysTheSameRun() {
    assertThat(LockSimulation.run(42)).isEqualTo(LockSimulation.run(42));
  }
}
