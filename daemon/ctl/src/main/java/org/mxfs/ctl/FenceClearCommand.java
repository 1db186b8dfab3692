// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code mxfsctl fence clear NODE [VOLUME]}. */
@Command(
    name = "clear",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {
      "Says to a volume's owner that a node that was shut out is off for certain and will not come"
          + " back: powered off, or cut off from the disk for good. It is forgotten, and the disk"
          + " may be left without a reservation again.",
      "",
      "If that is not true, what the node still has in its queues can destroy the volume once"
          + " nobody has it mounted. A node that mounts the volume again needs no clearing.",
      "",
      "To be run on the node that owns the volume; elsewhere it says which one that is. Nothing is"
          + " unregistered or released. Root only."
    },
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {
      "0:cleared",
      "1:refused, or not confirmed; nothing was changed",
      "2:wrong usage",
      "3:no such volume is mounted here",
      "4:not asked: no permission, or no daemon answers",
      "5:the daemon was told, and has not done it in time; the log says why"
    })
final class FenceClearCommand implements Callable<Integer> {
  private static final int CLEARED = 0;
  private static final int REFUSED = 1;
  private static final int NO_SUCH_VOLUME = VolumesCommand.NO_SUCH_VOLUME;
  private static final int NOT_ASKED = VolumesCommand.NOT_ASKED;
  private static final int NOT_SEEN = 5;

  /** A slot is freed within a beat or two, and looked at with the keys, a quarter of a lease. */
  private static final int LOOKS_MAX = 60;

  private static final long LOOK_MILLIS = 500;

  @Spec CommandSpec spec;

  @Parameters(
      index = "0",
      paramLabel = "NODE",
      description = "as 'mxfsctl fence list' shows it: key, node id or host name")
  String node;

  @Parameters(
      index = "1",
      arity = "0..1",
      paramLabel = "VOLUME",
      description = "UUID, label, mount point or device; needed where more than one is mounted")
  @Nullable String name;

  @Option(names = "--yes", description = "do not ask: the node is off for certain")
  boolean yes;

  @Option(names = "--json", description = "print the result as JSON; needs --yes")
  boolean json;

  private final Volumes volumes;
  private final InputStream input;

  // picocli fills the rest in.
  @SuppressWarnings("NullAway.Init")
  FenceClearCommand(Volumes volumes, InputStream input) {
    this.volumes = volumes;
    this.input = input;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    List<Volume> found;
    try {
      found = volumes.find();
    } catch (IOException e) {
      return ended(NOT_ASKED, null, null, "the mounts of this machine cannot be read: " + e);
    }
    Volume volume = name == null ? only(found) : volumes.choose(found, name);
    if (volume == null) {
      String why =
          name != null
              ? VolumesCommand.noSuch(name, found).replace("mxfsctl: ", "")
              : found.isEmpty()
                  ? "no mxfs volume is mounted here"
                  : "more than one mxfs volume is mounted here: which?";
      return ended(NO_SUCH_VOLUME, null, null, why);
    }
    JsonValue status = volume.status();
    if (status == null) {
      return ended(NOT_ASKED, volume, null, "the daemon does not say: see mxfsctl status");
    }
    List<JsonValue> meant =
        status.get("missing").list().stream().filter(each -> isMeant(each)).toList();
    String why = refusal(status, meant);
    if (why != null) {
      return ended(REFUSED, volume, null, why);
    }
    JsonValue missing = meant.getFirst();
    if (!yes && !isConfirmed(volume, missing)) {
      return ended(REFUSED, volume, missing, "not confirmed");
    }
    return clear(volume, missing);
  }

  private static @Nullable Volume only(List<Volume> found) {
    return found.size() == 1 ? found.getFirst() : null;
  }

  private boolean isMeant(JsonValue missing) {
    String plain = node.toLowerCase(Locale.ROOT);
    return plain.equals(missing.get("key").text())
        || plain.equals(missing.get("id").text())
        || node.equals(missing.get("host").text());
  }

