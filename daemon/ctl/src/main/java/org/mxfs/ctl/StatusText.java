// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What {@code status} and {@code nodes} print for a person. */
final class StatusText {
  private final Volume volume;
  private final StringBuilder text = new StringBuilder();

  private StatusText(Volume volume) {
    this.volume = volume;
  }

  /** One volume, on one screen. */
  static String status(Volume volume, List<Health.Finding> findings) {
    return new StatusText(volume).whole(findings);
  }

  /** The table of its nodes, this one first. */
  static String nodes(Volume volume) {
    StatusText text = new StatusText(volume);
    text.text.append(heading(volume)).append('\n');
    JsonValue said = volume.said();
    if (said == null) {
      text.text.append("  ").append(noAnswer(volume));
      text.text.append(
          volume.daemon() instanceof DaemonAnswer.Denied ? "\n" : ": see mxfsctl status\n");
    } else {
      text.table(allNodes(said), "  ");
    }
    return text.text.toString();
  }

  /** Why nothing of the daemon is shown. */
  private static String noAnswer(Volume volume) {
    return switch (volume.daemon()) {
      case DaemonAnswer.Denied _ -> "not asked: run as root";
      case DaemonAnswer.Failed _ -> "the daemon could not be asked";
      default -> "no daemon answers";
    };
  }

  static String heading(Volume volume) {
    return Words.clean(
        (volume.uuid() == null ? "unknown UUID" : volume.uuid())
            + (volume.label() == null ? "" : " \"" + volume.label() + "\"")
            + " on "
            + (volume.places().isEmpty() ? "no mount point" : String.join(", ", volume.places()))
            + " ("
            + volume.device()
            + ")");
  }

  private String whole(List<Health.Finding> findings) {
    line(
        "volume",
        (volume.uuid() == null ? "unknown UUID" : volume.uuid())
            + (volume.label() == null ? "" : " \"" + Words.clean(volume.label()) + "\""));
    String places =
        volume.places().isEmpty()
            ? "in no place that is seen from here"
            : "on " + String.join(", ", volume.places());
    line("mount", Words.clean(volume.device() + " " + places) + (isReadOnly() ? ", ro" : ""));
    line("state", state());
    JsonValue status = volume.status();
    JsonValue said = volume.said();
    waiting(status);
    epoch(status);
    if (said != null) {
      node(said);
    }
    if (status != null) {
      JsonValue holder = status.get("holder");
      line(
          "holder",
          holder.isNull()
              ? "nobody holds the reservation"
              : (holder.get("self").isTrue() ? "this node" : Words.node(holder))
                  + ", key "
                  + Words.clean(holder.get("key").textOr("none")));
    }
    lease(status);
    if (said != null) {
      fencing(said.get("fencing"));
    }
    if (status != null && said != null) {
      List<JsonValue> peers = status.get("peers").list();
      if (peers.isEmpty()) {
        line("peers", "no other node was heard");
      } else {
        text.append("   peers:\n");
        table(peerRows(status), "          ");
      }
    }
    if (said != null) {
      log(said);
    }
    if (findings.isEmpty()) {
      line("health", "ok");
    } else {
      line("health", "ATTENTION");
      for (Health.Finding each : findings) {
        text.append("          * ").append(each.what()).append('\n');
        text.append("            -> ").append(each.todo()).append('\n');
      }
    }
    return text.toString();
  }

  private void line(String name, String value) {
    text.append(String.format("%8s: %s\n", name, value));
  }

  private boolean isReadOnly() {
    JsonValue said = volume.said();
    return said != null && said.get("volume").get("read_only").isTrue();
  }

