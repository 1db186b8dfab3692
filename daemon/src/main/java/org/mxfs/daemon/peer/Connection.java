// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.FrameLayout;
import org.mxfs.daemon.wire.MalformedException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One TCP connection: the caller's thread reads, another one writes. */
final class Connection {
  static final int PING_MILLIS = 1_000;

  /** Longer than a few lost pings and a slow machine's hiccup; shorter than a user's patience. */
  static final int SILENCE_MILLIS = 5_000;

  private static final int QUEUE_MAX = 1_024;
  private static final int FINISH_MILLIS = 500;

  private static final Logger LOG = LoggerFactory.getLogger(Connection.class);

  /** An empty frame: the writer ends after what was queued before. */
  private static final byte[] END = new byte[0];

  private final Peers peers;
  private final Socket socket;
  private final DataInputStream in;
  private final OutputStream out;
  private final ArrayBlockingQueue<byte[]> queue = new ArrayBlockingQueue<>(QUEUE_MAX);
  private final Thread writer;

  Connection(Peers peers, Socket socket) throws IOException {
    this.peers = peers;
    this.socket = socket;
    socket.setTcpNoDelay(true);
    // Own pings and this deadline notice a dead peer; TCP keep-alive would take hours.
    socket.setSoTimeout(SILENCE_MILLIS);
    in = new DataInputStream(socket.getInputStream());
    out = socket.getOutputStream();
    writer = Thread.ofVirtual().name("peer-write").unstarted(this::write);
  }

  @Override
  public String toString() {
    return String.valueOf(socket.getRemoteSocketAddress());
  }

  /** Reads until the connection ends. */
  void run(int expected) {
    int peer = 0;
    String why = "closed";
    try {
      send(new Frame.Body.Hello(peers.host));
      writer.start();
      Frame hello = read();
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
      if (!peers.greeted(this, hello)) {
        return;
      }
      peer = hello.key().nodeId();
      LOG.info("connected to node {} ({}) at {}", hello.key().nodeName(), greeting.host(), this);
      ReservationKey known = hello.key();
      while (true) {
        Frame frame = read();
        if (frame.key().nodeId() != peer) {
          throw new MalformedException("the node id changed to " + frame.key().nodeName());
        }
        if (!frame.key().equals(known)) {
          known = frame.key();
          peers.keyChanged(frame);
        }
        switch (frame.body()) {
          case Frame.Body.Ownership ownership -> peers.received(frame, ownership.message());
          case Frame.Body.Ping _, Frame.Body.Hello _ -> {}
        }
      }
    } catch (MalformedException e) {
      peers.countMalformed();
      why = "refused: " + e.getMessage();
      LOG.warn("connection with {} closed: {}", this, e.getMessage());
    } catch (EOFException e) {
      why = "closed by the peer";
    } catch (IOException e) {
      why = String.valueOf(e.getMessage());
    } finally {
      abort();
      peers.ended(this, peer);
      if (peer != 0) {
        LOG.info("connection to node {} ended: {}", ReservationKey.nodeName(peer), why);
      }
    }
  }

  private Frame read() throws IOException, MalformedException {
    byte[] header = new byte[FrameLayout.HEADER.size()];
    in.readFully(header);
    int length = Frame.checkedLength(header);
    byte[] bytes = java.util.Arrays.copyOf(header, length);
    in.readFully(bytes, header.length, length - header.length);
    return Frame.decode(bytes, length, peers.volumeUuid);
  }

  /** Queues a frame; a peer that does not take a thousand of them is cut off. */
  void send(Frame.Body body) {
    Peers.Self self = peers.self();
    byte[] bytes = Frame.encode(peers.volumeUuid, self.key(), self.epoch(), body);
    if (!queue.offer(bytes)) {
      LOG.warn("{} does not read what we send: closing the connection", this);
      abort();
    }
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
        out.write(next != null ? next : ping());
      }
    } catch (IOException e) {
      // The reader sees the same and reports it.
      abort();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private byte[] ping() {
    Peers.Self self = peers.self();
    return Frame.encode(peers.volumeUuid, self.key(), self.epoch(), new Frame.Body.Ping());
  }

  /** Sends what is queued, within a bounded time, and closes. */
  void finish() {
    if (queue.offer(END)) {
      try {
        writer.join(java.time.Duration.ofMillis(FINISH_MILLIS));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
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
