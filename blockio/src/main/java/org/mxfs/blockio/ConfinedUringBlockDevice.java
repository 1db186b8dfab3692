// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Linux;

/**
 * A device on an io_uring that one thread owns ({@code SINGLE_ISSUER}, {@code DEFER_TASKRUN}).
 *
 * <p>Everything happens on that thread, so a slot has two states only, and what the shared device
 * needs a lock for is plain fields here. The ring is entered in two places: {@link #submit}, which
 * sends, and {@link #enter}, which sends and waits.
 */
final class ConfinedUringBlockDevice extends AbstractBlockDevice implements ConfinedBlockDevice {
  private static final byte FREE = 0;
  private static final byte CALLS_BACK = 1;
  private static final byte WAITED_FOR = 2;
  private static final byte ABANDONED = 3;
  private static final byte ENDED = 4;

  /** Past its deadline, which its callback was told; it will be told of the end. */
  private static final byte LATE = 5;

  /** In the kernel when the ring broke: it never ends. */
  private static final byte LOST = 6;

  /**
   * Requests started by callbacks that are sent together. Holding back all that one {@link #reap}
   * brings would let the device run empty meanwhile: at depth 32 that cost a fifth of the requests
   * a second; sending each by itself costs half as much processor time again.
   */
  private static final int SENT_TOGETHER = 4;

  private final Thread owner = Thread.currentThread();
  private final int fd;
  private final Arena arena;
  private final RingRequests requests;
  final Ring ring;
  private final int depth;
  private final FreezeReport report = new FreezeReport();
  private final byte[] state;
  private final int[] free;
  private int freeCount;

  private int inFlight;
  private int plugged;
  private boolean frozen;

  /** The last freeze came back with requests under way: of those nothing more is sent. */
  private boolean undrained;

  private boolean closed;
  private @Nullable Throwable broken;

  /** The slot whose callback is running, which that callback may use again. */
  private int spare = -1;

  /** Within {@link #reap}, which sends what callbacks start. */
  private boolean reaping;

  /** The time, read once for all callbacks of a {@link #reap}. */
  private long now;

  /** No request's deadline is earlier than this. */
  private long nextDeadline = RingRequests.NO_DEADLINE;

  ConfinedUringBlockDevice(
      String name,
      int fd,
      long size,
      int blockSize,
      Arena arena,
      MemorySegment buffers,
      BlockDevices.Options options)
      throws ErrnoException {
    super(name, size, blockSize, buffers, options.timeout());
    this.fd = fd;
    this.arena = arena;
    depth = options.queueDepth();
    requests =
        new RingRequests(
            arena,
            Ring.Sharing.CONFINED,
            fd,
            blockSize,
            buffers,
            depth,
            options.registeredBuffers());
    ring = requests.ring;
    state = new byte[requests.slots];
    free = new int[depth];
    for (int i = 0; i < depth; i++) {
      free[i] = depth - 1 - i;
    }
    freeCount = depth;
  }

  private void requireOwner() {
    if (!owner.equals(Thread.currentThread())) {
      throw new WrongThreadException(name + " belongs to " + owner);
    }
  }

  @Override
  public int queueDepth() {
    return depth;
  }

  @Override
  public int inFlight() {
    requireOwner();
    return inFlight;
  }

  @Override
  public boolean mayStillUse(MemorySegment memory) {
    requireOwner();
    for (int slot = 0; slot < depth; slot++) {
      boolean givenUp = state[slot] == ABANDONED || state[slot] == LATE || state[slot] == LOST;
      if (givenUp && requests.uses(slot, memory)) {
        return true;
      }
    }
    return false;
  }

  // ---- requests

  @Override
  void start(
      Operation op,
      long at,
      long memory,
      long bytes,
      MemorySegment @Nullable [] parts,
      Callback whom,
      long mark,
      long timeoutNanos)
      throws IOException {
    requireOwner();
    int slot = takeSlot(op, at, bytes, timeoutNanos);
    requests.callback[slot] = whom;
    requests.tag[slot] = mark;
    begin(slot, CALLS_BACK, op, at, memory, bytes, parts, timeoutNanos);
    if (plugged == 0 && !reaping) {
      submit();
    }
  }

