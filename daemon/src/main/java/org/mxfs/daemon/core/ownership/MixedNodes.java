// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.CommandLife;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Nodes that have the volume mounted and have takeover where this node has none, or the reverse.
 * While there is one this node shuts nobody out: that one might attach before what was shut out has
 * ended.
 *
 * <p>One is forgotten when it has the same, when it says that it leaves and the array shows no key
 * of it, or when the array has shown none for as long as a command can live: who gives the volume
 * away is not registered for a moment, and comes back.
 */
final class MixedNodes {
  private record Seen(ReservationKey key, String host, boolean left, long goneSince) {
    Seen withGoneSince(long since) {
      return new Seen(key, host, left, since);
    }
  }

  private final Outbox out;
  private final Map<Integer, Seen> nodes = new TreeMap<>();

  MixedNodes(Outbox out) {
    this.out = out;
  }

  boolean isEmpty() {
    return nodes.isEmpty();
  }

  /** It is connected, and says what it has. */
  void saw(Event.PeerUp peer, boolean isOther) {
    int node = peer.key().nodeId();
    if (isOther) {
      nodes.put(node, new Seen(peer.key(), peer.host(), false, Long.MAX_VALUE));
    } else {
      forget(node, "has the same as this node now");
    }
  }

  /** Said by that node in the life that was seen, or in a later one. */
  void left(ReservationKey from) {
    nodes.computeIfPresent(
        from.nodeId(),
        (_, seen) ->
            new Seen(
                seen.key,
                seen.host,
                seen.left || from.incarnation() >= seen.key.incarnation(),
                seen.goneSince));
  }

  /** The array has just shown these. */
  void look(Collection<ReservationKey> registered) {
    nodes.replaceAll(
        (node, seen) ->
            seen.withGoneSince(
                registered.stream().anyMatch(key -> key.nodeId() == node)
                    ? Long.MAX_VALUE
                    : Math.min(seen.goneSince, out.now())));
    for (Map.Entry<Integer, Seen> one : Map.copyOf(nodes).entrySet()) {
      long since = one.getValue().goneSince;
      boolean gone = since != Long.MAX_VALUE;
      if (gone && (one.getValue().left || out.now() - since >= CommandLife.MILLIS)) {
        forget(one.getKey(), "has left");
      }
    }
  }

  private void forget(int node, String why) {
    Seen seen = nodes.remove(node);
    if (seen != null) {
      out.note(
          Action.Level.INFO,
          "node {} ({}), which had takeover otherwise than this node, {}",
          ReservationKey.nodeName(node),
          seen.host,
          why);
    }
  }

  /** For messages. */
  String names() {
    return nodes.entrySet().stream()
        .map(
            one ->
                Outbox.fill(
                    "node {} ({})", ReservationKey.nodeName(one.getKey()), one.getValue().host))
        .collect(Collectors.joining(", "));
  }
}
