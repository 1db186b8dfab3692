// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.io.Closeable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.ReentrantLock;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Genetlink;
import org.mxfs.bindings.linux.Netlink;

/**
 * A generic netlink socket: one port, requests from any number of threads, events to one {@link
 * Listener}.
 *
 * <p>A request reads its own answer off the socket where it is there already, which is nearly
 * always; a reader thread takes everything else. Answers go to the request that has their sequence
 * number, all else to the listener, always on the reader thread and in the order of the socket.
 * Right after requests in close succession an event may reach the listener two milliseconds late.
 * Only messages from the kernel are accepted; others are dropped and counted.
 *
 * <p>Failure model. Netlink loses messages when the socket's buffer is full, and says so once
 * ({@code ENOBUFS}). The listener is then told of a gap, and every request under way fails with
 * {@link OutcomeUnknownException}, because its answer may have been among the lost. The same gap is
 * told for events that a slow listener left waiting here beyond the size of that buffer. No request
 * is ever repeated here, but for a dump that the kernel itself reports as inconsistent ({@code
 * NLM_F_DUMP_INTR}): that is repeated a few times, since a dump changes nothing.
 *
 * <p>Thread-safe. {@link #close} may be called at any time, also while other threads wait for
 * answers: they fail.
 */
public final class GenericNetlink implements Closeable {
  /**
   * How a socket is set up.
   *
   * @param receiveBuffer bytes the kernel may queue for this socket, and bytes of events that may
   *     wait for the listener besides; the former granted in full only with CAP_NET_ADMIN,
   *     otherwise up to net.core.rmem_max
   * @param largestMessage bytes; a larger message is dropped and reported as a gap
   * @param timeout how long a request waits for its answer
   */
  public record Options(int receiveBuffer, int largestMessage, Duration timeout) {
    /** 1 MiB, 128 KiB, 10 s. */
    public static final Options DEFAULT = new Options(1 << 20, 128 << 10, Duration.ofSeconds(10));

    /** Checks the limits. */
    public Options {
      if (receiveBuffer < 4096
          || largestMessage < 4096
          || timeout.isNegative()
          || timeout.isZero()) {
        throw new IllegalArgumentException(
            "buffers of at least 4096 bytes and a positive time-out");
      }
    }
  }

  /** What is asked, for messages only: a request that succeeds makes no text of it. */
  private record Command(Family family, int command) {
    @Override
    public String toString() {
      return "family " + family.name() + ", command " + command;
    }
  }

  private static final int DUMP_ATTEMPTS = 5;

  /** Wake-ups of the reader in a row that had nothing for the listener, before it rests. */
  private static final int NEEDLESS_WAKE_UPS = 4;

  /** How long the reader rests between two looks at the socket. */
  private static final int REST_NANOS = 1_000_000;

  /** Datagrams that a request reads itself before it leaves that to the reader thread. */
  private static final int MAX_READ_BY_REQUEST = 10_000;

  private final NetlinkSocket socket;
  private final Options options;
  private final Listener listener;
  private final Requests requests = new Requests();
  private final Deliveries deliveries;
  private final Thread reader;
  private final LongAdder foreign = new LongAdder();

  /** Header sizes of the families whose messages may come unasked. */
  private final Map<Integer, Integer> headerSizes = new ConcurrentHashMap<>();

  /** Held around a whole dump; taken before every other lock here. */
  private final ReentrantLock dumping = new ReentrantLock();

  /** Held to take a datagram off the socket and hand it on; nothing blocks under it. */
  private final ReentrantLock receiving = new ReentrantLock();

  /**
   * Whether messages were lost and the queue has not been empty since; under {@link #receiving}.
   */
  private boolean congested;

  /** Whether the reader looks at the socket now and then only, see {@link #read}. */
  private volatile boolean resting;

  /** How often a request read the socket to its own answer; under {@link #receiving}. */
  private final AtomicInteger collected = new AtomicInteger();

  private volatile boolean closing;

  private GenericNetlink(NetlinkSocket socket, Options options, Listener listener) {
    this.socket = socket;
    this.options = options;
    this.listener = listener;
    deliveries = new Deliveries(listener, options.receiveBuffer);
    // A platform thread: ppoll blocks in the kernel.
    reader =
        Thread.ofPlatform()
            .daemon()
            .name("netlink-" + Integer.toUnsignedString(socket.port()))
            .unstarted(this::read);
  }