  private String state() {
    if (volume.isDead()) {
      return "DEAD: shut down, only umount is left";
    }
    JsonValue status = volume.status();
    if (status == null) {
      String was =
          switch (volume.kernel("state")) {
            case "attached" -> ", this node is the owner";
            case "detached" -> ", this node is a member";
            case "" -> "";
            default -> ", " + volume.kernel("state");
          };
      String frozen = volume.kernel("frozen").equals("1") ? "FROZEN" : "unknown";
      return (volume.said() == null ? frozen + ": " + noAnswer(volume) : "starting") + was;
    }
    String since = " for " + Words.time(status.get("state_ms").number());
    String frozen = volume.kernel("frozen").equals("1") ? "FROZEN; " : "";
    String word = status.get("state").textOr("?");
    return frozen
        + switch (word) {
          case "mounting" -> "mounting" + since;
          case "alone" -> "this node's alone" + since + ": the device has no reservations";
          case "member" -> "member" + since + ": " + whose(status);
          case "taking" -> "taking the volume" + since;
          case "owner" ->
              "owner"
                  + since
                  + (status.get("xfs").textOr("").equals("attached")
                      ? ""
                      : ", XFS " + Words.clean(status.get("xfs").textOr("?")));
          case "giving" -> "giving the volume to another node" + since;
          case "leaving" -> "leaving" + since;
          case "ended" -> "ended";
          default -> Words.clean(word) + since;
        };
  }

  private static String whose(JsonValue status) {
    JsonValue holder = status.get("holder");
    return holder.isNull() || holder.get("self").isTrue()
        ? "no node owns the volume"
        : Words.node(holder) + " owns the volume";
  }

  private void waiting(@Nullable JsonValue status) {
    List<String> all = new ArrayList<>();
    if (status != null && !status.get("waiting").isNull()) {
      JsonValue waiting = status.get("waiting");
      String why =
          switch (waiting.get("why").textOr("")) {
            case "owner_has_it" -> Words.node(waiting.get("for")) + " has the volume, and is asked";
            case "owner_not_connected" ->
                Words.node(waiting.get("for")) + " has the volume, and is not connected";
            case "foreign_reservation" -> "the disk is reserved by something else";
            case "coming" -> "this node is about to have the volume";
            default -> Words.clean(waiting.get("why").textOr("?"));
          };
      all.add(operations() + ", for " + Words.time(waiting.get("ms").number()) + ": " + why);
    } else if (!volume.kernel("waiters").isEmpty() && !volume.kernel("waiters").equals("0")) {
      all.add(operations());
    }
    if (status != null) {
      for (JsonValue each : status.get("waiters").list()) {
        all.add(Words.node(each) + ", for " + Words.time(each.get("ms").number()));
      }
    }
    line("waiting", all.isEmpty() ? "nobody" : String.join("; ", all));
  }

  private String operations() {
    return switch (volume.kernel("waiters")) {
      case "", "0" -> "operations of this node";
      case "1" -> "1 operation of this node";
      default -> Words.clean(volume.kernel("waiters")) + " operations of this node";
    };
  }

  private void epoch(@Nullable JsonValue status) {
    if (status != null) {
      line("epoch", Long.toString(status.get("epoch").number()));
    } else if (!volume.kernel("epoch").isEmpty()) {
      line("epoch", Words.clean(volume.kernel("epoch")));
    }
  }

  private void node(JsonValue said) {
    JsonValue node = said.get("node");
    JsonValue daemon = said.get("daemon");
    String version = daemon.get("version").textOr("?");
    line(
        "node",
        Words.clean(node.get("host").textOr("?"))
            + " (node "
            + Words.clean(node.get("id").textOr("?"))
            + "), key "
            + Words.clean(node.get("key").textOr("none yet")));
    line(
        "daemon",
        "pid "
            + daemon.get("pid").number()
            + " for "
            + Words.time(daemon.get("up_ms").number())
            + ", mxfs "
            + Words.clean(version)
            + (version.equals(Main.NUMBER) ? "" : " (this mxfsctl: " + Main.NUMBER + ")")
            + (daemon.get("restarted").isTrue() ? ", restarted" : ""));
  }

