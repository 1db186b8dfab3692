// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code mxfsctl scsi}: commands about disks, before any mount. */
@Command(
    name = "scsi",
    mixinStandardHelpOptions = true,
    description = "Looks at a shared disk, before any mount.",
    subcommands = ScsiCheckCommand.class)
final class ScsiCommand implements Runnable {
  @Spec CommandSpec spec;

  // picocli fills it in.
  @SuppressWarnings("NullAway.Init")
  ScsiCommand() {}

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing");
  }
}
