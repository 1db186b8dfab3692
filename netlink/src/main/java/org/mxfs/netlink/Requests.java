// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.linux.Netlink;

/**
 * The requests under way on a socket, by their sequence numbers, and what came in answer to each.
 *
 * <p>Without a lock of its own, because a request would take it several times. Answers are given by
 * one thread at a time ({@link #answer}); a request may fail or end from any thread, and does so
 * once: by setting its {@link Pending#outcome}.
 */
final class Requests {
  /**
   * Answers to one request beyond which it fails; the largest dumps of a kernel have some ten
   * thousand.
   */
  private static final int MAX_ANSWERS = 1 << 20;

  /** {@link Pending#outcome} of a request that the kernel carried out. */
  private static final Object ACKNOWLEDGED = "acknowledged";

  /**
   * One request. Its other fields are written before {@code outcome}: who sees that set may read
   * them.
   */
  final class Pending {
    final int sequence = nextSequence();
    private final Object request;
    private final int headerSize;
    private final boolean dump;
    private final Thread waiter = Thread.currentThread();
    private List<Message> answers = List.of();
    private boolean interrupted;

    /** Null until it ended, then {@link #ACKNOWLEDGED} or an {@link IOException}. */
    private final AtomicReference<@Nullable Object> outcome = new AtomicReference<>();

    private Pending(Object request, int headerSize, boolean dump) {
      this.request = request;
      this.headerSize = headerSize;
      this.dump = dump;
    }

    boolean isDone() {
      return outcome.get() != null;
    }

    /** Once {@link #await} returned: what was answered. */
    List<Message> answers() {
      return answers;
    }

    /** Once {@link #await} returned: whether the dump changed under way. */
    boolean isInterrupted() {
      return interrupted;
    }

    private void finish(Object how) {
      if (outcome.compareAndSet(null, how)) {
        forget(this);
        if (!waiter.equals(Thread.currentThread())) {
          LockSupport.unpark(waiter);
        }
      }
    }

    private void take(Wire.Frame frame) throws MalformedMessageException {
      interrupted |= (frame.flags() & Netlink.NLM_F_DUMP_INTR) != 0;
      switch (frame.type()) {
        case Netlink.NLMSG_NOOP -> {}
        case Netlink.NLMSG_ERROR, Netlink.NLMSG_DONE -> {
          int result = frame.result();
          if (result < 0) {
            finish(frame.error(request.toString(), -result));
          } else if (frame.type() == Netlink.NLMSG_DONE || !dump) {
            finish(ACKNOWLEDGED);
          }
        }
        default -> add(frame);
      }
    }

    private void add(Wire.Frame frame) throws MalformedMessageException {
      if (!frame.isData()) {
        throw new MalformedMessageException(
            "netlink " + request + ": control message " + frame.type());
      }
      if (answers.size() == MAX_ANSWERS) {
        throw new MalformedMessageException(
            "netlink " + request + ": more than " + MAX_ANSWERS + " answers");
      }
      Message message = frame.message(headerSize);
      switch (answers.size()) {
        case 0 -> answers = List.of(message); // nearly always the only one
        case 1 -> answers = new ArrayList<>(List.of(answers.getFirst(), message));
        default -> answers.add(message);
      }
    }
  }

  private final AtomicInteger lastSequence = new AtomicInteger();
  private final LongAdder stale = new LongAdder();

  /**
   * The requests under way, each at its sequence number modulo the length. Where that place is
   * taken, which takes as many at once, a request goes to {@link #more}: a map costs a request
   * several times what this does.
   */
  private final AtomicReferenceArray<@Nullable Pending> pending = new AtomicReferenceArray<>(64);

  private final Map<Integer, Pending> more = new ConcurrentHashMap<>();
  private final AtomicReference<@Nullable IOException> ended = new AtomicReference<>();

