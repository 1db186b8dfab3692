// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import java.io.Closeable;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The connections to the other nodes of a volume: one a pair, dialled by the node with the higher
 * id (unsigned), so that two nodes never dial each other at once. A connection that breaks is
 * dialled again as long as the other node announces itself.
 *
 * <p>Failure model: a message that was handed over may be lost with its connection; nothing is
 * repeated here. A peer that says nothing for {@link Connection#SILENCE_MILLIS} is cut off.
 */
public final class Peers implements Closeable {
  /** How many ports after the wanted one are tried: each volume of a node needs one of its own. */
  private static final int PORTS_MAX = 64;

  private static final int CONNECTIONS_MAX = 256;
  private static final int CONNECT_MILLIS = 2_000;
  private static final long REDIAL_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  /** A node that was not heard for so long is not dialled. */
  private static final long FORGET_NANOS = TimeUnit.SECONDS.toNanos(10);

  private static final Logger LOG = LoggerFactory.getLogger(Peers.class);

  /** Called on the connections' threads; must not block. */
  public interface Listener {
    /** Connected, or the peer's key has changed. */
    void up(ReservationKey key, long epoch);

    void down(int nodeId);

    void received(ReservationKey from, long epoch, PeerMessage message);
  }

  /** Who we are, as every frame says it. */
  record Self(ReservationKey key, long epoch) {}

  /** A node that we dial. Guarded by {@link #lock}. */
  private static final class Target {
    InetSocketAddress address;
    String host;
    long heardAt;
    @Nullable Thread dialer;
    boolean complained;

    Target(InetSocketAddress address, String host) {
      this.address = address;
      this.host = host;
    }
  }

  final UUID volumeUuid;
  final String host;
  private final int nodeId;
  private final Listener listener;
  private final ServerSocket server;
  private final LongAdder malformed = new LongAdder();

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Map<Integer, Target> targets = new HashMap<>();
  private final Map<Integer, Connection> connections = new HashMap<>();
  private final List<Connection> greeting = new ArrayList<>();
  private boolean closed;
  private volatile Self self;

  /**
   * Listens on {@code port}, or on the next free one.
   *
   * @param bind the local address to listen on, or null for all
   */
  public Peers(
      UUID volumeUuid,
      String host,
      ReservationKey key,
      @Nullable InetAddress bind,
      int port,
      Listener listener)
      throws IOException {
    this.volumeUuid = volumeUuid;
    this.host = host;
    this.nodeId = key.nodeId();
    this.self = new Self(key, 0);
    this.listener = listener;
    this.server = listen(bind, port);
  }

  private static ServerSocket listen(@Nullable InetAddress bind, int port) throws IOException {
    IOException first = null;
    for (int next = port; next <= Math.min(port + PORTS_MAX, 0xffff); next++) {
      ServerSocket socket = new ServerSocket();
      try {
        socket.setReuseAddress(true);
        socket.bind(new InetSocketAddress(bind, next), 64);
        return socket;
      } catch (IOException e) {
        socket.close();
        first = first == null ? e : first;
      }
    }
    throw new IOException(
        "no free TCP port from "
            + port
            + " on (port=): "
            + (first == null ? "" : first.getMessage()),
        first);
  }

  public int port() {
    return server.getLocalPort();
  }

  public long malformedFrames() {
    return malformed.sum();
  }

  /** Begins to accept connections. */
  public void start() {
    Thread.ofVirtual().name("peer-accept").start(this::accept);
  }

  /** Who we are from now on; told to every peer at once when the key has changed. */
  public void setSelf(ReservationKey key, long epoch) {
    boolean newKey = !self.key().equals(key);
    self = new Self(key, epoch);
    if (newKey) {
      for (Connection each : current()) {
        each.send(new Frame.Body.Ping());
      }
    }
  }

  Self self() {
    return self;
  }

  /** Discovery heard a node: dial it if that is our part. */
  public void heard(ReservationKey key, InetSocketAddress address, String peerHost) {
    if (Integer.compareUnsigned(nodeId, key.nodeId()) <= 0) {
      return; // the other node dials
    }
    lock.lock();
    try {
      if (closed) {
        return;
      }
      Target target = targets.computeIfAbsent(key.nodeId(), _ -> new Target(address, peerHost));
      target.address = address;
      target.host = peerHost;
      target.heardAt = System.nanoTime();
      if (target.dialer == null && !connections.containsKey(key.nodeId())) {
        int peer = key.nodeId();
        target.dialer = Thread.ofVirtual().name("peer-dial").start(() -> dial(peer, target));
      }
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Hands a message over; lost when there is no connection. */
  public void send(int peer, PeerMessage message) {
    Connection connection;
    lock.lock();
    try {
      connection = connections.get(peer);
    } finally {
      lock.unlock();
    }
    if (connection != null) {
      connection.send(new Frame.Body.Ownership(message));
    }
  }

  public void broadcast(PeerMessage message) {
    for (Connection each : current()) {
      each.send(new Frame.Body.Ownership(message));
    }
  }

  private List<Connection> current() {
    lock.lock();
    try {
      return List.copyOf(connections.values());
    } finally {
      lock.unlock();
    }
  }

  /** Sends what is queued (bounded), then closes everything. */
  @Override
  public void close() {
    List<Connection> open = new ArrayList<>();
    lock.lock();
    try {
      closed = true;
      open.addAll(connections.values());
      open.addAll(greeting);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    try {
      server.close();
    } catch (IOException e) {
      LOG.debug("closing the TCP port: {}", e.getMessage());
    }
    for (Connection each : open) {
      each.finish();
    }
  }

  private void accept() {
    while (true) {
      Socket socket;
      try {
        socket = server.accept();
      } catch (IOException e) {
        if (server.isClosed()) {
          return;
        }
        // For instance: out of file descriptors. Nothing a connection attempt must end us for.
        LOG.warn("TCP port {}: {}", port(), e.getMessage());
        continue;
      }
      Thread.ofVirtual().name("peer").start(() -> run(socket, 0));
    }
  }

  private void dial(int peer, Target target) {
    try {
      while (true) {
        InetSocketAddress address;
        lock.lock();
        try {
          if (closed || System.nanoTime() - target.heardAt > FORGET_NANOS) {
            return;
          }
          address = target.address;
        } finally {
          lock.unlock();
        }
        Socket socket = new Socket();
        try {
          socket.connect(address, CONNECT_MILLIS);
          target.complained = false;
          run(socket, peer);
        } catch (IOException e) {
          close(socket);
          if (!target.complained) {
            target.complained = true;
            LOG.warn(
                "cannot connect to node {} ({}) at {}: {}",
                ReservationKey.nodeName(peer),
                target.host,
                address,
                e.getMessage());
          }
        }
        lock.lock();
        try {
          if (!closed) {
            long left = REDIAL_NANOS;
            while (left > 0 && !closed) {
              left = changed.awaitNanos(left);
            }
          }
        } finally {
          lock.unlock();
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      lock.lock();
      try {
        target.dialer = null;
      } finally {
        lock.unlock();
      }
    }
  }

  /** Runs one connection to its end. {@code expected} is the node that was dialled, or 0. */
  private void run(Socket socket, int expected) {
    Connection connection;
    try {
      connection = new Connection(this, socket);
    } catch (IOException e) {
      LOG.debug("connection to {}: {}", socket.getRemoteSocketAddress(), e.getMessage());
      close(socket);
      return;
    }
    lock.lock();
    try {
      if (closed || greeting.size() + connections.size() >= CONNECTIONS_MAX) {
        connection.abort();
        return;
      }
      greeting.add(connection);
    } finally {
      lock.unlock();
    }
    connection.run(expected);
  }

  private static void close(Socket socket) {
    try {
      socket.close();
    } catch (IOException e) {
      LOG.debug("closing a socket: {}", e.getMessage());
    }
  }

  // ---- from the connections ----

  void countMalformed() {
    malformed.increment();
  }

  /** The peer has said who it is. A newer connection replaces an older one to the same node. */
  boolean greeted(Connection connection, Frame frame) {
    int peer = frame.key().nodeId();
    if (peer == nodeId) {
      LOG.warn("connection from {} refused: it has our own node id", connection);
      return false;
    }
    Connection old;
    lock.lock();
    try {
      if (closed) {
        return false;
      }
      greeting.remove(connection);
      old = connections.put(peer, connection);
    } finally {
      lock.unlock();
    }
    if (old != null) {
      old.abort();
    }
    listener.up(frame.key(), frame.epoch());
    return true;
  }

  void keyChanged(Frame frame) {
    listener.up(frame.key(), frame.epoch());
  }

  void received(Frame frame, PeerMessage message) {
    listener.received(frame.key(), frame.epoch(), message);
  }

  void ended(Connection connection, int peer) {
    boolean down;
    lock.lock();
    try {
      greeting.remove(connection);
      down = peer != 0 && connections.remove(peer, connection);
    } finally {
      lock.unlock();
    }
    if (down) {
      listener.down(peer);
    }
  }
}
