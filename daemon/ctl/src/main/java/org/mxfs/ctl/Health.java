// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Judges a volume: what is wrong with it, and what a person can do. */
final class Health {
  /** A wait longer than this is more than two busy nodes taking turns. */
  static final long LONG_WAIT_MILLIS = 10_000;

  /** A node without a connection for so long is not about to be connected. */
  static final long SHORT_WAIT_MILLIS = 2_000;

  /** A node announces itself every second. */
  static final long HEARD_LATELY_MILLIS = 30_000;

  /**
   * Something that needs attention.
   *
   * @param id for scripts
   * @param what is wrong
   * @param todo what to do about it
   */
  record Finding(String id, String what, String todo) {}

  private final Volume volume;
  private final List<Finding> findings = new ArrayList<>();

  private Health(Volume volume) {
    this.volume = volume;
  }

  /** Empty: nothing is known to be wrong. */
  static List<Finding> of(Volume volume) {
    Health health = new Health(volume);
    health.judge();
    return List.copyOf(health.findings);
  }

  private void find(String id, String what, String todo) {
    findings.add(new Finding(id, what, todo));
  }

  private void judge() {
    if (volume.isDead()) {
      find(
          "dead",
          "This mount was shut down: everything in it fails with an I/O error.",
          "'dmesg' and " + volume.log() + " say why; then umount it and mount it again.");
      return;
    }
    JsonValue said = volume.said();
    if (said == null) {
      noAnswer();
      lease(null);
      return;
    }
    JsonValue status = volume.status();
    if (status == null) {
      find(
          "starting",
          "The daemon has just been started, and knows nothing yet.",
          "Ask again in some seconds; " + volume.log() + " says where it stands.");
      return;
    }
    if (volume.kernel("frozen").equals("1")) {
      find(
          "frozen",
          "The mount is frozen until a new daemon has taken over: operations wait.",
          "Ask again in some seconds; " + volume.log() + " says where it stands.");
    }
    long stood = status.get("stepped_ms").number();
    if (stood > Math.max(LONG_WAIT_MILLIS, status.get("lease_ms").number())) {
      find(
          "stuck",
          "The daemon has decided nothing for " + Words.time(stood) + ": it hangs.",
          "kill -9 "
              + said.get("daemon").get("pid").number()
              + ": the kernel starts another one, which takes over; "
              + volume.log()
              + " is worth a bug report.");
    }
    slow(status);
    lease(status);
    waiting(status);
    waiters(status);
    peers(said, status);
  }

  private void noAnswer() {
    switch (volume.daemon()) {
      case DaemonAnswer.Said _ -> {}
      case DaemonAnswer.Nobody _ -> {
        if (volume.kernel().isEmpty()) {
          find(
              "not_known",
              "No daemon of this volume can be asked, and whether one runs is not known: the"
                  + " module's status in debugfs cannot be read.",
              "Run mxfsctl as root, if you did not. A mount that began just now has a daemon to ask"
                  + " in two seconds; else "
                  + volume.log()
                  + " says why there is none.");
        } else if (!volume.kernel("daemon_port").isEmpty()
            && !volume.kernel("daemon_port").equals("0")) {
          find(
              "no_socket",
              "The daemon cannot be asked: it has no control socket, or has ended just now.",
              "Ask again. One that was started just now has a socket in two seconds; else "
                  + volume.log()
                  + " says why it has none.");
        } else {
          String starts = volume.kernel("daemon_starts");
          find(
              "daemon_dead",
              "The daemon of this volume does not run: the mount is frozen, operations wait."
                  + (starts.isEmpty() ? "" : " It was started " + Words.times(starts) + "."),
              "The kernel starts another one by itself, within seconds. If none comes, 'dmesg' and "
                  + volume.log()
                  + " say why; umount works.");
        }
      }
      case DaemonAnswer.Silent _ ->
          find(
              "daemon_silent",
              "The daemon of this volume does not answer: it is stopped, it hangs, or this machine"
                  + " is overloaded.",
              "Ask again. If it stays, end it with "
                  + endOfThisDaemon()
                  + ": the kernel starts another one, which takes over.");
      case DaemonAnswer.Denied _ ->
          find(
              "denied",
              "Only root may ask the daemon of this volume.",
              "Run mxfsctl as root. If you did, a security module of the kernel refuses it: see"
                  + " 'dmesg'.");
      case DaemonAnswer.Failed failed ->
          find(
              "failed",
              "The daemon of this volume could not be asked: " + Words.clean(failed.why()) + ".",
              "That is not the daemon's: is this machine out of memory, or of open files? Ask"
                  + " again.");
      case DaemonAnswer.Strange strange ->
          find(
              "daemon_strange",
              "The daemon of this volume answers what cannot be understood: "
                  + Words.clean(strange.why())
                  + ".",
              "Is it of another version than this mxfsctl? umount and mount start the one that is"
                  + " installed.");
    }
  }