  private void lease(@Nullable JsonValue status) {
    String left = volume.kernel("lease_ms"); // what counts is what the kernel does
    if (volume.kernel("clustered").equals("0") && !left.isEmpty()) {
      line("lease", "none is needed");
    } else if (left.matches("[0-9]{1,12}")) {
      String whole = status == null ? "" : " of " + Words.time(status.get("lease_ms").number());
      line("lease", Words.time(Long.parseLong(left)) + whole + " left");
    } else if (status != null && !status.get("lease_left_ms").isNull()) {
      line(
          "lease",
          Words.time(status.get("lease_left_ms").number())
              + " of "
              + Words.time(status.get("lease_ms").number())
              + " left");
    }
  }

  /** Where takeover is on. */
  private void fencing(JsonValue fencing) {
    if (!fencing.isNull()) {
      String how =
          fencing.get("by").textOr("").equals("reset")
              ? "by a LOGICAL UNIT RESET"
              : "by waiting " + fencing.get("life_ms").number() / 1_000 + " s";
      line("fencing", how + ": " + Words.clean(fencing.get("why").textOr("?")));
    }
  }

  private void log(JsonValue said) {
    List<JsonValue> lines = said.get("log").list();
    if (lines.isEmpty()) {
      return;
    }
    text.append("     log: last warnings and errors, all of it in ").append(volume.log());
    text.append('\n');
    for (JsonValue each : lines) {
      text.append("          ")
          .append(Words.time(each.get("ms").number()))
          .append(" ago ")
          .append(Words.clean(each.get("level").textOr("")))
          .append(": ")
          .append(Words.clean(each.get("text").textOr("")))
          .append('\n');
    }
  }

  // ---- tables ----

  private static final List<String> TITLES =
      List.of("NODE", "HOST", "STATE", "ADDRESS", "HEARD", "PROTOCOL", "KEY");

  private static List<List<String>> peerRows(JsonValue status) {
    List<List<String>> rows = new ArrayList<>();
    for (JsonValue each : status.get("peers").list()) {
      rows.add(row(each, isHolder(status, each.get("id").textOr(""))));
    }
    return rows;
  }

  private static List<List<String>> allNodes(JsonValue said) {
    JsonValue self = said.get("node");
    JsonValue status = said.get("status");
    List<List<String>> rows = new ArrayList<>();
    String id = self.get("id").textOr("?");
    rows.add(
        List.of(
            id,
            self.get("host").textOr("?"),
            "this node" + (isHolder(status, id) ? ", owner" : ""),
            "port " + self.get("port").number(),
            "-",
            Long.toString(self.get("protocol").number()),
            self.get("key").textOr("-")));
    rows.addAll(peerRows(status));
    return rows;
  }

  static boolean isHolder(JsonValue status, String id) {
    return id.equals(status.get("holder").get("id").text());
  }

  private static List<String> row(JsonValue peer, boolean holder) {
    boolean connected = peer.get("connected").isTrue();
    String state =
        connected ? peer.get("mounted").isTrue() ? "connected" : "mounting" : "not connected";
    String host = peer.get("host").textOr("");
    return List.of(
        peer.get("id").textOr("?"),
        host.isEmpty() ? "-" : host,
        state + (holder ? ", owner" : ""),
        peer.get("address").textOr("-"),
        peer.get("heard_ms").isNull() ? "-" : Words.time(peer.get("heard_ms").number()) + " ago",
        peer.get("protocol").isNull() ? "-" : Long.toString(peer.get("protocol").number()),
        peer.get("key").textOr("-"));
  }

  private void table(List<List<String>> rows, String indent) {
    List<List<String>> all = new ArrayList<>();
    all.add(TITLES);
    for (List<String> row : rows) {
      all.add(row.stream().map(Words::clean).toList());
    }
    int[] widths = new int[TITLES.size()];
    for (List<String> row : all) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    for (List<String> row : all) {
      StringBuilder line = new StringBuilder(indent);
      for (int i = 0; i < widths.length; i++) {
        line.append(row.get(i)).append(" ".repeat(widths[i] - row.get(i).length() + 2));
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
  }
}
