// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Runs {@link Simulation} over many seeds. {@code -Dmxfs.sim.seeds=N} sets how many, {@code
 * -Dmxfs.sim.seed=S} replays one.
 */
class OwnershipSimulationTest {
  private static final int SEEDS = Integer.getInteger("mxfs.sim.seeds", 1_500);
  private static final long REPLAY = Long.getLong("mxfs.sim.seed", -1);

  @Test
  void neverTwoOwnersAndAlwaysProgressOnceTheNetworkHeals() {
    if (REPLAY >= 0) {
      System.out.println(new Simulation(REPLAY, Simulation.Sabotage.NONE).run());
      return;
    }
    long tenures = run("kept seeds", 0, SEEDS);
    assertThat(tenures).isGreaterThan(SEEDS * 20L);
  }

  /** Each run tries what no run has tried before; what fails is replayed by its seed. */
  @Test
  void newSeedsEachTime() {
    long first = System.currentTimeMillis() << 16;
    run("new seeds", first, first + SEEDS / 2);
  }

  /** Schedules that once went wrong. */
  @Test
  void whatOnceWentWrong() {
    for (long seed : new long[] {271, 395, 712, 881, 1_497}) {
      new Simulation(seed, Simulation.Sabotage.NONE, EnumSet.of(Simulation.Kind.LATE)).run();
    }
    for (long seed : new long[] {10_299, 10_635}) {
      new Simulation(seed, Simulation.Sabotage.NONE, Set.of()).run();
    }
    for (long seed :
        new long[] {
          875,
          1_195,
          1_400,
          1_657,
          1_781,
          4_411,
          7_062,
          9_369,
          102_757,
          105_598,
          107_630,
          108_979,
          109_450,
          // A twin's new key is the same as ours, and our REGISTER of it was refused.
          117_702_341_808_881_806L
        }) {
      new Simulation(seed, Simulation.Sabotage.NONE).run();
    }
  }

  @ParameterizedTest
  @EnumSource(Simulation.Kind.class)
  void eachKindOfFaultByItself(Simulation.Kind kind) {
    for (long seed = 0; seed < SEEDS / 10; seed++) {
      new Simulation(seed, Simulation.Sabotage.NONE, EnumSet.of(kind)).run();
    }
  }

  private static long run(String what, long from, long to) {
    long tenures = 0;
    long steps = 0;
    long start = System.nanoTime();
    for (long seed = from; seed < to; seed++) {
      Simulation.Outcome outcome = new Simulation(seed, Simulation.Sabotage.NONE).run();
      tenures += outcome.tenures();
      steps += outcome.events();
    }
    System.out.printf(
        "%s %d to %d: %d tenures, %d steps, %d ms%n",
        what, from, to - 1, tenures, steps, (System.nanoTime() - start) / 1_000_000);
    return tenures;
  }

  @ParameterizedTest
  @EnumSource(
      mode = EnumSource.Mode.INCLUDE,
      names = {
        "DETACHED_TOO_EARLY",
        "GRANT_FITS_ANY_REQUEST",
        "KEY_NEVER_CHANGES",
        "EVERYBODY_HOLDS"
      })
  void theChecksNoticeWhatIsBrokenOnPurpose(Simulation.Sabotage sabotage) {
    List<String> found = new ArrayList<>();
    // A grant that outlives its withdrawal needs a rare schedule: begin where one is known.
    long first = sabotage == Simulation.Sabotage.KEY_NEVER_CHANGES ? 1_050 : 0;
    for (long seed = first; seed < first + 5_000 && found.isEmpty(); seed++) {
      try {
        new Simulation(seed, sabotage).run();
      } catch (AssertionError violation) {
        String message = String.valueOf(violation.getMessage());
        if (message.contains("XFS is attached on")) {
          found.add(message);
        }
      }
    }
    assertThat(found).as("violations with " + sabotage).isNotEmpty();
  }

  @Test
  void aSeedReplaysTheSameRun() {
    assertThat(new Simulation(42, Simulation.Sabotage.NONE).run())
        .isEqualTo(new Simulation(42, Simulation.Sabotage.NONE).run());
  }
}
