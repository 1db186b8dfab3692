// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.control;

import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;

/**
 * The answer to {@code status}, as docs/mxfsctl.md describes it. Times become ages here, since no
 * clock of this process means anything to another.
 *
 * @param now on the clock of {@code status}
 * @param status null: the policy thread has not said anything yet
 * @param sightings what edges know of other nodes beside what the core does
 * @param troubles the last lines of the log that are warnings or errors, the oldest first
 */
public record Report(
    Mount mount,
    long now,
    @Nullable VolumeStatus status,
    List<Sighting> sightings,
    List<Trouble> troubles) {
  /** Raised when something changes that a reader would miss or misread. */
  public static final int SCHEMA = 1;

  /**
   * What does not change as long as this daemon lives.
   *
   * @param fencing how what a node that is shut out had under way is ended; null: takeover is off,
   *     and nobody is shut out
   */
  public record Mount(
      String version,
      int protocol,
      long pid,
      boolean restarted,
      String volume,
      String device,
      int major,
      int minor,
      boolean readOnly,
      int nodeId,
      String host,
      int port,
      long leaseMillis,
      @Nullable Fencing fencing) {}

  /**
   * How what a node that is shut out had under way is ended.
   *
   * @param byReset by a logical unit reset, or by waiting
   * @param lifeMillis for as long as that
   * @param setting what is set, as it is written there
   * @param resetFound what was found of the disk
   */
  public record Fencing(
      boolean byReset, long lifeMillis, String setting, boolean resetFound, String why) {}

  /** Where another node was heard of last, and how long ago. */
  public record Sighting(int nodeId, String address, long heardMillis) {}

  /** A line of the log. */
  public record Trouble(String level, long agoMillis, String text) {}

  /** One line. */
  public String json() {
    Json json = new Json().begin().put("schema", SCHEMA);
    json.begin("daemon")
        .put("version", mount.version())
        .put("pid", mount.pid())
        .put("up_ms", now)
        .put("restarted", mount.restarted())
        .end();
    json.begin("volume")
        .put("uuid", mount.volume())
        .put("device", mount.device())
        .put("major", mount.major())
        .put("minor", mount.minor())
        .put("read_only", mount.readOnly())
        .end();
    json.begin("node")
        .put("id", ReservationKey.nodeName(mount.nodeId()))
        .put("host", mount.host())
        .put("port", mount.port())
        .put("key", status == null ? null : keyOf(status.key()))
        .put("protocol", mount.protocol())
        .end();
    Fencing fencing = mount.fencing();
    if (fencing == null) {
      json.putNull("fencing");
    } else {
      json.begin("fencing")
          .put("by", byWord(fencing.byReset()))
          .put("life_ms", fencing.lifeMillis())
          .put("setting", fencing.setting())
          .put("found", byWord(fencing.resetFound()))
          .put("why", fencing.why())
          .end();
    }
    if (status == null) {
      json.putNull("status");
    } else {
      status(json, status);
    }
    json.beginList("log");
    for (Trouble each : troubles) {
      json.begin()
          .put("ms", each.agoMillis())
          .put("level", word(each.level()))
          .put("text", each.text())
          .end();
    }
    return json.endList().end().toString();
  }

  private void status(Json json, VolumeStatus s) {
    json.begin("status")
        .put("stepped_ms", age(s.at()))
        .put("state", word(s.state().name()))
        .put("state_ms", age(s.stateSince()))
        .put("xfs", word(s.xfs().name()))
        .put("ready", s.ready())
        .put("epoch", s.epoch());
    if (s.holder().isNone()) {
      json.putNull("holder");
    } else {
      json.begin("holder");
      node(json, s, s.holder()).end();
    }
    json.put("lease_ms", mount.leaseMillis());
    if (s.leaseUntil() == Long.MIN_VALUE) {
      json.putNull("lease_left_ms");
    } else {
      json.put("lease_left_ms", Math.max(0, s.leaseUntil() - now));
    }
    VolumeStatus.Wish wait = s.waiting();
    if (wait == null) {
      json.putNull("waiting");
    } else {
      json.begin("waiting").put("ms", age(wait.since())).put("why", word(wait.reason().name()));
      if (wait.owner().isNone()) {
        json.putNull("for");
      } else {
        json.begin("for");
        node(json, s, wait.owner()).end();
      }
      json.end();
    }
    json.beginList("waiters");
    for (VolumeStatus.Waiting each : s.waiters()) {
      json.begin().put("ms", age(each.since()));
      node(json, s, each.key()).end();
    }
    json.endList().beginList("peers");
    for (VolumeStatus.Neighbour each : s.neighbours()) {
      peer(json, each);
    }
    json.endList();
    List<VolumeStatus.Missing> missing = s.missing();
    json.put("takeover", missing != null).beginList("missing");
    for (VolumeStatus.Missing each : missing == null ? List.<VolumeStatus.Missing>of() : missing) {
      missing(json, s, each);
    }
    json.endList().end();
  }

  private void missing(Json json, VolumeStatus s, VolumeStatus.Missing one) {
    json.begin()
        .put("key", keyOf(one.key()))
        .put("id", one.key().nodeName())
        .put("host", one.host().isEmpty() ? hostOf(s, one.key().nodeId()) : one.host())
        .put("state", word(one.state().name()))
        .put("ms", age(one.since()));
    if (one.epoch() == 0) {
      json.putNull("epoch");
    } else {
      json.put("epoch", one.epoch());
    }
    json.put("refusal", one.refusal()).end();
  }

  private void peer(Json json, VolumeStatus.Neighbour peer) {
    Sighting sighting = sighting(peer.nodeId());
    json.begin()
        .put("id", ReservationKey.nodeName(peer.nodeId()))
        .put("host", peer.host())
        .put("key", keyOf(peer.key()))
        .put("connected", peer.isConnected())
        .put("mounted", peer.mounted())
        .put("address", sighting == null ? null : sighting.address());
    if (sighting == null) {
      json.putNull("heard_ms");
    } else {
      json.put("heard_ms", sighting.heardMillis());
    }
    // Whoever is connected speaks our version: others are turned away.
    if (peer.isConnected()) {
      json.put("protocol", mount.protocol());
    } else {
      json.putNull("protocol");
    }
    json.put("trouble", peer.trouble().isEmpty() ? null : peer.trouble()).end();
  }

  private @Nullable Sighting sighting(int nodeId) {
    for (Sighting each : sightings) {
      if (each.nodeId() == nodeId) {
        return each;
      }
    }
    return null;
  }

  private Json node(Json json, VolumeStatus s, ReservationKey key) {
    return json.put("key", keyOf(key))
        .put("id", key.nodeName())
        .put("host", hostOf(s, key.nodeId()))
        .put("self", key.nodeId() == mount.nodeId());
  }

  private @Nullable String hostOf(VolumeStatus s, int nodeId) {
    if (nodeId == mount.nodeId()) {
      return mount.host();
    }
    for (VolumeStatus.Neighbour each : s.neighbours()) {
      if (each.nodeId() == nodeId && !each.host().isEmpty()) {
        return each.host();
      }
    }
    return null;
  }

  private static @Nullable String keyOf(ReservationKey key) {
    return key.isNone() ? null : key.toString();
  }

  private long age(long since) {
    return Math.max(0, now - since);
  }

  private static String byWord(boolean reset) {
    return reset ? "reset" : "wait";
  }

  private static String word(String name) {
    return name.toLowerCase(Locale.ROOT);
  }
}
