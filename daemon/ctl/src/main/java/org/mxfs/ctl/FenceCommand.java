// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code mxfsctl fence}: nodes that were shut out. */
@Command(
    name = "fence",
    mixinStandardHelpOptions = true,
    description = "Nodes that were shut out of a volume's disk and have not come back.")
final class FenceCommand implements Runnable {
  @Spec CommandSpec spec;

  // picocli fills it in.
  @SuppressWarnings("NullAway.Init")
  FenceCommand() {}

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing");
  }
}
