// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.Mapping;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Files;
import org.mxfs.bindings.linux.IoUring;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Memory;
import org.mxfs.bindings.linux.Processes;

/**
 * What happens when requests do not end. The file behind the ring is an event counter: a read from
 * it hangs in the kernel until something is written, which is as close to a dead disk as a machine
 * without one comes.
 */
@Timeout(60)
class UringBlockDeviceTest {
  private static final int BLOCK = 512;

  @TempDir Path dir;

  /** A "disk" whose reads hang until {@link #release}. */
  private static final class Hanging {
    final UringBlockDevice device;
    private final int fd;

    Hanging(int depth, Duration timeout) throws ErrnoException {
      this(
          Errno.check(
              Linux.eventfd2(0, Processes.EFD_CLOEXEC | Processes.EFD_SEMAPHORE), "eventfd", ""),
          depth,
          timeout);
    }

    Hanging(int fd, int depth, Duration timeout) throws ErrnoException {
      this.fd = fd;
      Arena arena = Arena.ofShared();
      MemorySegment buffers =
          Mapping.map(
              arena,
              -1,
              0,
              1 << 16,
              Memory.PROT_READ | Memory.PROT_WRITE,
              Memory.MAP_PRIVATE | Memory.MAP_ANONYMOUS);
      device =
          new UringBlockDevice(
                  "hanging",
                  fd,
                  1 << 20,
                  BLOCK,
                  arena,
                  buffers,
                  BlockDevices.Options.DEFAULT.withQueueDepth(depth).withTimeout(timeout))
              .started();
    }

    MemorySegment memory(int i) {
      return device.buffers().asSlice((long) i * BLOCK, BLOCK);
    }

    /** From now on writes hang too: the counter is at its end. */
    void fill() {
      set(-2);
    }

    /** Ends the writes that hang: a counter takes numbers, and a block is none, which is EINVAL. */
    void drainOne() throws IOException {
      try (Arena arena = Arena.ofConfined()) {
        assertThat(Linux.read(fd, arena.allocate(Long.BYTES), Long.BYTES)).isEqualTo(8);
      }
    }

    private void set(long value) {
      try (Arena arena = Arena.ofConfined()) {
        assertThat(Linux.write(fd, arena.allocateFrom(ValueLayout.JAVA_LONG, value), Long.BYTES))
            .isEqualTo(8);
      }
    }

    /** Makes the next completion one that belongs to no request: the ring cannot be trusted. */
    void breakRing() {
      device.ring.place(IoUring.IORING_OP_NOP, 0, -1, 0, 0, 0, 0, 0x7777_0000_0001L);
      assertThat(device.ring.submit()).isEqualTo(1);
    }

    /** Ends {@code count} reads; each has got 8 bytes of a block, which is an error. */
    void release(int count) {
      try (Arena arena = Arena.ofConfined()) {
        assertThat(Linux.write(fd, arena.allocateFrom(ValueLayout.JAVA_LONG, count), Long.BYTES))
            .isEqualTo(8);
      }
    }
  }

  @Test
  void aFreezeReturnsByItsDeadlineAndCountsWhatIsLost() throws Exception {
    Hanging h = new Hanging(8, Duration.ofSeconds(20));
    BlockingQueue<Integer> results = new LinkedBlockingQueue<>();
    for (int i = 0; i < 3; i++) {
      h.device.read(0, h.memory(i), (tag, result) -> results.add(result), i);
    }
    long before = System.nanoTime();
    FreezeReport report = h.device.freeze(Duration.ofMillis(200));
    long millis = (System.nanoTime() - before) / 1_000_000;
    assertThat(report)
        .hasToString("drained=false inFlight=3 flushIssued=false flushCompleted=false");
    assertThat(millis).isBetween(195L, 5_000L);
    h.release(3);
    for (int i = 0; i < 3; i++) {
      assertThat(results.poll(20, TimeUnit.SECONDS)).isEqualTo(-Errnos.EIO);
    }
    report = h.device.freeze(Duration.ofSeconds(20));
    assertThat(report.drained()).isTrue();
    assertThat(report.flushIssued()).isTrue();
    assertThat(report.flushCompleted())
        .as("an event counter has nothing to flush: EINVAL")
        .isFalse();
    h.device.close();
  }