  /**
   * Each volume of the machine has a daemon; its arguments say of which it is. The brackets keep
   * pkill from its own caller (sudo, sh, ssh), which has the pattern among its arguments.
   */
  private String endOfThisDaemon() {
    String uuid = volume.uuid();
    return uuid == null
        ? "kill -9 (pgrep -af mxfs/bin/java lists the daemons of all volumes, each with its UUID)"
        : "pkill -9 -f -- '[-]-uuid " + uuid.replace("-", "") + "'";
  }

  private void slow(JsonValue status) {
    String state = status.get("state").textOr("");
    long since = status.get("state_ms").number();
    if (since <= LONG_WAIT_MILLIS) {
      return;
    }
    switch (state) {
      case "mounting" ->
          find(
              "mounting",
              "The mount is not done after " + Words.time(since) + ".",
              volume.log() + " says what it waits for; it ends by itself, with a reason.");
      case "taking", "giving" ->
          find(
              state,
              "A change of owner takes " + Words.time(since) + " already.",
              "The disk, or the other node, does not answer: see " + volume.log() + ".");
      case "leaving" ->
          find(
              "leaving",
              "Leaving takes " + Words.time(since) + " already.",
              "The disk does not answer: see " + volume.log() + ".");
      default -> {}
    }
  }

  private void lease(@Nullable JsonValue status) {
    boolean out;
    if (!volume.kernel("lease_ms").isEmpty()) {
      out =
          volume.kernel("clustered").equals("1")
              && volume.kernel("lease_ms").equals("0")
              && !volume.kernel("state").equals("starting");
    } else {
      out =
          status != null
              && status.get("ready").isTrue()
              && !status.get("lease_left_ms").isNull()
              && status.get("lease_left_ms").number() == 0;
    }
    if (out) {
      find(
          "lease",
          "The lease has run out: operations wait until the disk has shown again that this node"
              + " is in order.",
          "The disk does not answer, or the daemon does not ask it: see 'dmesg' and "
              + volume.log()
              + ".");
    }
  }

  private void waiting(JsonValue status) {
    JsonValue waiting = status.get("waiting");
    if (waiting.isNull()) {
      return;
    }
    long since = waiting.get("ms").number();
    String owner = Words.node(waiting.get("for"));
    String time = Words.time(since);
    switch (waiting.get("why").textOr("")) {
      case "owner_not_connected" -> {
        if (since > SHORT_WAIT_MILLIS) {
          find(
              "owner_not_connected",
              "Operations wait for " + time + ": the owner, " + owner + ", is not connected.",
              "Is that node up, and the network between the two (TCP port 7600, UDP port 7601)?"
                  + " Crash takeover is not in this version: if it is off for certain, start it"
                  + " and mount there again, or shut its key out (mxfs(5), CRASHED OWNER).");
        }
      }
      case "foreign_reservation" ->
          find(
              "foreign_reservation",
              "Operations wait for " + time + ": the disk is reserved by something else.",
              "See " + volume.log() + " for whom and for what to do.");
      case "owner_has_it" -> {
        if (since > LONG_WAIT_MILLIS) {
          find(
              "owner_has_it",
              "Operations wait for " + time + ": " + owner + " does not give the volume up.",
              "See mxfsctl status on that node: a frozen file system or device keeps it, say.");
        }
      }
      default -> {
        if (since > LONG_WAIT_MILLIS) {
          find(
              "waiting",
              "Operations wait for " + time + ", though no other node is in the way.",
              "The disk does not answer, or XFS cannot be mounted: see 'dmesg' and "
                  + volume.log()
                  + ".");
        }
      }
    }
  }

  private void waiters(JsonValue status) {
    for (JsonValue each : status.get("waiters").list()) {
      if (each.get("ms").number() > LONG_WAIT_MILLIS) {
        find(
            "waiter",
            Words.node(each)
                + " waits for "
                + Words.time(each.get("ms").number())
                + " for this node to give the volume up.",
            "See 'dmesg': a frozen file system or device, or memory that does not come, keeps it.");
      }
    }
  }

  private void peers(JsonValue said, JsonValue status) {
    for (JsonValue each : status.get("peers").list()) {
      String trouble = each.get("trouble").text();
      boolean lately =
          !each.get("heard_ms").isNull() && each.get("heard_ms").number() < HEARD_LATELY_MILLIS;
      if (each.get("connected").isTrue()) {
        continue;
      }
      if (trouble != null) {
        find(
            "other_version",
            Words.node(each) + " cannot be connected: it " + Words.clean(trouble) + ".",
            "All nodes need the same version of mxfs.");
      } else if (lately && said.get("daemon").get("up_ms").number() > LONG_WAIT_MILLIS) {
        find(
            "not_connected",
            Words.node(each)
                + " announces itself from "
                + Words.clean(each.get("address").textOr("somewhere"))
                + " and is not connected.",
            "A firewall between the two (TCP port 7600 and the next ones)? Each change of owner"
                + " needs the connection.");
      }
    }
  }
}
