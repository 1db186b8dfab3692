// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Genetlink;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Netlink;
import org.mxfs.bindings.linux.Processes;
import org.mxfs.bindings.linux.Sockets;
import org.mxfs.bindings.linux.iovec;
import org.mxfs.bindings.linux.msghdr;
import org.mxfs.bindings.linux.pollfd;
import org.mxfs.bindings.linux.sockaddr_nl;
import org.mxfs.bindings.linux.timespec;

/**
 * A generic netlink socket: one port, requests from any number of threads, events to one {@link
 * Listener}.
 *
 * <p>A reader thread takes everything off the socket; answers go to the thread whose request has
 * their sequence number, all else to the listener. Only messages from the kernel are accepted;
 * others are dropped and counted.
 *
 * <p>Failure model. Netlink loses messages when the socket's buffer is full, and says so once
 * ({@code ENOBUFS}). The listener is then told of a gap, and every request under way fails with
 * {@link OutcomeUnknownException}, because its answer may have been among the lost. No request is
 * ever repeated here, but for a dump that the kernel itself reports as inconsistent ({@code
 * NLM_F_DUMP_INTR}): that is repeated a few times, since a dump changes nothing.
 *
 * <p>Thread-safe. {@link #close} may be called at any time, also while other threads wait for
 * answers: they fail.
 */
public final class GenericNetlink implements Closeable {
  /**
   * How a socket is set up.
   *
   * @param receiveBuffer bytes the kernel may queue for this socket; granted in full only with
   *     CAP_NET_ADMIN, otherwise up to net.core.rmem_max
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

  /**
   * Answers to one request beyond which it fails; the largest dumps of a kernel have some ten
   * thousand.
   */
  private static final int MAX_ANSWERS = 1 << 20;

  private static final int DUMP_ATTEMPTS = 5;

  /** Far more than the race it is about can give in a row; see {@link #receive}. */
  private static final int MAX_DUMP_RACES = 1000;

  /** A request under way. Guarded by {@link #lock}. */
  private final class Pending {
    final String request;
    final int headerSize;
    final boolean dump;
    final Condition finished = lock.newCondition();
    final List<Message> answers = new ArrayList<>();
    boolean interrupted;
    boolean done;
    @Nullable IOException failure;

    Pending(String request, int headerSize, boolean dump) {
      this.request = request;
      this.headerSize = headerSize;
      this.dump = dump;
    }

    void finishLocked(@Nullable IOException how) {
      if (!done) {
        done = true;
        failure = how;
        finished.signal();
      }
    }
  }

  private final int fd;
  private final int wake;
  private final int port;
  private final Options options;
  private final Listener listener;
  private final Thread reader;
  private final AtomicInteger nextSequence = new AtomicInteger();
  private final LongAdder foreign = new LongAdder();
  private final LongAdder stale = new LongAdder();

  /** Header sizes of the families whose messages may come unasked. */
  private final Map<Integer, Integer> headerSizes = new ConcurrentHashMap<>();

  /**
   * Guards {@link #pending} and what is in it, and {@link #ended}. Nothing else is locked under it.
   */
  private final ReentrantLock lock = new ReentrantLock();

  private final Map<Integer, Pending> pending = new HashMap<>();
  private @Nullable IOException ended;

  /** Held around a whole dump; taken before every other lock here. */
  private final ReentrantLock dumping = new ReentrantLock();

  /** Held shared by whoever uses the file descriptors, exclusively to close them. */
  private final ReentrantReadWriteLock open = new ReentrantReadWriteLock();

  private boolean fdsClosed;

  /** Whether messages were lost and the queue has not been empty since; the reader's own. */
  private boolean congested;

  /** How often in a row; the reader's own. */
  private int dumpRaces;