  @Override
  int run(
      Operation op,
      long at,
      long memory,
      long bytes,
      MemorySegment @Nullable [] parts,
      long timeoutNanos)
      throws IOException {
    requireOwner();
    requireNotReaping();
    int slot = takeSlot(op, at, bytes, timeoutNanos);
    begin(slot, WAITED_FOR, op, at, memory, bytes, parts, timeoutNanos);
    return waitFor(slot);
  }

  private void requireNotReaping() {
    if (reaping) {
      throw new IllegalStateException(name + ": a callback must not wait for a request");
    }
  }

  /** Waits for the end of a slot's request; {@link #expire} sees to it that it comes. */
  private int waitFor(int slot) {
    while (state[slot] == WAITED_FOR) {
      enter(1, RingRequests.NO_DEADLINE);
    }
    if (state[slot] == ABANDONED) {
      return -Errnos.ETIMEDOUT;
    }
    if (state[slot] == LOST) {
      return -Errnos.ENOTRECOVERABLE;
    }
    release(slot);
    return requests.result[slot];
  }

  private int takeSlot(Operation op, long at, long bytes, long timeoutNanos) throws IOException {
    requireUsable();
    if (requests.overlap(op, at, bytes)) {
      awaitRange(op, at, bytes, timeoutNanos);
    }
    if (spare >= 0) {
      int slot = spare;
      spare = -1;
      return slot;
    }
    if (freeCount == 0 && reaping) {
      throw new IllegalStateException(
          name + ": the queue is full, and a callback may start only one request more");
    }
    if (freeCount == 0) {
      awaitFreeSlot(System.nanoTime() + timeoutNanos);
    }
    return free[--freeCount];
  }

  private void awaitRange(Operation op, long at, long bytes, long timeoutNanos) throws IOException {
    long end = System.nanoTime() + timeoutNanos;
    while (requests.overlap(op, at, bytes)) {
      if (reaping || System.nanoTime() >= end) {
        throw Callbacks.refused(name, depth, false, at, bytes);
      }
      enter(1, end);
      requireUsable();
    }
  }

  private void awaitFreeSlot(long end) throws IOException {
    while (freeCount == 0) {
      enter(1, end);
      requireUsable();
      if (freeCount == 0 && now >= end) {
        throw Callbacks.queueStaysFull(name, depth);
      }
    }
  }

  private void requireUsable() throws IOException {
    if (broken != null) {
      throw Callbacks.broken(name, broken);
    }
    if (frozen) {
      throw new FrozenException(name);
    }
  }

  private void begin(
      int slot,
      byte newState,
      Operation op,
      long at,
      long memory,
      long bytes,
      MemorySegment @Nullable [] parts,
      long timeoutNanos) {
    long deadline = (reaping ? now : System.nanoTime()) + timeoutNanos;
    requests.deadline[slot] = deadline;
    nextDeadline = Math.min(nextDeadline, deadline);
    requests.fill(slot, op, at, memory, bytes, parts);
    state[slot] = newState;
    inFlight++;
    requests.place(slot);
  }

  private void release(int slot) {
    state[slot] = FREE;
    requests.callback[slot] = RingRequests.NOBODY;
    requests.deadline[slot] = RingRequests.NO_DEADLINE;
    if (slot < depth) {
      free[freeCount++] = slot;
    }
  }

  // ---- the ring

  private void submit() {
    while (ring.placed() > 0) {
      int taken = ring.submit();
      if (taken == -Errnos.EINTR) {
        continue; // nothing was taken
      }
      if ((taken == -Errnos.EAGAIN || taken == -Errnos.EBUSY) && inFlight > ring.placed()) {
        return; // short of memory for requests: sent when one has ended
      }
      if (taken <= 0) {
        failPlaced(Callbacks.refusal(taken));
        return;
      }
    }
  }

