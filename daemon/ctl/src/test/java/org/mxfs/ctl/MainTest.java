// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Arrays;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** The command line: help, versions, exit statuses. */
class MainTest {
  private final StringWriter said = new StringWriter();

  private int run(String... words) {
    CommandLine line = Main.commandLine(Volumes.OF_THIS_MACHINE);
    line.setOut(new PrintWriter(said));
    line.setErr(new PrintWriter(said));
    return line.execute(words);
  }

  @Test
  void helpNamesEveryExitStatus() {
    assertThat(run("scsi", "check", "--help")).isZero();
    String statuses =
        Arrays.stream(Verdict.values())
            .map(v -> Integer.toString(v.exitStatus()))
            .distinct()
            .collect(Collectors.joining("|"));
    for (String status : statuses.split("\\|")) {
      assertThat(said.toString()).containsPattern("(?m)^ +" + status + "\\b");
    }
  }

  @Test
  void wrongUsageIsStatus2() {
    assertThat(run()).isEqualTo(2);
    assertThat(run("scsi")).isEqualTo(2);
    assertThat(run("scsi", "check")).isEqualTo(2);
    assertThat(run("scsi", "check", "--wrong", "/dev/null")).isEqualTo(2);
    assertThat(run("nonsense")).isEqualTo(2);
    assertThat(run("status", "--wrong")).isEqualTo(2);
    assertThat(run("nodes", "a", "b")).isEqualTo(2);
    assertThat(run("fence")).isEqualTo(2);
    assertThat(run("fence", "clear")).isEqualTo(2);
  }

  /** picocli would print its own trace of it. */
  @Test
  void aMistakeInACommandIsSaidWithoutATrace() {
    CommandLine line = Main.commandLine(Volumes.OF_THIS_MACHINE);
    line.addSubcommand("broken", new Broken());
    line.setErr(new PrintWriter(said));
    assertThat(line.execute("broken")).isEqualTo(70);
    assertThat(said.toString())
        .contains("a mistake in this program: java.lang.IllegalStateException: planted")
        .doesNotContain("\tat ");
  }

  @CommandLine.Command
  private static final class Broken implements Runnable {
    @Override
    public void run() {
      throw new IllegalStateException("planted");
    }
  }

  @Test
  void whatIsNoDeviceIsNotChecked() {
    assertThat(run("scsi", "check", "/dev/null")).isEqualTo(Verdict.UNKNOWN.exitStatus());
    assertThat(run("scsi", "check", "/missing")).isEqualTo(Verdict.UNKNOWN.exitStatus());
  }
}