  /** Opens a socket that drops events. */
  public static GenericNetlink open() throws ErrnoException {
    return open(
        Options.DEFAULT,
        new Listener() {
          @Override
          public void message(Message message) {}

          @Override
          public void gap() {}

          @Override
          public void malformed(MalformedMessageException e) {}

          @Override
          public void failed(IOException e) {}
        });
  }

  /**
   * Opens a socket on a port that the kernel chooses.
   *
   * @param listener receives what answers no request
   * @throws ErrnoException if the kernel refuses the socket
   */
  public static GenericNetlink open(Options options, Listener listener) throws ErrnoException {
    return open(new NetlinkSocket(options), options, listener);
  }

  static GenericNetlink open(NetlinkSocket socket, Options options, Listener listener) {
    GenericNetlink opened = new GenericNetlink(socket, options, listener);
    opened.reader.start();
    return opened;
  }

  /** This socket's netlink port, by which the kernel knows it; unsigned. */
  public int port() {
    return socket.port();
  }

  /** Messages dropped because they did not come from the kernel. */
  public long foreignMessages() {
    return foreign.sum();
  }

  /** Answers dropped because their request had given up waiting. */
  public long staleAnswers() {
    return requests.stale();
  }

  // ---- families and groups ----

  /**
   * Looks a family up by its name.
   *
   * @throws NetlinkErrorException ENOENT if the kernel has none of that name (no such feature,
   *     module not loaded)
   */
  public Family family(String name) throws IOException {
    if (name.getBytes(StandardCharsets.UTF_8).length >= Genetlink.GENL_NAMSIZ) {
      throw new IllegalArgumentException(
          "family name '" + name + "' has more than " + (Genetlink.GENL_NAMSIZ - 1) + " bytes");
    }
    List<Message> answers =
        run(
            Family.CONTROLLER,
            Genetlink.CTRL_CMD_GETFAMILY,
            Attributes.builder().string(Genetlink.CTRL_ATTR_FAMILY_NAME, name).build(),
            "look-up of family '" + name + "'");
    return remember(Wire.family(single(answers, "look-up of family '" + name + "'")));
  }

  /** {@link #family}, or nothing if the kernel has none of that name. */
  public Optional<Family> findFamily(String name) throws IOException {
    try {
      return Optional.of(family(name));
    } catch (NetlinkErrorException e) {
      if (e.errno() == Errnos.ENOENT) {
        return Optional.empty();
      }
      throw e;
    }
  }

  /** All families the kernel has. */
  public List<Family> families() throws IOException {
    List<Family> families = new ArrayList<>();
    for (Message m : dump(Family.CONTROLLER, Genetlink.CTRL_CMD_GETFAMILY, Attributes.EMPTY)) {
      families.add(remember(Wire.family(m)));
    }
    return families;
  }

  private Family remember(Family family) {
    headerSizes.put(family.id(), family.headerSize());
    return family;
  }

  /**
   * Joins a multicast group: its messages go to the listener from now on.
   *
   * @throws IllegalArgumentException if the family has no such group
   */
  public void join(Family family, String group) throws IOException {
    membership(family, group, Netlink.NETLINK_ADD_MEMBERSHIP, "NETLINK_ADD_MEMBERSHIP");
  }

  /** Leaves a multicast group. What is queued already still comes. */
  public void leave(Family family, String group) throws IOException {
    membership(family, group, Netlink.NETLINK_DROP_MEMBERSHIP, "NETLINK_DROP_MEMBERSHIP");
  }

  private void membership(Family family, String group, int option, String optionName)
      throws IOException {
    Integer number = family.groups().get(group);
    if (number == null) {
      throw new IllegalArgumentException(
          "family "
              + family.name()
              + " has no group '"
              + group
              + "', only "
              + family.groups().keySet());
    }
    remember(family);
    socket.enter();
    try {
      socket.membership(option, optionName, number, family.name() + "/" + group);
    } finally {
      socket.leave();
    }
  }

  // ---- requests ----

  /**
   * Sends a request and waits until the kernel acknowledged it.
   *
   * @return the messages the kernel sent in answer before its acknowledgement; often none
   * @throws NetlinkErrorException if the kernel refused it
   * @throws OutcomeUnknownException if no answer came
   * @throws MalformedMessageException if the answer cannot be read
   * @throws ErrnoException if it could not be sent; then it had no effect
   */
  public List<Message> request(Family family, int command, Attributes attributes)
      throws IOException {
    return run(family, command, attributes, new Command(family, command));
  }

