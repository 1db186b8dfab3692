// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.control;

import java.io.Closeable;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Iterator;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The socket of one volume: {@code status} or {@code fence-clear KEY}, and a newline, come in, one
 * line of JSON goes out, and the connection ends.
 *
 * <p>Only root can connect. Still everything that a client can take is bounded: the length of its
 * request, the time it may be connected, and how many are connected at once. Nobody waits for this
 * thread, and a socket that cannot be made is said in the log and does without.
 *
 * <p>A daemon that died leaves its socket behind: whoever connects there is refused at once. The
 * next daemon of the volume puts its own in that place. There is one at a time: the kernel starts
 * another only when the one before is dead.
 */
public final class ControlSocket implements Closeable {
  /** Bytes of a request, with its newline. */
  static final int REQUEST_MAX = 64;

  static final int CONNECTIONS_MAX = 8;

  /** From accept to the end of the answer. */
  static final long DEADLINE_NANOS = TimeUnit.SECONDS.toNanos(2);

  /** A mount that is not ready by then may be the one to look at. */
  private static final long PATIENCE_MILLIS = 2_000;

  /** How often deadlines are looked at while somebody is connected. */
  private static final long TICK_MILLIS = 250;

  private static final long PAUSE_MILLIS = 200;
  private static final int BACKLOG = 16;
  private static final String STATUS = "status";
  private static final Pattern CLEAR = Pattern.compile("fence-clear 0x([0-9a-f]{16})");

  /** What a person may have done; called on the thread of the socket. */
  public interface Deeds {
    /**
     * Passes on that this incarnation is off for certain. Whether it is taken shows in the status.
     *
     * @return why not; null: it was passed on
     */
    @Nullable String clearFence(ReservationKey key);
  }

  private static final Logger LOG = LoggerFactory.getLogger(ControlSocket.class);

  private final Path path;
  private final Supplier<Report> status;
  private final Deeds deeds;
  private final CountDownLatch wanted = new CountDownLatch(1);
  private final CountDownLatch appeared = new CountDownLatch(1);
  private final ReentrantLock lock = new ReentrantLock();
  private final Thread thread;
  private boolean closed;
  private @Nullable Selector selector;

  /**
   * Makes one that is not there yet.
   *
   * @param status called on the thread of the socket
   */
  public ControlSocket(Path path, Supplier<Report> status, Deeds deeds) {
    this.path = path;
    this.status = status;
    this.deeds = deeds;
    thread = Thread.ofPlatform().daemon().name("control").unstarted(this::run);
  }

  /** The name of a volume's socket. */
  public static Path path(Path runDirectory, String volume) {
    return runDirectory.resolve(volume + ".control");
  }

  /** Begins some time later, or at {@link #open}: the mount is not kept waiting. */
  public void start() {
    thread.start();
  }

  /** The time has come. */
  public void open() {
    wanted.countDown();
  }

