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
import org.mxfs.bindings.linux.Linux;

/**
 * A device on an io_uring that any thread may use.
 *
 * <p><b>Who does what.</b> Submitting threads share the submission ring under {@link #lock}. The
 * completion ring belongs to whoever <em>drives</em>: the thread that waits in the kernel for
 * completions. A thread that waits for its own request drives if nobody else does, so that a single
 * user pays for no second thread; else the device's own thread, the reaper, drives. Callbacks run
 * on the reaper only, because they may need locks that a thread with a request of its own holds: a
 * driving thread that meets the end of such a request hands it over.
 *
 * <p><b>Life of a slot</b>, {@link #state}: changed under the lock; what is in the slot belongs to
 * whoever took it until it is placed in the ring, then to the driving thread.
 */
final class UringBlockDevice extends AbstractBlockDevice {
  private static final int FREE = 0;

  /** In the kernel; its callback will be told. */
  private static final int CALLS_BACK = 1;

  /** In the kernel; a thread waits. */
  private static final int WAITED_FOR = 2;

  /** In the kernel; the thread that waited has given up. */
  private static final int ABANDONED = 3;

  /** Ended; the waiting thread has not looked yet. */
  private static final int ENDED = 4;

  /** Ended; the callback waits for the reaper. */
  private static final int TO_CALL = 5;

  /** In the kernel, past its deadline; the callback waits for the reaper. */
  private static final int EXPIRED = 6;

  /** As {@link #EXPIRED}, and then it ended. */
  private static final int EXPIRED_AND_ENDED = 7;

  /** In the kernel, past its deadline; its callback was told, and will be told of its end. */
  private static final int LATE = 8;

  /** As {@link #LATE}, and then it ended; the callback waits for the reaper. */
  private static final int TO_RELEASE = 9;

  /** In the kernel when the ring broke; the callback waits for the reaper. */
  private static final int LOST_TO_CALL = 10;

  /** In the kernel when the ring broke; whoever wanted it knows. It never ends. */
  private static final int LOST = 11;

  /**
   * How long {@link #freeze} leaves between two tries for the lock. Queueing for it would allocate.
   */
  private static final long LOCK_PAUSE_NANOS = 50_000;

  private final int fd;
  private final Arena arena;
  private final RingRequests requests;
  final Ring ring;
  private final int depth;
  private final Thread reaper;
  private final FreezeReport report = new FreezeReport();

  /** Guards the submission ring and everything below. Callbacks are called without it. */
  private final ReentrantLock lock = new ReentrantLock();

  private final Condition slotFreed = lock.newCondition();
  private final Condition rangeFreed = lock.newCondition();
  private final Condition drained = lock.newCondition();
  private final AtomicIntegerArray state;
  private final @Nullable Thread[] waiter;
  private final int[] free;
  private int freeCount;

  /** Requests whose end was not told yet. */
  private int inFlight;

  /** Requests that the kernel has not ended. */
  private int underWay;

  private int plugged;

  /** Slots whose callbacks wait for the reaper, oldest first: a ring buffer. */
  private final int[] toCall;

  private int firstToCall;
  private int toCallCount;
  private @Nullable Thread driver;
  private boolean reaperParked;

  /** No request with a callback has an earlier deadline. */
  private long nextDeadline = RingRequests.NO_DEADLINE;

  /** When the driving thread will come back by itself. */
  private long wakeAt;

  private volatile boolean frozen;
  private boolean closed;
  private boolean stopping;

  /** The last freeze came back with requests under way: of those nothing more is sent. */
  private volatile boolean undrained;

  private volatile @Nullable Thread freezer;
  private @Nullable IOException broken;

  /** Of {@link #inFlight}, those that will never end, because the ring broke. */
  private int lost;

  /** Threads that wait until a range may be changed. */
  private int waitingForRange;

  /** The slot whose callback is running, which that callback may use again; the reaper's own. */
  private int spare = -1;

