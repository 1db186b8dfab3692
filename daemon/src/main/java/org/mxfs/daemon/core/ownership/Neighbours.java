// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;

/** The other nodes of the volume: who is connected, and who was merely heard. */
final class Neighbours {
  private final Map<Integer, Event.PeerUp> connected = new TreeMap<>();
  private static final int HEARD_MAX = 256;

  private final Map<Integer, String> heard = new TreeMap<>();

  /** Why it cannot be connected, whatever it wants. */
  private final Map<Integer, String> otherVersions = new TreeMap<>();

  /** For people, until something changes; null: it has. */
  private @Nullable List<VolumeStatus.Neighbour> told;

  void up(Event.PeerUp peer) {
    told = null;
    otherVersions.remove(peer.key().nodeId());
    connected.put(peer.key().nodeId(), peer);
  }

  /** As it said when it was connected. */
  Event.@Nullable PeerUp peer(int nodeId) {
    return connected.get(nodeId);
  }

  void down(int nodeId) {
    told = null;
    connected.remove(nodeId);
  }

  boolean isConnected(int nodeId) {
    return connected.containsKey(nodeId);
  }

  /** Whether it is connected as this very incarnation. */
  boolean isConnected(ReservationKey key) {
    Event.PeerUp peer = connected.get(key.nodeId());
    return peer != null && peer.key().equals(key);
  }

  /** Returns whether it is news. */
  boolean heard(ReservationKey key, String host) {
    if (heard.size() >= HEARD_MAX && !heard.containsKey(key.nodeId())) {
      return false; // anybody can invent nodes
    }
    String before = heard.put(key.nodeId(), host);
    if (!host.equals(before)) {
      told = null;
    }
    return before == null;
  }

  /** Returns whether it is news. */
  boolean otherVersion(int nodeId, String text) {
    if (otherVersions.size() >= HEARD_MAX && !otherVersions.containsKey(nodeId)) {
      return false;
    }
    told = null;
    return !text.equals(otherVersions.put(nodeId, text));
  }

  @Nullable String otherVersionOf(int nodeId) {
    return otherVersions.get(nodeId);
  }

  /** It says that it leaves; whether it is connected its connection tells. */
  void left(ReservationKey key) {
    told = null;
    heard.remove(key.nodeId());
  }

  boolean heardNobody() {
    return heard.isEmpty();
  }

  @Nullable String hostOf(int nodeId) {
    return heard.get(nodeId);
  }

  String heardNames() {
    Set<String> names = new LinkedHashSet<>();
    heard.forEach((id, host) -> names.add(ReservationKey.nodeName(id) + " (" + host + ")"));
    return String.join(", ", names);
  }

  /** Everybody who is connected or was heard, by id. */
  List<VolumeStatus.Neighbour> all() {
    List<VolumeStatus.Neighbour> all = told;
    if (all == null) {
      all = list();
      told = all;
    }
    return all;
  }

  private List<VolumeStatus.Neighbour> list() {
    Set<Integer> ids = new TreeSet<>(connected.keySet());
    ids.addAll(heard.keySet());
    ids.addAll(otherVersions.keySet());
    List<VolumeStatus.Neighbour> all = new ArrayList<>();
    for (int id : ids) {
      Event.PeerUp up = connected.get(id);
      all.add(
          new VolumeStatus.Neighbour(
              id,
              up == null ? ReservationKey.NONE : up.key(),
              up == null ? heard.getOrDefault(id, "") : up.host(),
              up != null && up.mounted(),
              otherVersions.getOrDefault(id, "")));
    }
    return List.copyOf(all);
  }
}