  /** Takes the socket away; at once, whatever is connected. */
  @Override
  public void close() {
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
      if (selector != null) {
        selector.wakeup();
        Files.deleteIfExists(path);
      }
    } catch (IOException e) {
      LOG.warn("control socket {}: {}", path, e.toString());
    } finally {
      lock.unlock();
    }
    open();
  }

  /** Asks this socket for the status as mxfsctl does, once it is there. */
  public String rehearse(int seconds) throws IOException, InterruptedException {
    if (!appears(seconds)) {
      throw new IOException("no control socket within " + seconds + " s");
    }
    try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
      channel.write(ByteBuffer.wrap((STATUS + "\n").getBytes(StandardCharsets.US_ASCII)));
      ByteBuffer answer = ByteBuffer.allocate(1 << 16);
      while (channel.read(answer) > 0) {
        // until it is closed, or too long
      }
      return new String(answer.array(), 0, answer.position(), StandardCharsets.UTF_8);
    }
  }

  /** Waits for it to be there; whether it is. */
  boolean appears(int seconds) throws InterruptedException {
    return appeared.await(seconds, TimeUnit.SECONDS);
  }

  /** Waits for its thread to end, after {@link #close}. */
  void join() throws InterruptedException {
    thread.join();
  }

  private void run() {
    try {
      // Whether it was counted down makes no difference.
      boolean called = wanted.await(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
      LOG.debug("control socket {} called={}", path, called);
      serve();
    } catch (IOException | RuntimeException e) {
      // Elsewhere a thread that fails ends the daemon; nothing rests on this one.
      LOG.warn("control socket {}: {}; mxfsctl status will miss it", path, e.toString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void serve() throws IOException {
    try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        Selector waiting = Selector.open()) {
      server.configureBlocking(false);
      SelectionKey accepting = server.register(waiting, SelectionKey.OP_ACCEPT);
      if (!appear(server, waiting)) {
        return;
      }
      String rehearsed = answer(STATUS); // loads its classes while the program can be read
      LOG.debug("control socket {} answers {}", path, rehearsed);
      int clients = 0;
      while (!isClosed()) {
        waiting.select(clients == 0 ? 0 : TICK_MILLIS);
        clients = turn(server, accepting, waiting);
      }
    }
  }

  /**
   * The socket appears under its name only when nobody but root can use it, and in one step in the
   * place of a dead daemon's.
   */
  private boolean appear(ServerSocketChannel server, Selector waiting) throws IOException {
    Path directory = path.getParent();
    if (directory != null) {
      Files.createDirectories(directory);
    }
    Path made = path.resolveSibling(path.getFileName() + ".new");
    Files.deleteIfExists(made);
    server.bind(UnixDomainSocketAddress.of(made), BACKLOG);
    Files.setPosixFilePermissions(made, PosixFilePermissions.fromString("rw-------"));
    lock.lock();
    try {
      if (closed) {
        Files.deleteIfExists(made);
        return false;
      }
      Files.move(made, path, StandardCopyOption.ATOMIC_MOVE);
      selector = waiting;
      appeared.countDown();
      return true;
    } finally {
      lock.unlock();
    }
  }

  private boolean isClosed() {
    lock.lock();
    try {
      return closed;
    } finally {
      lock.unlock();
    }
  }

  /** Deals with what is ready; how many are connected. */
  private int turn(ServerSocketChannel server, SelectionKey accepting, Selector waiting)
      throws IOException {
    Iterator<SelectionKey> ready = waiting.selectedKeys().iterator();
    while (ready.hasNext()) {
      SelectionKey key = ready.next();
      ready.remove();
      if (key.attachment() instanceof Client client && key.isValid()) {
        client.goOn(key);
      }
    }
    long now = System.nanoTime();
    int clients = 0;
    for (SelectionKey key : waiting.keys()) {
      if (key.attachment() instanceof Client client && client.isOpen()) {
        if (now - client.since > DEADLINE_NANOS) {
          client.end();
        } else {
          clients++;
        }
      }
    }
    waiting.selectNow(); // what was closed gives its descriptor back only here
    // Who does not fit waits in the queue of the socket until somebody has gone.
    while (clients < CONNECTIONS_MAX) {
      try {
        SocketChannel channel = server.accept();
        if (channel == null) {
          break;
        }
        Client client = new Client(channel, now);
        try {
          channel.configureBlocking(false);
          channel.register(waiting, SelectionKey.OP_READ, client);
          clients++;
        } catch (IOException e) {
          client.end();
        }
      } catch (IOException e) {
        LOG.warn("control socket {}: {}", path, e.toString()); // out of file descriptors, say
        pause();
        break;
      }
    }
    accepting.interestOps(clients < CONNECTIONS_MAX ? SelectionKey.OP_ACCEPT : 0);
    return clients;
  }

  private static void pause() {
    try {
      Thread.sleep(PAUSE_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private String answer(String request) {
    Matcher clear = CLEAR.matcher(request);
    if (!request.equals(STATUS) && !clear.matches()) {
      return refusal("unknown request: this version knows 'status' and 'fence-clear KEY'");
    }
    try {
      return request.equals(STATUS)
          ? status.get().json()
          : cleared(new ReservationKey(Long.parseUnsignedLong(clear.group(1), 16)));
    } catch (RuntimeException e) {
      LOG.warn("control socket {}: {}", path, e.toString()); // a mistake here ends no daemon
      return refusal("mistake in mxfsd: " + e);
    }
  }

  private String cleared(ReservationKey key) {
    String why = deeds.clearFence(key);
    return new Json().begin().put("schema", Report.SCHEMA).put("refused", why).end().toString();
  }

  private static String refusal(String why) {
    return new Json().begin().put("schema", Report.SCHEMA).put("error", why).end().toString();
  }

  /** One connection. */
  private final class Client {
    final long since;
    private final SocketChannel channel;
    private final ByteBuffer request = ByteBuffer.allocate(REQUEST_MAX);
    private @Nullable ByteBuffer answer;

    Client(SocketChannel channel, long since) {
      this.channel = channel;
      this.since = since;
    }

    boolean isOpen() {
      return channel.isOpen();
    }

    void end() {
      try {
        channel.close();
      } catch (IOException e) {
        LOG.debug("control socket: {}", e.toString());
      }
    }

    void goOn(SelectionKey key) {
      try {
        if (answer == null) {
          read(key);
        }
        ByteBuffer rest = answer;
        if (rest != null) {
          channel.write(rest);
          if (!rest.hasRemaining()) {
            end();
          }
        }
      } catch (IOException e) {
        end();
      }
    }

    private void read(SelectionKey key) throws IOException {
      boolean ended = channel.read(request) < 0;
      String said = new String(request.array(), 0, request.position(), StandardCharsets.US_ASCII);
      int newline = said.indexOf('\n');
      if (newline >= 0) {
        say(key, answer(said.substring(0, newline)));
      } else if (!request.hasRemaining()) {
        say(key, refusal("a request of more than " + REQUEST_MAX + " bytes"));
      } else if (ended) {
        end();
      }
    }

    private void say(SelectionKey key, String text) {
      answer = ByteBuffer.wrap((text + "\n").getBytes(StandardCharsets.UTF_8));
      key.interestOps(SelectionKey.OP_WRITE);
    }
  }
}