  UringBlockDevice(
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
            Ring.Sharing.THREADS,
            fd,
            blockSize,
            buffers,
            depth,
            options.registeredBuffers());
    ring = requests.ring;
    state = new AtomicIntegerArray(requests.slots);
    waiter = new Thread[requests.slots];
    toCall = new int[requests.slots];
    free = new int[depth];
    for (int i = 0; i < depth; i++) {
      free[i] = depth - 1 - i;
    }
    freeCount = depth;
    reaper = Thread.ofPlatform().daemon().name("blockio " + name).unstarted(this::reap);
  }

  /** Starts the thread that calls back. */
  UringBlockDevice started() {
    reaper.start();
    return this;
  }

  private boolean isReaper() {
    return reaper.equals(Thread.currentThread());
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

  @Override
  public boolean mayStillUse(MemorySegment memory) {
    lock.lock();
    try {
      for (int slot = 0; slot < depth; slot++) {
        boolean givenUp =
            switch (state.get(slot)) {
              case ABANDONED, EXPIRED, LATE, LOST_TO_CALL, LOST -> true;
              default -> false;
            };
        if (givenUp && requests.uses(slot, memory)) {
          return true;
        }
      }
      return false;
    } finally {
      lock.unlock();
    }
  }

  // ---- submission

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
    long deadline = System.nanoTime() + timeoutNanos;
    lock.lock();
    try {
      int slot = takeSlotLocked(deadline, op, at, bytes);
      requests.callback[slot] = whom;
      requests.tag[slot] = mark;
      requests.deadline[slot] = deadline;
      beginLocked(slot, CALLS_BACK, op, at, memory, bytes, parts);
      if (deadline < nextDeadline) {
        nextDeadline = deadline;
        wakeDriverLocked(deadline);
      }
      if (plugged == 0 || freeCount == 0) {
        submitLocked();
      }
      wakeReaperLocked();
    } finally {
      lock.unlock();
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
    requireNotReaper("wait for a request");
    long deadline = System.nanoTime() + timeoutNanos;
    int slot;
    lock.lock();
    try {
      slot = takeSlotLocked(deadline, op, at, bytes);
      waiter[slot] = Thread.currentThread();
      beginLocked(slot, WAITED_FOR, op, at, memory, bytes, parts);
      submitLocked();
    } finally {
      lock.unlock();
    }
    return waitFor(slot, deadline);
  }

  private void requireNotReaper(String what) {
    if (isReaper()) {
      throw new IllegalStateException(
          name + ": a callback must not " + what + ": only its own thread could end that");
    }
  }

  private int takeSlotLocked(long deadline, Operation op, long at, long bytes) throws IOException {
    requireUsableLocked();
    if (isReaper()) {
      if (requests.overlap(op, at, bytes)) {
        throw Callbacks.refused(name, depth, false, at, bytes);
      }
      return takeSlotInCallbackLocked();
    }
    while (freeCount == 0 || requests.overlap(op, at, bytes)) {
      if (ring.placed() > 0) {
        submitLocked(); // what is plugged would otherwise wait for us, and we for it
        wakeReaperLocked();
      }
      awaitFreeSlotLocked(deadline, op, at, bytes);
      requireUsableLocked();
    }
    return free[--freeCount];
  }

  private int takeSlotInCallbackLocked() {
    if (spare >= 0) {
      int slot = spare;
      spare = -1;
      return slot;
    }
    if (freeCount == 0) {
      throw new IllegalStateException(
          name + ": the queue is full, and a callback may start only one request more");
    }
    return free[--freeCount];
  }

  private void awaitFreeSlotLocked(long deadline, Operation op, long at, long bytes)
      throws ErrnoException {
    boolean interrupted = false;
    long left = deadline - System.nanoTime();
    try {
      while ((freeCount == 0 || requests.overlap(op, at, bytes)) && !frozen && broken == null) {
        if (left <= 0) {
          throw Callbacks.refused(name, depth, freeCount == 0, at, bytes);
        }
        boolean forRange = freeCount > 0;
        if (forRange) {
          slotFreed.signal(); // there is a place, which this request cannot take yet
          waitingForRange++;
        }
        try {
          left = (forRange ? rangeFreed : slotFreed).awaitNanos(left);
        } catch (InterruptedException e) {
          interrupted = true;
          left = deadline - System.nanoTime();
        } finally {
          waitingForRange -= forRange ? 1 : 0;
        }
      }
    } finally {
      restoreInterrupt(interrupted);
    }
  }

  private static void restoreInterrupt(boolean interrupted) {
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void requireUsableLocked() throws IOException {
    if (broken != null) {
      throw Callbacks.broken(name, broken);
    }
    if (frozen) {
      throw new FrozenException(name);
    }
  }

  private void beginLocked(
      int slot,
      int newState,
      Operation op,
      long at,
      long memory,
      long bytes,
      MemorySegment @Nullable [] parts) {
    requests.fill(slot, op, at, memory, bytes, parts);
    state.set(slot, newState);
    inFlight++;
    underWay++;
    requests.place(slot);
  }

  private void submitLocked() {
    while (ring.placed() > 0) {
      int taken = ring.submit();
      if (taken == -Errnos.EINTR) {
        continue; // nothing was taken
      }
      boolean busy = taken == -Errnos.EAGAIN || taken == -Errnos.EBUSY;
      if (busy && underWay > ring.placed()) {
        return; // short of memory for requests: the driving thread sends them when one has ended
      }
      if (taken <= 0) {
        failPlacedLocked(Callbacks.refusal(taken));
        return;
      }
    }
  }

  /** The kernel refuses to take anything: what is placed ends with its error. */
  private void failPlacedLocked(int error) {
    while (ring.placed() > 0) {
      long mark = ring.takeBack();
      if (mark == RingRequests.WAKE_UP) {
        continue;
      }
      int ended = requests.completed(mark, error);
      if (ended != RingRequests.PENDING) {
        endLocked(RingRequests.slotOf(mark), ended);
      }
    }
    wakeReaperLocked();
  }

  // ---- driving

  /**
   * Waits for the end of a slot's request and gives the slot back; past the deadline, that is left
   * to the driving thread.
   */
  private int waitFor(int slot, long deadline) {
    boolean interrupted = false;
    while (state.get(slot) == WAITED_FOR) {
      long left = deadline - System.nanoTime();
      if (left <= 0 && abandon(slot)) {
        restoreInterrupt(interrupted);
        return -Errnos.ETIMEDOUT;
      }
      if (startDrivingFor(slot)) {
        driveOnce(deadline);
        stopDriving();
      } else if (state.get(slot) == WAITED_FOR) {
        LockSupport.parkNanos(this, left);
      }
      // The request goes on whatever happens to this thread, and its memory with it: an interrupt
      // waits.
      interrupted |= Thread.interrupted();
    }
    int ended;
    lock.lock();
    try {
      ended = requests.result[slot];
      if (state.get(slot) == ENDED) {
        releaseLocked(slot);
      }
    } finally {
      lock.unlock();
    }
    restoreInterrupt(interrupted);
    return ended;
  }

  private boolean abandon(int slot) {
    lock.lock();
    try {
      if (state.get(slot) != WAITED_FOR) {
        return false;
      }
      state.set(slot, ABANDONED);
      requests.placeCancel(slot);
      submitLocked();
      wakeReaperLocked();
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** A request that has ended meanwhile is no reason to drive: nothing might come any more. */
  private boolean startDrivingFor(int slot) {
    lock.lock();
    try {
      if (driver != null || broken != null || state.get(slot) != WAITED_FOR) {
        return false;
      }
      driver = Thread.currentThread();
      return true;
    } finally {
      lock.unlock();
    }
  }

  private void stopDriving() {
    lock.lock();
    try {
      driver = null;
      wakeReaperLocked();
      signalDrainedLocked();
    } finally {
      lock.unlock();
    }
  }

  /** Waits in the kernel until something ends, or until {@code until}, and takes in what ended. */
  private void driveOnce(long until) {
    try {
      long end;
      lock.lock();
      try {
        end = Math.min(until, nextDeadline);
        wakeAt = end;
      } finally {
        lock.unlock();
      }
      long limit =
          end == RingRequests.NO_DEADLINE ? Ring.FOR_EVER : Math.max(0, end - System.nanoTime());
      int got = ring.await(1, limit);
      if (got < 0 && got != -Errnos.EINTR && got != -Errnos.ETIME && got != -Errnos.EBUSY) {
        throw new ErrnoException("io_uring_enter", name + ", IORING_ENTER_GETEVENTS", -got, "");
      }
      takeCompletions();
      sendRestAndExpire();
    } catch (ErrnoException | RuntimeException | Error e) {
      breakDown(new IOException("reading completions failed: " + e, e));
    }
  }

  /** Makes the driving thread look at the deadlines again if it would sleep past this one. */
  private void wakeDriverLocked(long deadline) {
    boolean asleep = driver != null && !driver.equals(Thread.currentThread());
    if (!asleep || deadline >= wakeAt) {
      return;
    }
    if (!requests.hasRoomForExtra()) {
      submitLocked();
    }
    if (requests.hasRoomForExtra()) {
      requests.placeWakeUp();
      submitLocked();
    }
  }

  private void takeCompletions() {
    int head = ring.completionHead();
    while (true) {
      int end = ring.completionTail();
      if (head == end) {
        if (!ring.overflowed()) {
          return;
        }
        ring.await(0, 0); // brings in what found the ring full
        continue;
      }
      while (head != end) {
        long mark = ring.completionUserData(head);
        int got = ring.completionResult(head);
        head++;
        ring.releaseCompletions(head);
        complete(mark, got);
      }
    }
  }

  private void complete(long mark, int got) {
    if (mark == RingRequests.WAKE_UP) {
      return;
    }
    int slot = RingRequests.slotOf(mark);
    if (!requests.isCurrent(mark) || state.get(slot) == FREE) {
      throw new IllegalStateException(
          name + ": a completion with user data 0x" + Long.toHexString(mark) + " is nobody's");
    }
    boolean callBackNow;
    lock.lock();
    try {
      int ended = requests.completed(mark, got);
      if (ended == RingRequests.PENDING) {
        return;
      }
      if (ended == RingRequests.AGAIN) {
        if (!undrained && !isGivenUp(state.get(slot))) {
          requests.place(slot);
          return;
        }
        ended = -Errnos.EAGAIN;
      }
      callBackNow = isReaper() && state.get(slot) == CALLS_BACK && toCallCount == 0;
      if (callBackNow) {
        takenInLocked(slot, ended);
      } else {
        endLocked(slot, ended);
      }
    } finally {
      lock.unlock();
    }
    if (callBackNow) {
      callBack(slot);
    }
  }

  /** Nobody counts on it any more, so nothing more of it is sent. */
  private static boolean isGivenUp(int state) {
    return switch (state) {
      case ABANDONED, EXPIRED, LATE -> true;
      default -> false;
    };
  }

  /** A request has ended; whoever wants to know is told. */
  private void endLocked(int slot, int ended) {
    takenInLocked(slot, ended);
    switch (state.get(slot)) {
      case CALLS_BACK -> {
        state.set(slot, TO_CALL);
        addToCallLocked(slot);
      }
      case WAITED_FOR -> {
        Thread thread = waiter[slot];
        toldLocked(); // before the waiting thread goes on and looks
        state.set(slot, ENDED);
        LockSupport.unpark(thread);
      }
      case EXPIRED -> state.set(slot, EXPIRED_AND_ENDED);
      case LATE -> {
        state.set(slot, TO_RELEASE);
        addToCallLocked(slot);
      }
      default -> {
        toldLocked();
        releaseLocked(slot);
      }
    }
  }

  private void takenInLocked(int slot, int ended) {
    requests.result[slot] = ended;
    underWay--;
    requests.ended(slot);
    if (waitingForRange > 0) {
      rangeFreed.signalAll(); // one of them may wait for just this range
    }
  }

  private void addToCallLocked(int slot) {
    toCall[(firstToCall + toCallCount) % toCall.length] = slot;
    toCallCount++;
  }

  private void releaseLocked(int slot) {
    requests.callback[slot] = RingRequests.NOBODY;
    requests.deadline[slot] = RingRequests.NO_DEADLINE;
    waiter[slot] = null;
    state.set(slot, FREE);
    if (slot < depth) {
      free[freeCount++] = slot;
      slotFreed.signal();
    }
  }

  private void toldLocked() {
    inFlight--;
    signalDrainedLocked();
  }

  private void signalDrainedLocked() {
    if (inFlight == lost) {
      drained.signalAll();
      LockSupport.unpark(freezer);
    }
  }

  /** The rest of short transfers, what EAGAIN left behind, and the requests past their deadline. */
  private void sendRestAndExpire() {
    lock.lock();
    try {
      if (nextDeadline != RingRequests.NO_DEADLINE) {
        expireLocked(System.nanoTime());
      }
      if (plugged == 0) {
        submitLocked();
      }
      wakeReaperLocked();
    } finally {
      lock.unlock();
    }
  }

  private void expireLocked(long now) {
    if (now < nextDeadline) {
      return;
    }
    nextDeadline = RingRequests.NO_DEADLINE;
    for (int slot = 0; slot < depth; slot++) {
      if (state.get(slot) != CALLS_BACK) {
        continue;
      }
      if (requests.deadline[slot] <= now) {
        state.set(slot, EXPIRED);
        addToCallLocked(slot);
        requests.placeCancel(slot);
      } else {
        nextDeadline = Math.min(nextDeadline, requests.deadline[slot]);
      }
    }
  }

  /**
   * No completion will ever come: whoever waits for one is told so. What is under way stays counted
   * as such, and its memory stays in use.
   */
  private void breakDown(IOException why) {
    lock.lock();
    try {
      if (broken != null) {
        return;
      }
      broken = why;
      for (int slot = 0; slot < requests.slots; slot++) {
        loseLocked(slot);
      }
      slotFreed.signalAll();
      rangeFreed.signalAll();
      drained.signalAll();
      LockSupport.unpark(freezer);
      wakeReaperLocked();
    } finally {
      lock.unlock();
    }
  }

  private void loseLocked(int slot) {
    switch (state.get(slot)) {
      case CALLS_BACK -> {
        lost++;
        requests.result[slot] = -Errnos.ENOTRECOVERABLE;
        state.set(slot, LOST_TO_CALL);
        addToCallLocked(slot);
      }
      case WAITED_FOR -> {
        lost++;
        requests.result[slot] = -Errnos.ENOTRECOVERABLE;
        state.set(slot, LOST);
        LockSupport.unpark(waiter[slot]);
      }
      case ABANDONED, EXPIRED, LATE -> lost++;
      default -> {} // free, or ended before: it will be told how
    }
  }

  // ---- the device's own thread

  private void reap() {
    while (awaitWork()) {
      deliver();
      if (startDrivingForOthers()) {
        driveOnce(RingRequests.NO_DEADLINE);
        stopDriving();
      }
    }
  }

  /** Returns false when the device was closed. */
  private boolean awaitWork() {
    lock.lock();
    try {
      while (!stopping) {
        if (toCallCount > 0 || mustDriveLocked()) {
          if (plugged == 0) {
            submitLocked();
          }
          return true;
        }
        // Not a condition: waiting on one allocates, and this is once per request of a slow user.
        reaperParked = true;
        lock.unlock();
        try {
          LockSupport.park(this);
        } finally {
          lock.lock();
        }
        reaperParked = false;
      }
      return false;
    } finally {
      lock.unlock();
    }
  }

  private boolean mustDriveLocked() {
    return driver == null && underWay > 0 && broken == null;
  }

  private void wakeReaperLocked() {
    if (reaperParked && (stopping || toCallCount > 0 || mustDriveLocked())) {
      reaperParked = false;
      LockSupport.unpark(reaper);
    }
  }

  private boolean startDrivingForOthers() {
    lock.lock();
    try {
      if (!mustDriveLocked()) {
        return false;
      }
      driver = Thread.currentThread();
      return true;
    } finally {
      lock.unlock();
    }
  }

  private void deliver() {
    while (true) {
      int slot;
      lock.lock();
      try {
        if (toCallCount == 0) {
          return;
        }
        slot = toCall[firstToCall];
        firstToCall = (firstToCall + 1) % toCall.length;
        toCallCount--;
      } finally {
        lock.unlock();
      }
      switch (state.get(slot)) {
        case TO_CALL -> callBack(slot);
        case TO_RELEASE -> callBackReleased(slot);
        case LOST_TO_CALL -> callBackLost(slot);
        default -> callBackExpired(slot);
      }
    }
  }

  private void callBack(int slot) {
    Callback whom = requests.callback[slot];
    long mark = requests.tag[slot];
    spare = slot;
    Callbacks.callEnded(whom, mark, requests.result[slot]);
    toldAndFree();
  }

  private void callBackReleased(int slot) {
    Callback whom = requests.callback[slot];
    long mark = requests.tag[slot];
    spare = slot;
    Callbacks.callReleased(whom, mark, requests.result[slot]);
    toldAndFree();
  }

  /** A callback has returned, and the slot is free unless it started another request in it. */
  private void toldAndFree() {
    lock.lock();
    try {
      if (spare >= 0) {
        releaseLocked(spare);
        spare = -1;
      }
      toldLocked();
    } finally {
      lock.unlock();
    }
  }

  /** The slot stays taken for good, and its memory with it: the kernel may have the request. */
  private void callBackLost(int slot) {
    Callbacks.call(requests.callback[slot], requests.tag[slot], requests.result[slot]);
    state.set(slot, LOST);
  }

  /**
   * The slot stays taken until the kernel ends the request: its memory may be written until then.
   */
  private void callBackExpired(int slot) {
    Callbacks.call(requests.callback[slot], requests.tag[slot], -Errnos.ETIMEDOUT);
    lock.lock();
    try {
      if (state.get(slot) == EXPIRED) {
        state.set(slot, LATE);
        return;
      }
    } finally {
      lock.unlock();
    }
    callBackReleased(slot);
  }

  // ---- batches, cancellation, end

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
        wakeReaperLocked();
      }
    } finally {
      lock.unlock();
    }
  }

  @Override
  public int cancel(long mark) {
    int told = 0;
    for (int slot = 0; slot < depth; slot++) {
      long userData;
      lock.lock();
      try {
        if (state.get(slot) != CALLS_BACK || requests.tag[slot] != mark) {
          continue;
        }
        submitLocked(); // only what the kernel has can be cancelled there
        userData = requests.userData(slot);
      } finally {
        lock.unlock();
      }
      if (Callbacks.wasToldToEnd(ring.cancel(userData))) {
        told++;
      }
    }
    return told;
  }

  @Override
  public FreezeReport freeze(Duration deadline) {
    long end = after(System.nanoTime(), deadline);
    frozen = true;
    if (!tryLock(end)) {
      // Someone sits in the kernel with the lock: the number may be one off, the verdict is not.
      undrained = true;
      return report.set(false, Math.max(1, inFlight), false, false);
    }
    boolean locked = true;
    try {
      if (closed) {
        return report.set(inFlight == 0, inFlight, false, false);
      }
      slotFreed.signalAll();
      rangeFreed.signalAll();
      plugged = 0;
      submitLocked();
      wakeReaperLocked();
      locked = awaitDrainedLocked(end);
      undrained = !locked || inFlight > 0;
      if (!locked) {
        return report.set(false, Math.max(1, inFlight), false, false);
      }
      if (inFlight > 0 || broken != null || state.get(depth) != FREE) {
        return report.set(inFlight == 0, inFlight, false, false);
      }
      waiter[depth] = Thread.currentThread();
      beginLocked(depth, WAITED_FOR, Operation.FLUSH, 0, 0, 0, null);
      wakeReaperLocked(); // which sends it: this thread enters the kernel for nothing it could hang
      // in
    } finally {
      if (locked) {
        lock.unlock();
      }
    }
    boolean flushed = waitForFlush(end) == 0;
    return report.set(true, 0, true, flushed);
  }

  /** {@link #waitFor} for a thread that must not enter the ring itself. */
  private int waitForFlush(long end) {
    boolean interrupted = false;
    while (state.get(depth) == WAITED_FOR) {
      long left = end - System.nanoTime();
      if (left <= 0) {
        if (!tryLock(end)) {
          break;
        }
        try {
          if (state.get(depth) == WAITED_FOR) {
            state.set(depth, ABANDONED);
            break;
          }
        } finally {
          lock.unlock();
        }
      } else {
        LockSupport.parkNanos(this, left);
        interrupted |= Thread.interrupted();
      }
    }
    int ended = -Errnos.ETIMEDOUT;
    if (state.get(depth) == ENDED && tryLock(end)) {
      try {
        ended = requests.result[depth];
        releaseLocked(depth);
      } finally {
        lock.unlock();
      }
    }
    restoreInterrupt(interrupted);
    return ended;
  }

  private boolean tryLock(long end) {
    boolean locked = lock.tryLock();
    boolean interrupted = false;
    while (!locked && System.nanoTime() < end) {
      LockSupport.parkNanos(this, LOCK_PAUSE_NANOS);
      interrupted |= Thread.interrupted();
      locked = lock.tryLock();
    }
    restoreInterrupt(interrupted);
    return locked;
  }

  /**
   * Waits without a queue node of a condition or of the lock: nothing is allocated.
   *
   * @return whether the lock is held again; it is not where somebody sat in the kernel with it
   *     until {@code end}
   */
  private boolean awaitDrainedLocked(long end) {
    boolean interrupted = false;
    boolean locked = true;
    long left = end - System.nanoTime();
    while (locked && inFlight > lost && left > 0) {
      // A second thread that freezes at the same time is not woken; it looks again soon.
      boolean woken = freezer == null || freezer.equals(Thread.currentThread());
      if (woken) {
        freezer = Thread.currentThread();
      }
      lock.unlock();
      LockSupport.parkNanos(this, woken ? left : Math.min(left, LOCK_PAUSE_NANOS));
      interrupted |= Thread.interrupted();
      locked = tryLock(end);
      left = end - System.nanoTime();
    }
    // Also without the lock: as long as it is this thread, no other one sets it.
    if (Thread.currentThread().equals(freezer)) {
      freezer = null;
    }
    restoreInterrupt(interrupted);
    return locked;
  }

  @Override
  public void close() throws IOException {
    requireNotReaper("close its own device");
    frozen = true;
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
      slotFreed.signalAll();
      rangeFreed.signalAll();
      plugged = 0;
      submitLocked();
      wakeReaperLocked();
      awaitIdleLocked(after(System.nanoTime(), timeout()));
      if (inFlight > 0) {
        throw new IOException(Callbacks.notEnded(name, inFlight));
      }
      stopping = true;
      wakeReaperLocked();
    } finally {
      lock.unlock();
    }
    joinReaper();
    ring.close();
    arena.close();
    Errno.check(Linux.close(fd), "close", name, "an earlier write may have failed");
  }

  private void awaitIdleLocked(long end) {
    boolean interrupted = false;
    long left = end - System.nanoTime();
    while ((inFlight > lost || driver != null) && left > 0) {
      try {
        left = drained.awaitNanos(left);
      } catch (InterruptedException e) {
        interrupted = true;
        left = end - System.nanoTime();
      }
    }
    restoreInterrupt(interrupted);
  }

  private void joinReaper() {
    boolean interrupted = false;
    while (reaper.isAlive()) {
      try {
        TimeUnit.NANOSECONDS.timedJoin(reaper, timeout().toNanos());
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    restoreInterrupt(interrupted);
  }

  @Override
  public String toString() {
    return name
        + ": io_uring, queue depth "
        + depth
        + ", "
        + requests
        + ", in flight "
        + inFlight();
  }
}
