// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.FrameLayout;

@Timeout(60)
class PeersTest {
  private static final UUID VOLUME = new UUID(1, 2);
  private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

  private sealed interface Seen {
    record Up(ReservationKey key) implements Seen {}

    record Down(int nodeId) implements Seen {}

    record Other(int nodeId, String text) implements Seen {}

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
              "options" + id,
              key,
              LOOPBACK,
              port,
              (generation, event, done) -> {
                seen.add(
                    switch (event) {
                      case Event.PeerUp up -> new Seen.Up(up.key());
                      case Event.PeerDown down -> new Seen.Down(down.nodeId());
                      case Event.OtherVersion other -> new Seen.Other(other.nodeId(), other.text());
                      case Event.Received r -> new Seen.Message(r.from(), r.epoch(), r.message());
                      default -> throw new AssertionError(event);
                    });
                done.run();
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
      assertThat(node.peers.counters().malformed()).isEqualTo(5);
      other.hears(node);
      assertThat(node.next()).isEqualTo(new Seen.Up(other.key));
    }
  }

  @Test
  void aNodeOfAnotherVersionIsTurnedAwayAndToldOf() throws Exception {
    try (Node node = new Node(1, 0);
        Socket socket = new Socket(LOOPBACK, node.peers.port())) {
      byte[] old = hello(7);
      old[FrameLayout.VERSION_FIELD.offset()] = 1;
      socket.getOutputStream().write(old);
      drain(socket);
      assertThat(node.next())
          .isEqualTo(
              new Seen.Other(
                  7, "speaks version 1 of the protocol between nodes, this node version 2"));
      assertThat(node.peers.counters().malformed()).isEqualTo(1);
    }
  }

