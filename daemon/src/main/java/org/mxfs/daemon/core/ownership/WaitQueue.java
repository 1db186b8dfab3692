// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Waiter;

/** As the holder: who waits for the volume, first come first served, one entry a node. */
final class WaitQueue {
  private final List<Waiter> waiters = new ArrayList<>();
  private final Neighbours neighbours;

  WaitQueue(Neighbours neighbours) {
    this.neighbours = neighbours;
  }

  void add(Waiter waiter) {
    for (int i = 0; i < waiters.size(); i++) {
      if (waiters.get(i).nodeId() == waiter.nodeId()) {
        waiters.set(i, waiter);
        return;
      }
    }
    if (waiters.size() < PeerMessage.OwnGrant.WAITERS_MAX) {
      waiters.add(waiter);
    }
  }

  /** The first who can be reached; those who cannot ask again when they can. */
  @Nullable Waiter first() {
    waiters.removeIf(w -> !neighbours.isConnected(w.nodeId()));
    return waiters.isEmpty() ? null : waiters.getFirst();
  }

  void removeIf(Predicate<Waiter> which) {
    waiters.removeIf(which);
  }

  void remove(Waiter waiter) {
    waiters.remove(waiter);
  }

  void clear() {
    waiters.clear();
  }

  List<Waiter> all() {
    return List.copyOf(waiters);
  }
}
