// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.List;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Who takes part in locking, as membership decides it: the same list on every node.
 *
 * @param nodes sorted by node id (unsigned), one incarnation of a node
 * @param suspects incarnations that have taken part, do so no more, and of which it is not proven
 *     that they are shut out: no lock is granted under this view before they are {@link Cleared}. A
 *     node that left in order ({@link LockManager#isQuiet}) is in neither list
 */
public record View(ViewId id, List<ReservationKey> nodes, List<ReservationKey> suspects) {
  public static final int NODES_MAX = 64;

  public View {
    nodes = List.copyOf(nodes);
    suspects = List.copyOf(suspects);
    if (nodes.isEmpty() || nodes.size() > NODES_MAX) {
      throw new IllegalArgumentException("a view of " + nodes.size() + " nodes");
    }
    for (int i = 1; i < nodes.size(); i++) {
      int before = nodes.get(i - 1).nodeId();
      if (Integer.compareUnsigned(before, nodes.get(i).nodeId()) >= 0) {
        throw new IllegalArgumentException("a view that is not sorted: " + nodes);
      }
    }
    for (ReservationKey suspect : suspects) {
      if (nodes.contains(suspect)) {
        throw new IllegalArgumentException(suspect + " is in the view and suspected at once");
      }
    }
  }
}
