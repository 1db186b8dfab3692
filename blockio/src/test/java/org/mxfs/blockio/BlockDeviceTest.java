// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;

/** What every backend promises, on a real file with direct I/O. */
@Timeout(60)
class BlockDeviceTest {
  private static final long SIZE = 8 << 20;

  @TempDir Path dir;

  enum Kind {
    URING,
    SYSTEM_CALLS,
    MEMORY,
    FAULTY
  }

  private BlockDevice open(Kind kind) throws IOException {
    return open(kind, BlockDevices.Options.DEFAULT);
  }

  private BlockDevice open(Kind kind, BlockDevices.Options options) throws IOException {
    return switch (kind) {
      case URING -> BlockDevices.open(file(), options);
      case SYSTEM_CALLS ->
          BlockDevices.open(file(), options.withBackend(BlockDevices.Backend.SYSTEM_CALLS));
      case MEMORY -> MemoryBlockDevice.create((int) SIZE, 4096, options.bufferBytes());
      case FAULTY ->
          FaultyBlockDevice.over(
              MemoryBlockDevice.create((int) SIZE, 512, options.bufferBytes()),
              (number, op, offset, length) -> new FaultyBlockDevice.Fault.None());
    };
  }

  private Path file() throws IOException {
    Path path = dir.resolve("disk");
    try (RandomAccessFile f = new RandomAccessFile(path.toFile(), "rw")) {
      f.setLength(SIZE);
    }
    return path;
  }

