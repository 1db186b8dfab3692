// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Files;
import org.mxfs.bindings.linux.IoUring;
import org.mxfs.bindings.linux.Linux;

/**
 * A device on an io_uring.
 *
 * <p>Each request has a slot from before it is submitted until its callback has returned (or its
 * waiting thread has taken the result); slots are arrays made when the device is opened, so a
 * request allocates nothing. There is one more slot than the queue is deep, kept for the flush of
 * {@link #freeze}. A slot has at most one entry in the rings, so neither ring can be full when one
 * is placed.
 *
 * <p>Submitting threads share the submission ring under {@link #lock}. One platform thread reads
 * the completion ring, sends the rest of a short transfer, and calls back.
 *
 * <p>The user data of an entry is its slot in the low half and the slot's generation in the high
 * half: a completion that does not match would be a kernel's or our bug, and is not taken for
 * another request's.
 */
final class UringBlockDevice extends AbstractBlockDevice {
  private static final long WAKE_UP = -1;

  /**
   * How often one request is sent again after EINTR, EAGAIN or a short transfer, before it fails
   * with what it met.
   */
  private static final int MAX_SENDS = 64;

  private static final int FREE = 0;
  private static final int CALLS_BACK = 1;
  private static final int WAITED_FOR = 2;
  private static final int ABANDONED = 3;
  private static final int ENDED = 4;

  private static final Callback NOBODY = (tag, result) -> {};

  private final int fd;
  private final Arena arena;
  private final Ring ring;
  private final boolean fixedFile;
  private final boolean fixedBuffer;
  private final long timeoutNanos;
  private final int depth;
  private final Thread reaper;
  private final FreezeReport report = new FreezeReport();

  /**
   * Guards the submission ring and everything below it up to the slots. Callbacks are called
   * without it.
   */
  private final ReentrantLock lock = new ReentrantLock();

  private final Condition slotFreed = lock.newCondition();
  private final Condition drained = lock.newCondition();
  private final int[] free;
  private int freeCount;
  private int inFlight;
  private int plugged;
  private volatile boolean frozen;
  private boolean closed;
  private final int[] refused;
  private int refusedCount;
  private boolean delivering;
  private @Nullable IOException broken;

  // The slots. A slot's fields belong to whoever took it until it is placed in the ring, then to
  // the reaper.
  private final Operation[] operation;
  private final long[] offset;
  private final long[] address;
  private final long[] length;
  private final long[] done;
  private final int[] sends;
  private final int[] generation;
  private final Callback[] callback;
  private final long[] tag;
  private final int[] result;
  private final @Nullable Thread[] waiter;
  private final AtomicIntegerArray state;

  /**
   * The slot whose callback is running, which that callback may use again; touched by the reaper
   * only.
   */
  private int spare = -1;

  UringBlockDevice(
      String name,
      int fd,
      long size,
      int blockSize,
      Arena arena,
      MemorySegment buffers,
      int depth,
      Duration timeout)
      throws ErrnoException {
    super(name, size, blockSize, buffers);
    this.fd = fd;
    this.arena = arena;
    this.depth = depth;
    this.timeoutNanos = timeout.toNanos();
    int slots = depth + 1;
    // One entry more for the wake-up at the end.
    ring = Ring.open(arena, slots + 1);
    try {
      if (ring.entries() < slots + 1) {
        throw new ErrnoException(
            "io_uring_setup",
            "entries=" + (slots + 1),
            Errnos.EINVAL,
            "the kernel allows " + ring.entries() + "; ask for a smaller queue depth");
      }
      if (!ring.supports(
          IoUring.IORING_OP_READ,
          IoUring.IORING_OP_WRITE,
          IoUring.IORING_OP_READ_FIXED,
          IoUring.IORING_OP_WRITE_FIXED,
          IoUring.IORING_OP_FSYNC,
          IoUring.IORING_OP_FALLOCATE)) {
        throw new ErrnoException(
            "io_uring_register",
            "IORING_REGISTER_PROBE",
            Errnos.EOPNOTSUPP,
            "the kernel is older than 5.6");
      }
      fixedFile = ring.registerFile(fd) >= 0;
      // Without it (limit of locked memory) every request pins its pages itself: slower, not
      // different; see toString().
      fixedBuffer = ring.registerBuffer(buffers) >= 0;
    } catch (ErrnoException | RuntimeException e) {
      ring.close();
      throw e;
    }
    operation = new Operation[slots];
    offset = new long[slots];
    address = new long[slots];
    length = new long[slots];
    done = new long[slots];
    sends = new int[slots];
    generation = new int[slots];
    callback = new Callback[slots];
    tag = new long[slots];
    result = new int[slots];
    waiter = new Thread[slots];
    state = new AtomicIntegerArray(slots);
    free = new int[depth];
    refused = new int[slots];
    for (int i = 0; i < depth; i++) {
      free[i] = depth - 1 - i;
      callback[i] = NOBODY;
      operation[i] = Operation.FLUSH;
    }
    callback[depth] = NOBODY;
    operation[depth] = Operation.FLUSH;
    freeCount = depth;
    reaper = Thread.ofPlatform().daemon().name("blockio " + name).unstarted(this::reap);
  }

