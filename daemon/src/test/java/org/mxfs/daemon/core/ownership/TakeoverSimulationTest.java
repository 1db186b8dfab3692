// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ownership.Simulation.Sabotage;

/**
 * {@link Simulation} with takeover: owners die for good, and survivors go on. {@code
 * -Dmxfs.sim.takeover.seeds=N} sets how many seeds, {@code -Dmxfs.sim.takeover.seed=S} replays one.
 */
class TakeoverSimulationTest {
  private static final int SEEDS = Integer.getInteger("mxfs.sim.takeover.seeds", 100);
  private static final long REPLAY = Long.getLong("mxfs.sim.takeover.seed", -1);

  private static void run(String what, long from, long to) {
    long start = System.nanoTime();
    int takeovers = 0;
    int lateRegisters = 0;
    int refused = 0;
    int leaves = 0;
    int failedLooks = 0;
    int stays = 0;
    for (long seed = from; seed < to; seed++) {
      Simulation simulation = Simulation.withTakeover(seed, Sabotage.NONE);
      simulation.run();
      takeovers += simulation.takeovers();
      lateRegisters += simulation.lateRegisters();
      refused += simulation.refused();
      leaves += simulation.unsettledLeaves();
      failedLooks += simulation.failedLooks();
      stays += simulation.stays();
    }
    System.out.printf(
        "takeover, %s %d to %d: %d takeovers, %d late REGISTERs, %d mounts refused, %d survivors"
            + " that leave, %d failed looks, %d stayed registered, %d ms%n",
        what,
        from,
        to - 1,
        takeovers,
        lateRegisters,
        refused,
        leaves,
        failedLooks,
        stays,
        (System.nanoTime() - start) / 1_000_000);
    assertThat(takeovers).isGreaterThan((int) (to - from) / 2);
    assertThat(lateRegisters).isPositive();
    assertThat(refused).isPositive();
    assertThat(leaves).isPositive();
    assertThat(failedLooks).isPositive();
    assertThat(stays).isGreaterThan((int) (to - from) / 4);
  }

  @Test
  void aSurvivorGoesOnAndNothingOfTheDeadOwnerIsCarriedOutUnderIt() {
    if (REPLAY >= 0) {
      System.out.println(Simulation.withTakeover(REPLAY, Sabotage.NONE).run());
      return;
    }
    run("kept seeds", 0, SEEDS);
  }

  /** Each run tries what no run has tried before; what fails is replayed by its seed. */
  @Test
  void newSeedsEachTime() {
    long first = System.currentTimeMillis() << 16;
    run("new seeds", first, first + SEEDS / 2);
  }

  @Test
  void theChecksNoticeAResetThatEndsNothing() {
    List<String> found = new ArrayList<>();
    for (long seed = 0; seed < 1_000 && found.isEmpty(); seed++) {
      try {
        Simulation.withTakeover(seed, Sabotage.RESET_ENDS_NOTHING).run();
      } catch (AssertionError violation) {
        found.add(String.valueOf(violation.getMessage()));
      }
    }
    assertThat(found).singleElement().asString().contains("last write is carried out while XFS");
  }

  /** Whoever leaves last gives the reservation up. */
  @Test
  void theChecksNoticeThatWhoWasShutOutIsForgotten() {
    List<String> found = new ArrayList<>();
    for (long seed = 0; seed < 200 && found.isEmpty(); seed++) {
      try {
        Simulation.withTakeover(seed, Sabotage.FENCED_LOOK_FREE).run();
      } catch (AssertionError violation) {
        found.add(String.valueOf(violation.getMessage()));
      }
    }
    assertThat(found).singleElement().asString().contains("the disk is not reserved");
  }
}
