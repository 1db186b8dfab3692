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
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
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

/** The device of one thread, on a real file with direct I/O. */
@Timeout(60)
class ConfinedUringBlockDeviceTest {
  private static final Duration LONG = Duration.ofSeconds(20);

  @TempDir Path dir;

  private ConfinedBlockDevice open(int depth) throws IOException {
    Path path = dir.resolve("disk");
    try (RandomAccessFile f = new RandomAccessFile(path.toFile(), "rw")) {
      f.setLength(8 << 20);
    }
    return BlockDevices.openConfined(path, BlockDevices.Options.DEFAULT.withQueueDepth(depth));
  }

  @Test
  void anySequenceOfRequestsLeavesWhatAnArrayWouldHold() throws IOException {
    for (long seed = 11; seed <= 14; seed++) {
      try (ConfinedBlockDevice d = open(4)) {
        new Model(d, seed).run(120);
      }
    }
  }

  /** Keeps the queue full: each callback starts the next request. */
  private static final class Loop implements BlockDevice.Callback {
    private final BlockDevice device;
    private final MemorySegment[] memory;
    private int left;
    private int ended;
    private int bad;

    Loop(BlockDevice device, int depth) {
      this.device = device;
      memory = new MemorySegment[depth];
      for (int i = 0; i < depth; i++) {
        memory[i] = device.buffers().asSlice((long) i * device.blockSize(), device.blockSize());
      }
    }

    void start(int requests) throws IOException {
      left = requests - memory.length;
      ended = 0;
      for (int i = 0; i < memory.length; i++) {
        device.read((long) i * device.blockSize(), memory[i], this, i);
      }
    }

    @Override
    public void completed(long tag, int result) {
      ended++;
      bad += result == 0 ? 0 : 1;
      if (left > 0) {
        left--;
        try {
          device.read(tag * device.blockSize(), memory[(int) tag], this, tag);
        } catch (IOException e) {
          throw new IllegalStateException(e);
        }
      }
    }
  }

  @Test
  void aFullQueueAllocatesNothingForARequest() throws IOException {
    try (ConfinedBlockDevice d = open(32)) {
      Loop loop = new Loop(d, 32);
      run(d, loop, 20_000); // classes loaded, methods compiled
      long before = Allocations.ofThisThread();
      int waits = run(d, loop, 2000);
      long allocated = Allocations.ofThisThread() - before;
      // Without the optimising compiler, which these tests run without, the JDK itself makes an
      // object of 40 bytes for each system call, and there is one for each wait. With it there is
      // none: HotPathTest of the benchmarks.
      assertThat(allocated).isLessThanOrEqualTo(48L * waits);
      assertThat(loop.bad).isZero();
      assertThat(d.inFlight()).isZero();
    }
  }

  /** Returns how many times it had to wait. */
  private static int run(ConfinedBlockDevice d, Loop loop, int requests) throws IOException {
    int waits = 0;
    d.plug();
    loop.start(requests);
    while (loop.ended < requests) {
      d.await(1, LONG);
      waits++;
    }
    d.unplug();
    return waits;
  }

  @Test
  void awaitCountsWhatEndedAndLooksWithoutWaiting() throws IOException {
    try (ConfinedBlockDevice d = open(8)) {
      assertThat(d.await(1, LONG)).as("nothing is under way").isZero();
      d.plug();
      for (int i = 0; i < 5; i++) {
        d.read(0, d.buffers().asSlice((long) i * 4096, 4096), (tag, result) -> {}, i);
      }
      int ended = 0;
      while (ended < 5) {
        ended += d.await(0, LONG);
      }
      assertThat(ended).isEqualTo(5);
      d.unplug();
    }
  }

