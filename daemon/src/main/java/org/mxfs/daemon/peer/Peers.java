// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import java.io.Closeable;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Event;
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
 *
 * <p>Anybody can connect. So whoever has not said HELLO yet has little time for it and few places,
 * fewer from one address, and the one that has been at it longest makes room for the next; and the
 * places of those that have are limited for each address, too: a stranger may use up what is his,
 * not what the other nodes need. Platform threads throughout: virtual ones would share one carrier,
 * which a peer that always has something to say never lets go.
 */
public final class Peers implements Closeable {
  /** How many ports after the wanted one are tried: each volume of a node needs one of its own. */
  private static final int PORTS_MAX = 64;

  /** Connections that are past their handshake. */
  static final int CONNECTIONS_MAX = 64;

  static final int PER_ADDRESS_MAX = 8;

  /** Accepted ones that are not. */
  static final int GREETING_MAX = 32;

  static final int GREETING_PER_ADDRESS_MAX = 4;

  /** Ones that have not come about yet. */
  private static final int DIALLING_MAX = 8;

  /** Threads that read accepted connections, those about to end after an eviction included. */
  private static final int READERS_MAX = CONNECTIONS_MAX + 2 * GREETING_MAX;

  private static final int CONNECT_MILLIS = 2_000;
  private static final long FINISH_NANOS = TimeUnit.MILLISECONDS.toNanos(500);
  private static final long ACCEPT_AGAIN_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

  private static final Logger LOG = LoggerFactory.getLogger(Peers.class);

  /** Called on the connections' threads. */
  public interface Listener {
    /**
     * A peer's {@link Event.PeerUp} (connected, or its key has changed), {@link Event.PeerDown} or
     * {@link Event.Received}. May wait: the connection is not read meanwhile.
     *
     * @param generation the connection's number; see {@link Generations}
     * @param done to be called when the event was dealt with. A connection has at most {@link
     *     Connection#CREDITS} events that were not, and is not read beyond that
     */
    void peer(long generation, Event event, Runnable done);
  }

  /** What was turned away. */
  public record Counters(long malformed, long slow, long refused) {}

  /** Somebody who is connected, from where, and when he was heard last ({@code nanoTime}). */
  public record Link(int nodeId, String address, long heardAt) {}

  /** Who we are, as every frame says it. */
  record Self(ReservationKey key, long epoch) {}

  final UUID volumeUuid;
  final String host;
  final String options;
  final Listener listener;
  private final int nodeId;
  private final ServerSocket server;
  private final LongAdder malformed = new LongAdder();
  private final LongAdder slow = new LongAdder();
  private final LongAdder refused = new LongAdder();
  private final Semaphore readers = new Semaphore(READERS_MAX);

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Targets targets = new Targets();
  private final Map<Integer, Connection> connections = new HashMap<>();

  /** In the order of their coming. */
  private final List<Connection> greeting = new ArrayList<>();

  private final List<Connection> dialling = new ArrayList<>();
  private int attempts;
  private boolean dialer;
  private long generations;
  private boolean closed;
  private volatile Self self;
  private volatile boolean mounted;

