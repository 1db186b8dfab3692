// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.mxfs.daemon.control.Report;
import org.mxfs.daemon.peer.Peers;

/**
 * From where other nodes were heard last, by announcement or connection, for people only; anybody
 * can announce, so there is a limit. Times are of {@link System#nanoTime}.
 */
final class Sightings {
  private static final int MAX = 256;

  private record Seen(InetSocketAddress address, long at) {}

  private final ReentrantLock lock = new ReentrantLock();
  private final Map<Integer, Seen> announced =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, Seen> eldest) {
          return size() > MAX;
        }
      };

  void announced(int nodeId, InetSocketAddress address, long now) {
    lock.lock();
    try {
      announced.put(nodeId, new Seen(address, now));
    } finally {
      lock.unlock();
    }
  }

  /**
   * One for each node.
   *
   * @param links who is connected: that tells more than what is announced
   */
  List<Report.Sighting> all(List<Peers.Link> links, long now) {
    Map<Integer, Report.Sighting> all = new LinkedHashMap<>();
    lock.lock();
    try {
      announced.forEach(
          (id, seen) -> all.put(id, sighting(id, text(seen.address()), now - seen.at())));
    } finally {
      lock.unlock();
    }
    for (Peers.Link link : links) {
      all.put(link.nodeId(), sighting(link.nodeId(), link.address(), now - link.heardAt()));
    }
    return new ArrayList<>(all.values());
  }

  private static Report.Sighting sighting(int nodeId, String address, long nanos) {
    return new Report.Sighting(nodeId, address, Math.max(0, TimeUnit.NANOSECONDS.toMillis(nanos)));
  }

  private static String text(InetSocketAddress address) {
    return address.getHostString() + ":" + address.getPort();
  }
}
