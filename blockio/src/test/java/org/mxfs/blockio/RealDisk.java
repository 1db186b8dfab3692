// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;

/**
 * What only real block devices show; overwrites them. Run by {@link RunTests} on a machine made for
 * it, with the system properties {@code disk} (a disk), {@code discarding} (a device that can
 * discard, and reads zeros then), {@code dm} (a program that suspends and resumes), {@code hanging}
 * (a device-mapper device) and {@code hanging.name} (what that program calls it).
 */
@Timeout(120)
class RealDisk {
  private static final int BLOCK = 4096;
  private static final Duration SHORT = Duration.ofMillis(300);
  private static final Duration LONG = Duration.ofSeconds(60);

  /** What an emulated machine may need to come back from a deadline. */
  private static final Duration SLACK = Duration.ofSeconds(5);

  private static final BlockDevices.Options[] FORMS = {
    BlockDevices.Options.DEFAULT,
    BlockDevices.Options.DEFAULT.withUnregisteredBuffers(),
    BlockDevices.Options.DEFAULT.withBackend(BlockDevices.Backend.SYSTEM_CALLS)
  };

  private static Path property(String name) {
    String value = System.getProperty(name);
    if (value == null) {
      throw new IllegalStateException("-D" + name + "= is missing");
    }
    return Path.of(value);
  }

  private static void control(String command) throws Exception {
    Process process =
        new ProcessBuilder(property("dm").toString(), command, property("hanging.name").toString())
            .inheritIO()
            .start();
    assertThat(process.waitFor()).as("dm " + command).isZero();
  }

  /** Flush requests that the kernel has sent to a disk: {@code Documentation/block/stat.rst}. */
  private static long flushes(Path disk) throws IOException {
    String line = Files.readString(Path.of("/sys/block", disk.getFileName().toString(), "stat"));
    return Long.parseLong(line.strip().split("\\s+")[15]);
  }

  @Test
  void whatOneBackendMakesDurableAnotherReads() throws Exception {
    Path disk = property("disk");
    for (BlockDevices.Options writing : FORMS) {
      for (BlockDevices.Options reading : FORMS) {
        try (BlockDevice out = BlockDevices.open(disk, writing);
            BlockDevice in = BlockDevices.open(disk, reading.asReadOnly())) {
          MemorySegment from = out.buffers().asSlice(0, BLOCK);
          MemorySegment to = in.buffers().asSlice(0, BLOCK);
          for (int step = 1; step <= 3; step++) {
            long at = (long) step * BLOCK;
            int version = out.hashCode() ^ step;
            Pattern.fill(from, at, version);
            switch (step) {
              case 1 -> out.writeThrough(at, from);
              case 2 -> out.writeThenFlush(at, from);
              default -> {
                out.write(at, from);
                out.flush();
              }
            }
            in.read(at, to);
            assertThat(Pattern.matches(to, at, version)).isTrue();
          }
          out.zero(0, 8L * BLOCK);
          in.read(BLOCK, to);
          assertThat(Pattern.isZero(to)).isTrue();
        }
      }
    }
  }

  @Test
  void aFlushReachesADiskWithAWriteCache() throws Exception {
    Path disk = property("disk");
    String cache =
        Files.readString(
                Path.of("/sys/block", disk.getFileName().toString(), "queue", "write_cache"))
            .strip();
    for (BlockDevices.Options form : FORMS) {
      try (BlockDevice d = BlockDevices.open(disk, form)) {
        MemorySegment memory = d.buffers().asSlice(0, BLOCK);
        memory.fill((byte) 3);
        d.write(0, memory);
        long before = flushes(disk);
        d.flush();
        long afterFlush = flushes(disk);
        d.writeThenFlush(0, memory);
        long afterBoth = flushes(disk);
        long each = cache.equals("write back") ? 1 : 0;
        assertThat(afterFlush - before).as(cache).isEqualTo(each);
        assertThat(afterBoth - afterFlush).as(cache).isEqualTo(each);
      }
    }
  }

  @Test
  void anySequenceOfRequestsLeavesWhatAnArrayWouldHold() throws Exception {
    Path device = property("discarding");
    for (BlockDevices.Options form : FORMS) {
      try (BlockDevice d = BlockDevices.open(device, form)) {
        new Model(d, 21).run(80);
      }
    }
    try (BlockDevice d = BlockDevices.openConfined(device, BlockDevices.Options.DEFAULT)) {
      new Model(d, 22).run(80);
    }
  }