  /** A pipe gives what it has, which may be less than was asked for. */
  @Test
  void nothingIsSentAfterAFreezeThatCameBackUndrained() throws Exception {
    Path pipe = dir.resolve("pipe");
    assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    try (RandomAccessFile writer = new RandomAccessFile(pipe.toFile(), "rw");
        Arena arena = Arena.ofConfined()) {
      int fd =
          Errno.check(
              Linux.openat(
                  Files.AT_FDCWD,
                  arena.allocateFrom(pipe.toString()),
                  Files.O_RDONLY | Files.O_CLOEXEC,
                  0),
              "open",
              pipe.toString());
      Hanging h = new Hanging(fd, 4, Duration.ofSeconds(20));
      BlockingQueue<Integer> results = new LinkedBlockingQueue<>();
      MemorySegment two = h.device.buffers().asSlice(0, 2 * BLOCK);
      // A short transfer is followed by the rest.
      h.device.read(0, two, (tag, result) -> results.add(result), 0);
      writer.write(new byte[BLOCK]);
      writer.write(new byte[BLOCK]);
      assertThat(results.poll(20, TimeUnit.SECONDS)).isZero();
      h.device.read(0, two, (tag, result) -> results.add(result), 0);
      assertThat(h.device.freeze(Duration.ofMillis(20)).drained()).isFalse();
      writer.write(new byte[BLOCK]);
      assertThat(results.poll(20, TimeUnit.SECONDS)).isEqualTo(-Errnos.EAGAIN);
      h.device.close();
    }
  }

