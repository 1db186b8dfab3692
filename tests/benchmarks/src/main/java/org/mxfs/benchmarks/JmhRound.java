// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.util.Locale;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** One JMH benchmark as a contestant: measured in this JVM, its score printed as {@code ns}. */
public final class JmhRound {
  private JmhRound() {}

  /**
   * @param arguments class and method, e.g. {@code Downcall.emptyWithErrno}
   */
  public static void main(String[] arguments) throws RunnerException {
    RunResult result =
        new Runner(
                new OptionsBuilder()
                    .include("\\." + arguments[0].replace(".", "\\.") + "$")
                    .forks(0) // the contestant is a JVM of its own already
                    .warmupIterations(3)
                    .warmupTime(TimeValue.milliseconds(300))
                    .measurementIterations(5)
                    .measurementTime(TimeValue.milliseconds(200))
                    .verbosity(VerboseMode.SILENT)
                    .build())
            .runSingle();
    System.out.printf(Locale.ROOT, "ns %.3f%n", result.getPrimaryResult().getScore());
  }
}