  private GenericNetlink(int fd, int wake, int port, Options options, Listener listener) {
    this.fd = fd;
    this.wake = wake;
    this.port = port;
    this.options = options;
    this.listener = listener;
    // A platform thread: recvmsg and ppoll block in the kernel.
    this.reader =
        Thread.ofPlatform()
            .daemon()
            .name("netlink-" + Integer.toUnsignedString(port))
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
    int fd =
        Errno.check(
            Linux.socket(
                Sockets.AF_NETLINK,
                Sockets.SOCK_RAW | Sockets.SOCK_CLOEXEC,
                Netlink.NETLINK_GENERIC),
            "socket",
            "AF_NETLINK, SOCK_RAW, NETLINK_GENERIC",
            "the kernel must have generic netlink, and the process must be allowed netlink sockets"
                + " (seccomp)");
    int wake = -1;
    try (Arena arena = Arena.ofConfined()) {
      // Old kernels know neither; without them errors are only less detailed, and the parser takes
      // both forms.
      option(arena, fd, Sockets.SOL_NETLINK, Netlink.NETLINK_EXT_ACK, 1);
      option(arena, fd, Sockets.SOL_NETLINK, Netlink.NETLINK_CAP_ACK, 1);
      if (option(arena, fd, Sockets.SOL_SOCKET, Sockets.SO_RCVBUFFORCE, options.receiveBuffer)
          < 0) {
        Errno.check(
            option(arena, fd, Sockets.SOL_SOCKET, Sockets.SO_RCVBUF, options.receiveBuffer),
            "setsockopt",
            "SO_RCVBUF, " + options.receiveBuffer);
      }
      MemorySegment address = arena.allocate(sockaddr_nl.SIZE, sockaddr_nl.ALIGN);
      sockaddr_nl.nl_family(address, 0, Sockets.AF_NETLINK);
      Errno.check(
          Linux.bind(fd, address, sockaddr_nl.SIZE),
          "bind",
          "AF_NETLINK, port chosen by the kernel");
      MemorySegment length = arena.allocate(ValueLayout.JAVA_INT);
      length.set(ValueLayout.JAVA_INT, 0, sockaddr_nl.SIZE);
      Errno.check(Linux.getsockname(fd, address, length), "getsockname", "netlink socket");
      int port = sockaddr_nl.nl_pid(address, 0);
      wake =
          Errno.check(
              Linux.eventfd2(0, Processes.EFD_CLOEXEC | Processes.EFD_NONBLOCK),
              "eventfd",
              "0",
              "see ulimit -n");
      GenericNetlink opened = new GenericNetlink(fd, wake, port, options, listener);
      opened.reader.start();
      return opened;
    } catch (ErrnoException | RuntimeException | Error e) {
      Linux.close(fd);
      if (wake >= 0) {
        Linux.close(wake);
      }
      throw e;
    }
  }

  private static int option(Arena arena, int fd, int level, int name, int value) {
    return Linux.setsockopt(
        fd, level, name, arena.allocateFrom(ValueLayout.JAVA_INT, value), Integer.BYTES);
  }

  /** This socket's netlink port, by which the kernel knows it; unsigned. */
  public int port() {
    return port;
  }

  /** Messages dropped because they did not come from the kernel. */
  public long foreignMessages() {
    return foreign.sum();
  }

