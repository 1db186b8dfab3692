// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.List;
import picocli.CommandLine.Command;

/** {@code mxfsctl fence list [VOLUME]}. */
@Command(
    name = "list",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {
      "Lists who was shut out of the volumes that are mounted here and has not come back, as this"
          + " node's daemon read it last from the disk and the array. As long as there is one, the"
          + " disk stays reserved, also when all nodes have unmounted.",
      "",
      "A node comes back by mounting the volume again; one that never will is cleared with 'mxfsctl"
          + " fence clear'. Root only."
    },
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {
      "0:nobody, or nothing is mounted",
      "1:somebody was shut out and has not come back, or no daemon answers",
      "2:wrong usage",
      "3:no such volume is mounted here",
      "4:not asked: no permission"
    })
final class FenceListCommand extends VolumesCommand {
  FenceListCommand(Volumes volumes) {
    super(volumes);
  }

  @Override
  Told tell(Volume volume) {
    JsonValue status = volume.status();
    return new Told(
        json ? StatusJson.missing(volume) : text(volume),
        status != null && status.get("missing").list().isEmpty());
  }

  private static String text(Volume volume) {
    StringBuilder text = new StringBuilder(StatusText.heading(volume)).append('\n');
    JsonValue status = volume.status();
    if (status == null) {
      return text.append("  the daemon does not say: see mxfsctl status\n").toString();
    }
    List<JsonValue> missing = status.get("missing").list();
    if (!status.get("takeover").isTrue()) {
      return text.append("  nobody: takeover is off on this node\n").toString();
    }
    if (missing.isEmpty()) {
      return text.append("  nobody\n").toString();
    }
    missing.forEach(each -> text.append("  ").append(line(each)).append('\n'));
    return text.toString();
  }

  /** One of them. */
  static String line(JsonValue missing) {
    String state =
        switch (missing.get("state").textOr("")) {
          case "fenced" -> "fenced";
          case "shut_out" -> "shut out, not yet known to have ended";
          case "missing" -> "missing: its slot says that it lives, and its key is not registered";
          default -> "in a state that this mxfsctl does not know";
        };
    JsonValue epoch = missing.get("epoch");
    return Words.node(missing)
        + ", key "
        + Words.clean(missing.get("key").textOr("?"))
        + ": "
        + state
        + (epoch.isNull() ? "" : ", epoch " + epoch.number() + " on disk")
        + ", known here for "
        + Words.time(missing.get("ms").number());
  }
}
