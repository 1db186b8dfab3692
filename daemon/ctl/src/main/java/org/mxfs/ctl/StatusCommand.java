// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.List;
import picocli.CommandLine.Command;

/** {@code mxfsctl status [VOLUME]}. */
@Command(
    name = "status",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {
      "Says how the mxfs volumes of this machine are: who owns each, since when, who waits for what"
          + " and why, the other nodes, what is wrong and what to do about it.",
      "",
      "It asks the daemon of each volume, for 3 s at most, and reads what the kernel module says in"
          + " debugfs. It touches neither the mounts nor the disks, so it answers also when those"
          + " hang, and when the daemon is dead. Root only."
    },
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {
      "0:all is well, or nothing is mounted",
      "1:something needs attention; it is said",
      "2:wrong usage",
      "3:no such volume is mounted here",
      "4:not asked: no permission"
    })
final class StatusCommand extends VolumesCommand {
  StatusCommand(Volumes volumes) {
    super(volumes);
  }

  @Override
  Told tell(Volume volume) {
    List<Health.Finding> findings = Health.of(volume);
    return new Told(
        json ? StatusJson.status(volume, findings) : StatusText.status(volume, findings),
        findings.isEmpty());
  }
}
