// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.blockio.FaultyBlockDevice.Fault;

/** The devices that crash and fail on request do exactly what was asked of them. */
@Timeout(60)
class FailingTwinsTest {
  private static final int BLOCK = 512;

  private static void write(BlockDevice d, long at, int blocks, int version, boolean through)
      throws IOException {
    MemorySegment m = d.buffers().asSlice(0, (long) blocks * BLOCK);
    Pattern.fill(m, at, version);
    if (through) {
      d.writeThrough(at, m);
    } else {
      d.write(at, m);
    }
  }

  private static boolean holds(BlockDevice d, long at, int version) throws IOException {
    MemorySegment m = d.buffers().asSlice(8192, BLOCK);
    d.read(at, m);
    return Pattern.matches(m, at, version);
  }

  @Test
  void aCrashKeepsWhatIsDurableAndAnySubsetOfTheRest() throws IOException {
    try (MemoryBlockDevice d = MemoryBlockDevice.create(64 * BLOCK, BLOCK, 1 << 14)) {
      write(d, 0, 4, 1, false);
      d.flush();
      write(d, 4 * BLOCK, 1, 1, true);
      write(d, 0, 4, 2, false); // not flushed
      Set<String> outcomes = new HashSet<>();
      for (int seed = 0; seed < 200; seed++) {
        try (MemoryBlockDevice after =
            MemoryBlockDevice.withContents(
                d.afterCrash(new SplittableRandom(seed)), BLOCK, 1 << 14)) {
          StringBuilder outcome = new StringBuilder();
          for (int block = 0; block < 4; block++) {
            boolean old = holds(after, (long) block * BLOCK, 1);
            assertThat(old || holds(after, (long) block * BLOCK, 2)).isTrue();
            outcome.append(old ? 'o' : 'n');
          }
          outcomes.add(outcome.toString());
          assertThat(holds(after, 4 * BLOCK, 1)).as("written through").isTrue();
        }
      }
      assertThat(outcomes).as("every subset").hasSize(16);
      assertThat(holds(d, 0, 2)).as("the device itself").isTrue();
    }
  }

  @Test
  void aCrashMayLeaveAnyVersionSinceTheLastFlush() throws IOException {
    try (MemoryBlockDevice d = MemoryBlockDevice.create(8 * BLOCK, BLOCK, 1 << 14)) {
      write(d, 0, 1, 1, true);
      for (int version = 2; version <= 4; version++) {
        write(d, 0, 1, version, false);
      }
      Set<Integer> left = new HashSet<>();
      for (int seed = 0; seed < 100; seed++) {
        byte[] found = d.afterCrash(new SplittableRandom(seed));
        try (MemoryBlockDevice after = MemoryBlockDevice.withContents(found, BLOCK, 1 << 14)) {
          for (int version = 1; version <= 4; version++) {
            if (holds(after, 0, version)) {
              left.add(version);
            }
          }
        }
      }
      assertThat(left).containsExactlyInAnyOrder(1, 2, 3, 4);
      d.flush();
      assertThat(d.afterCrash(new SplittableRandom(1))).isEqualTo(d.contents());
    }
  }

  /**
   * Random writes, flushes and crashes: after a crash each block holds a version that it was given
   * after, or with, the last request that made it durable.
   */
  @Test
  void noCrashUndoesWhatWasDurable() throws IOException {
    for (int seed = 1; seed <= 50; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      int[] durable = new int[16];
      int[] newest = new int[16];
      try (MemoryBlockDevice d = MemoryBlockDevice.create(16 * BLOCK, BLOCK, 1 << 14)) {
        for (int version = 1; version <= 40; version++) {
          int block = random.nextInt(14);
          MemorySegment memory = d.buffers().asSlice(0, 2L * BLOCK);
          Pattern.fill(memory, (long) block * BLOCK, version);
          switch (random.nextInt(4)) {
            case 0 -> {
              d.writeThrough((long) block * BLOCK, memory);
              note(newest, block, version);
              note(durable, block, version);
            }
            case 1 -> {
              d.writeThenFlush((long) block * BLOCK, memory);
              note(newest, block, version);
              System.arraycopy(newest, 0, durable, 0, newest.length);
            }
            default -> {
              d.write((long) block * BLOCK, memory);
              note(newest, block, version);
            }
          }
        }
        byte[] found = d.afterCrash(random);
        try (MemoryBlockDevice after = MemoryBlockDevice.withContents(found, BLOCK, 1 << 14)) {
          for (int block = 0; block < 16; block++) {
            boolean right = durable[block] == 0 && isZero(after, block);
            for (int version = durable[block]; version <= newest[block] && !right; version++) {
              right = holds(after, (long) block * BLOCK, version);
            }
            assertThat(right).as("seed %s, block %s", seed, block).isTrue();
          }
        }
      }
    }
  }

  private static void note(int[] versions, int block, int version) {
    versions[block] = version;
    versions[block + 1] = version;
  }

