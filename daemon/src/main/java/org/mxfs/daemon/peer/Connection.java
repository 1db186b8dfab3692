// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.util.Arrays;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.FrameLayout;
import org.mxfs.daemon.wire.MalformedException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One TCP connection: the caller's thread reads, another one writes once the peer has said who it
 * is.
 *
 * <p>The peer may be anybody, so all that it can ask for is bounded: the time for its handshake and
 * for each frame, how many of its messages may wait for the policy thread ({@link #CREDITS}: with
 * none left its socket is not read), how many frames a second are read at all, and how much may
 * wait to be sent to it.
 */
final class Connection {
  static final int PING_MILLIS = 1_000;

  /** Longer than a few lost pings and a slow machine's hiccup; shorter than a user's patience. */
  static final int SILENCE_MILLIS = 5_000;

  /** From the connection to the end of the peer's HELLO. */
  static final int HANDSHAKE_MILLIS = 2_000;

  /** Messages that may wait for the policy thread. */
  static final int CREDITS = 8;

  /** Many times what a node has to say that changes owner as often as it can. */
  static final int FRAMES_PER_SECOND = 200;

  private static final int QUEUE_MAX = 256;

  /** A peer that was heard so lately is not replaced by who claims its id from elsewhere. */
  private static final long ALIVE_NANOS = TimeUnit.MILLISECONDS.toNanos(2 * PING_MILLIS + 500);

  private static final Logger LOG = LoggerFactory.getLogger(Connection.class);

  /** An empty frame: the writer ends after what was queued before. */
  private static final byte[] END = new byte[0];

  private final Peers peers;
  private final Socket socket;
  private final InetAddress address;
  private final InputStream in;
  private final OutputStream out;
  private final ArrayBlockingQueue<byte[]> queue = new ArrayBlockingQueue<>(QUEUE_MAX);
  private final Semaphore credits = new Semaphore(CREDITS);
  private final Thread writer;
  private final long openedAt = System.nanoTime();
  private volatile long heardAt = openedAt;

  /** When the next frame may be read; runs ahead of the clock by a second's worth at most. */
  private long pace = openedAt - TimeUnit.SECONDS.toNanos(1);

  /** Given by {@link Peers} at the end of the handshake; larger than those of earlier ones. */
  private long generation;

  Connection(Peers peers, Socket socket) throws IOException {
    this.peers = peers;
    this.socket = socket;
    address = socket.getInetAddress();
    socket.setTcpNoDelay(true);
    in = socket.getInputStream();
    out = socket.getOutputStream();
    writer = Thread.ofPlatform().daemon().name("peer-write").unstarted(this::write);
  }

  @Override
  public String toString() {
    return String.valueOf(socket.getRemoteSocketAddress());
  }

  InetAddress address() {
    return address;
  }

  /** Address and port of the other side. */
  String endpoint() {
    return address.getHostAddress() + ":" + socket.getPort();
  }

  long heardAt() {
    return heardAt;
  }

  boolean isAlive() {
    return System.nanoTime() - heardAt < ALIVE_NANOS;
  }

  void setGeneration(long generation) {
    this.generation = generation;
  }

  /**
   * Reads until the connection ends.
   *
   * @param expected the node that was dialled, or 0
   * @return why it ended
   */
  String run(int expected) {
    int peer = 0;
    String why = "closed";
    try {
      // Not by the writer, which a stranger does not get; so short a frame fits any socket buffer.
      out.write(frame(peers.hello()));
      Frame hello = read(openedAt + TimeUnit.MILLISECONDS.toNanos(HANDSHAKE_MILLIS));
      if (!(hello.body() instanceof Frame.Body.Hello greeting)) {
        throw new MalformedException("the first frame is not HELLO");
      }
      if (expected != 0 && hello.key().nodeId() != expected) {
        throw new IOException(
            "dialled node "
                + ReservationKey.nodeName(expected)
                + " and reached "
                + hello.key().nodeName());
      }
      if (!peers.greeted(this, hello, expected != 0)) {
        return "refused";
      }
      peer = hello.key().nodeId();
      writer.start();
      tell(up(hello.key(), hello.epoch(), greeting));
      LOG.info("connected to node {} ({}) at {}", hello.key().nodeName(), greeting.host(), this);
      serve(hello.key(), greeting);
    } catch (MalformedException e) {
      peers.countMalformed();
      why = "refused: " + e.getMessage();
      LOG.warn("connection with {} closed: {}", address, e.getMessage());
    } catch (EOFException e) {
      why = "closed by the peer";
    } catch (SocketTimeoutException e) {
      why = String.valueOf(e.getMessage());
      if (peer == 0) {
        peers.countSlow();
      }
    } catch (IOException e) {
      why = String.valueOf(e.getMessage());
    } finally {
      abort();
      peers.ended(this, peer);
      if (peer != 0) {
        peers.listener.peer(generation, new Event.PeerDown(peer), () -> {});
        LOG.info("connection to node {} ended: {}", ReservationKey.nodeName(peer), why);
      }
    }
    return why;
  }

  private static Event up(ReservationKey key, long epoch, Frame.Body.Hello greeting) {
    return new Event.PeerUp(key, epoch, greeting.host(), greeting.options(), greeting.mounted());
  }

  private void serve(ReservationKey first, Frame.Body.Hello said)
      throws IOException, MalformedException {
    ReservationKey known = first;
    Frame.Body.Hello greeting = said;
    while (true) {
      keepPace();
      Frame frame = read(System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(SILENCE_MILLIS));
      heardAt = System.nanoTime();
      if (frame.key().nodeId() != first.nodeId()) {
        throw new MalformedException("the node id changed to " + frame.key().nodeName());
      }
      if (!frame.key().equals(known)) {
        known = frame.key();
        tell(up(known, frame.epoch(), greeting));
      }
      switch (frame.body()) {
        case Frame.Body.Ownership ownership ->
            tell(new Event.Received(frame.key(), frame.epoch(), ownership.message()));
        case Frame.Body.Hello again -> {
          greeting = again;
          tell(up(known, frame.epoch(), greeting));
        }
        case Frame.Body.Ping _ -> {}
      }
    }
  }

  /** Hands an event over, when the policy thread has dealt with enough of those before. */
  private void tell(Event event) {
    credits.acquireUninterruptibly();
    peers.listener.peer(generation, event, credits::release);
  }

  /** A second's worth of frames at once, and then no more than that in each second. */
  private void keepPace() {
    long now = System.nanoTime();
    pace = Math.max(pace, now - TimeUnit.SECONDS.toNanos(1));
    pace += TimeUnit.SECONDS.toNanos(1) / FRAMES_PER_SECOND;
    while (pace - now > 0) {
      LockSupport.parkNanos(this, pace - now);
      now = System.nanoTime();
    }
  }

  private Frame read(long deadline) throws IOException, MalformedException {
    byte[] header = new byte[FrameLayout.HEADER.size()];
    readFully(header, 0, deadline);
    int length = Frame.checkedLength(header);
    byte[] bytes = Arrays.copyOf(header, length);
    readFully(bytes, header.length, deadline);
    Event.OtherVersion other = Frame.otherVersion(bytes, peers.volumeUuid);
    if (other != null) {
      peers.listener.peer(0, other, () -> {}); // of no connection: this one ends here
    }
    try {
      return Frame.decode(bytes, length, peers.volumeUuid);
    } catch (RuntimeException e) {
      // A stranger's bytes must not end the daemon, whatever was forgotten in reading them.
      throw new MalformedException("unreadable: " + e);
    }
  }

  /** A time limit of the socket's own is for each byte: one a second would hold us for ever. */
  private void readFully(byte[] bytes, int from, long deadline) throws IOException {
    int at = from;
    while (at < bytes.length) {
      long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
      if (left <= 0) {
        throw new SocketTimeoutException("silent, or too slow with a frame");
      }
      socket.setSoTimeout((int) left);
      int read = in.read(bytes, at, bytes.length - at);
      if (read < 0) {
        throw new EOFException("closed by the peer");
      }
      at += read;
    }
  }

  /** Queues a frame; a peer that does not take so many of them is cut off. */
  void send(Frame.Body body) {
    if (!queue.offer(frame(body))) {
      LOG.warn("{} does not read what we send: closing the connection", address);
      abort();
    }
  }

  private byte[] frame(Frame.Body body) {
    Peers.Self self = peers.self();
    return Frame.encode(peers.volumeUuid, self.key(), self.epoch(), body);
  }

  private void write() {
    try {
      while (true) {
        byte[] next = queue.poll(PING_MILLIS, TimeUnit.MILLISECONDS);
        if (next != null && next.length == 0) {
          out.flush();
          socket.shutdownOutput();
          return;
        }
        out.write(next != null ? next : frame(new Frame.Body.Ping()));
      }
    } catch (IOException e) {
      // The reader sees the same and reports it.
      abort();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Lets the writer end after what is queued. */
  void finish() {
    if (!queue.offer(END)) {
      abort();
    }
  }

  /** Waits for the writer to have written all; until the deadline. */
  void awaitFinished(long deadline) {
    try {
      long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
      if (left > 0 && writer.isAlive()) {
        writer.join(left);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    abort();
  }

  void abort() {
    writer.interrupt();
    @Nullable IOException failure = null;
    try {
      socket.close();
    } catch (IOException e) {
      failure = e;
    }
    if (failure != null) {
      LOG.debug("closing {}: {}", this, failure.getMessage());
    }
  }
}
