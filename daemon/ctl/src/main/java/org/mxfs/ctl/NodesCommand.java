// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import picocli.CommandLine.Command;

/** {@code mxfsctl nodes [VOLUME]}. */
@Command(
    name = "nodes",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {
      "Lists the nodes of the mxfs volumes that are mounted here, as this node sees them: who is"
          + " connected, from which address, when each was heard last, and who owns the volume.",
      "",
      "A node that has left is not listed; one that is silent is. Root only."
    },
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {
      "0:every node is connected, or nothing is mounted",
      "1:a node is not connected, or no daemon answers",
      "2:wrong usage",
      "3:no such volume is mounted here",
      "4:not asked: no permission"
    })
final class NodesCommand extends VolumesCommand {
  NodesCommand(Volumes volumes) {
    super(volumes);
  }

  @Override
  Told tell(Volume volume) {
    JsonValue status = volume.status();
    return new Told(
        json ? StatusJson.nodes(volume) : StatusText.nodes(volume),
        status != null
            && status.get("peers").list().stream().allMatch(p -> p.get("connected").isTrue()));
  }
}