  private static boolean isZero(BlockDevice d, int block) throws IOException {
    MemorySegment m = d.buffers().asSlice(8192, BLOCK);
    d.read((long) block * BLOCK, m);
    return Pattern.isZero(m);
  }

  @Test
  void aLateRequestIsCarriedOutLateAndASilentlyTornOneIsReportedAsGood() throws Exception {
    Duration late = Duration.ofMillis(30);
    try (FaultyBlockDevice d =
        failing(
            (number, op, offset, length) ->
                switch (op) {
                  case WRITE -> new Fault.Delayed(late);
                  case WRITE_THEN_FLUSH -> new Fault.SilentlyTorn(1);
                  default -> new Fault.None();
                })) {
      long before = System.nanoTime();
      write(d, 0, 1, 1, false);
      assertThat(System.nanoTime() - before).isGreaterThanOrEqualTo(late.toNanos());
      assertThat(holds(d, 0, 1)).isTrue();
      CompletableFuture<Integer> ended = new CompletableFuture<>();
      MemorySegment m = d.buffers().asSlice(0, BLOCK);
      Pattern.fill(m, 0, 2);
      before = System.nanoTime();
      d.write(0, m, (tag, result) -> ended.complete(result), 1);
      assertThat(ended.get(20, TimeUnit.SECONDS)).isZero();
      assertThat(System.nanoTime() - before).isGreaterThanOrEqualTo(late.toNanos());
      assertThat(holds(d, 0, 2)).isTrue();
      MemorySegment[] parts = {
        d.buffers().asSlice(0, BLOCK), d.buffers().asSlice(4 * BLOCK, BLOCK)
      };
      Pattern.fill(parts[0], 8 * BLOCK, 3);
      Pattern.fill(parts[1], 9 * BLOCK, 3);
      d.writeThenFlush(8 * BLOCK, parts);
      assertThat(holds(d, 8 * BLOCK, 3)).isTrue();
      assertThat(holds(d, 9 * BLOCK, 3)).isFalse();
    }
  }

  private static FaultyBlockDevice failing(FaultyBlockDevice.Script script) {
    return FaultyBlockDevice.over(MemoryBlockDevice.create(64 * BLOCK, BLOCK, 1 << 14), script);
  }