  /** Starts the thread that reads completions. */
  UringBlockDevice started() {
    reaper.start();
    return this;
  }

  @Override
  public int queueDepth() {
    return depth;
  }

  @Override
  public int inFlight() {
    lock.lock();
    try {
      return inFlight;
    } finally {
      lock.unlock();
    }
  }

  // ---- submission ----

  @Override
  void start(Operation op, long at, long memory, long bytes, Callback whom, long mark)
      throws IOException {
    lock.lock();
    try {
      int slot = takeSlotLocked();
      callback[slot] = whom;
      tag[slot] = mark;
      fillLocked(slot, CALLS_BACK, op, at, memory, bytes);
      if (plugged == 0 || freeCount == 0) {
        submitLocked();
      }
    } finally {
      lock.unlock();
    }
    deliverRefused();
  }

  @Override
  int run(Operation op, long at, long memory, long bytes) throws IOException {
    if (Thread.currentThread().equals(reaper)) {
      throw new IllegalStateException(
          name + ": a callback must not wait for a request, which only its own thread could end");
    }
    int slot;
    lock.lock();
    try {
      slot = takeSlotLocked();
      waiter[slot] = Thread.currentThread();
      fillLocked(slot, WAITED_FOR, op, at, memory, bytes);
      submitLocked();
    } finally {
      lock.unlock();
    }
    deliverRefused();
    return waitFor(slot, timeoutNanos);
  }

  /**
   * Waits for the end of a slot's request and gives the slot back; on a time-out the reaper will.
   */
  private int waitFor(int slot, long nanos) {
    long deadline = System.nanoTime() + nanos;
    boolean interrupted = false;
    while (state.get(slot) == WAITED_FOR) {
      long left = deadline - System.nanoTime();
      if (left <= 0 && state.compareAndSet(slot, WAITED_FOR, ABANDONED)) {
        restoreInterrupt(interrupted);
        return -Errnos.ETIMEDOUT;
      }
      LockSupport.parkNanos(this, left);
      // The request goes on whatever happens to this thread, and its memory with it: an interrupt
      // waits.
      interrupted |= Thread.interrupted();
    }
    int ended = result[slot];
    lock.lock();
    try {
      releaseLocked(slot);
    } finally {
      lock.unlock();
    }
    restoreInterrupt(interrupted);
    return ended;
  }