  /**
   * Listens on {@code port}, or on the next free one.
   *
   * @param bind the local address to listen on, or null for all
   */
  public Peers(
      UUID volumeUuid,
      String host,
      String options,
      ReservationKey key,
      @Nullable InetAddress bind,
      int port,
      Listener listener)
      throws IOException {
    this.volumeUuid = volumeUuid;
    this.host = host;
    this.options = options;
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

  public Counters counters() {
    return new Counters(malformed.sum(), slow.sum(), refused.sum());
  }

  /** Who is connected now. */
  public List<Link> links() {
    List<Link> links = new ArrayList<>();
    lock.lock();
    try {
      connections.forEach((id, each) -> links.add(new Link(id, each.endpoint(), each.heardAt())));
    } finally {
      lock.unlock();
    }
    return links;
  }

  /** Begins to accept connections. */
  public void start() {
    Thread.ofPlatform().daemon().name("peer-accept").start(this::accept);
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

  /** mount(2) has returned here: told to who is connected, and to who connects. */
  public void mounted() {
    mounted = true;
    for (Connection each : current()) {
      each.send(hello());
    }
  }

  Frame.Body.Hello hello() {
    return new Frame.Body.Hello(host, options, mounted);
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
      if (targets.heard(key.nodeId(), address, peerHost, System.nanoTime())) {
        changed.signalAll();
      }
      if (!dialer) {
        dialer = true;
        Thread.ofPlatform().daemon().name("peer-dialer").start(this::dial);
      }
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

  /** Sends what is queued, for a bounded time in all, then closes everything. */
  @Override
  public void close() {
    List<Connection> open = new ArrayList<>();
    lock.lock();
    try {
      closed = true;
      open.addAll(connections.values());
      greeting.forEach(Connection::abort);
      dialling.forEach(Connection::abort);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    try {
      server.close();
    } catch (IOException e) {
      LOG.debug("closing the TCP port: {}", e.getMessage());
    }
    open.forEach(Connection::finish);
    long deadline = System.nanoTime() + FINISH_NANOS;
    open.forEach(each -> each.awaitFinished(deadline));
  }

  // ---- those who connect to us ----

  private void accept() {
    while (true) {
      readers.acquireUninterruptibly();
      Socket socket;
      try {
        socket = server.accept();
      } catch (IOException e) {
        readers.release();
        if (server.isClosed()) {
          return;
        }
        // For instance: out of file descriptors. Nothing a connection attempt must end us for.
        LOG.warn("TCP port {}: {}", port(), e.getMessage());
        LockSupport.parkNanos(this, ACCEPT_AGAIN_NANOS);
        continue;
      }
      Connection connection = admit(socket);
      if (connection == null) {
        readers.release();
        continue;
      }
      Thread.ofPlatform()
          .daemon()
          .name("peer")
          .start(
              () -> {
                try {
                  connection.run(0);
                } finally {
                  readers.release();
                }
              });
    }
  }

  /** Gives a place to a connection, if need be the one of the slowest of those that came before. */
  private @Nullable Connection admit(Socket socket) {
    Connection connection;
    try {
      connection = new Connection(this, socket);
    } catch (IOException e) {
      LOG.debug("connection from {}: {}", socket.getRemoteSocketAddress(), e.getMessage());
      close(socket);
      return null;
    }
    Connection evicted = null;
    lock.lock();
    try {
      if (closed) {
        close(socket);
        return null;
      }
      InetAddress address = connection.address();
      if (countOf(greeting, address) >= GREETING_PER_ADDRESS_MAX) {
        evicted = oldestOf(address);
      } else if (greeting.size() >= GREETING_MAX) {
        evicted =
            greeting.stream()
                .max(Comparator.comparingLong(c -> countOf(greeting, c.address())))
                .map(c -> oldestOf(c.address()))
                .orElse(null);
      }
      if (evicted != null) {
        greeting.remove(evicted);
      }
      greeting.add(connection);
    } finally {
      lock.unlock();
    }
    if (evicted != null) {
      slow.increment();
      evicted.abort();
    }
    return connection;
  }

  private static long countOf(Iterable<Connection> all, InetAddress address) {
    long count = 0;
    for (Connection each : all) {
      if (each.address().equals(address)) {
        count++;
      }
    }
    return count;
  }

  private @Nullable Connection oldestOf(InetAddress address) {
    return greeting.stream().filter(c -> c.address().equals(address)).findFirst().orElse(null);
  }

  // ---- those whom we dial ----

  private void dial() {
    lock.lock();
    try {
      while (!closed) {
        long now = System.nanoTime();
        Targets.Target target =
            attempts < DIALLING_MAX ? targets.next(connections::containsKey, now) : null;
        if (target != null) {
          attempts++;
          Thread.ofPlatform().daemon().name("peer-dial").start(() -> attempt(target));
        } else {
          long wait =
              Math.clamp(targets.untilDue(now), Targets.REDIAL_NANOS / 10, Targets.FORGET_NANOS);
          long left = changed.awaitNanos(wait);
          if (left <= 0 && targets.size() == 0) {
            dialer = false; // whoever is heard next starts another one
            return;
          }
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      lock.unlock();
    }
  }

  private void attempt(Targets.Target target) {
    String why = "";
    Connection connection = null;
    Socket socket = new Socket();
    try {
      socket.connect(target.address, CONNECT_MILLIS);
      connection = new Connection(this, socket);
    } catch (IOException e) {
      why = String.valueOf(e.getMessage());
      close(socket);
    }
    if (connection != null) {
      lock.lock();
      try {
        dialling.add(connection);
        if (closed) {
          connection.abort();
        }
      } finally {
        lock.unlock();
      }
      why = connection.run(target.nodeId);
    }
    boolean first;
    boolean answered;
    lock.lock();
    try {
      // What was greeted has left the list, and given its place to the next attempt.
      answered = connection != null && !dialling.remove(connection);
      if (!answered) {
        attempts--;
      }
      first = targets.ended(target, answered, System.nanoTime());
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    if (first) {
      LOG.warn(
          "cannot connect to node {} ({}) at {}: {}",
          ReservationKey.nodeName(target.nodeId),
          target.host(),
          target.address,
          why);
    }
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

  void countSlow() {
    slow.increment();
  }

  /** The peer has said who it is. A newer connection replaces an older one to the same node. */
  boolean greeted(Connection connection, Frame frame, boolean dialled) {
    int peer = frame.key().nodeId();
    String why = null;
    Connection old = null;
    lock.lock();
    try {
      if (closed) {
        return false;
      }
      old = connections.get(peer);
      why = refusal(connection, old, peer, dialled);
      if (why == null) {
        if (dialled) {
          dialling.remove(connection);
          attempts--;
          changed.signalAll();
        } else if (!greeting.remove(connection)) {
          return false; // evicted at this very moment
        }
        connection.setGeneration(++generations);
        if (old == null && connections.size() >= CONNECTIONS_MAX) {
          old = spare(connection);
          connections.values().remove(old);
        }
        connections.put(peer, connection);
      }
    } finally {
      lock.unlock();
    }
    if (why != null) {
      refused.increment();
      LOG.warn("connection with {} refused: {}", connection.address(), why);
      return false;
    }
    if (old != null) {
      old.abort();
    }
    return true;
  }

  private @Nullable String refusal(
      Connection connection, @Nullable Connection old, int peer, boolean dialled) {
    if (peer == nodeId) {
      return "it has our own node id";
    }
    String name = ReservationKey.nodeName(peer);
    if (!dialled && Integer.compareUnsigned(peer, nodeId) < 0) {
      return "it says that it is node " + name + ", which does not dial us, we dial it";
    }
    if (old != null) {
      return old.isAlive() && !old.address().equals(connection.address())
          ? "node " + name + " is connected from " + old.address() + " and alive"
          : null;
    }
    if (countOf(connections.values(), connection.address()) >= PER_ADDRESS_MAX) {
      return PER_ADDRESS_MAX + " nodes are connected from its address already";
    }
    return connections.size() >= CONNECTIONS_MAX && spare(connection) == null
        ? CONNECTIONS_MAX + " nodes are connected already"
        : null;
  }

  /**
   * When all places are taken: one of the address that has most, if it has more than ours would.
   */
  private @Nullable Connection spare(Connection newcomer) {
    long ours = countOf(connections.values(), newcomer.address());
    return connections.values().stream()
        .filter(c -> countOf(connections.values(), c.address()) > ours + 1)
        .max(Comparator.comparingLong(c -> countOf(connections.values(), c.address())))
        .orElse(null);
  }

  void ended(Connection connection, int peer) {
    lock.lock();
    try {
      greeting.remove(connection);
      if (peer != 0) {
        connections.remove(peer, connection);
      }
    } finally {
      lock.unlock();
    }
  }
}
