// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Netlink;
import org.mxfs.bindings.linux.Processes;
import org.mxfs.bindings.linux.Sockets;
import org.mxfs.bindings.linux.pollfd;
import org.mxfs.bindings.linux.sockaddr_nl;
import org.mxfs.bindings.linux.timespec;

/**
 * The system calls on a netlink socket and on the event counter that wakes its reader.
 *
 * <p>Sending is thread-safe; {@link #receive} is for one thread at a time, {@link #poll} for the
 * reader thread. Every use of the file descriptors is between {@link #enter} and {@link #leave}, so
 * that {@link #close} cannot hand their numbers to someone else under a call.
 *
 * <p>Not final, for tests that damage what the kernel sends.
 */
class NetlinkSocket {
  /** What {@link #receive} found. */
  enum Received {
    /** A datagram from the kernel, now in {@link #datagram}. */
    DATAGRAM,
    /** A datagram from another process, dropped. */
    FOREIGN,
    /** A datagram larger than the buffer, lost. */
    TOO_LARGE,
    /** The kernel dropped messages ({@code ENOBUFS}). */
    OVERRUN,
    /** Nothing this time, look again. */
    AGAIN,
    /** The queue is empty. */
    NOTHING
  }

  private static final int CLOSED = Integer.MIN_VALUE;

  /** Far more than the race it is about can give in a row; see {@link #receive}. */
  private static final int MAX_DUMP_RACES = 1000;

  private final int fd;
  private final int wake;
  private final int port;

  /** Who is between {@link #enter} and {@link #leave}; {@link #CLOSED} more once it is closing. */
  private final AtomicInteger users = new AtomicInteger();

  private volatile @Nullable Thread closer;

  /**
   * Not one to be closed: a system call on memory of a shared arena counts itself in and out of
   * that arena, two atomic operations each.
   */
  private final Arena arena = Arena.ofAuto();

  private final MemorySegment buffer;
  private final MemorySegment sender = arena.allocate(sockaddr_nl.SIZE, sockaddr_nl.ALIGN);
  private final MemorySegment senderLength = arena.allocate(ValueLayout.JAVA_INT);
  private final MemorySegment polled = arena.allocate(2L * pollfd.SIZE, pollfd.ALIGN);
  private final MemorySegment timeout = arena.allocate(timespec.SIZE, timespec.ALIGN);
  private final MemorySegment counter = arena.allocate(ValueLayout.JAVA_LONG);
  private final MemorySegment one = arena.allocateFrom(ValueLayout.JAVA_LONG, 1);

  /** Whether a thread uses {@link #outgoing}. */
  private final AtomicBoolean sending = new AtomicBoolean();

  private final MemorySegment outgoing = arena.allocate(4096, 8);

  private byte[] datagram = new byte[0];
  private int dumpRaces;

  private record Descriptors(int fd, int wake, int port) {}

  /**
   * Opens a socket on a port that the kernel chooses.
   *
   * @throws ErrnoException if the kernel refuses it
   */
  NetlinkSocket(GenericNetlink.Options options) throws ErrnoException {
    this(descriptors(options), options.largestMessage());
  }

  private NetlinkSocket(Descriptors descriptors, int largestMessage) {
    fd = descriptors.fd;
    wake = descriptors.wake;
    port = descriptors.port;
    buffer = arena.allocate(largestMessage, 8);
    pollfd.fd(polled, 0, wake);
    pollfd.events(polled, 0, Processes.POLLIN);
    pollfd.fd(polled, pollfd.SIZE, fd);
    pollfd.events(polled, pollfd.SIZE, Processes.POLLIN);
  }

  private static Descriptors descriptors(GenericNetlink.Options options) throws ErrnoException {
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
    try {
      int port = setUp(fd, options);
      int wake =
          Errno.check(
              Linux.eventfd2(0, Processes.EFD_CLOEXEC | Processes.EFD_NONBLOCK),
              "eventfd",
              "0",
              "see ulimit -n");
      return new Descriptors(fd, wake, port);
    } catch (ErrnoException | RuntimeException | Error e) {
      Linux.close(fd);
      throw e;
    }
  }

