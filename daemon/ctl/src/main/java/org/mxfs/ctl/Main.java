// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Where the tool begins. */
@Command(
    name = "mxfsctl",
    version = "mxfsctl 0.1.0",
    mixinStandardHelpOptions = true,
    description = "Looks at mxfs and at the disks it is to use.",
    subcommands = {ScsiCommand.class, HelpCommand.class})
public final class Main implements Runnable {
  @Spec CommandSpec spec;

  // picocli fills it in.
  @SuppressWarnings("NullAway.Init")
  Main() {}

  /** Runs one command and ends with its exit status. */
  public static void main(String[] words) {
    System.exit(commandLine().execute(words));
  }

  static CommandLine commandLine() {
    return new CommandLine(new Main());
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing");
  }
}