  @Test
  void eachFaultDoesWhatItsNameSays() throws IOException {
    Fault[] faults = {
      new Fault.None(),
      new Fault.Fails(Errnos.EIO),
      new Fault.Lost(),
      new Fault.Torn(1, Errnos.EBADE),
      new Fault.Misdirected(40 * BLOCK)
    };
    try (FaultyBlockDevice d =
        failing(
            (number, op, offset, length) ->
                op == Operation.WRITE ? faults[(int) (offset / (8 * BLOCK))] : new Fault.None())) {
      write(d, 0, 2, 1, false);
      assertThat(holds(d, 0, 1)).isTrue();
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> write(d, 8 * BLOCK, 2, 1, false))
          .withMessageContaining("EIO");
      assertThat(holds(d, 8 * BLOCK, 1)).isFalse();
      write(d, 16 * BLOCK, 2, 1, false);
      assertThat(holds(d, 16 * BLOCK, 1)).as("lost").isFalse();
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> write(d, 24 * BLOCK, 2, 1, false))
          .withMessageContaining("EBADE")
          .withMessageContaining("reservation");
      assertThat(holds(d, 24 * BLOCK, 1)).as("torn, first block").isTrue();
      assertThat(holds(d, 25 * BLOCK, 1)).as("torn, second block").isFalse();
      write(d, 32 * BLOCK, 1, 1, false);
      assertThat(holds(d, 32 * BLOCK, 1)).isFalse();
      MemorySegment elsewhere = d.buffers().asSlice(8192, BLOCK);
      d.read(40 * BLOCK, elsewhere);
      assertThat(Pattern.matches(elsewhere, 32 * BLOCK, 1)).as("misdirected").isTrue();
    }
  }

  @Test
  void aHangingRequestIsCountedByAFreezeAndCarriedOutWhenReleased() throws Exception {
    FaultyBlockDevice d =
        failing(
            (number, op, offset, length) ->
                op == Operation.WRITE ? new Fault.Hangs() : new Fault.None());
    MemorySegment m = d.buffers().asSlice(0, BLOCK);
    Pattern.fill(m, 0, 1);
    CompletableFuture<Integer> called = new CompletableFuture<>();
    d.write(0, m, (tag, result) -> called.complete(result), 5);
    CompletableFuture<Void> waited =
        CompletableFuture.runAsync(
            () -> {
              try {
                d.write(BLOCK, m);
              } catch (IOException e) {
                throw new IllegalStateException(e);
              }
            },
            task -> Thread.ofPlatform().start(task));
    while (d.inFlight() < 2) {
      Thread.onSpinWait();
    }
    FreezeReport report = d.freeze(Duration.ofMillis(20));
    assertThat(report.drained()).isFalse();
    assertThat(report.inFlight()).isEqualTo(2);
    assertThat(report.flushIssued()).isFalse();
    assertThat(called).isNotDone();
    while (!waited.isDone()) {
      d.release();
    }
    waited.get(20, TimeUnit.SECONDS);
    assertThat(called.get(20, TimeUnit.SECONDS)).isZero();
    assertThat(d.freeze(Duration.ofSeconds(20)).flushCompleted()).isTrue();
    d.close();
  }

  @Test
  void aFlushThatHangsDoesNotHoldAFreeze() throws Exception {
    FaultyBlockDevice d =
        failing(
            (number, op, offset, length) ->
                op == Operation.FLUSH ? new Fault.Hangs() : new Fault.None());
    FreezeReport report = d.freeze(Duration.ofMillis(20));
    assertThat(report).hasToString("drained=true inFlight=0 flushIssued=true flushCompleted=false");
    while (d.inFlight() > 0) {
      d.release();
    }
    d.close();
  }

  /** The disk writes what memory holds when it gets round to it, however long ago it was asked. */
  @Test
  void aLateWriteLandsOnceItIsReleasedAndNoOtherIsSentBefore() throws Exception {
    try (FaultyBlockDevice d =
        failing(
            (number, op, offset, length) ->
                number == 0 ? new Fault.TimesOut() : new Fault.None())) {
      List<String> told = new ArrayList<>();
      MemorySegment late = d.buffers().asSlice(0, 2 * BLOCK);
      Pattern.fill(late, 0, 1);
      d.write(
          0,
          late,
          new BlockDevice.Callback() {
            @Override
            public void completed(long tag, int result) {
              told.add(tag + " completed " + result);
            }

            @Override
            public void released(long tag, int result) {
              told.add(tag + " released " + result + ", in use " + d.mayStillUse(late));
            }
          },
          3);
      assertThat(told).containsExactly("3 completed " + -Errnos.ETIMEDOUT);
      assertThat(d.mayStillUse(late.asSlice(BLOCK, BLOCK))).isTrue();
      assertThat(d.mayStillUse(d.buffers().asSlice(2 * BLOCK, BLOCK))).isFalse();
      MemorySegment other = d.buffers().asSlice(4 * BLOCK, BLOCK);
      Pattern.fill(other, BLOCK, 2);
      BlockDevice quick = d.withTimeout(Duration.ofMillis(20));
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> quick.write(BLOCK, other))
          .withMessageContaining("EBUSY")
          .withMessageContaining("it was not sent");
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> quick.zero(0, BLOCK))
          .withMessageContaining("EBUSY");
      quick.write(2 * BLOCK, other);
      CompletableFuture<Void> second =
          CompletableFuture.runAsync(
              () -> {
                try {
                  d.write(BLOCK, other);
                } catch (IOException e) {
                  throw new IllegalStateException(e);
                }
              },
              task -> Thread.ofPlatform().start(task));
      d.release();
      second.get(20, TimeUnit.SECONDS);
      assertThat(told)
          .containsExactly("3 completed " + -Errnos.ETIMEDOUT, "3 released 0, in use false");
      assertThat(holds(d, 0, 1)).as("the late write").isTrue();
      assertThat(holds(d, BLOCK, 2)).as("the newer one stays").isTrue();
    }
  }

  @Test
  void aWaitingWriteThatTimedOutKeepsItsMemory() throws Exception {
    try (FaultyBlockDevice d =
        failing(
            (number, op, offset, length) ->
                number == 0 ? new Fault.TimesOut() : new Fault.None())) {
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> write(d, 0, 1, 1, true))
          .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.ETIMEDOUT));
      assertThat(d.mayStillUse(d.buffers().asSlice(0, BLOCK))).isTrue();
      assertThat(d.inFlight()).isEqualTo(1);
      d.release();
      assertThat(d.mayStillUse(d.buffers().asSlice(0, BLOCK))).isFalse();
      assertThat(holds(d, 0, 1)).isTrue();
    }
  }

  /** The disk's own ETIMEDOUT looks the same to a caller, who waits for the same news. */
  @Test
  void whoeverHearsOfATimeOutHearsOfItsEnd() throws Exception {
    try (FaultyBlockDevice d =
        failing((number, op, offset, length) -> new Fault.Fails(Errnos.ETIMEDOUT))) {
      List<String> told = new ArrayList<>();
      d.write(
          0,
          d.buffers().asSlice(0, BLOCK),
          new BlockDevice.Callback() {
            @Override
            public void completed(long tag, int result) {
              told.add("completed " + result);
            }

            @Override
            public void released(long tag, int result) {
              told.add("released " + result);
            }
          },
          1);
      assertThat(told)
          .containsExactly("completed " + -Errnos.ETIMEDOUT, "released " + -Errnos.ETIMEDOUT);
    }
  }
}