  private @Nullable String refusal(JsonValue status, List<JsonValue> meant) {
    if (!status.get("takeover").isTrue()) {
      return "takeover is off on this node: nobody is shut out";
    }
    if (meant.isEmpty()) {
      return Words.clean(node) + " is none of those that were shut out: see mxfsctl fence list";
    }
    if (meant.size() > 1) {
      return Words.clean(node) + " names more than one: give the key, as mxfsctl fence list shows";
    }
    JsonValue holder = status.get("holder");
    if (!holder.get("self").isTrue()) {
      return holder.isNull()
          ? "nobody owns the volume at this moment: use it on this node, and try again"
          : "this node does not own the volume: run it on " + Words.node(holder);
    }
    String why = meant.getFirst().get("refusal").text();
    return why == null ? null : Words.clean(why);
  }

  private boolean isConfirmed(Volume volume, JsonValue missing) throws IOException {
    if (json) {
      return false;
    }
    PrintWriter out = spec.commandLine().getOut();
    String id = missing.get("id").textOr("?");
    out.println(StatusText.heading(volume));
    out.println("  " + FenceListCommand.line(missing));
    out.println(
        "Is this node powered off, or cut off from the disk for good? If it is not, what it still"
            + " has in its queues can destroy the volume.");
    out.print("Type its node id (" + Words.clean(id) + ") to clear it: ");
    out.flush();
    BufferedReader typed = new BufferedReader(new InputStreamReader(input, StandardCharsets.UTF_8));
    String line = typed.readLine();
    return line != null && line.strip().equals(id);
  }

  private int clear(Volume volume, JsonValue missing) throws IOException, InterruptedException {
    String key = missing.get("key").textOr("");
    DaemonAnswer answer = volumes.ask(volume, "fence-clear " + key);
    switch (answer) {
      case DaemonAnswer.Said said -> {
        String refused = said.value().get("refused").text();
        if (refused != null) {
          return ended(REFUSED, volume, missing, Words.clean(refused));
        }
      }
      case DaemonAnswer.Strange strange -> {
        return ended(NOT_ASKED, volume, missing, Words.clean(strange.why()));
      }
      case DaemonAnswer.Failed failed -> {
        return ended(NOT_ASKED, volume, missing, Words.clean(failed.why()));
      }
      case DaemonAnswer.Nobody _, DaemonAnswer.Silent _, DaemonAnswer.Denied _ -> {
        return ended(NOT_ASKED, volume, missing, "the daemon does not answer: see mxfsctl status");
      }
    }
    for (int i = 0; i < LOOKS_MAX; i++) {
      if (volumes.ask(volume, "status") instanceof DaemonAnswer.Said said
          && !said.value().get("status").isNull()
          && said.value().get("status").get("missing").list().stream()
              .noneMatch(each -> key.equals(each.get("key").text()))) {
        return ended(CLEARED, volume, missing, "");
      }
      TimeUnit.MILLISECONDS.sleep(LOOK_MILLIS);
    }
    return ended(
        NOT_SEEN, volume, missing, "the daemon has not done it in time: see " + volume.log());
  }

  private int ended(int status, @Nullable Volume volume, @Nullable JsonValue missing, String why) {
    String outcome =
        switch (status) {
          case CLEARED -> "cleared";
          case REFUSED -> "refused";
          case NO_SUCH_VOLUME -> "no_such_volume";
          case NOT_SEEN -> "not_seen";
          default -> "not_asked";
        };
    if (json) {
      PrintWriter out = spec.commandLine().getOut();
      String key = missing == null ? null : missing.get("key").text();
      out.println(
          "{\"schema\":"
              + StatusJson.SCHEMA
              + ",\"outcome\":"
              + Json.string(outcome)
              + ",\"key\":"
              + (key == null ? "null" : Json.string(key))
              + ",\"why\":"
              + (why.isEmpty() ? "null" : Json.string(why))
              + (volume == null ? "" : "," + StatusJson.place(volume))
              + "}");
      out.flush();
    } else if (status == CLEARED && missing != null) {
      PrintWriter out = spec.commandLine().getOut();
      out.println("cleared: " + Words.node(missing) + ", key " + missing.get("key").textOr("?"));
      out.flush();
    } else {
      PrintWriter errors = spec.commandLine().getErr();
      errors.println("mxfsctl: " + why + (status == REFUSED ? "; nothing was changed" : ""));
      errors.flush();
    }
    return status;
  }
}