  @ParameterizedTest
  @EnumSource
  void whatWasWrittenIsReadBack(Kind kind) throws IOException {
    try (BlockDevice d = open(kind)) {
      int block = d.blockSize();
      MemorySegment out = d.buffers().asSlice(0, 16L * block);
      MemorySegment in = d.buffers().asSlice(1 << 20, 16L * block);
      for (long at : new long[] {0, block, 5L * block, SIZE - 16L * block}) {
        Pattern.fill(out, at, 1);
        d.write(at, out);
        d.read(at, in);
        assertThat(Pattern.matches(in, at, 1)).isTrue();
        Pattern.fill(out, at, 2);
        d.writeThrough(at, out);
        d.read(at, in);
        assertThat(Pattern.matches(in, at, 2)).isTrue();
      }
      d.flush();
      assertThat(d.inFlight()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void severalPiecesOfMemoryFollowEachOtherOnTheDevice(Kind kind) throws Exception {
    try (BlockDevice d = open(kind)) {
      int block = d.blockSize();
      MemorySegment[] parts = {
        d.buffers().asSlice(9L * block, block),
        d.buffers().asSlice(0, 3L * block),
        d.buffers().asSlice(20L * block, 2L * block),
        d.buffers().asSlice(6L * block, block)
      };
      MemorySegment in = d.buffers().asSlice(64L * block, 7L * block);
      for (int version = 0; version < 4; version++) {
        long at = 2L * block;
        for (MemorySegment part : parts) {
          Pattern.fill(part, at, version);
          at += part.byteSize();
        }
        switch (version) {
          case 0 -> d.write(2L * block, parts);
          case 1 -> d.writeThrough(2L * block, parts);
          case 2 -> d.writeThenFlush(2L * block, parts);
          default -> {
            CompletableFuture<Integer> ended = new CompletableFuture<>();
            d.write(2L * block, parts, (tag, result) -> ended.complete(result), 1);
            assertThat(ended.get(20, TimeUnit.SECONDS)).isZero();
          }
        }
        d.read(2L * block, in);
        assertThat(Pattern.matches(in, 2L * block, version)).isTrue();
      }
      for (MemorySegment part : parts) {
        part.fill((byte) 0);
      }
      d.read(2L * block, parts);
      long at = 2L * block;
      for (MemorySegment part : parts) {
        assertThat(Pattern.matches(part, at, 3)).isTrue();
        at += part.byteSize();
      }
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.read(0, new MemorySegment[0]))
          .withMessageContaining("between 1 and 64");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.read(SIZE - block, parts))
          .withMessageContaining("passes the end");
    }
  }

  /** Random requests against a plain array; the seed is in the failure's text. */
  @ParameterizedTest
  @EnumSource
  void anySequenceOfRequestsLeavesWhatAnArrayWouldHold(Kind kind) throws IOException {
    for (long seed = 1; seed <= 4; seed++) {
      try (BlockDevice d = open(kind)) {
        new Model(d, seed).run(120);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void aWriteThatIsFlushedInOneRequestIsReadBack(Kind kind) throws Exception {
    try (BlockDevice d = open(kind)) {
      MemorySegment memory = d.buffers().asSlice(0, 2L * d.blockSize());
      Pattern.fill(memory, 0, 5);
      d.writeThenFlush(0, memory);
      CompletableFuture<Integer> ended = new CompletableFuture<>();
      Pattern.fill(memory, 2L * d.blockSize(), 5);
      d.writeThenFlush(2L * d.blockSize(), memory, (tag, result) -> ended.complete(result), 1);
      assertThat(ended.get(20, TimeUnit.SECONDS)).isZero();
      MemorySegment in = d.buffers().asSlice(1 << 20, 4L * d.blockSize());
      d.read(0, in);
      assertThat(Pattern.matches(in, 0, 5)).isTrue();
      while (d.inFlight() > 0) { // a callback still counts until it has returned
        Thread.onSpinWait();
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"SYSTEM_CALLS", "MEMORY", "FAULTY"})
  void aFreezeAllocatesNothing(Kind kind) throws IOException {
    Duration limit = Duration.ofSeconds(20);
    try (BlockDevice warm = open(kind)) {
      warm.freeze(limit); // loads classes
    }
    try (BlockDevice d = open(kind)) {
      long before = Allocations.ofThisThread();
      FreezeReport report = d.freeze(limit);
      long allocated = Allocations.ofThisThread() - before;
      assertThat(report.flushCompleted()).isTrue();
      assertThat(allocated).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void discardedAndZeroedRangesReadAsZeros(Kind kind) throws IOException {
    try (BlockDevice d = open(kind)) {
      int block = Math.max(4096, d.blockSize());
      MemorySegment whole = d.buffers().asSlice(0, 8L * block);
      Pattern.fill(whole, 0, 7);
      d.write(0, whole);
      d.discard(block, 2L * block);
      d.zero(5L * block, block);
      whole.fill((byte) 0xff);
      d.read(0, whole);
      assertThat(Pattern.matches(whole.asSlice(0, block), 0, 7)).isTrue();
      assertThat(Pattern.isZero(whole.asSlice(block, 2L * block))).isTrue();
      assertThat(Pattern.matches(whole.asSlice(3L * block, 2L * block), 3L * block, 7)).isTrue();
      assertThat(Pattern.isZero(whole.asSlice(5L * block, block))).isTrue();
      assertThat(Pattern.matches(whole.asSlice(6L * block, 2L * block), 6L * block, 7)).isTrue();
    }
  }

  @ParameterizedTest
  @EnumSource
  void requestsThatBreakTheRulesAreRefusedBeforeAnythingIsSent(Kind kind) throws IOException {
    try (BlockDevice d = open(kind);
        Arena other = Arena.ofConfined()) {
      int block = d.blockSize();
      MemorySegment memory = d.buffers().asSlice(0, block);
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.read(1, memory))
          .withMessageContaining("whole blocks");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.read(-block, memory))
          .withMessageContaining("passes the end");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.write(SIZE, memory))
          .withMessageContaining("passes the end");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.write(0, d.buffers().asSlice(8, block)))
          .withMessageContaining("aligned");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.write(0, d.buffers().asSlice(0, block - 1)))
          .withMessageContaining("whole blocks");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.write(0, d.buffers().asSlice(0, 0)))
          .withMessageContaining("whole blocks");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.write(0, other.allocate(block, block)))
          .withMessageContaining("not of this device");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.write(0, MemorySegment.ofArray(new byte[block])))
          .withMessageContaining("not of this device");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.read(0, memory.asReadOnly()))
          .withMessageContaining("read-only");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> d.discard(0, SIZE + block))
          .withMessageContaining("passes the end");
      assertThat(d.inFlight()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void callbacksBringTheirTagAndEachComesOnce(Kind kind) throws Exception {
    try (BlockDevice d = open(kind)) {
      int count = 512;
      int block = d.blockSize();
      AtomicIntegerArray calls = new AtomicIntegerArray(count);
      AtomicInteger bad = new AtomicInteger();
      CountDownLatch left = new CountDownLatch(count);
      BlockDevice.Callback callback =
          (tag, result) -> {
            calls.incrementAndGet((int) tag);
            if (result != 0) {
              bad.incrementAndGet();
            }
            left.countDown();
          };
      for (int i = 0; i < count; i++) {
        MemorySegment memory = d.buffers().asSlice((long) (i % 256) * block, block);
        if (i == 256) {
          d.flush();
        }
        Pattern.fill(memory, (long) i * block, 3);
        d.write((long) i * block, memory, callback, i);
        if (i % 256 == 255) {
          while (d.inFlight() > 0) {
            Thread.onSpinWait();
          }
        }
      }
      assertThat(left.await(30, TimeUnit.SECONDS)).isTrue();
      assertThat(bad).hasValue(0);
      for (int i = 0; i < count; i++) {
        assertThat(calls.get(i)).isEqualTo(1);
      }
      MemorySegment in = d.buffers().asSlice(0, (long) block * count);
      d.read(0, in);
      assertThat(Pattern.matches(in, 0, 3)).isTrue();
    }
  }

  @ParameterizedTest
  @EnumSource
  void manyThreadsOnOneDeviceNeverSeeEachOthersData(Kind kind) throws Exception {
    int threads = 4;
    try (BlockDevice d = open(kind, BlockDevices.Options.DEFAULT.withQueueDepth(3))) {
      int block = d.blockSize();
      AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
      List<Thread> all = new ArrayList<>();
      for (int t = 0; t < threads; t++) {
        int me = t;
        all.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      SplittableRandom random = new SplittableRandom(me);
                      MemorySegment memory = d.buffers().asSlice((long) me * 8 * block, 8L * block);
                      try {
                        for (int i = 0; i < 150; i++) {
                          int blocks = random.nextInt(1, 9);
                          long at = ((long) me * 64 + random.nextInt(56)) * block;
                          MemorySegment part = memory.asSlice(0, (long) blocks * block);
                          Pattern.fill(part, at, i);
                          d.write(at, part);
                          part.fill((byte) 0);
                          d.read(at, part);
                          if (!Pattern.matches(part, at, i)) {
                            throw new AssertionError(
                                "thread " + me + " read back something else at " + at);
                          }
                        }
                      } catch (Throwable e) {
                        failure.compareAndSet(null, e);
                      }
                    }));
      }
      for (Thread t : all) {
        t.join();
      }
      assertThat(failure.get()).isNull();
      assertThat(d.inFlight()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void aCallbackMayStartTheNextRequest(Kind kind) throws Exception {
    try (BlockDevice d = open(kind, BlockDevices.Options.DEFAULT.withQueueDepth(1))) {
      int block = d.blockSize();
      int rounds = 200;
      AtomicLong count = new AtomicLong();
      CountDownLatch done = new CountDownLatch(1);
      AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
      MemorySegment memory = d.buffers().asSlice(0, block);
      BlockDevice.Callback next =
          new BlockDevice.Callback() {
            @Override
            public void completed(long tag, int result) {
              try {
                if (result != 0) {
                  throw new AssertionError("result " + result);
                }
                if (count.incrementAndGet() == rounds) {
                  done.countDown();
                } else {
                  d.read(tag * block, memory, this, tag + 1);
                }
              } catch (Throwable e) {
                failure.set(e);
                done.countDown();
              }
            }
          };
      d.read(0, memory, next, 1);
      assertThat(done.await(30, TimeUnit.SECONDS)).isTrue();
      assertThat(failure.get()).isNull();
      assertThat(count).hasValue(rounds);
    }
  }

  @ParameterizedTest
  @EnumSource
  void pluggedRequestsAreAllSentByUnplug(Kind kind) throws Exception {
    try (BlockDevice d = open(kind)) {
      CountDownLatch left = new CountDownLatch(32);
      int block = d.blockSize();
      d.plug();
      for (int i = 0; i < 32; i++) {
        d.read(
            (long) i * block,
            d.buffers().asSlice((long) i * block, block),
            (tag, result) -> left.countDown(),
            i);
      }
      d.unplug();
      assertThat(left.await(30, TimeUnit.SECONDS)).isTrue();
    }
  }

  @ParameterizedTest
  @EnumSource
  void aFullQueueSendsWhatIsPlugged(Kind kind) throws Exception {
    try (BlockDevice d = open(kind, BlockDevices.Options.DEFAULT.withQueueDepth(4))) {
      CountDownLatch left = new CountDownLatch(20);
      int block = d.blockSize();
      d.plug();
      for (int i = 0; i < 20; i++) {
        d.read(
            (long) i * block,
            d.buffers().asSlice((long) i * block, block),
            (tag, result) -> left.countDown(),
            i);
      }
      d.unplug();
      assertThat(left.await(30, TimeUnit.SECONDS)).isTrue();
    }
  }

  @ParameterizedTest
  @EnumSource
  void afterAFreezeNothingIsSentAndTheReportSaysSo(Kind kind) throws IOException {
    try (BlockDevice d = open(kind)) {
      MemorySegment memory = d.buffers().asSlice(0, d.blockSize());
      d.write(0, memory);
      FreezeReport report = d.freeze(Duration.ofSeconds(20));
      assertThat(report)
          .hasToString("drained=true inFlight=0 flushIssued=true flushCompleted=true");
      assertThatExceptionOfType(FrozenException.class).isThrownBy(() -> d.write(0, memory));
      assertThatExceptionOfType(FrozenException.class)
          .isThrownBy(() -> d.read(0, memory, (tag, result) -> {}, 0));
    }
  }

  @ParameterizedTest
  @EnumSource
  void closingTwiceIsHarmlessAndMemoryIsGoneAfterwards(Kind kind) throws IOException {
    BlockDevice d = open(kind);
    MemorySegment memory = d.buffers();
    d.close();
    d.close();
    assertThatIllegalStateException().isThrownBy(() -> memory.fill((byte) 0));
    assertThatExceptionOfType(FrozenException.class).isThrownBy(d::flush);
  }

  @ParameterizedTest
  @EnumSource(names = {"URING", "SYSTEM_CALLS"})
  void aDeviceOpenForReadingRefusesWrites(Kind kind) throws IOException {
    try (BlockDevice d = open(kind, BlockDevices.Options.DEFAULT.asReadOnly())) {
      MemorySegment memory = d.buffers().asSlice(0, d.blockSize());
      d.read(0, memory);
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> d.write(0, memory))
          .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.EBADF))
          .withMessageContaining("open for reading only");
    }
  }

  @ParameterizedTest
  @EnumSource(BlockDevices.Backend.class)
  void whatIsNoDeviceIsRefusedWithTheReason(BlockDevices.Backend backend) {
    BlockDevices.Options options = BlockDevices.Options.DEFAULT.withBackend(backend);
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> BlockDevices.open(dir.resolve("missing"), options))
        .satisfies(e -> assertThat(e.errnoName()).isEqualTo("ENOENT"));
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> BlockDevices.open(dir, options.asBuffered()))
        .satisfies(e -> assertThat(e.errnoName()).isEqualTo("EISDIR"));
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> BlockDevices.open(Path.of("/dev/null"), options.asBuffered()))
        .satisfies(e -> assertThat(e.errnoName()).isEqualTo("ENOTBLK"));
  }

  @ParameterizedTest
  @EnumSource(names = {"URING", "SYSTEM_CALLS"})
  void aFileThatBecameShorterGivesAnErrorAndNoShortRead(Kind kind) throws IOException {
    try (BlockDevice d = open(kind)) {
      try (RandomAccessFile f = new RandomAccessFile(dir.resolve("disk").toFile(), "rw")) {
        f.setLength(SIZE / 2);
      }
      int block = d.blockSize();
      MemorySegment memory = d.buffers().asSlice(0, 4L * block);
      for (long at : new long[] {SIZE / 2, SIZE / 2 - 2L * block, SIZE - 4L * block}) {
        assertThatExceptionOfType(ErrnoException.class)
            .isThrownBy(() -> d.read(at, memory))
            .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.EIO));
      }
    }
  }

  /** Many threads, two blocks at a time, each overlapping its neighbours: no one is refused. */
  @ParameterizedTest
  @EnumSource
  void writesThatOverlapTakeTurns(Kind kind) throws Exception {
    try (BlockDevice d = open(kind)) {
      int block = d.blockSize();
      AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
      List<Thread> threads = new ArrayList<>();
      for (int t = 0; t < 4; t++) {
        MemorySegment memory = d.buffers().asSlice(2L * t * block, 2L * block);
        long at = (long) t * block;
        threads.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      try {
                        for (int version = 0; version < 50; version++) {
                          Pattern.fill(memory, at, version);
                          d.write(at, memory);
                        }
                      } catch (IOException | RuntimeException e) {
                        failure.set(e);
                      }
                    }));
      }
      for (Thread thread : threads) {
        thread.join();
      }
      assertThat(failure.get()).isNull();
      MemorySegment in = d.buffers().asSlice(1 << 20, 5L * block);
      d.read(0, in);
      assertThat(Pattern.matches(in, 0, 49)).isTrue();
      assertThat(d.inFlight()).isZero();
    }
  }
}
