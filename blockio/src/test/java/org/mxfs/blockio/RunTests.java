// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * Runs test classes where there is no Maven: a machine with a real disk and just a Java run time.
 */
public final class RunTests {
  private RunTests() {}

  /** Says which test runs, so that one that hangs is known by name. */
  private static final class Progress implements TestExecutionListener {
    @Override
    public void executionStarted(TestIdentifier test) {
      if (test.isTest()) {
        System.out.println(test.getUniqueId().replaceFirst(".*class:", ""));
      }
    }
  }

  /**
   * Ends with status 0 only if there were tests and all of them succeeded; one that was skipped has
   * not.
   *
   * @param names of classes in this package
   */
  public static void main(String[] names) {
    List<? extends DiscoverySelector> classes =
        Arrays.stream(names)
            .map(name -> RunTests.class.getPackageName() + "." + name)
            .map(DiscoverySelectors::selectClass)
            .toList();
    SummaryGeneratingListener listener = new SummaryGeneratingListener();
    LauncherFactory.create()
        .execute(
            LauncherDiscoveryRequestBuilder.request().selectors(classes).build(),
            listener,
            new Progress());
    TestExecutionSummary summary = listener.getSummary();
    PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
    summary.printFailuresTo(out, 30);
    long found = summary.getTestsFoundCount();
    long good = summary.getTestsSucceededCount();
    out.println(
        good + " of " + found + " tests succeeded, " + summary.getTestsSkippedCount() + " skipped");
    System.exit(found > 0 && good == found && summary.getTotalFailureCount() == 0 ? 0 : 1);
  }
}