  /** Answers dropped because their request had given up waiting. */
  public long staleAnswers() {
    return stale.sum();
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
    open.readLock().lock();
    try (Arena arena = Arena.ofConfined()) {
      requireOpen();
      Errno.check(
          option(arena, fd, Sockets.SOL_NETLINK, option, number),
          "setsockopt",
          optionName + ", " + family.name() + "/" + group + "=" + number,
          "the group may need CAP_NET_ADMIN");
    } finally {
      open.readLock().unlock();
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
    return run(family, command, attributes, "family " + family.name() + ", command " + command);
  }

  /** As {@link #request}, for one that is answered by exactly one message. */
  public Message requestOne(Family family, int command, Attributes attributes) throws IOException {
    return single(
        request(family, command, attributes), "family " + family.name() + ", command " + command);
  }

  private static Message single(List<Message> answers, String request)
      throws MalformedMessageException {
    if (answers.size() != 1) {
      throw new MalformedMessageException(
          "netlink " + request + ": " + answers.size() + " answers where one was due");
    }
    return answers.getFirst();
  }

  private List<Message> run(Family family, int command, Attributes attributes, String what)
      throws IOException {
    Pending p = new Pending(what, family.headerSize(), false);
    exchange(family, command, Netlink.NLM_F_REQUEST | Netlink.NLM_F_ACK, attributes, p);
    return p.answers;
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
    for (int attempt = 1; ; attempt++) {
      Pending p = new Pending(what, family.headerSize(), true);
      exchange(
          family,
          command,
          Netlink.NLM_F_REQUEST | Netlink.NLM_F_ACK | Netlink.NLM_F_DUMP,
          attributes,
          p);
      if (!p.interrupted) {
        return p.answers;
      }
      if (attempt == DUMP_ATTEMPTS) {
        throw new NetlinkErrorException(
            what + " (" + attempt + " attempts, each changed under way)",
            Errnos.EINTR,
            Optional.empty(),
            java.util.OptionalInt.empty(),
            java.util.OptionalInt.empty());
      }
    }
  }

  /**
   * Sends a message and waits for nothing: no acknowledgement is asked for. If the kernel refuses
   * it, its error is dropped and counted as a stale answer.
   */
  public void send(Family family, int command, Attributes attributes) throws IOException {
    transmit(
        Wire.request(family, command, Netlink.NLM_F_REQUEST, sequence(), port, attributes),
        "family " + family.name() + ", command " + command);
  }

  private int sequence() {
    int sequence = nextSequence.incrementAndGet();
    // 0 marks an event.
    return sequence != 0 ? sequence : nextSequence.incrementAndGet();
  }

  private void exchange(Family family, int command, int flags, Attributes attributes, Pending p)
      throws IOException {
    if (Thread.currentThread().equals(reader)) {
      throw new IllegalStateException(
          "netlink "
              + p.request
              + ": a listener must not wait for an answer, which only its own thread could read");
    }
    int sequence = sequence();
    byte[] message = Wire.request(family, command, flags, sequence, port, attributes);
    lock.lock();
    try {
      requireRunningLocked();
      pending.put(sequence, p);
    } finally {
      lock.unlock();
    }
    try {
      transmit(message, p.request);
      await(p);
    } finally {
      lock.lock();
      try {
        pending.remove(sequence);
      } finally {
        lock.unlock();
      }
    }
  }

  private void await(Pending p) throws IOException {
    long left = options.timeout.toNanos();
    lock.lock();
    try {
      while (!p.done) {
        if (left <= 0) {
          throw new OutcomeUnknownException(
              "netlink "
                  + p.request
                  + ": no answer within "
                  + options.timeout.toMillis()
                  + " ms; outcome unknown");
        }
        left = p.finished.awaitNanos(left);
      }
      if (p.failure != null) {
        throw p.failure;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OutcomeUnknownException(
          "netlink " + p.request + ": interrupted while waiting; outcome unknown");
    } finally {
      lock.unlock();
    }
  }

  private void transmit(byte[] message, String what) throws IOException {
    open.readLock().lock();
    try (Arena arena = Arena.ofConfined()) {
      requireOpen();
      MemorySegment buffer = arena.allocateFrom(ValueLayout.JAVA_BYTE, message);
      long sent;
      do {
        sent = Linux.sendto(fd, buffer, message.length, 0, 0, 0);
      } while (sent == -Errnos.EINTR); // nothing was sent then
      Errno.check(
          sent,
          "sendto",
          "netlink " + what + ", " + message.length + " bytes",
          "see net.core.wmem_max if it is too long");
    } finally {
      open.readLock().unlock();
    }
  }

  private void requireRunningLocked() throws IOException {
    if (ended != null) {
      throw new IOException(
          "the netlink socket cannot be used any more: " + ended.getMessage(), ended);
    }
  }

  private void requireOpen() throws IOException {
    if (fdsClosed) {
      throw new IOException("the netlink socket is closed");
    }
  }

  // ---- the reader thread ----

  private void read() {
    IOException end = new IOException("closed");
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment polled = arena.allocate(2L * pollfd.SIZE, pollfd.ALIGN);
      pollfd.fd(polled, 0, fd);
      pollfd.events(polled, 0, Processes.POLLIN);
      pollfd.fd(polled, pollfd.SIZE, wake);
      pollfd.events(polled, pollfd.SIZE, Processes.POLLIN);
      MemorySegment sender = arena.allocate(sockaddr_nl.SIZE, sockaddr_nl.ALIGN);
      MemorySegment buffer = arena.allocate(options.largestMessage, 8);
      MemorySegment part = arena.allocate(iovec.SIZE, iovec.ALIGN);
      iovec.iov_base(part, 0, buffer.address());
      iovec.iov_len(part, 0, buffer.byteSize());
      MemorySegment header = arena.allocate(msghdr.SIZE, msghdr.ALIGN);
      msghdr.msg_name(header, 0, sender.address());
      msghdr.msg_iov(header, 0, part.address());
      msghdr.msg_iovlen(header, 0, 1);
      MemorySegment noTime = arena.allocate(timespec.SIZE, timespec.ALIGN);
      // While congested the queue is emptied without waiting; the wake-up is looked at all the
      // same.
      while (waitForInput(polled, congested ? noTime : MemorySegment.NULL)) {
        receive(header, sender, buffer);
      }
    } catch (IOException e) {
      end = e;
      listener.failed(e);
    } catch (RuntimeException | Error e) {
      // A listener that throws ends the socket rather than losing messages in silence.
      end = new IOException("the netlink reader stopped: " + e, e);
      listener.failed(end);
    } finally {
      end(end);
    }
  }

  /** Returns whether to go on. */
  private boolean waitForInput(MemorySegment polled, MemorySegment timeout) throws ErrnoException {
    while (true) {
      int ready = Linux.ppoll(polled, 2, timeout, MemorySegment.NULL, 0);
      if (ready != -Errnos.EINTR) {
        Errno.check(ready, "ppoll", "netlink socket and its wake-up");
        return pollfd.revents(polled, pollfd.SIZE) == 0;
      }
    }
  }

  private void receive(MemorySegment header, MemorySegment sender, MemorySegment buffer)
      throws ErrnoException {
    msghdr.msg_namelen(header, 0, sockaddr_nl.SIZE);
    msghdr.msg_flags(header, 0, 0);
    long received = Linux.recvmsg(fd, header, Sockets.MSG_DONTWAIT);
    if (received == -Errnos.EINTR) {
      return;
    }
    if (received == -Errnos.EAGAIN) {
      if (congested) {
        congested = false;
        gap("the socket overran (ENOBUFS)");
      }
      return;
    }
    if (received == -Errnos.ENOBUFS) {
      // Said once, at the first loss. From there until its queue is empty the kernel drops in
      // silence (NETLINK_S_CONGESTED, net/netlink/af_netlink.c): the gap ends where the queue does.
      congested = true;
      return;
    }
    if (received == -Errnos.EINVAL && ++dumpRaces < MAX_DUMP_RACES) {
      // The kernel runs a dump in recvmsg() as well as in the request that starts it. When both
      // meet, the one that finds the dump at its end leaves EINVAL on the socket (netlink_dump() in
      // net/netlink/af_netlink.c); nothing is lost, and reading it clears it.
      return;
    }
    dumpRaces = 0;
    Errno.check(received, "recvmsg", "netlink port " + Integer.toUnsignedString(port));
    if (msghdr.msg_namelen(header, 0) != sockaddr_nl.SIZE || sockaddr_nl.nl_pid(sender, 0) != 0) {
      foreign.increment();
      return;
    }
    if ((msghdr.msg_flags(header, 0) & Sockets.MSG_TRUNC) != 0) {
      gap("a message was larger than " + buffer.byteSize() + " bytes");
      return;
    }
    dispatch(buffer.asSlice(0, received).toArray(ValueLayout.JAVA_BYTE));
  }

  private void dispatch(byte[] datagram) {
    List<Wire.Frame> frames;
    try {
      frames = Wire.frames(datagram);
    } catch (MalformedMessageException e) {
      // Whose answer it was can no longer be told.
      failPending("a datagram is malformed: " + e.getMessage());
      listener.malformed(e);
      return;
    }
    for (Wire.Frame frame : frames) {
      if (frame.port() == port && frame.sequence() != 0) {
        answer(frame);
      } else if (frame.type() == Netlink.NLMSG_OVERRUN) {
        gap("the kernel reports an overrun");
      } else if (frame.isData()) {
        try {
          listener.message(frame.message(headerSizes.getOrDefault(frame.type(), 0)));
        } catch (MalformedMessageException e) {
          listener.malformed(e);
        }
      }
    }
  }

  private void answer(Wire.Frame frame) {
    lock.lock();
    try {
      Pending p = pending.get(frame.sequence());
      if (p == null || p.done) {
        stale.increment();
        return;
      }
      try {
        answerLocked(p, frame);
      } catch (MalformedMessageException e) {
        p.finishLocked(e);
      }
    } finally {
      lock.unlock();
    }
  }

  private static void answerLocked(Pending p, Wire.Frame frame) throws MalformedMessageException {
    p.interrupted |= (frame.flags() & Netlink.NLM_F_DUMP_INTR) != 0;
    switch (frame.type()) {
      case Netlink.NLMSG_NOOP -> {}
      case Netlink.NLMSG_ERROR, Netlink.NLMSG_DONE -> {
        int result = frame.result();
        if (result < 0) {
          p.finishLocked(frame.error(p.request, -result));
        } else if (frame.type() == Netlink.NLMSG_DONE || !p.dump) {
          p.finishLocked(null);
        }
      }
      default -> {
        if (!frame.isData()) {
          throw new MalformedMessageException(
              "netlink " + p.request + ": control message " + frame.type());
        }
        if (p.answers.size() == MAX_ANSWERS) {
          throw new MalformedMessageException(
              "netlink " + p.request + ": more than " + MAX_ANSWERS + " answers");
        }
        p.answers.add(frame.message(p.headerSize));
      }
    }
  }

  private void gap(String why) {
    failPending(why);
    listener.gap();
  }

  private void failPending(String why) {
    lock.lock();
    try {
      for (Pending p : pending.values()) {
        p.finishLocked(
            new OutcomeUnknownException(
                "netlink " + p.request + ": " + why + "; the answer may be lost, outcome unknown"));
      }
    } finally {
      lock.unlock();
    }
  }

  private void end(IOException why) {
    lock.lock();
    try {
      if (ended == null) {
        ended = why;
      }
    } finally {
      lock.unlock();
    }
    failPending("the socket ended: " + why.getMessage());
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
    end(new IOException("closed"));
    open.readLock().lock();
    try (Arena arena = Arena.ofConfined()) {
      if (!fdsClosed) {
        // Fails only if the counter is full: then the reader is awake already.
        Linux.write(wake, arena.allocateFrom(ValueLayout.JAVA_LONG, 1), Long.BYTES);
      }
    } finally {
      open.readLock().unlock();
    }
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
    open.writeLock().lock();
    try {
      if (!fdsClosed) {
        fdsClosed = true;
        Linux.close(fd);
        Linux.close(wake);
      }
    } finally {
      open.writeLock().unlock();
    }
  }

  @Override
  public String toString() {
    lock.lock();
    try {
      return "GenericNetlink[port="
          + Integer.toUnsignedString(port)
          + ", underWay="
          + pending.size()
          + ", foreign="
          + foreign.sum()
          + ", stale="
          + stale.sum()
          + (ended == null ? "" : ", ended")
          + "]";
    } finally {
      lock.unlock();
    }
  }
}