  @Test
  void anotherThreadIsRefused() throws Exception {
    try (ConfinedBlockDevice d = open(4)) {
      MemorySegment memory = d.buffers().asSlice(0, 4096);
      CompletableFuture<Void> other =
          CompletableFuture.runAsync(
              () -> {
                assertThatExceptionOfType(WrongThreadException.class).isThrownBy(d::flush);
                assertThatExceptionOfType(WrongThreadException.class)
                    .isThrownBy(() -> d.read(0, memory, (tag, result) -> {}, 0));
                assertThatExceptionOfType(WrongThreadException.class)
                    .isThrownBy(() -> d.freeze(LONG));
                assertThatExceptionOfType(WrongThreadException.class).isThrownBy(d::close);
              });
      try {
        other.get();
      } catch (ExecutionException e) {
        throw new AssertionError(e.getCause());
      }
      assertThat(d.inFlight()).isZero();
      d.read(0, memory);
    }
  }

  @Test
  void aCallbackMustNotWaitAndMayStartOneRequestInAFullQueue() throws IOException {
    try (ConfinedBlockDevice d = open(1)) {
      MemorySegment memory = d.buffers().asSlice(0, 4096);
      boolean[] seen = new boolean[1];
      d.read(
          0,
          memory,
          (tag, result) -> {
            assertThatIllegalStateException().isThrownBy(d::flush);
            assertThatIllegalStateException().isThrownBy(() -> d.await(0, LONG));
            try {
              d.read(0, memory, (t, r) -> {}, 1);
            } catch (IOException e) {
              throw new AssertionError(e);
            }
            assertThatIllegalStateException()
                .isThrownBy(() -> d.read(0, memory, (t, r) -> {}, 1))
                .withMessageContaining("only one request more");
            seen[0] = true;
          },
          0);
      d.await(2, LONG);
      assertThat(seen[0]).isTrue();
    }
  }

  @Test
  void afterAFreezeNothingIsSentAndTheReportSaysSo() throws IOException {
    try (ConfinedBlockDevice d = open(4)) {
      MemorySegment memory = d.buffers().asSlice(0, 4096);
      d.plug();
      d.write(0, memory, (tag, result) -> {}, 0);
      assertThat(d.freeze(LONG))
          .hasToString("drained=true inFlight=0 flushIssued=true flushCompleted=true");
      assertThatExceptionOfType(FrozenException.class).isThrownBy(() -> d.write(0, memory));
    }
  }

  @Test
  void theDeviceSaysHowItWorks() throws IOException {
    try (ConfinedBlockDevice d = open(4)) {
      assertThat(d.toString())
          .contains(Thread.currentThread().getName())
          .contains("queue depth 4, registered file, registered buffers, deferred task work");
    }
    assertThatIllegalArgumentException()
        .isThrownBy(
            () ->
                BlockDevices.openConfined(
                    dir.resolve("disk"),
                    BlockDevices.Options.DEFAULT.withBackend(BlockDevices.Backend.SYSTEM_CALLS)));
  }

  /** A device whose reads hang until its event counter is written. */
  private static ConfinedUringBlockDevice hanging() throws IOException {
    return hanging(Errno.check(Linux.eventfd2(0, Processes.EFD_CLOEXEC), "eventfd", ""));
  }

  private static ConfinedUringBlockDevice hanging(int fd) throws IOException {
    Arena arena = Arena.ofShared();
    MemorySegment buffers =
        Mapping.map(
            arena,
            -1,
            0,
            1 << 16,
            Memory.PROT_READ | Memory.PROT_WRITE,
            Memory.MAP_PRIVATE | Memory.MAP_ANONYMOUS);
    return new ConfinedUringBlockDevice(
        "hanging",
        fd,
        1 << 20,
        512,
        arena,
        buffers,
        BlockDevices.Options.DEFAULT.withQueueDepth(8).withTimeout(LONG));
  }