  /** Never 0, which marks an event. */
  int nextSequence() {
    int sequence = lastSequence.incrementAndGet();
    return sequence != 0 ? sequence : lastSequence.incrementAndGet();
  }

  /** Answers that no request waited for any more. */
  long stale() {
    return stale.sum();
  }

  /**
   * Expects answers from now on; the calling thread is the one that will {@link #await} them.
   *
   * @param request for messages; its text is made when one needs it
   * @param headerSize of the family's own header in the answers
   * @throws IOException if the socket has ended
   */
  Pending add(Object request, int headerSize, boolean dump) throws IOException {
    Pending p = new Pending(request, headerSize, dump);
    if (!pending.compareAndSet(place(p.sequence), null, p)) {
      more.put(p.sequence, p);
    }
    // Looked at after the request can be found: end() sets it first and looks for requests then.
    IOException why = ended.get();
    if (why != null) {
      forget(p);
      throw new IOException("the netlink socket cannot be used any more: " + why.getMessage(), why);
    }
    return p;
  }

  /** Expects no answer any more; one that still comes is counted as stale. */
  void remove(Pending p) {
    if (!p.isDone()) {
      forget(p);
    }
  }

  private int place(int sequence) {
    return sequence & (pending.length() - 1);
  }

  private @Nullable Pending find(int sequence) {
    Pending p = pending.get(place(sequence));
    return p != null && p.sequence == sequence ? p : more.get(sequence);
  }

  private void forget(Pending p) {
    if (!pending.compareAndSet(place(p.sequence), p, null)) {
      more.remove(p.sequence);
    }
  }

  /** Gives a message to the request it answers. One thread at a time. */
  void answer(Wire.Frame frame) {
    Pending p = find(frame.sequence());
    if (p == null) {
      stale.increment();
      return;
    }
    try {
      p.take(frame);
    } catch (MalformedMessageException e) {
      p.finish(e);
    }
  }

  /**
   * Waits for the end of the answers.
   *
   * @throws IOException how it failed: the kernel's refusal, a malformed answer, or {@link
   *     OutcomeUnknownException}
   */
  void await(Pending p, Duration timeout) throws IOException {
    if (!p.isDone()) {
      waitUntilDone(p, timeout);
    }
    if (p.outcome.get() instanceof IOException failure) {
      throw failure;
    }
  }

  private static void waitUntilDone(Pending p, Duration timeout) throws OutcomeUnknownException {
    long until = System.nanoTime() + timeout.toNanos();
    long left = until - System.nanoTime();
    while (!p.isDone()) {
      if (Thread.currentThread().isInterrupted()) {
        throw unknown(p, "interrupted while waiting");
      }
      if (left <= 0) {
        throw unknown(p, "no answer within " + timeout.toMillis() + " ms");
      }
      LockSupport.parkNanos(p, left);
      left = until - System.nanoTime();
    }
  }

  private static OutcomeUnknownException unknown(Pending p, String why) {
    return new OutcomeUnknownException("netlink " + p.request + ": " + why + "; outcome unknown");
  }

  /** Fails every request under way: its answer may be among what was lost. */
  void failAll(String why) {
    for (Pending p : underWay()) {
      p.finish(unknown(p, why + "; the answer may be lost"));
    }
  }

  private List<Pending> underWay() {
    List<Pending> all = new ArrayList<>(more.values());
    for (int i = 0; i < pending.length(); i++) {
      Pending p = pending.get(i);
      if (p != null) {
        all.add(p);
      }
    }
    return all;
  }

  /** Takes no request any more and fails those under way. The first reason counts. */
  void end(IOException why) {
    ended.compareAndSet(null, why);
    failAll("the socket ended: " + why.getMessage());
  }

  /** The reason given to {@link #end}; null while the socket works. */
  @Nullable IOException whyEnded() {
    return ended.get();
  }

  @Override
  public String toString() {
    return "underWay="
        + underWay().size()
        + ", stale="
        + stale
        + (ended.get() == null ? "" : ", ended");
  }
}
