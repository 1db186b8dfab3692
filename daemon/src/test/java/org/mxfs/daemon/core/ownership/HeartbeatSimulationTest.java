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
import org.mxfs.daemon.core.ownership.Simulation.DiskKind;
import org.mxfs.daemon.core.ownership.Simulation.Sabotage;

/**
 * {@link Simulation} with a disk. {@code -Dmxfs.sim.disk.seeds=N} sets how many seeds, {@code
 * -Dmxfs.sim.disk.seed=S} replays one.
 */
class HeartbeatSimulationTest {
  private static final int SEEDS = Integer.getInteger("mxfs.sim.disk.seeds", 300);
  private static final long REPLAY = Long.getLong("mxfs.sim.disk.seed", -1);

  private static void run(String what, long from, long to) {
    long start = System.nanoTime();
    long tenures = 0;
    for (long seed = from; seed < to; seed++) {
      tenures += Simulation.withDisk(seed, Sabotage.NONE).run().tenures();
    }
    System.out.printf(
        "with a disk, %s %d to %d: %d tenures, %d ms%n",
        what, from, to - 1, tenures, (System.nanoTime() - start) / 1_000_000);
    assertThat(tenures).isGreaterThan((to - from) * 20);
  }

  @Test
  void oneWriterASlotAndTheEpochOnDiskBeforeAttachingAndNoLeaseWithoutABeat() {
    if (REPLAY >= 0) {
      System.out.println(Simulation.withDisk(REPLAY, Sabotage.NONE).run());
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

  @ParameterizedTest
  @EnumSource(DiskKind.class)
  void eachKindOfFaultByItself(DiskKind kind) {
    for (long seed = 0; seed < SEEDS / 10; seed++) {
      new Simulation(seed, Sabotage.NONE, Set.of(), EnumSet.of(kind)).run();
    }
  }

  /** Schedules that once went wrong. */
  @Test
  void whatOnceWentWrong() {
    for (long seed :
        new long[] {
          66, 78, 80, 106, 107, 109, 115, 118, 264, 285, 393, 715, 6731, 8836, 100365, 302973
        }) {
      Simulation.withDisk(seed, Sabotage.NONE).run();
    }
  }

  @ParameterizedTest
  @EnumSource(
      mode = EnumSource.Mode.INCLUDE,
      names = {
        "WRITTEN_TOO_EARLY",
        "ERRORS_HIDDEN",
        "OTHERS_LOOK_FREE",
        "OLD_READINGS",
        "SEQUENCE_FORGOTTEN"
      })
  void theChecksNoticeWhatIsBrokenOnPurpose(Sabotage sabotage) {
    List<String> found = new ArrayList<>();
    for (long seed = 0; seed < 3_000 && found.isEmpty(); seed++) {
      try {
        Simulation.withDisk(seed, sabotage).run();
      } catch (AssertionError violation) {
        String message = String.valueOf(violation.getMessage());
        boolean expected =
            switch (sabotage) {
              case WRITTEN_TOO_EARLY ->
                  message.contains("attaches at epoch") || message.contains("has a lease until");
              case ERRORS_HIDDEN -> message.contains("has a lease until");
              case OTHERS_LOOK_FREE, OLD_READINGS ->
                  message.contains("and so does")
                      || message.contains("gives away slot")
                      || message.contains("gives away")
                      || message.contains("writes slot");
              case SEQUENCE_FORGOTTEN -> message.contains("writes sequence");
              default -> false;
            };
        if (expected) {
          found.add(message);
        }
      }
    }
    assertThat(found).as("violations with " + sabotage).isNotEmpty();
  }
}