  /** A pipe gives what it has, which may be less than was asked for. */
  @Test
  void nothingIsSentAfterAFreezeThatCameBackUndrained() throws Exception {
    Path pipe = dir.resolve("pipe");
    assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    try (RandomAccessFile writer = new RandomAccessFile(pipe.toFile(), "rw");
        Arena arena = Arena.ofConfined()) {
      int flags = Files.O_RDONLY | Files.O_CLOEXEC;
      ConfinedUringBlockDevice d =
          hanging(
              Errno.check(
                  Linux.openat(Files.AT_FDCWD, arena.allocateFrom(pipe.toString()), flags, 0),
                  "open",
                  pipe.toString()));
      List<Integer> results = new ArrayList<>();
      d.read(0, d.buffers().asSlice(0, 1024), (tag, result) -> results.add(result), 0);
      assertThat(d.freeze(Duration.ofMillis(20)).drained()).isFalse();
      writer.write(new byte[512]);
      assertThat(d.await(1, Duration.ofSeconds(20))).isEqualTo(1);
      assertThat(results).containsExactly(-Errnos.EAGAIN);
      d.close();
    }
  }

  @Test
  void aTimeOutIsFollowedByTheNewsThatTheMemoryIsFree() throws Exception {
    ConfinedUringBlockDevice d = hanging();
    MemorySegment memory = d.buffers().asSlice(0, 512);
    List<String> told = new ArrayList<>();
    BlockDevice.Callback callback =
        new BlockDevice.Callback() {
          @Override
          public void completed(long tag, int result) {
            told.add(tag + " completed " + result);
            assertThat(d.mayStillUse(memory)).isTrue();
          }

          @Override
          public void released(long tag, int result) {
            told.add(tag + " released " + result);
          }
        };
    d.withTimeout(Duration.ofMillis(20)).read(0, memory, callback, 5);
    while (d.inFlight() > 0) {
      d.await(1, LONG);
    }
    assertThat(told)
        .containsExactly("5 completed " + -Errnos.ETIMEDOUT, "5 released " + -Errnos.ECANCELED);
    assertThat(d.mayStillUse(memory)).isFalse();
    d.close();
  }

  @Test
  void writesToOneRangeTakeTurns() throws Exception {
    try (ConfinedBlockDevice d = open(4)) {
      int block = d.blockSize();
      MemorySegment memory = d.buffers().asSlice(0, 2L * block);
      List<String> told = new ArrayList<>();
      d.write(0, memory, (tag, result) -> told.add(tag + " " + result), 1);
      d.write(block, memory, (tag, result) -> told.add(tag + " " + result), 2);
      assertThat(told).as("the first has ended before the second is sent").containsExactly("1 0");
      d.await(1, LONG);
      assertThat(told).containsExactly("1 0", "2 0");
    }
  }

  @Test
  void whenTheRingBreaksEveryoneIsTold() throws Exception {
    ConfinedUringBlockDevice d = hanging();
    List<String> told = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      d.read(
          0, d.buffers().asSlice(i * 512L, 512), (tag, result) -> told.add(tag + " " + result), i);
    }
    // A completion that belongs to no request: the ring cannot be trusted any more.
    d.ring.place(IoUring.IORING_OP_NOP, 0, -1, 0, 0, 0, 0, 0x7777_0000_0001L);
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> d.read(0, d.buffers().asSlice(4096, 512)))
        .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.ENOTRECOVERABLE));
    String lost = " " + -Errnos.ENOTRECOVERABLE;
    assertThat(told).containsExactlyInAnyOrder("0" + lost, "1" + lost, "2" + lost);
    assertThat(d.mayStillUse(d.buffers().asSlice(0, 512))).isTrue();
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(d::flush)
        .withMessageContaining("can do no I/O any more");
    assertThat(d.await(1, LONG)).isZero();
    assertThat(d.freeze(LONG))
        .hasToString("drained=false inFlight=4 flushIssued=false flushCompleted=false");
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(d::close)
        .withMessageContaining("4 requests have not ended");
    assertThat(told).as("told once").hasSize(3);
  }
}
