// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.BindException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** What the daemon of a volume said on its control socket, or why it said nothing. */
sealed interface DaemonAnswer {
  /** The version of the answer that this program knows. */
  int SCHEMA = 1;

  long WAIT_MILLIS = 3_000;

  int ANSWER_MAX = 1 << 20;

  /**
   * It answered.
   *
   * @param json as it came, one object
   */
  record Said(String json, JsonValue value) implements DaemonAnswer {}

  /** There is no socket, or nobody behind it: the daemon is dead, or has not begun to listen. */
  record Nobody() implements DaemonAnswer {}

  /** It does not answer in time: stopped, or the machine is overloaded. */
  record Silent() implements DaemonAnswer {}

  /** Only root may ask. */
  record Denied() implements DaemonAnswer {}

  /** It answered, and what it said is of no use. */
  record Strange(String why) implements DaemonAnswer {}

  /** It could not be asked, and the reason is not the daemon's: this program has no memory, say. */
  record Failed(String why) implements DaemonAnswer {}

  /** Asks for the status, for a bounded time. */
  static DaemonAnswer ask(Path socket, long waitMillis) {
    return ask(socket, "status", waitMillis);
  }

  /** The same with another request. */
  static DaemonAnswer ask(Path socket, String request, long waitMillis) {
    if (!Files.exists(socket)) {
      return new Nobody();
    }
    if (!Files.isWritable(socket)) {
      return new Denied();
    }
    try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        Selector selector = Selector.open()) {
      Limit limit = Limit.of(channel, waitMillis);
      DaemonAnswer none = connect(channel, socket, limit);
      return none != null ? none : talk(channel, selector, request, limit.endNanos);
    } catch (IOException e) {
      return failed(e);
    }
  }

  static DaemonAnswer failed(IOException e) {
    return new Failed(e.getMessage() == null ? e.toString() : e.getMessage());
  }

  /**
   * Null: done. The daemon takes so many at once, others queue, and where the queue is full only a
   * {@code connect()} that blocks waits for a place (unix(7), EAGAIN).
   */
  private static @Nullable DaemonAnswer connect(SocketChannel channel, Path socket, Limit limit) {
    Thread.ofPlatform().daemon().name("limit").start(limit);
    try {
      channel.connect(UnixDomainSocketAddress.of(socket));
      return null;
    } catch (ClosedChannelException e) {
      return new Silent(); // by the limit
    } catch (ConnectException e) {
      return new Nobody();
    } catch (BindException e) {
      return new Denied(); // so the JDK calls EACCES and EPERM: a security module refuses it
    } catch (IOException e) {
      return Files.exists(socket) ? failed(e) : new Nobody();
    } finally {
      limit.connected.countDown();
    }
  }

  /** Closes what is not connected in time; begins when it is made, its classes loaded by then. */
  record Limit(SocketChannel channel, long endNanos, CountDownLatch connected) implements Runnable {
    static Limit of(SocketChannel channel, long waitMillis) {
      CountDownLatch connected = new CountDownLatch(1);
      long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(waitMillis);
      return new Limit(channel, end, connected);
    }

    @Override
    public void run() {
      try {
        if (!connected.await(endNanos - System.nanoTime(), TimeUnit.NANOSECONDS)) {
          channel.close();
        }
      } catch (InterruptedException e) {
        throw new IllegalStateException("nobody interrupts the limit", e);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private static DaemonAnswer talk(
      SocketChannel channel, Selector selector, String asked, long endNanos) {
    try {
      channel.configureBlocking(false);
      SelectionKey key = channel.register(selector, SelectionKey.OP_WRITE);
      return talk(channel, selector, key, asked, endNanos);
    } catch (ClosedChannelException | CancelledKeyException e) {
      return new Silent(); // by the limit, when it was almost too late
    } catch (IOException e) {
      return new Nobody(); // it has ended, at this moment
    }
  }

  private static DaemonAnswer talk(
      SocketChannel channel, Selector selector, SelectionKey key, String asked, long endNanos)
      throws IOException {
    ByteBuffer request = ByteBuffer.wrap((asked + "\n").getBytes(StandardCharsets.US_ASCII));
    ByteBuffer answer = ByteBuffer.allocate(4_096);
    while (true) {
      long left = TimeUnit.NANOSECONDS.toMillis(endNanos - System.nanoTime());
      if (left <= 0) {
        return new Silent();
      }
      selector.select(left);
      selector.selectedKeys().clear();
      if (request.hasRemaining()) {
        channel.write(request);
        key.interestOps(request.hasRemaining() ? SelectionKey.OP_WRITE : SelectionKey.OP_READ);
      } else if (channel.read(answer) < 0) {
        return understood(
            new String(answer.array(), 0, answer.position(), StandardCharsets.UTF_8).strip());
      } else if (!answer.hasRemaining()) {
        if (answer.capacity() >= ANSWER_MAX) {
          return new Strange("more than " + ANSWER_MAX + " bytes");
        }
        answer =
            ByteBuffer.wrap(Arrays.copyOf(answer.array(), 2 * answer.capacity()))
                .position(answer.position());
      }
    }
  }

  private static DaemonAnswer understood(String json) {
    if (json.isEmpty()) {
      return new Silent(); // it closed on us: too slow, or just ending
    }
    try {
      JsonValue value = JsonValue.read(json);
      String error = value.get("error").text();
      if (error != null) {
        return new Strange(error);
      }
      long schema = value.get("schema").number();
      return schema == SCHEMA
          ? new Said(json, value)
          : new Strange("it speaks schema " + schema + ", this mxfsctl knows " + SCHEMA);
    } catch (JsonValue.MalformedException e) {
      return new Strange(String.valueOf(e.getMessage()));
    }
  }
}