  /**
   * Sends what is placed, waits for {@code atLeast} completions until {@code end} or the next
   * deadline, and takes in what has come.
   *
   * @return how many requests ended
   */
  private int enter(int atLeast, long end) {
    return enter(atLeast, end, System.nanoTime());
  }

  private int enter(int atLeast, long end, long began) {
    if (broken != null) {
      return 0;
    }
    long until = Math.min(end, nextDeadline);
    long limit = until == RingRequests.NO_DEADLINE ? Ring.FOR_EVER : Math.max(0, until - began);
    int got = ring.submitAndWait(atLeast, limit);
    boolean waitEnded = got >= 0 || got == -Errnos.EINTR || got == -Errnos.ETIME;
    boolean busy = got == -Errnos.EAGAIN || got == -Errnos.EBUSY;
    if (!waitEnded && !(busy && inFlight > ring.placed())) {
      if (ring.placed() == 0) {
        return breakDown(
            new ErrnoException("io_uring_enter", name + ", IORING_ENTER_GETEVENTS", -got, ""));
      }
      failPlaced(Callbacks.refusal(got));
    }
    try {
      return reap();
    } catch (IllegalStateException e) {
      return breakDown(e);
    }
  }

  /**
   * No completion will ever come: whoever waits for one is told so. What is under way stays counted
   * as such, and its memory stays in use.
   *
   * @return how many callbacks were told
   */
  private int breakDown(Throwable why) {
    broken = why;
    int told = 0;
    for (int slot = 0; slot < requests.slots; slot++) {
      if (state[slot] == CALLS_BACK) {
        state[slot] = LOST;
        Callbacks.call(requests.callback[slot], requests.tag[slot], -Errnos.ENOTRECOVERABLE);
        told++;
      } else if (state[slot] == WAITED_FOR) {
        state[slot] = LOST;
      }
    }
    return told;
  }

  /** The kernel refuses to take anything: what is placed ends with its error. */
  private void failPlaced(int error) {
    while (ring.placed() > 0) {
      completed(ring.takeBack(), error);
    }
  }

  /** Takes in the completions that are there; returns how many requests ended. */
  private int reap() {
    int ended = 0;
    now = System.nanoTime();
    reaping = true;
    try {
      int head = ring.completionHead();
      int end = ring.completionTail();
      while (head != end) {
        long mark = ring.completionUserData(head);
        int got = ring.completionResult(head);
        head++;
        ring.releaseCompletions(head);
        ended += completed(mark, got);
        if (plugged == 0 && ring.placed() >= SENT_TOGETHER) {
          submit();
        }
        if (head == end) {
          end = ring.completionTail();
        }
      }
      if (now >= nextDeadline) {
        expire();
      }
    } finally {
      reaping = false;
    }
    return ended;
  }

  /** Returns 1 if a request ended, else 0. */
  private int completed(long mark, int got) {
    if (mark == RingRequests.WAKE_UP) {
      return 0;
    }
    int slot = RingRequests.slotOf(mark);
    if (!requests.isCurrent(mark) || state[slot] == FREE) {
      throw new IllegalStateException(
          name + ": a completion with user data 0x" + Long.toHexString(mark) + " is nobody's");
    }
    int ended = requests.completed(mark, got);
    if (ended == RingRequests.PENDING) {
      return 0;
    }
    if (ended == RingRequests.AGAIN) {
      if (!undrained && state[slot] != ABANDONED && state[slot] != LATE) {
        requests.place(slot);
        return 0;
      }
      ended = -Errnos.EAGAIN;
    }
    inFlight--;
    requests.result[slot] = ended;
    requests.ended(slot);
    switch (state[slot]) {
      case CALLS_BACK, LATE -> callBack(slot, ended);
      case WAITED_FOR -> state[slot] = ENDED;
      default -> release(slot);
    }
    return 1;
  }