  @Test
  void aDiskThatHangsHoldsNeitherARequestPastItsTimeOutNorAFreeze() throws Exception {
    BlockDevice d = BlockDevices.open(property("hanging"));
    MemorySegment memory = d.buffers();
    d.write(0, memory.asSlice(0, BLOCK));
    BlockingQueue<Integer> ended = new LinkedBlockingQueue<>();
    BlockingQueue<Integer> late = new LinkedBlockingQueue<>();
    control("suspend");
    try {
      for (int i = 0; i < 3; i++) {
        d.write(
            (long) i * BLOCK,
            memory.asSlice((long) i * BLOCK, BLOCK),
            (tag, result) -> ended.add(result),
            i);
      }
      BlockDevice quick = d.withTimeout(SHORT);
      quick.read(0, memory.asSlice(8L * BLOCK, BLOCK), (tag, result) -> late.add(result), 8);
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> quick.read(0, memory.asSlice(9L * BLOCK, BLOCK)))
          .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.ETIMEDOUT));
      assertThat(late.poll(60, TimeUnit.SECONDS)).isEqualTo(-Errnos.ETIMEDOUT);
      // The kernel cannot take back what the disk has: both count until it answers.
      assertThat(d.inFlight()).isEqualTo(5);
      FreezeReport report = frozenInTime(d);
      assertThat(report)
          .hasToString("drained=false inFlight=5 flushIssued=false flushCompleted=false");
      assertThat(ended).isEmpty();
    } finally {
      control("resume");
    }
    for (int i = 0; i < 3; i++) {
      assertThat(ended.poll(60, TimeUnit.SECONDS)).isZero();
    }
    assertThat(d.freeze(LONG))
        .hasToString("drained=true inFlight=0 flushIssued=true flushCompleted=true");
    assertThat(late).as("told once").isEmpty();
    d.close();
  }

  /** The disk has the old write, and carries it out when it comes back. */
  @Test
  void aLateWriteIsNeverCarriedOutAfterANewerOne() throws Exception {
    BlockDevice d = BlockDevices.open(property("hanging"));
    MemorySegment old = d.buffers().asSlice(0, BLOCK);
    MemorySegment newer = d.buffers().asSlice(BLOCK, BLOCK);
    MemorySegment in = d.buffers().asSlice(2L * BLOCK, BLOCK);
    Pattern.fill(old, 0, 1);
    Pattern.fill(newer, 0, 2);
    BlockingQueue<String> told = new LinkedBlockingQueue<>();
    BlockDevice quick = d.withTimeout(SHORT);
    control("suspend");
    try {
      quick.write(
          0,
          old,
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
      assertThat(told.poll(60, TimeUnit.SECONDS)).isEqualTo("completed " + -Errnos.ETIMEDOUT);
      assertThat(d.mayStillUse(old)).isTrue();
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> quick.write(0, newer))
          .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.EBUSY));
      assertThat(told).isEmpty();
    } finally {
      control("resume");
    }
    assertThat(told.poll(60, TimeUnit.SECONDS)).isEqualTo("released 0");
    assertThat(d.mayStillUse(old)).isFalse();
    d.write(0, newer);
    d.read(0, in);
    assertThat(Pattern.matches(in, 0, 2)).isTrue();
    d.close();
  }

  private static FreezeReport frozenInTime(BlockDevice d) {
    long before = System.nanoTime();
    FreezeReport report = d.freeze(SHORT);
    Duration took = Duration.ofNanos(System.nanoTime() - before);
    System.out.println("a freeze of a hanging disk by a deadline of " + SHORT + " took " + took);
    assertThat(took).isLessThan(SHORT.plus(SLACK));
    return report;
  }

  @Test
  void aFlushThatHangsDoesNotHoldAFreeze() throws Exception {
    for (BlockDevices.Options form : FORMS) {
      BlockDevice d = BlockDevices.open(property("hanging"), form);
      d.write(0, d.buffers().asSlice(0, BLOCK));
      control("suspend");
      try {
        assertThat(frozenInTime(d))
            .as(form.toString())
            .hasToString("drained=true inFlight=0 flushIssued=true flushCompleted=false");
      } finally {
        control("resume");
      }
      d.close();
    }
  }

  @Test
  void aConfinedDeviceIsFrozenInTimeToo() throws Exception {
    ConfinedBlockDevice d =
        BlockDevices.openConfined(property("hanging"), BlockDevices.Options.DEFAULT);
    int[] ended = new int[1];
    control("suspend");
    try {
      for (int i = 0; i < 2; i++) {
        d.write(
            (long) i * BLOCK,
            d.buffers().asSlice((long) i * BLOCK, BLOCK),
            (tag, result) -> ended[0]++,
            i);
      }
      assertThat(frozenInTime(d))
          .hasToString("drained=false inFlight=2 flushIssued=false flushCompleted=false");
    } finally {
      control("resume");
    }
    assertThat(d.freeze(LONG))
        .hasToString("drained=true inFlight=0 flushIssued=true flushCompleted=true");
    assertThat(ended[0]).isEqualTo(2);
    d.close();
  }
}