  /** Returns the port. */
  private static int setUp(int fd, GenericNetlink.Options options) throws ErrnoException {
    try (Arena arena = Arena.ofConfined()) {
      // Old kernels know neither; without them errors are only less detailed, and the parser takes
      // both forms.
      option(arena, fd, Sockets.SOL_NETLINK, Netlink.NETLINK_EXT_ACK, 1);
      option(arena, fd, Sockets.SOL_NETLINK, Netlink.NETLINK_CAP_ACK, 1);
      int size = options.receiveBuffer();
      if (option(arena, fd, Sockets.SOL_SOCKET, Sockets.SO_RCVBUFFORCE, size) < 0) {
        Errno.check(
            option(arena, fd, Sockets.SOL_SOCKET, Sockets.SO_RCVBUF, size),
            "setsockopt",
            "SO_RCVBUF, " + size);
      }
      MemorySegment address = arena.allocate(sockaddr_nl.SIZE, sockaddr_nl.ALIGN);
      sockaddr_nl.nl_family(address, 0, Sockets.AF_NETLINK);
      Errno.check(
          Linux.bind(fd, address, sockaddr_nl.SIZE),
          "bind",
          "AF_NETLINK, port chosen by the kernel");
      MemorySegment length = arena.allocateFrom(ValueLayout.JAVA_INT, sockaddr_nl.SIZE);
      Errno.check(Linux.getsockname(fd, address, length), "getsockname", "netlink socket");
      return sockaddr_nl.nl_pid(address, 0);
    }
  }

  private static int option(Arena arena, int fd, int level, int name, int value) {
    return Linux.setsockopt(
        fd, level, name, arena.allocateFrom(ValueLayout.JAVA_INT, value), Integer.BYTES);
  }

  int port() {
    return port;
  }

  /**
   * Keeps the socket open until {@link #leave}.
   *
   * @throws IOException if it is closed; then there is nothing to leave
   */
  void enter() throws IOException {
    if (users.incrementAndGet() < 0) {
      leave();
      throw new IOException("the netlink socket is closed");
    }
  }

  void leave() {
    if (users.decrementAndGet() == CLOSED) {
      LockSupport.unpark(closer);
    }
  }

  /** Sends a message to the kernel, which acts on it before this returns. */
  void send(byte[] message, Object what) throws ErrnoException {
    long sent;
    // The kernel may take its time, so nobody waits for the buffer: whoever finds it in use makes
    // one.
    if (message.length <= outgoing.byteSize() && sending.compareAndSet(false, true)) {
      try {
        sent = send(message, outgoing);
      } finally {
        sending.setRelease(false);
      }
    } else {
      try (Arena own = Arena.ofConfined()) {
        sent = send(message, own.allocate(message.length, 8));
      }
    }
    if (sent < 0) {
      throw new ErrnoException(
          "sendto",
          "netlink " + what + ", " + message.length + " bytes",
          (int) -sent,
          "see net.core.wmem_max if it is too long");
    }
  }

  private long send(byte[] message, MemorySegment data) {
    MemorySegment.copy(message, 0, data, ValueLayout.JAVA_BYTE, 0, message.length);
    long sent;
    do {
      sent = Linux.sendto(fd, data, message.length, 0, 0, 0);
    } while (sent == -Errnos.EINTR); // nothing was sent then
    return sent;
  }

  /** {@code NETLINK_ADD_MEMBERSHIP} or {@code NETLINK_DROP_MEMBERSHIP}. */
  void membership(int option, String optionName, int group, String groupName)
      throws ErrnoException {
    try (Arena own = Arena.ofConfined()) {
      Errno.check(
          option(own, fd, Sockets.SOL_NETLINK, option, group),
          "setsockopt",
          optionName + ", " + groupName + "=" + group,
          "the group may need CAP_NET_ADMIN");
    }
  }

