// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Collection;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** {@code -prof gc} in short: a read allocates nothing once the optimising compiler has seen it. */
@Timeout(120)
class HotPathTest {
  @Test
  void aReadAllocatesLessThanAByte() throws RunnerException {
    Collection<RunResult> results =
        new Runner(
                new OptionsBuilder()
                    .include("\\.BlockioHotPath\\.")
                    .forks(1)
                    .jvmArgs(
                        "-XX:+UseSerialGC",
                        "--enable-native-access=ALL-UNNAMED",
                        "--sun-misc-unsafe-memory-access=allow")
                    // Long enough for the optimising compiler on a busy machine: without it the JDK
                    // makes an object for each system call.
                    .warmupIterations(8)
                    .warmupTime(TimeValue.seconds(1))
                    .measurementIterations(2)
                    .measurementTime(TimeValue.seconds(1))
                    .addProfiler(GCProfiler.class)
                    .shouldFailOnError(true)
                    .verbosity(VerboseMode.SILENT)
                    .build())
            .run();
    assertThat(results).hasSize(2);
    for (RunResult result : results) {
      Result<?> allocated =
          Objects.requireNonNull(result.getSecondaryResults().get("gc.alloc.rate.norm"));
      double each = allocated.getScore();
      System.out.printf(
          "%s: %.4f bytes allocated an operation%n",
          result.getParams().getBenchmark().replaceFirst(".*\\.", ""), each);
      assertThat(each).as(result.getParams().getBenchmark()).isLessThan(1);
    }
  }
}
