// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.discovery;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.MulticastSocket;
import java.net.NetworkInterface;
import java.net.StandardSocketOptions;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.Fnv1a;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.Uuids;

/** Real packets, on the loopback interface. */
@Timeout(60)
class DiscoveryTest {
  private static final UUID VOLUME = new UUID(7, 7);
  private static final String LOOPBACK = loopback();

  private static String loopback() {
    try {
      NetworkInterface found = NetworkInterface.getByInetAddress(InetAddress.getLoopbackAddress());
      return found == null ? "lo" : found.getName();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private record Node(String what, ReservationKey key, int port) {}

  private static final class Listening implements Discovery.Listener, AutoCloseable {
    final BlockingQueue<Node> heard = new LinkedBlockingQueue<>();
    final BlockingQueue<String> collisions = new LinkedBlockingQueue<>();
    final Discovery discovery;
    final ReservationKey key;

    Listening(int node, long incarnation, UUID volume, int port) throws IOException {
      UUID uuid = new UUID(node, 0);
      key = ReservationKey.of(nodeId(uuid), incarnation);
      discovery =
          new Discovery(
              new Discovery.Settings(
                  uuid,
                  volume,
                  "host" + node,
                  7600 + node,
                  LOOPBACK,
                  Discovery.DEFAULT_GROUP,
                  null,
                  port),
              key,
              this);
      discovery.start();
    }

    @Override
    public void node(ReservationKey from, InetSocketAddress tcp, String host) {
      heard.add(new Node(host, from, tcp.getPort()));
    }

    @Override
    public void collision(String text) {
      collisions.add(text);
    }

    @Override
    public void close() {
      discovery.close();
    }
  }

  private static int freePort() throws IOException {
    try (DatagramSocket socket = new DatagramSocket(0)) {
      return socket.getLocalPort();
    }
  }

  private static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
    T next = queue.poll(30, TimeUnit.SECONDS);
    if (next == null) {
      throw new AssertionError("nothing came");
    }
    return next;
  }

  private static void await(LongSupplier counter, long least) throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (counter.getAsLong() < least) {
      if (System.nanoTime() > end) {
        throw new AssertionError("counted " + counter.getAsLong() + ", not " + least);
      }
      Thread.sleep(5);
    }
  }

  private static void send(byte[] bytes, int port) throws IOException {
    try (MulticastSocket socket = new MulticastSocket()) {
      socket.setOption(StandardSocketOptions.IP_MULTICAST_IF, NetworkInterface.getByName(LOOPBACK));
      socket.send(
          new DatagramPacket(
              bytes, bytes.length, InetAddress.getByName(Discovery.DEFAULT_GROUP), port));
    }
  }

  @Test
  void nodesOfOneVolumeHearEachOther() throws Exception {
    int port = freePort();
    try (Listening one = new Listening(1, 5, VOLUME, port);
        Listening two = new Listening(2, 6, VOLUME, port)) {
      assertThat(next(one.heard)).isEqualTo(new Node("host2", two.key, 7602));
      assertThat(next(two.heard)).isEqualTo(new Node("host1", one.key, 7601));
      assertThat(one.collisions).isEmpty();
    }
  }

  @Test
  void aNewcomerIsAnsweredAtOnce() throws Exception {
    int port = freePort();
    try (Listening one = new Listening(1, 5, VOLUME, port)) {
      // Past its own first announcement; the next is due a second later.
      await(() -> one.discovery.counters().own(), 1);
      long start = System.nanoTime();
      try (Listening two = new Listening(2, 6, VOLUME, port)) {
        next(two.heard);
        assertThat(System.nanoTime() - start).isLessThan(TimeUnit.MILLISECONDS.toNanos(900));
      }
    }
  }

  @Test
  void anotherVolumeIsCountedAsForeign() throws Exception {
    int port = freePort();
    try (Listening one = new Listening(1, 5, VOLUME, port);
        Listening two = new Listening(2, 6, new UUID(0, 0), port)) {
      await(() -> one.discovery.counters().foreign(), 1);
      await(() -> two.discovery.counters().foreign(), 1);
      assertThat(one.heard).isEmpty();
    }
  }

  @Test
  void garbageIsCountedAndNoIncarnationSilencesANode() throws Exception {
    int port = freePort();
    try (Listening one = new Listening(1, 5, VOLUME, port)) {
      await(() -> one.discovery.counters().own(), 1);
      send(new byte[] {1, 2, 3}, port);
      await(() -> one.discovery.counters().malformed(), 1);
      UUID uuid = new UUID(9, 0);
      int id = nodeId(uuid);
      for (long incarnation : new long[] {0xffff_ffffL, 9}) {
        send(
            new Announcement(uuid, VOLUME, ReservationKey.of(id, incarnation), 1, "old", false)
                .encode(),
            port);
      }
      assertThat(next(one.heard).key().incarnation()).isEqualTo(0xffff_ffffL);
      assertThat(next(one.heard).key().incarnation()).isEqualTo(9);
    }
  }

  @Test
  void inventedNodesDoNotKeepNewOnesOut() throws Exception {
    int port = freePort();
    try (Listening one = new Listening(1, 5, VOLUME, port)) {
      await(() -> one.discovery.counters().own(), 1);
      for (int i = 0; i < 300; i++) {
        UUID uuid = new UUID(100 + i, 0);
        send(
            new Announcement(uuid, VOLUME, ReservationKey.of(nodeId(uuid), 1), 1, "no", false)
                .encode(),
            port);
      }
      // Whoever announces from an address of its own is heard; from this one a second later.
      try (Listening two = new Listening(2, 6, VOLUME, port)) {
        Node heard = next(one.heard);
        while (!heard.key().equals(two.key)) {
          heard = next(one.heard);
        }
      }
      assertThat(one.discovery.counters().limited()).isPositive();
    }
  }

  @Test
  void twoUuidsWithOneIdCollide() throws Exception {
    // Two UUIDs found by search whose FNV-1a is the same (a birthday among some 100,000).
    UUID[] pair = collidingPair();
    int port = freePort();
    BlockingQueue<String> collisions = new LinkedBlockingQueue<>();
    Discovery.Listener listener =
        new Discovery.Listener() {
          @Override
          public void node(ReservationKey from, InetSocketAddress tcp, String host) {}

          @Override
          public void collision(String text) {
            collisions.add(text);
          }
        };
    int id = nodeId(pair[0]);
    try (Discovery one =
        new Discovery(
            new Discovery.Settings(
                pair[0], VOLUME, "one", 7600, LOOPBACK, Discovery.DEFAULT_GROUP, null, port),
            ReservationKey.of(id, 1),
            listener)) {
      one.start();
      await(() -> one.counters().own(), 1);
      send(
          new Announcement(pair[1], VOLUME, ReservationKey.of(id, 1), 1, "two", false).encode(),
          port);
      assertThat(next(collisions)).contains("also used by two").contains("node.uuid");
    }
  }

  private static UUID[] collidingPair() {
    Random random = new Random(1);
    Map<Integer, UUID> seen = new HashMap<>();
    while (true) {
      UUID uuid = new UUID(random.nextLong(), random.nextLong());
      UUID other = seen.put(nodeId(uuid), uuid);
      if (other != null) {
        return new UUID[] {other, uuid};
      }
    }
  }

  private static int nodeId(UUID uuid) {
    return Fnv1a.nodeId(Uuids.bytes(uuid));
  }
}