  @Test
  void aRequestThatIsWaitedForTimesOutAndTheKernelIsAskedToEndIt() throws Exception {
    Hanging h = new Hanging(2, Duration.ofMillis(50));
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> h.device.read(0, h.memory(0)))
        .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.ETIMEDOUT))
        .withMessageContaining("outcome is unknown");
    while (h.device.inFlight() > 0) {
      Thread.onSpinWait();
    }
    h.device.close();
  }

  @Test
  void aRequestWithACallbackTimesOutByItsOwnLimitAndIsToldOnce() throws Exception {
    Hanging h = new Hanging(4, Duration.ofSeconds(20));
    BlockingQueue<Integer> results = new LinkedBlockingQueue<>();
    h.device.read(0, h.memory(0), (tag, result) -> results.add(result), 0);
    BlockDevice quick = h.device.withTimeout(Duration.ofMillis(50));
    assertThat(quick.timeout()).isEqualTo(Duration.ofMillis(50));
    for (int i = 1; i < 4; i++) {
      quick.read(0, h.memory(i), (tag, result) -> results.add(result), i);
    }
    for (int i = 1; i < 4; i++) {
      assertThat(results.poll(20, TimeUnit.SECONDS)).isEqualTo(-Errnos.ETIMEDOUT);
    }
    while (h.device.inFlight() > 1) {
      Thread.onSpinWait();
    }
    h.release(1);
    assertThat(results.poll(20, TimeUnit.SECONDS)).isEqualTo(-Errnos.EIO);
    quick.close();
    assertThat(results).isEmpty();
    assertThatExceptionOfType(FrozenException.class).isThrownBy(h.device::flush);
  }

  /** What a callback is told, in order. */
  private static final class Told implements BlockDevice.Callback {
    final BlockingQueue<String> words = new LinkedBlockingQueue<>();

    @Override
    public void completed(long tag, int result) {
      words.add(tag + " completed " + Errno.describe(-result).split(" ", 2)[0]);
    }

    @Override
    public void released(long tag, int result) {
      words.add(tag + " released " + Errno.describe(-result).split(" ", 2)[0]);
    }

    String next() throws InterruptedException {
      String word = words.poll(20, TimeUnit.SECONDS);
      return word == null ? "nothing" : word;
    }
  }

  @Test
  void whoWasToldOfATimeOutIsToldOnceWhenTheMemoryIsFreeAgain() throws Exception {
    Hanging h = new Hanging(4, Duration.ofSeconds(20));
    Told told = new Told();
    BlockDevice quick = h.device.withTimeout(Duration.ofMillis(50));
    quick.read(0, h.memory(0), told, 7);
    quick.read(0, new MemorySegment[] {h.memory(1), h.memory(3)}, told, 8);
    h.device.read(0, h.memory(2), told, 9);
    assertThat(h.device.mayStillUse(h.memory(2))).as("not given up").isFalse();
    List<String> words = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      words.add(told.next());
    }
    assertThat(words)
        .containsExactlyInAnyOrder(
            "7 completed ETIMEDOUT",
            "7 released ECANCELED",
            "8 completed ETIMEDOUT",
            "8 released ECANCELED")
        .containsSubsequence("7 completed ETIMEDOUT", "7 released ECANCELED")
        .containsSubsequence("8 completed ETIMEDOUT", "8 released ECANCELED");
    assertThat(h.device.mayStillUse(h.device.buffers())).isFalse();
    h.release(1);
    assertThat(told.next()).isEqualTo("9 completed EIO");
    h.device.close();
    assertThat(told.words).isEmpty();
  }

  @Test
  void aWriteWaitsForTheEndOfAnotherToItsRange() throws Exception {
    Hanging h = new Hanging(8, Duration.ofSeconds(20));
    h.fill();
    Told told = new Told();
    MemorySegment two = h.device.buffers().asSlice(0, 2 * BLOCK);
    h.device.write(BLOCK, two, told, 1);
    BlockDevice quick = h.device.withTimeout(Duration.ofMillis(50));
    for (long at : new long[] {0, 2 * BLOCK}) {
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> quick.write(at, two, told, 2))
          .withMessageContaining("EBUSY")
          .withMessageContaining("offset=" + at)
          .withMessageContaining("it was not sent");
    }
    assertThat(h.device.inFlight()).isEqualTo(1);
    h.device.write(0, h.memory(0), told, 3); // beside it
    h.device.write(3 * BLOCK, h.memory(0), told, 4);
    AtomicReference<@Nullable Throwable> outcome = new AtomicReference<>();
    Thread second =
        Thread.ofPlatform()
            .start(
                () -> {
                  try {
                    h.device.write(2 * BLOCK, h.memory(0));
                  } catch (IOException e) {
                    outcome.set(e);
                  }
                });
    while (second.getState() != Thread.State.TIMED_WAITING) {
      Thread.onSpinWait();
    }
    assertThat(h.device.inFlight()).isEqualTo(3);
    int reads = 0;
    while (second.isAlive() || told.words.size() < 3) {
      h.drainOne();
      reads++;
    }
    assertThat(reads).isPositive();
    assertThat(outcome.get()).as("sent in its turn").hasMessageContaining("EINVAL");
    assertThat(told.words)
        .containsExactlyInAnyOrder(
            "1 completed EINVAL", "3 completed EINVAL", "4 completed EINVAL");
    h.device.close();
  }

  @Test
  void aCallbackThatWouldWriteWhereALateWriteMayStillComeIsRefused() throws Exception {
    Hanging h = new Hanging(8, Duration.ofSeconds(20));
    h.fill();
    BlockingQueue<String> words = new LinkedBlockingQueue<>();
    BlockDevice.Callback again =
        new BlockDevice.Callback() {
          @Override
          public void completed(long tag, int result) {
            words.add("completed " + result);
            try {
              h.device.write(0, h.memory(0), (t, r) -> words.add("second " + r), 2);
            } catch (IOException e) {
              words.add(e.toString());
            }
          }

          @Override
          public void released(long tag, int result) {
            try {
              h.device.write(0, h.memory(0), (t, r) -> words.add("third " + r), 3);
            } catch (IOException e) {
              words.add(e.toString());
            }
          }
        };
    h.device.withTimeout(Duration.ofMillis(50)).write(0, h.memory(0), again, 1);
    assertThat(words.poll(20, TimeUnit.SECONDS)).isEqualTo("completed " + -Errnos.ETIMEDOUT);
    assertThat(words.poll(20, TimeUnit.SECONDS)).contains("EBUSY").contains("not sent");
    while (words.isEmpty()) {
      h.drainOne(); // the one that was started once the memory was free
    }
    assertThat(words.poll(20, TimeUnit.SECONDS)).isEqualTo("third " + -Errnos.EINVAL);
    h.device.close();
  }

  @Test
  void whenTheRingBreaksEveryoneIsToldAndNothingIsFreed() throws Exception {
    Hanging h = new Hanging(8, Duration.ofSeconds(20));
    Told told = new Told();
    for (int i = 0; i < 3; i++) {
      h.device.read(0, h.memory(i), told, i);
    }
    AtomicReference<@Nullable Throwable> outcome = new AtomicReference<>();
    Thread waiting =
        Thread.ofPlatform()
            .start(
                () -> {
                  try {
                    h.device.read(0, h.memory(3));
                  } catch (IOException e) {
                    outcome.set(e);
                  }
                });
    while (h.device.inFlight() < 4) {
      Thread.onSpinWait();
    }
    long before = System.nanoTime();
    h.breakRing();
    List<String> words = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      words.add(told.next());
    }
    assertThat(words)
        .containsExactlyInAnyOrder(
            "0 completed ENOTRECOVERABLE",
            "1 completed ENOTRECOVERABLE",
            "2 completed ENOTRECOVERABLE");
    waiting.join();
    assertThat(System.nanoTime() - before)
        .as("long before the time-out")
        .isLessThan(Duration.ofSeconds(15).toNanos());
    assertThat(outcome.get()).hasMessageContaining("ENOTRECOVERABLE");
    for (int i = 0; i < 4; i++) {
      assertThat(h.device.mayStillUse(h.memory(i))).isTrue();
    }
    assertThat(h.device.mayStillUse(h.memory(4))).isFalse();
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(() -> h.device.read(0, h.memory(4), told, 5))
        .withMessageContaining("can do no I/O any more");
    assertThat(h.device.freeze(Duration.ofSeconds(20)))
        .hasToString("drained=false inFlight=4 flushIssued=false flushCompleted=false");
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(h.device::close)
        .withMessageContaining("4 requests have not ended");
    assertThat(told.words).as("told once").isEmpty();
    h.release(4);
  }

  @Test
  void aQueueThatStaysFullIsAnErrorInTime() throws Exception {
    Hanging h = new Hanging(2, Duration.ofSeconds(20));
    for (int i = 0; i < 2; i++) {
      h.device.read(0, h.memory(i), (tag, result) -> {}, i);
    }
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> h.device.withTimeout(Duration.ofMillis(20)).flush())
        .withMessageContaining("EBUSY")
        .withMessageContaining("it was not sent");
    h.release(2);
    h.device.close();
  }

  @Test
  void aDeviceWithRequestsThatDoNotEndIsNotClosedAndKeepsItsMemory() throws Exception {
    Hanging h = new Hanging(2, Duration.ofMillis(50));
    h.device.withTimeout(Duration.ofSeconds(20)).read(0, h.memory(0), (tag, result) -> {}, 0);
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(h.device::close)
        .withMessageContaining("1 requests have not ended");
    h.memory(0).fill((byte) 1); // still there: the disk may yet write into it
    h.release(1);
    while (h.device.inFlight() > 0) {
      Thread.onSpinWait();
    }
  }

  @Test
  void aFreezeAllocatesNothingWhateverTheDeviceDoes() throws Exception {
    Duration limit = Duration.ofMillis(50);
    Duration patience = Duration.ofSeconds(20);
    for (int i = 0; i < 100; i++) { // as in a program that runs: classes loaded, methods compiled
      Hanging warm = new Hanging(4, Duration.ofSeconds(20));
      warm.device.read(0, warm.memory(0), (tag, result) -> {}, 0);
      warm.device.freeze(Duration.ofNanos(1));
      warm.release(1);
      warm.device.freeze(Duration.ofSeconds(20));
      warm.device.close();
    }
    Hanging h = new Hanging(4, Duration.ofSeconds(20));
    for (int i = 0; i < 3; i++) {
      h.device.read(0, h.memory(i), (tag, result) -> {}, i);
    }
    long before = Allocations.ofThisThread();
    FreezeReport report = h.device.freeze(limit);
    long whileHanging = Allocations.ofThisThread() - before;
    assertThat(report.inFlight()).isEqualTo(3);
    h.release(3);
    before = Allocations.ofThisThread();
    report = h.device.freeze(patience);
    long whileDraining = Allocations.ofThisThread() - before;
    assertThat(report.drained()).isTrue();
    assertThat(whileHanging).isZero();
    assertThat(whileDraining).isZero();
    h.device.close();
  }

  @Test
  void aCancelledRequestIsReportedAsSuch() throws Exception {
    Hanging h = new Hanging(4, Duration.ofSeconds(20));
    BlockingQueue<Long> cancelled = new LinkedBlockingQueue<>();
    for (int i = 0; i < 4; i++) {
      h.device.read(
          0,
          h.memory(i),
          (tag, result) -> {
            if (result == -Errnos.ECANCELED) {
              cancelled.add(tag);
            }
          },
          i / 2);
    }
    assertThat(h.device.cancel(1)).isEqualTo(2);
    assertThat(cancelled.poll(20, TimeUnit.SECONDS)).isEqualTo(1);
    assertThat(cancelled.poll(20, TimeUnit.SECONDS)).isEqualTo(1);
    assertThat(h.device.cancel(7)).isZero();
    while (h.device.inFlight() > 2) {
      Thread.onSpinWait();
    }
    h.release(2);
    h.device.close();
    assertThat(cancelled).isEmpty();
  }

  @Test
  void aFullQueueMakesCallersWaitAndAFreezeSendsThemAway() throws Exception {
    Hanging h = new Hanging(2, Duration.ofSeconds(20));
    for (int i = 0; i < 2; i++) {
      h.device.read(0, h.memory(i), (tag, result) -> {}, i);
    }
    AtomicReference<@Nullable Throwable> outcome = new AtomicReference<>();
    Thread third =
        Thread.ofPlatform()
            .start(
                () -> {
                  try {
                    h.device.read(0, h.memory(2), (tag, result) -> {}, 2);
                  } catch (IOException e) {
                    outcome.set(e);
                  }
                });
    while (third.getState() != Thread.State.TIMED_WAITING) {
      Thread.onSpinWait();
    }
    assertThat(h.device.inFlight()).isEqualTo(2);
    h.device.freeze(Duration.ofMillis(1));
    third.join();
    assertThat(outcome.get()).isInstanceOf(FrozenException.class);
    h.release(2);
    h.device.close();
  }

  @Test
  void aCallbackMustNotWait() throws Exception {
    Hanging h = new Hanging(4, Duration.ofSeconds(20));
    CompletableFuture<String> seen = new CompletableFuture<>();
    h.device.read(
        0,
        h.memory(0),
        (tag, result) -> {
          assertThatIllegalStateException().isThrownBy(h.device::flush);
          assertThatIllegalStateException().isThrownBy(h.device::close);
          seen.complete("refused");
        },
        0);
    h.release(1);
    assertThat(seen.get(20, TimeUnit.SECONDS)).isEqualTo("refused");
    h.device.close();
  }

  @Test
  void aCallbackThatThrowsHarmsNobodyElse() throws Exception {
    Hanging h = new Hanging(4, Duration.ofSeconds(20));
    Thread.UncaughtExceptionHandler before = Thread.getDefaultUncaughtExceptionHandler();
    BlockingQueue<Throwable> reported = new LinkedBlockingQueue<>();
    Thread.setDefaultUncaughtExceptionHandler((thread, e) -> reported.add(e));
    try {
      h.device.read(
          0,
          h.memory(0),
          (tag, result) -> {
            throw new IllegalStateException("a bug");
          },
          0);
      CompletableFuture<Integer> other = new CompletableFuture<>();
      h.device.read(0, h.memory(1), (tag, result) -> other.complete(result), 1);
      h.release(2);
      assertThat(other.get(20, TimeUnit.SECONDS)).isEqualTo(-Errnos.EIO);
      assertThat(reported.poll(20, TimeUnit.SECONDS)).hasMessage("a bug");
      h.device.close();
    } finally {
      Thread.setDefaultUncaughtExceptionHandler(before);
    }
  }

  @Test
  void anInterruptNeitherLosesARequestNorIsLost() throws Exception {
    Hanging h = new Hanging(4, Duration.ofSeconds(20));
    CompletableFuture<Boolean> stillInterrupted = new CompletableFuture<>();
    Thread waiting =
        Thread.ofPlatform()
            .start(
                () -> {
                  try {
                    h.device.read(0, h.memory(0));
                  } catch (IOException e) {
                    stillInterrupted.complete(Thread.currentThread().isInterrupted());
                  }
                });
    while (h.device.inFlight() == 0) {
      Thread.onSpinWait();
    }
    waiting.interrupt();
    h.release(1);
    assertThat(stillInterrupted.get(20, TimeUnit.SECONDS)).isTrue();
    h.device.close();
  }

  @Test
  void requestsAllocateNothing() throws Exception {
    Path path = dir.resolve("disk");
    try (RandomAccessFile f = new RandomAccessFile(path.toFile(), "rw")) {
      f.setLength(1 << 20);
    }
    try (BlockDevice d = BlockDevices.open(path)) {
      MemorySegment[] memory = new MemorySegment[32];
      for (int i = 0; i < memory.length; i++) {
        memory[i] = d.buffers().asSlice((long) i * d.blockSize(), d.blockSize());
      }
      AtomicInteger ended = new AtomicInteger();
      BlockDevice.Callback callback = (tag, result) -> ended.addAndGet(result == 0 ? 1 : 1 << 20);
      rounds(d, memory, callback, ended, 20); // links and loads what the first use needs
      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      int rounds = 200;
      long before = threads.getTotalThreadAllocatedBytes();
      rounds(d, memory, callback, ended, rounds);
      double each =
          (threads.getTotalThreadAllocatedBytes() - before) / (double) (rounds * memory.length);
      // A lock that is contended makes a queue node now and then; a request that made as much as
      // one small object would show as 16 and more.
      assertThat(each).isLessThan(16);
    }
  }

  private static void rounds(
      BlockDevice d,
      MemorySegment[] memory,
      BlockDevice.Callback callback,
      AtomicInteger ended,
      int rounds)
      throws IOException {
    for (int r = 0; r < rounds; r++) {
      ended.set(0);
      d.plug();
      for (int i = 0; i < memory.length; i++) {
        d.read((long) i * d.blockSize(), memory[i], callback, i);
      }
      d.unplug();
      while (ended.get() < memory.length) {
        Thread.onSpinWait();
      }
      if (ended.get() != memory.length) {
        throw new AssertionError("a read failed");
      }
    }
  }

  @Test
  void theDeviceSaysHowItWorks() throws Exception {
    Path path = dir.resolve("disk");
    try (RandomAccessFile f = new RandomAccessFile(path.toFile(), "rw")) {
      f.setLength(1 << 20);
    }
    try (BlockDevice d = BlockDevices.open(path, BlockDevices.Options.DEFAULT.withQueueDepth(7))) {
      assertThat(d)
          .hasToString(
              path + ": io_uring, queue depth 7, registered file, registered buffers, in flight 0");
      assertThat(d.queueDepth()).isEqualTo(7);
      assertThat(d.size()).isEqualTo(1 << 20);
    }
  }
}
