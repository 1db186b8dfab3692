// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.linux.Netlink;

/**
 * The requests under way on a socket, by their sequence numbers, and what came in answer to each.
 *
 * <p>Thread-safe. Its lock is the innermost one: nothing is called under it that locks or blocks.
 */
final class Requests {
  /**
   * Answers to one request beyond which it fails; the largest dumps of a kernel have some ten
   * thousand.
   */
  private static final int MAX_ANSWERS = 1 << 20;

  /**
   * One request. Its fields are written under {@link #lock}, {@code done} as the last: who sees it
   * set may read the others.
   */
  final class Pending {
    final int sequence = nextSequence();
    private final String request;
    private final int headerSize;
    private final boolean dump;
    private final Condition finished = lock.newCondition();
    private final List<Message> answers = new ArrayList<>(1);
    private boolean interrupted;
    private volatile boolean done;
    private @Nullable IOException failure;

    private Pending(String request, int headerSize, boolean dump) {
      this.request = request;
      this.headerSize = headerSize;
      this.dump = dump;
    }

    boolean isDone() {
      return done;
    }

    /** Once {@link #await} returned: what was answered. */
    List<Message> answers() {
      return answers;
    }

    /** Once {@link #await} returned: whether the dump changed under way. */
    boolean isInterrupted() {
      return interrupted;
    }

    private void finishLocked(@Nullable IOException how) {
      if (!done) {
        failure = how;
        done = true;
        pending.remove(sequence);
        finished.signal();
      }
    }

    private void takeLocked(Wire.Frame frame) throws MalformedMessageException {
      interrupted |= (frame.flags() & Netlink.NLM_F_DUMP_INTR) != 0;
      switch (frame.type()) {
        case Netlink.NLMSG_NOOP -> {}
        case Netlink.NLMSG_ERROR, Netlink.NLMSG_DONE -> {
          int result = frame.result();
          if (result < 0) {
            finishLocked(frame.error(request, -result));
          } else if (frame.type() == Netlink.NLMSG_DONE || !dump) {
            finishLocked(null);
          }
        }
        default -> addLocked(frame);
      }
    }

    private void addLocked(Wire.Frame frame) throws MalformedMessageException {
      if (!frame.isData()) {
        throw new MalformedMessageException(
            "netlink " + request + ": control message " + frame.type());
      }
      if (answers.size() == MAX_ANSWERS) {
        throw new MalformedMessageException(
            "netlink " + request + ": more than " + MAX_ANSWERS + " answers");
      }
      answers.add(frame.message(headerSize));
    }
  }

  private final ReentrantLock lock = new ReentrantLock();
  private final AtomicInteger lastSequence = new AtomicInteger();
  private final LongAdder stale = new LongAdder();
  private final Map<Integer, Pending> pending = new HashMap<>();

  /** Written under {@link #lock}. */
  private volatile @Nullable IOException ended;

  /** Never 0, which marks an event. */
  int nextSequence() {
    int sequence = lastSequence.incrementAndGet();
    return sequence != 0 ? sequence : lastSequence.incrementAndGet();
  }

  /** The number given out last: it differs when something was sent meanwhile. */
  int lastSequence() {
    return lastSequence.get();
  }

  /** Answers that no request waited for any more. */
  long stale() {
    return stale.sum();
  }

  /**
   * Expects answers from now on.
   *
   * @param request for messages
   * @param headerSize of the family's own header in the answers
   * @throws IOException if the socket has ended
   */
  Pending add(String request, int headerSize, boolean dump) throws IOException {
    Pending p = new Pending(request, headerSize, dump);
    lock.lock();
    try {
      IOException why = ended;
      if (why != null) {
        throw new IOException(
            "the netlink socket cannot be used any more: " + why.getMessage(), why);
      }
      pending.put(p.sequence, p);
    } finally {
      lock.unlock();
    }
    return p;
  }

  /** Expects no answer any more; one that still comes is counted as stale. */
  void remove(Pending p) {
    if (p.done) {
      return; // it is out of the table since then
    }
    lock.lock();
    try {
      pending.remove(p.sequence);
    } finally {
      lock.unlock();
    }
  }

  /** Gives a message to the request it answers. */
  void answer(Wire.Frame frame) {
    lock.lock();
    try {
      Pending p = pending.get(frame.sequence());
      if (p == null) {
        stale.increment();
        return;
      }
      try {
        p.takeLocked(frame);
      } catch (MalformedMessageException e) {
        p.finishLocked(e);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits for the end of the answers.
   *
   * @throws IOException how it failed: the kernel's refusal, a malformed answer, or {@link
   *     OutcomeUnknownException}
   */
  void await(Pending p, Duration timeout) throws IOException {
    if (!p.done) {
      waitUntilDone(p, timeout);
    }
    if (p.failure != null) {
      throw p.failure;
    }
  }

  private void waitUntilDone(Pending p, Duration timeout) throws OutcomeUnknownException {
    long left = timeout.toNanos();
    lock.lock();
    try {
      while (!p.done) {
        if (left <= 0) {
          throw unknown(p, "no answer within " + timeout.toMillis() + " ms");
        }
        left = p.finished.awaitNanos(left);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw unknown(p, "interrupted while waiting");
    } finally {
      lock.unlock();
    }
  }

  private static OutcomeUnknownException unknown(Pending p, String why) {
    return new OutcomeUnknownException("netlink " + p.request + ": " + why + "; outcome unknown");
  }

  /** Fails every request under way: its answer may be among what was lost. */
  void failAll(String why) {
    lock.lock();
    try {
      for (Pending p : List.copyOf(pending.values())) {
        p.finishLocked(unknown(p, why + "; the answer may be lost"));
      }
    } finally {
      lock.unlock();
    }
  }

  /** Takes no request any more and fails those under way. The first reason counts. */
  void end(IOException why) {
    lock.lock();
    try {
      if (ended == null) {
        ended = why;
      }
    } finally {
      lock.unlock();
    }
    failAll("the socket ended: " + why.getMessage());
  }

  /** The reason given to {@link #end}; null while the socket works. */
  @Nullable IOException whyEnded() {
    return ended;
  }

  @Override
  public String toString() {
    lock.lock();
    try {
      return "underWay=" + pending.size() + ", stale=" + stale + (ended == null ? "" : ", ended");
    } finally {
      lock.unlock();
    }
  }
}
