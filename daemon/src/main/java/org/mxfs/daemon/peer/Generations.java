// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.mxfs.daemon.core.Event;

/**
 * Which connection of each node counts. The threads of two connections to one node run by
 * themselves, so what they say may overtake each other: "down" of the old one after "up" of the new
 * one, or even its own "up" after its "down". Each connection has a number, larger than those of
 * all before it; what an older one says is dropped. For the thread that takes the events.
 */
public final class Generations {
  /** Nodes without a connection that are remembered: strangers can invent as many as they like. */
  private static final int DOWN_MAX = 256;

  private record Known(long generation, boolean up) {}

  /** In the order of their last change. */
  private final Map<Integer, Known> nodes = new LinkedHashMap<>();

  private int downs;

  /** Whether the event counts, in the order in which events are taken. */
  public boolean admit(long generation, Event event) {
    return switch (event) {
      case Event.PeerUp up -> up(generation, up.key().nodeId());
      case Event.PeerDown down -> down(generation, down.nodeId());
      case Event.Received received -> {
        Known known = nodes.get(received.from().nodeId());
        yield known != null && known.up() && known.generation() == generation;
      }
      default -> throw new IllegalArgumentException("not a peer's: " + event);
    };
  }

  private boolean up(long generation, int node) {
    Known known = nodes.get(node);
    if (known != null
        && (generation < known.generation() || (generation == known.generation() && !known.up()))) {
      return false;
    }
    put(node, new Known(generation, true));
    return true;
  }

  private boolean down(long generation, int node) {
    Known known = nodes.get(node);
    if (known != null && generation < known.generation()) {
      return false;
    }
    boolean wasUp = known != null && known.up();
    put(node, new Known(generation, false));
    return wasUp;
  }

  private void put(int node, Known now) {
    Known before = nodes.remove(node);
    if (before != null && !before.up()) {
      downs--;
    }
    nodes.put(node, now);
    if (now.up() || ++downs <= DOWN_MAX) {
      return;
    }
    Iterator<Known> each = nodes.values().iterator();
    while (each.hasNext()) {
      if (!each.next().up()) {
        each.remove();
        downs--;
        return;
      }
    }
  }

  int size() {
    return nodes.size();
  }
}