  private static void restoreInterrupt(boolean interrupted) {
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private int takeSlotLocked() throws IOException {
    requireUsableLocked();
    if (Thread.currentThread().equals(reaper)) {
      if (spare >= 0) {
        int slot = spare;
        spare = -1;
        return slot;
      }
      if (freeCount == 0) {
        throw new IllegalStateException(
            name + ": the queue is full, and a callback may start only one request more");
      }
    }
    while (freeCount == 0) {
      if (ring.placed() > 0) {
        submitLocked(); // what is plugged would otherwise wait for us, and we for it
      }
      if (refusedCount > 0) {
        lock.unlock();
        try {
          deliverRefused();
        } finally {
          lock.lock();
        }
      } else {
        slotFreed.awaitUninterruptibly();
      }
      requireUsableLocked();
    }
    return free[--freeCount];
  }

  private void requireUsableLocked() throws IOException {
    if (broken != null) {
      throw new IOException(name + " can do no I/O any more: " + broken.getMessage(), broken);
    }
    if (frozen) {
      throw new FrozenException(name);
    }
  }

  private void fillLocked(int slot, int newState, Operation op, long at, long memory, long bytes) {
    operation[slot] = op;
    offset[slot] = at;
    address[slot] = memory;
    length[slot] = bytes;
    done[slot] = 0;
    sends[slot] = 0;
    generation[slot]++;
    state.set(slot, newState); // publishes the slot: the reaper reads this first
    inFlight++;
    placeLocked(slot);
  }

  private static long userData(int slot, int generation) {
    return (long) generation << 32 | slot;
  }

  private void placeLocked(int slot) {
    sends[slot]++;
    Operation op = operation[slot];
    int flags = fixedFile ? IoUring.IOSQE_FIXED_FILE : 0;
    int file = fixedFile ? 0 : fd;
    long mark = userData(slot, generation[slot]);
    long from = offset[slot] + done[slot];
    long memory = address[slot] + done[slot];
    int left = (int) (length[slot] - done[slot]);
    switch (op) {
      case READ ->
          ring.place(
              fixedBuffer ? IoUring.IORING_OP_READ_FIXED : IoUring.IORING_OP_READ,
              flags,
              file,
              from,
              memory,
              left,
              0,
              mark);
      case WRITE, WRITE_THROUGH ->
          ring.place(
              fixedBuffer ? IoUring.IORING_OP_WRITE_FIXED : IoUring.IORING_OP_WRITE,
              flags,
              file,
              from,
              memory,
              left,
              op == Operation.WRITE ? 0 : Files.RWF_DSYNC,
              mark);
      case FLUSH ->
          ring.place(
              IoUring.IORING_OP_FSYNC, flags, file, 0, 0, 0, IoUring.IORING_FSYNC_DATASYNC, mark);
      // IORING_OP_FALLOCATE has the length where others have the address, and the mode where others
      // have the length.
      case DISCARD ->
          ring.place(
              IoUring.IORING_OP_FALLOCATE,
              flags,
              file,
              from,
              length[slot],
              Files.FALLOC_FL_PUNCH_HOLE | Files.FALLOC_FL_KEEP_SIZE,
              0,
              mark);
      case ZERO ->
          ring.place(
              IoUring.IORING_OP_FALLOCATE,
              flags,
              file,
              from,
              length[slot],
              Files.FALLOC_FL_ZERO_RANGE | Files.FALLOC_FL_KEEP_SIZE,
              0,
              mark);
    }
  }

  private void submitLocked() {
    while (ring.placed() > 0) {
      int taken = ring.submit();
      if (taken == -Errnos.EINTR) {
        continue; // nothing was taken
      }
      if (taken == -Errnos.EAGAIN && inFlightInKernelLocked()) {
        return; // short of memory for requests: the reaper sends them when one has ended
      }
      if (taken <= 0) {
        failPlacedLocked(taken == 0 ? -Errnos.EIO : taken);
        return;
      }
    }
  }

  private boolean inFlightInKernelLocked() {
    return inFlight > ring.placed();
  }

  /** The kernel refuses to take anything: what is placed ends with its error. */
  private void failPlacedLocked(int error) {
    while (ring.placed() > 0) {
      long mark = ring.takeBack();
      if (mark == WAKE_UP) {
        continue;
      }
      int slot = (int) mark;
      result[slot] = error;
      if (state.get(slot) == CALLS_BACK) {
        refused[refusedCount++] = slot;
      } else {
        inFlightEndedLocked();
        if (!endWaited(slot)) {
          releaseLocked(slot);
        }
      }
    }
  }

  /**
   * Calls back for the refused requests, without the lock. Only one thread does so at a time: a
   * callback that starts a request which is refused as well comes back here, and leaves it to the
   * loop it was called from.
   */
  private void deliverRefused() {
    while (true) {
      Callback whom;
      long mark;
      int error;
      lock.lock();
      try {
        if (refusedCount == 0 || delivering) {
          return;
        }
        int slot = refused[--refusedCount];
        whom = callback[slot];
        mark = tag[slot];
        error = result[slot];
        releaseLocked(slot);
        delivering = true;
      } finally {
        lock.unlock();
      }
      call(whom, mark, error);
      lock.lock();
      try {
        delivering = false;
        inFlightEndedLocked();
      } finally {
        lock.unlock();
      }
    }
  }

  // ---- completion ----

  private void reap() {
    try {
      boolean goOn = true;
      while (goOn) {
        int ready = ring.await();
        if (ready < 0 && ready != -Errnos.EINTR) {
          throw new ErrnoException("io_uring_enter", name + ", IORING_ENTER_GETEVENTS", -ready, "");
        }
        goOn = drainCompletions();
      }
    } catch (ErrnoException | RuntimeException | Error e) {
      breakDown(new IOException("the completion reader stopped: " + e, e));
    }
  }

  /** Returns whether to go on. */
  private boolean drainCompletions() {
    boolean goOn = true;
    int head = ring.completionHead();
    try {
      while (true) {
        int end = ring.completionTail();
        if (head == end) {
          break;
        }
        for (; head != end; head++) {
          long mark = ring.completionUserData(head);
          if (mark == WAKE_UP) {
            goOn = false;
          } else {
            complete(mark, ring.completionResult(head));
          }
        }
      }
    } finally {
      ring.releaseCompletions(head);
    }
    lock.lock();
    try {
      if (plugged == 0) {
        submitLocked(); // the rest of short transfers, and what EAGAIN left behind
      }
    } finally {
      lock.unlock();
    }
    deliverRefused();
    return goOn;
  }

  private void complete(long mark, int got) {
    int slot = (int) mark;
    if (slot < 0
        || slot > depth
        || state.get(slot) == FREE
        || mark != userData(slot, generation[slot])) {
      throw new IllegalStateException(
          name + ": a completion with user data 0x" + Long.toHexString(mark) + " is nobody's");
    }
    int ended = outcome(slot, got);
    if (ended > 0) {
      lock.lock();
      try {
        placeLocked(slot);
      } finally {
        lock.unlock();
      }
      return;
    }
    finish(slot, ended);
  }

  /** The request's result, or 1 if it must be sent again. */
  private int outcome(int slot, int got) {
    if (got == -Errnos.EINTR || got == -Errnos.EAGAIN) {
      return sends[slot] < MAX_SENDS ? 1 : got;
    }
    if (got < 0 || !operation[slot].transfers()) {
      return Math.min(got, 0);
    }
    done[slot] += got;
    if (done[slot] == length[slot]) {
      return 0;
    }
    // A transfer that stops within a block, or makes no progress, has met the end of something: an
    // error, not a short transfer.
    if (got == 0 || (got & (blockSize() - 1)) != 0 || sends[slot] >= MAX_SENDS) {
      return -Errnos.EIO;
    }
    return 1;
  }

  private void finish(int slot, int ended) {
    result[slot] = ended;
    if (state.get(slot) == CALLS_BACK) {
      Callback whom = callback[slot];
      long mark = tag[slot];
      callback[slot] = NOBODY;
      state.set(slot, FREE);
      spare = slot == depth ? -1 : slot;
      call(whom, mark, ended);
      lock.lock();
      try {
        if (spare >= 0) {
          releaseLocked(spare);
          spare = -1;
        }
        inFlightEndedLocked();
      } finally {
        lock.unlock();
      }
      return;
    }
    lock.lock();
    try {
      inFlightEndedLocked(); // before the waiting thread goes on and looks
    } finally {
      lock.unlock();
    }
    if (!endWaited(slot)) {
      lock.lock();
      try {
        releaseLocked(slot);
      } finally {
        lock.unlock();
      }
    }
  }

  /** Wakes the waiting thread; false if it has given up. */
  private boolean endWaited(int slot) {
    Thread thread = waiter[slot];
    if (!state.compareAndSet(slot, WAITED_FOR, ENDED)) {
      return false;
    }
    LockSupport.unpark(thread);
    return true;
  }

  private static void call(Callback whom, long mark, int ended) {
    try {
      whom.completed(mark, ended);
    } catch (RuntimeException | Error e) {
      // A callback's bug must not stop the others' completions; it is reported where a thread's
      // death would be.
      Thread thread = Thread.currentThread();
      thread.getUncaughtExceptionHandler().uncaughtException(thread, e);
    }
  }

  private void releaseLocked(int slot) {
    callback[slot] = NOBODY;
    waiter[slot] = null;
    state.set(slot, FREE);
    if (slot < depth) {
      free[freeCount++] = slot;
      slotFreed.signal();
    }
  }

  private void inFlightEndedLocked() {
    if (--inFlight == 0) {
      drained.signalAll();
    }
  }

  /**
   * No completion will ever come: what is under way stays counted as such, and whoever waits runs
   * into its time-out.
   */
  private void breakDown(IOException why) {
    lock.lock();
    try {
      broken = why;
      slotFreed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  // ---- batches, cancellation, end ----

  @Override
  public void plug() {
    lock.lock();
    try {
      plugged++;
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void unplug() {
    lock.lock();
    try {
      if (plugged == 0) {
        throw new IllegalStateException(name + ": unplug without plug");
      }
      if (--plugged == 0) {
        submitLocked();
      }
    } finally {
      lock.unlock();
    }
    deliverRefused();
  }

  @Override
  public int cancel(long mark) {
    int told = 0;
    for (int slot = 0; slot < depth; slot++) {
      long userData = 0;
      lock.lock();
      try {
        boolean match = state.get(slot) == CALLS_BACK && tag[slot] == mark;
        if (match) {
          submitLocked(); // only what the kernel has can be cancelled there
          userData = userData(slot, generation[slot]);
        }
        if (!match) {
          continue;
        }
      } finally {
        lock.unlock();
      }
      int answer = ring.cancel(userData);
      if (answer >= 0 || answer == -Errnos.EALREADY || answer == -Errnos.ETIME) {
        told++;
      }
    }
    return told;
  }

  @Override
  public FreezeReport freeze(Duration deadline) {
    long end = System.nanoTime() + deadline.toNanos();
    frozen = true;
    boolean locked = tryLock(end);
    if (!locked) {
      // Someone sits in the kernel with the lock: the number may be one off, the verdict is not.
      return report.set(false, Math.max(1, inFlight), false, false);
    }
    boolean flush = false;
    try {
      slotFreed.signalAll();
      plugged = 0;
      submitLocked();
      awaitDrainedLocked(end);
      if (inFlight == 0 && broken == null && state.get(depth) == FREE) {
        waiter[depth] = Thread.currentThread();
        fillLocked(depth, WAITED_FOR, Operation.FLUSH, 0, 0, 0);
        submitLocked();
        flush = true;
      }
      if (!flush) {
        return report.set(inFlight == 0, inFlight, false, false);
      }
    } finally {
      lock.unlock();
    }
    boolean flushed = waitFor(depth, end - System.nanoTime()) == 0;
    return report.set(true, 0, true, flushed);
  }

  private boolean tryLock(long end) {
    boolean interrupted = false;
    boolean locked = lock.tryLock();
    while (!locked) {
      long left = end - System.nanoTime();
      if (left <= 0) {
        break;
      }
      try {
        locked = lock.tryLock(left, TimeUnit.NANOSECONDS);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    restoreInterrupt(interrupted);
    return locked;
  }

  private void awaitDrainedLocked(long end) {
    boolean interrupted = false;
    long left = end - System.nanoTime();
    while (inFlight > 0 && left > 0 && broken == null) {
      try {
        left = drained.awaitNanos(left);
      } catch (InterruptedException e) {
        interrupted = true;
        left = end - System.nanoTime();
      }
    }
    restoreInterrupt(interrupted);
  }

  @Override
  public void close() throws IOException {
    if (Thread.currentThread().equals(reaper)) {
      throw new IllegalStateException(name + ": a callback must not close its own device");
    }
    frozen = true;
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
      slotFreed.signalAll();
      plugged = 0;
      submitLocked();
      awaitDrainedLocked(System.nanoTime() + timeoutNanos);
      if (inFlight > 0) {
        throw new IOException(
            name
                + ": "
                + inFlight
                + " requests have not ended; the device stays open and its memory is kept, because"
                + " it may still be written to");
      }
      ring.place(IoUring.IORING_OP_NOP, 0, -1, 0, 0, 0, 0, WAKE_UP);
      submitLocked();
    } finally {
      lock.unlock();
    }
    boolean interrupted = false;
    while (true) {
      try {
        reaper.join();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    restoreInterrupt(interrupted);
    ring.close();
    arena.close();
    Errno.check(Linux.close(fd), "close", name, "an earlier write may have failed");
  }

  @Override
  public String toString() {
    return name
        + ": io_uring, queue depth "
        + depth
        + (fixedFile ? ", registered file" : "")
        + (fixedBuffer ? ", registered buffers" : ", buffers not registered (see ulimit -l)")
        + ", in flight "
        + inFlight();
  }
}