  @Test
  void whoIsMountedTellsThoseThatAreConnected() throws Exception {
    BlockingQueue<Boolean> said = new LinkedBlockingQueue<>();
    try (Node low = new Node(1, 0);
        Peers high =
            new Peers(
                VOLUME,
                "high",
                "",
                ReservationKey.of(2, 1),
                LOOPBACK,
                0,
                (_, event, done) -> {
                  if (event instanceof Event.PeerUp up) {
                    said.add(up.mounted());
                  }
                  done.run();
                })) {
      high.start();
      high.heard(low.key, new InetSocketAddress(LOOPBACK, low.peers.port()), "a-host");
      assertThat(said.poll(30, TimeUnit.SECONDS)).isFalse();
      low.peers.mounted();
      assertThat(said.poll(30, TimeUnit.SECONDS)).isTrue();
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
          .write(Frame.encode(VOLUME, one.key, 0, new Frame.Body.Hello("twin", "", false)));
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

  /** From an address of its own: all of 127.0.0.0/8 is loopback. */
  private static Socket from(int lastByte, Node node) throws IOException {
    Socket socket = new Socket();
    socket.bind(new InetSocketAddress("127.0.0." + lastByte, 0));
    socket.connect(new InetSocketAddress(LOOPBACK, node.peers.port()), 5_000);
    return socket;
  }

  private static byte[] hello(int id) {
    return Frame.encode(
        VOLUME, ReservationKey.of(id, 1), 0, new Frame.Body.Hello("somebody", "", false));
  }

  /** One byte more on each now and then, so that none of them is silent. */
  private static void trickle(List<Socket> sockets) {
    byte[] hello = hello(7);
    int turnedAway = 0;
    for (int i = 5; i < hello.length - 1 && turnedAway < 10_000; i++) {
      for (Socket each : sockets) {
        try {
          each.getOutputStream().write(hello, i, 1);
        } catch (IOException e) {
          turnedAway++;
        }
      }
      try {
        TimeUnit.MILLISECONDS.sleep(900);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  @Test
  void slowStrangersDoNotKeepANodeOut() throws Exception {
    List<Socket> slow = new ArrayList<>();
    try (Node node = new Node(1, 0);
        Node other = new Node(2, 0)) {
      for (int i = 0; i < 256; i++) {
        Socket socket = from(2 + i % 100, node);
        slow.add(socket);
        socket.getOutputStream().write(hello(1_000 + i), 0, 5);
      }
      Thread trickling = Thread.ofPlatform().start(() -> trickle(slow));
      try {
        other.hears(node);
        assertThat(node.next()).isEqualTo(new Seen.Up(other.key));
        assertThat(other.next()).isEqualTo(new Seen.Up(node.key));
      } finally {
        trickling.interrupt();
        trickling.join();
      }
    } finally {
      for (Socket each : slow) {
        each.close();
      }
    }
  }

  @Test
  void aHandshakeThatTakesTooLongIsEndedEvenWhenEachByteComesInTime() throws Exception {
    try (Node node = new Node(1, 0);
        Socket socket = from(2, node)) {
      byte[] hello = hello(7);
      long start = System.nanoTime();
      boolean ended = false;
      for (int i = 0; i < hello.length && !ended; i++) {
        try {
          socket.getOutputStream().write(hello, i, 1);
          TimeUnit.MILLISECONDS.sleep(200);
        } catch (IOException e) {
          ended = true;
        }
      }
      drain(socket);
      assertThat(System.nanoTime() - start)
          .isLessThan(TimeUnit.MILLISECONDS.toNanos(2 * Connection.HANDSHAKE_MILLIS));
      assertThat(node.peers.counters().slow()).isEqualTo(1);
      assertThat(node.seen).isEmpty();
    }
  }

  @Test
  void oneAddressDoesNotGetAllPlaces() throws Exception {
    List<Socket> taken = new ArrayList<>();
    try (Node node = new Node(1, 0);
        Node other = new Node(2, 0)) {
      for (int i = 0; i < Peers.CONNECTIONS_MAX + 10; i++) {
        Socket socket = from(2, node);
        taken.add(socket);
        socket.getOutputStream().write(hello(1_000 + i));
        if (i < Peers.PER_ADDRESS_MAX) {
          assertThat(node.next()).isEqualTo(new Seen.Up(ReservationKey.of(1_000 + i, 1)));
        } else {
          drain(socket);
        }
      }
      other.hears(node);
      assertThat(node.next()).isEqualTo(new Seen.Up(other.key));
    } finally {
      for (Socket each : taken) {
        each.close();
      }
    }
  }

  @Test
  void whenAllPlacesAreTakenTheAddressWithMostOfThemMakesRoom() throws Exception {
    List<Socket> taken = new ArrayList<>();
    try (Node node = new Node(1, 0);
        Node other = new Node(2, 0)) {
      for (int i = 0; i < Peers.CONNECTIONS_MAX; i++) {
        Socket socket = from(2 + i / Peers.PER_ADDRESS_MAX, node);
        taken.add(socket);
        socket.getOutputStream().write(hello(1_000 + i));
        assertThat(node.next()).isEqualTo(new Seen.Up(ReservationKey.of(1_000 + i, 1)));
      }
      other.hears(node);
      boolean down = false;
      boolean up = false;
      while (!down || !up) { // in either order: two connections
        Seen next = node.next();
        up |= next.equals(new Seen.Up(other.key));
        down |= next instanceof Seen.Down;
      }
    } finally {
      for (Socket each : taken) {
        each.close();
      }
    }
  }

  @Test
  void aLivingPeerIsNotReplacedFromAnotherAddress() throws Exception {
    try (Node node = new Node(1, 0);
        Node other = new Node(2, 0)) {
      other.hears(node);
      assertThat(node.next()).isEqualTo(new Seen.Up(other.key));
      try (Socket socket = from(9, node)) {
        socket.getOutputStream().write(hello(2));
        drain(socket);
      }
      assertThat(node.peers.counters().refused()).isEqualTo(1);
      assertThat(node.seen).isEmpty();
    }
  }

  @Test
  void whoShouldBeDialledDoesNotDial() throws Exception {
    try (Node node = new Node(5, 0);
        Socket socket = from(2, node)) {
      socket.getOutputStream().write(hello(3));
      drain(socket);
      assertThat(node.peers.counters().refused()).isEqualTo(1);
      assertThat(node.seen).isEmpty();
    }
  }

  @Test
  void inventedNodesDoNotKeepARealOneFromBeingDialled() throws Exception {
    List<Socket> filling = new ArrayList<>();
    try (Node low = new Node(1, 0);
        Node high = new Node(0x9000_0000, 0);
        ServerSocket hole = new ServerSocket(0, 1)) {
      // Nobody accepts there, so once its queue is full whoever connects waits for a time limit.
      for (int i = 0; i < 4; i++) {
        Socket socket = new Socket();
        filling.add(socket);
        try {
          socket.connect(new InetSocketAddress("127.1.0.1", hole.getLocalPort()), 300);
        } catch (SocketTimeoutException e) {
          break;
        }
      }
      for (int i = 0; i < 300; i++) {
        high.peers.heard(
            ReservationKey.of(1_000 + i, 0xffff_ffffL),
            new InetSocketAddress("127.1.1." + (1 + i % 250), hole.getLocalPort()),
            "invented");
      }
      // In the real one's name, too.
      high.peers.heard(
          ReservationKey.of(1, 0xffff_ffffL),
          new InetSocketAddress("127.1.2.1", hole.getLocalPort()),
          "invented");
      high.hears(low);
      assertThat(high.next()).isEqualTo(new Seen.Up(low.key));
    } finally {
      for (Socket each : filling) {
        each.close();
      }
    }
  }
}
