// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.ReservationKey;

/** The other nodes of the volume: who is connected, and who was merely heard. */
final class Neighbours {
  private final Map<Integer, Event.PeerUp> connected = new TreeMap<>();
  private static final int HEARD_MAX = 256;

  private final Map<Integer, String> heard = new TreeMap<>();

  /** Why it cannot be connected, whatever it wants. */
  private final Map<Integer, String> otherVersions = new TreeMap<>();

  void up(Event.PeerUp peer) {
    otherVersions.remove(peer.key().nodeId());
    connected.put(peer.key().nodeId(), peer);
  }

  /** As it said when it was connected. */
  Event.@Nullable PeerUp peer(int nodeId) {
    return connected.get(nodeId);
  }

  void down(int nodeId) {
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
    return heard.put(key.nodeId(), host) == null;
  }

  /** Returns whether it is news. */
  boolean otherVersion(int nodeId, String text) {
    if (otherVersions.size() >= HEARD_MAX && !otherVersions.containsKey(nodeId)) {
      return false;
    }
    return !text.equals(otherVersions.put(nodeId, text));
  }

  @Nullable String otherVersionOf(int nodeId) {
    return otherVersions.get(nodeId);
  }

  /** It says that it leaves; whether it is connected its connection tells. */
  void left(ReservationKey key) {
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
}