  private void callBack(int slot, int ended) {
    Callback whom = requests.callback[slot];
    long mark = requests.tag[slot];
    boolean late = state[slot] == LATE;
    spare = slot;
    try {
      if (late) {
        Callbacks.callReleased(whom, mark, ended);
      } else {
        Callbacks.callEnded(whom, mark, ended);
      }
    } finally {
      if (spare >= 0) {
        release(spare);
        spare = -1;
      }
    }
  }

  /** Gives up on the requests whose time is up. */
  private void expire() {
    nextDeadline = RingRequests.NO_DEADLINE;
    for (int slot = 0; slot < requests.slots; slot++) {
      if (state[slot] == CALLS_BACK || state[slot] == WAITED_FOR) {
        if (requests.deadline[slot] <= now) {
          giveUp(slot);
        } else {
          nextDeadline = Math.min(nextDeadline, requests.deadline[slot]);
        }
      }
    }
  }

  /**
   * The slot stays taken until the kernel ends the request: its memory may be written until then.
   */
  private void giveUp(int slot) {
    boolean callsBack = state[slot] == CALLS_BACK;
    state[slot] = callsBack ? LATE : ABANDONED;
    requests.placeCancel(slot);
    if (callsBack) {
      Callbacks.call(requests.callback[slot], requests.tag[slot], -Errnos.ETIMEDOUT);
    }
  }

  // ---- waiting, batches, cancellation, end

  @Override
  public int await(int atLeast, Duration limit) {
    requireOwner();
    requireNotReaping();
    long began = System.nanoTime();
    long end = after(began, limit);
    int ended = enter(Math.min(atLeast, inFlight), end, began);
    while (ended < atLeast && inFlight > 0 && now < end && broken == null) {
      ended += enter(Math.min(atLeast - ended, inFlight), end);
    }
    return ended;
  }

  @Override
  public void plug() {
    requireOwner();
    plugged++;
  }

  @Override
  public void unplug() {
    requireOwner();
    if (plugged == 0) {
      throw new IllegalStateException(name + ": unplug without plug");
    }
    if (--plugged == 0 && !reaping) {
      submit();
    }
  }

  @Override
  public int cancel(long mark) {
    requireOwner();
    submit(); // only what the kernel has can be cancelled there
    int told = 0;
    for (int slot = 0; slot < depth; slot++) {
      if (state[slot] == CALLS_BACK
          && requests.tag[slot] == mark
          && Callbacks.wasToldToEnd(ring.cancel(requests.userData(slot)))) {
        told++;
      }
    }
    return told;
  }

  @Override
  public FreezeReport freeze(Duration deadline) {
    requireOwner();
    requireNotReaping();
    long end = after(System.nanoTime(), deadline);
    frozen = true;
    plugged = 0;
    drain(end);
    undrained = inFlight > 0;
    if (inFlight > 0 || broken != null) {
      return report.set(inFlight == 0, inFlight, false, false);
    }
    begin(depth, WAITED_FOR, Operation.FLUSH, 0, 0, 0, null, end - System.nanoTime());
    boolean flushed = waitFor(depth) == 0;
    return report.set(true, 0, true, flushed);
  }

  private void drain(long end) {
    do {
      enter(Math.min(inFlight, 1), end);
    } while (inFlight > 0 && System.nanoTime() < end && broken == null);
  }

  @Override
  public void close() throws IOException {
    requireOwner();
    requireNotReaping();
    if (closed) {
      return;
    }
    closed = true;
    frozen = true;
    plugged = 0;
    drain(after(System.nanoTime(), timeout()));
    if (inFlight > 0) {
      throw new IOException(Callbacks.notEnded(name, inFlight));
    }
    ring.close();
    arena.close();
    Errno.check(Linux.close(fd), "close", name, "an earlier write may have failed");
  }

  @Override
  public String toString() {
    return name
        + ": io_uring of "
        + owner.getName()
        + ", queue depth "
        + depth
        + ", "
        + requests
        + ", in flight "
        + inFlight;
  }
}
