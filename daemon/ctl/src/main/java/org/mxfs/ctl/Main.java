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
    version = "mxfsctl " + Main.NUMBER,
    mixinStandardHelpOptions = true,
    description = "Looks at mxfs and at the disks it is to use.",
    subcommands = {ScsiCommand.class, HelpCommand.class})
public final class Main implements Runnable {
  static final String NUMBER = "0.2.0";

  /** A mistake in this program. */
  private static final int MISTAKE = 70; // EX_SOFTWARE of sysexits.h

  @Spec CommandSpec spec;

  // picocli fills it in.
  @SuppressWarnings("NullAway.Init")
  Main() {}

  /** Runs one command and ends with its exit status. */
  public static void main(String[] words) {
    System.exit(commandLine(Volumes.OF_THIS_MACHINE).execute(words));
  }

  static CommandLine commandLine(Volumes volumes) {
    CommandLine line = new CommandLine(new Main());
    line.addSubcommand(new StatusCommand(volumes));
    line.addSubcommand(new NodesCommand(volumes));
    CommandLine fence = new CommandLine(new FenceCommand());
    fence.addSubcommand(new FenceListCommand(volumes));
    fence.addSubcommand(new FenceClearCommand(volumes, System.in));
    line.addSubcommand(fence);
    // A trace says nothing to who runs this; what happened does.
    line.setExecutionExceptionHandler(
        (e, failed, _) -> {
          failed.getErr().println("mxfsctl: a mistake in this program: " + e);
          failed.getErr().flush();
          return MISTAKE;
        });
    return line;
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing");
  }
}
