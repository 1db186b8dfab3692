// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;

@Timeout(60)
class PeersTest {
  private static final UUID VOLUME = new UUID(1, 2);
  private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

  private sealed interface Seen {
    record Up(ReservationKey key) implements Seen {}

    record Down(int nodeId) implements Seen {}

    record Message(ReservationKey from, long epoch, PeerMessage message) implements Seen {}
  }

  private static final class Node implements AutoCloseable {
    final BlockingQueue<Seen> seen = new LinkedBlockingQueue<>();
    final ReservationKey key;
    final Peers peers;

    Node(int id, int port) throws IOException {
      key = ReservationKey.of(id, 1);
      peers =
          new Peers(
              VOLUME,
              "host" + id,
              key,
              LOOPBACK,
              port,
              new Peers.Listener() {
                @Override
                public void up(ReservationKey peer, long epoch) {
                  seen.add(new Seen.Up(peer));
                }

                @Override
                public void down(int nodeId) {
                  seen.add(new Seen.Down(nodeId));
                }

                @Override
                public void received(ReservationKey from, long epoch, PeerMessage message) {
                  seen.add(new Seen.Message(from, epoch, message));
                }
              });
      peers.start();
    }

    void hears(Node other) {
      peers.heard(other.key, new InetSocketAddress(LOOPBACK, other.peers.port()), "a-host");
    }

    Seen next() throws InterruptedException {
      Seen next = seen.poll(30, TimeUnit.SECONDS);
      if (next == null) {
        throw new AssertionError("nothing came");
      }
      return next;
    }

    @Override
    public void close() {
      peers.close();
    }
  }

  @Test
  void theHigherNodeDialsAndBothTalk() throws Exception {
    try (Node low = new Node(1, 0);
        Node high = new Node(0x9000_0000, 0)) { // unsigned: higher
      low.hears(high); // does not dial
      high.hears(low);
      assertThat(low.next()).isEqualTo(new Seen.Up(high.key));
      assertThat(high.next()).isEqualTo(new Seen.Up(low.key));
      high.peers.setSelf(high.key, 7);
      high.peers.send(1, new PeerMessage.OwnRequest(5));
      assertThat(low.next())
          .isEqualTo(new Seen.Message(high.key, 7, new PeerMessage.OwnRequest(5)));
      low.peers.broadcast(new PeerMessage.OwnTaken(8));
      assertThat(high.next()).isEqualTo(new Seen.Message(low.key, 0, new PeerMessage.OwnTaken(8)));
    }
  }

  @Test
  void aNewKeyIsToldAtOnce() throws Exception {
    try (Node low = new Node(1, 0);
        Node high = new Node(2, 0)) {
      high.hears(low);
      assertThat(low.next()).isEqualTo(new Seen.Up(high.key));
      ReservationKey fresh = ReservationKey.of(2, 99);
      high.peers.setSelf(fresh, 1);
      assertThat(low.next()).isEqualTo(new Seen.Up(fresh));
    }
  }

  @Test
  void whatWasSentBeforeClosingArrives() throws Exception {
    try (Node low = new Node(1, 0)) {
      try (Node high = new Node(2, 0)) {
        high.hears(low);
        assertThat(low.next()).isEqualTo(new Seen.Up(high.key));
        assertThat(high.next()).isEqualTo(new Seen.Up(low.key));
        high.peers.broadcast(new PeerMessage.Leave());
      }
      assertThat(low.next())
          .isEqualTo(new Seen.Message(ReservationKey.of(2, 1), 0, new PeerMessage.Leave()));
      assertThat(low.next()).isEqualTo(new Seen.Down(2));
    }
  }

  @Test
  void aBrokenConnectionIsDialledAgain() throws Exception {
    try (Node high = new Node(2, 0)) {
      int port;
      try (Node low = new Node(1, 0)) {
        port = low.peers.port();
        high.hears(low);
        assertThat(high.next()).isEqualTo(new Seen.Up(low.key));
      }
      assertThat(high.next()).isEqualTo(new Seen.Down(1));
      try (Node low = new Node(1, port)) {
        // It may get another port while the old one's connections linger: announced anew.
        high.hears(low);
        assertThat(high.next()).isEqualTo(new Seen.Up(low.key));
      }
    }
  }

  @Test
  void garbageClosesItsConnectionAndIsCounted() throws Exception {
    try (Node node = new Node(1, 0);
        Node other = new Node(2, 0)) {
      Random random = new Random(3);
      for (int i = 0; i < 5; i++) {
        byte[] garbage = new byte[200];
        random.nextBytes(garbage);
        try (Socket socket = new Socket(LOOPBACK, node.peers.port())) {
          socket.getOutputStream().write(garbage);
          // The end of our side: HELLO, then nothing more, or a reset.
          drain(socket);
        }
      }
      assertThat(node.peers.malformedFrames()).isEqualTo(5);
      other.hears(node);
      assertThat(node.next()).isEqualTo(new Seen.Up(other.key));
    }
  }

  private static void drain(Socket socket) {
    try {
      socket.getInputStream().readAllBytes();
    } catch (IOException e) {
      // A reset ends it as well.
      return;
    }
  }

  @Test
  void aPeerWithOurOwnIdIsRefused() throws Exception {
    try (Node one = new Node(2, 0);
        Socket socket = new Socket(LOOPBACK, one.peers.port())) {
      socket
          .getOutputStream()
          .write(Frame.encode(VOLUME, one.key, 0, new Frame.Body.Hello("twin")));
      drain(socket);
      assertThat(one.seen).isEmpty();
    }
  }

  @Test
  void severalVolumesOfOneNodeGetAPortEach() throws Exception {
    try (Node one = new Node(1, 0)) {
      try (Node two = new Node(1, one.peers.port())) {
        assertThat(two.peers.port()).isGreaterThan(one.peers.port());
      }
    }
  }
}