  /**
   * Takes one datagram off the socket, without waiting.
   *
   * @throws ErrnoException if the socket can receive no more
   */
  Received receive() throws ErrnoException {
    senderLength.set(ValueLayout.JAVA_INT, 0, sockaddr_nl.SIZE);
    // MSG_TRUNC: of a message that is too large the whole length is returned.
    long received =
        Linux.recvfrom(
            fd,
            buffer,
            buffer.byteSize(),
            Sockets.MSG_DONTWAIT | Sockets.MSG_TRUNC,
            sender.address(),
            senderLength.address());
    if (received >= 0) {
      dumpRaces = 0;
      return took(received);
    }
    switch ((int) -received) {
      case Errnos.EAGAIN -> {
        return Received.NOTHING;
      }
      case Errnos.EINTR -> {
        return Received.AGAIN;
      }
      case Errnos.ENOBUFS -> {
        return Received.OVERRUN;
      }
      case Errnos.EINVAL -> {
        // The kernel runs a dump in recvmsg() as well as in the request that starts it. When both
        // meet, the one that finds the dump at its end leaves EINVAL on the socket (netlink_dump()
        // in net/netlink/af_netlink.c); nothing is lost, and reading it clears it.
        if (++dumpRaces < MAX_DUMP_RACES) {
          return Received.AGAIN;
        }
      }
      default -> {}
    }
    throw new ErrnoException(
        "recvfrom", "netlink port " + Integer.toUnsignedString(port), (int) -received, "");
  }

  private Received took(long received) {
    if (senderLength.get(ValueLayout.JAVA_INT, 0) != sockaddr_nl.SIZE
        || sockaddr_nl.nl_pid(sender, 0) != 0) {
      return Received.FOREIGN;
    }
    if (received > buffer.byteSize()) {
      return Received.TOO_LARGE;
    }
    datagram = new byte[(int) received];
    MemorySegment.copy(buffer, ValueLayout.JAVA_BYTE, 0, datagram, 0, datagram.length);
    return Received.DATAGRAM;
  }

  /** What {@link #receive} took last; the array is the caller's. */
  byte[] datagram() {
    return datagram;
  }

  /** Waits until there is something to receive, or {@link #wake} is called. */
  boolean awaitInput() throws ErrnoException {
    return poll(2, MemorySegment.NULL);
  }

  /** Waits until {@link #wake} is called, or so many nanoseconds (below a second) have passed. */
  boolean awaitWake(int nanos) throws ErrnoException {
    timespec.tv_nsec(timeout, 0, nanos);
    return poll(1, timeout);
  }

  /** Returns whether {@link #wake} was called. */
  private boolean poll(int fds, MemorySegment limit) throws ErrnoException {
    int ready;
    do {
      ready = Linux.ppoll(polled, fds, limit, MemorySegment.NULL, 0);
    } while (ready == -Errnos.EINTR);
    Errno.check(ready, "ppoll", "netlink socket and its wake-up");
    if (pollfd.revents(polled, 0) == 0) {
      return false;
    }
    Linux.read(wake, counter, Long.BYTES); // back to 0; fails only if it is 0 already
    return true;
  }

  /** Ends the reader's waiting, now or the next time. */
  void wake() {
    Linux.write(wake, one, Long.BYTES); // fails only if the counter is full: the reader is awake
  }

  /** Waits for everyone to leave, then closes. Idempotent. The reader thread must have ended. */
  synchronized void close() {
    if (users.get() < 0) {
      return;
    }
    closer = Thread.currentThread();
    users.addAndGet(CLOSED);
    boolean interrupted = false;
    while (users.get() != CLOSED) {
      LockSupport.park(this);
      interrupted |= Thread.interrupted();
    }
    Linux.close(fd);
    Linux.close(wake);
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