  /** As {@link #request}, for one that is answered by exactly one message. */
  public Message requestOne(Family family, int command, Attributes attributes) throws IOException {
    return single(request(family, command, attributes), new Command(family, command));
  }

  private static Message single(List<Message> answers, Object request)
      throws MalformedMessageException {
    if (answers.size() != 1) {
      throw new MalformedMessageException(
          "netlink " + request + ": " + answers.size() + " answers where one was due");
    }
    return answers.getFirst();
  }

  private List<Message> run(Family family, int command, Attributes attributes, Object what)
      throws IOException {
    int flags = Netlink.NLM_F_REQUEST | Netlink.NLM_F_ACK;
    return exchange(family, command, flags, attributes, what).answers();
  }

  /**
   * Asks for a dump and collects it. One that was inconsistent because things changed meanwhile is
   * asked for again, up to five times in all.
   *
   * @throws NetlinkErrorException if the kernel refused it, or EINTR if it never was consistent
   */
  public List<Message> dump(Family family, int command, Attributes attributes) throws IOException {
    String what = "dump of family " + family.name() + ", command " + command;
    // The kernel runs one dump at a time on a socket, and answers EBUSY to a second one.
    dumping.lock();
    try {
      return dumpConsistently(family, command, attributes, what);
    } finally {
      dumping.unlock();
    }
  }

  private List<Message> dumpConsistently(
      Family family, int command, Attributes attributes, String what) throws IOException {
    int flags = Netlink.NLM_F_REQUEST | Netlink.NLM_F_ACK | Netlink.NLM_F_DUMP;
    for (int attempt = 1; attempt <= DUMP_ATTEMPTS; attempt++) {
      Requests.Pending p = exchange(family, command, flags, attributes, what);
      if (!p.isInterrupted()) {
        return p.answers();
      }
    }
    throw new NetlinkErrorException(
        what + " (" + DUMP_ATTEMPTS + " attempts, each changed under way)",
        Errnos.EINTR,
        ExtendedAck.NONE);
  }

  /**
   * Sends a message and waits for nothing: no acknowledgement is asked for. If the kernel refuses
   * it, its error is dropped and counted as a stale answer.
   */
  public void send(Family family, int command, Attributes attributes) throws IOException {
    byte[] message =
        Wire.request(
            family,
            command,
            Netlink.NLM_F_REQUEST,
            requests.nextSequence(),
            socket.port(),
            attributes);
    socket.enter();
    try {
      socket.send(message, new Command(family, command));
    } finally {
      socket.leave();
    }
  }

  private Requests.Pending exchange(
      Family family, int command, int flags, Attributes attributes, Object what)
      throws IOException {
    if (Thread.currentThread().equals(reader)) {
      throw new IllegalStateException(
          "netlink "
              + what
              + ": a listener must not wait for an answer, which only its own thread could read");
    }
    boolean dump = (flags & Netlink.NLM_F_DUMP) == Netlink.NLM_F_DUMP;
    Requests.Pending p = requests.add(what, family.headerSize(), dump);
    try {
      byte[] message = Wire.request(family, command, flags, p.sequence, socket.port(), attributes);
      socket.enter();
      try {
        socket.send(message, what);
        collect(p);
      } finally {
        socket.leave();
      }
      requests.await(p, options.timeout);
      return p;
    } finally {
      requests.remove(p);
    }
  }

  /**
   * Reads the socket for one's own answer, as far as it is there: the kernel has nearly always
   * answered when sending returns. That saves the two changes of thread that the reader would cost,
   * several times what the kernel takes. What is met on the way goes where it belongs.
   */
  private void collect(Requests.Pending p) throws IOException {
    receiving.lock();
    try {
      int read = 0;
      // A gap is told only where the queue ends, so with one ahead the end must be reached.
      while ((congested || !p.isDone()) && read++ < MAX_READ_BY_REQUEST && receive()) {}
      collected.lazySet(collected.getPlain() + 1);
    } catch (ErrnoException e) {
      requests.end(e);
    } finally {
      receiving.unlock();
    }
    if (!deliveries.isEmpty() || (resting && !p.isDone()) || requests.whyEnded() != null) {
      socket.wake();
    }
  }

  // ---- receiving ----

  /** Takes one datagram off the socket; {@link #receiving} is held. False: there is none. */
  private boolean receive() throws ErrnoException {
    switch (socket.receive()) {
      case DATAGRAM -> dispatch(socket.datagram());
      case FOREIGN -> foreign.increment();
      case TOO_LARGE -> gap("a message was larger than " + options.largestMessage + " bytes");
      // Said once, at the first loss. From there until its queue is empty the kernel drops in
      // silence (NETLINK_S_CONGESTED, net/netlink/af_netlink.c): the gap ends where the queue does.
      case OVERRUN -> congested = true;
      case AGAIN -> {}
      case NOTHING -> {
        if (congested) {
          congested = false;
          gap("the socket overran (ENOBUFS)");
        }
        return false;
      }
    }
    return true;
  }

  private void gap(String why) {
    requests.failAll(why);
    deliveries.addGap();
  }

  private void dispatch(byte[] datagram) {
    List<Wire.Frame> frames;
    try {
      frames = Wire.frames(datagram);
    } catch (MalformedMessageException e) {
      // Whose answer it was can no longer be told.
      requests.failAll("a datagram is malformed: " + e.getMessage());
      deliveries.add(datagram.length, l -> l.malformed(e));
      return;
    }
    for (Wire.Frame frame : frames) {
      if (frame.port() == socket.port() && frame.sequence() != 0) {
        requests.answer(frame);
      } else if (frame.type() == Netlink.NLMSG_OVERRUN) {
        gap("the kernel reports an overrun");
      } else if (frame.isData()) {
        event(frame);
      }
    }
  }

  private void event(Wire.Frame frame) {
    try {
      Message message = frame.message(headerSizes.getOrDefault(frame.type(), 0));
      deliveries.add(frame.length(), l -> l.message(message));
    } catch (MalformedMessageException e) {
      deliveries.add(frame.length(), l -> l.malformed(e));
    }
  }

  // ---- the reader thread ----

  /**
   * Waits for what comes unasked or late. While requests follow each other closely, each answer
   * would wake this thread for nothing, since the requests read their answers themselves; so after
   * a few such wake-ups it rests. It then looks once a millisecond whether requests still read the
   * socket, and leaves it to them while they do.
   */
  private void read() {
    try {
      int needless = 0;
      while (requests.whyEnded() == null) {
        int before = collected.get();
        boolean woken = resting ? socket.awaitWake(REST_NANOS) : socket.awaitInput();
        if (resting && !woken && before != collected.get()) {
          continue;
        }
        boolean delivered = receiveAndDeliver();
        needless = resting || woken || delivered ? 0 : needless + 1;
        resting = needless >= NEEDLESS_WAKE_UPS;
      }
    } catch (ErrnoException e) {
      requests.end(e);
    } catch (RuntimeException | Error e) {
      // A listener that throws ends the socket rather than losing messages in silence.
      requests.end(new IOException("the netlink reader stopped: " + e, e));
    }
    IOException why = requests.whyEnded();
    if (why != null && !closing) {
      listener.failed(why);
    }
  }

  /** Empties the socket, one datagram after the other. Returns whether the listener was called. */
  private boolean receiveAndDeliver() throws ErrnoException {
    boolean delivered = false;
    boolean more;
    do {
      receiving.lock();
      try {
        more = receive();
      } finally {
        receiving.unlock();
      }
      delivered |= deliveries.deliver();
    } while (more && requests.whyEnded() == null);
    return delivered;
  }

  /**
   * Ends the reader thread, fails the requests under way, closes the socket. Idempotent; returns
   * when all that is done.
   */
  @Override
  public void close() {
    if (Thread.currentThread().equals(reader)) {
      throw new IllegalStateException(
          "a listener must not close its own socket: its thread would wait for itself");
    }
    closing = true;
    requests.end(new IOException("closed"));
    wakeReader();
    joinReader();
    socket.close();
  }

  private void wakeReader() {
    try {
      socket.enter();
    } catch (IOException e) {
      return; // closed already, and the reader has ended
    }
    try {
      socket.wake();
    } finally {
      socket.leave();
    }
  }

  private void joinReader() {
    boolean interrupted = false;
    while (true) {
      try {
        reader.join();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public String toString() {
    return "GenericNetlink[port="
        + Integer.toUnsignedString(socket.port())
        + ", "
        + requests
        + ", foreign="
        + foreign
        + "]";
  }
}
