// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.blockio.BlockDevices;
import org.mxfs.blockio.ConfinedBlockDevice;

/** Keeps a number of requests under way on a file. Twin: {@code blockio_load.c}. */
public final class BlockioLoad implements BlockDevice.Callback {
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final BlockDevice device;
  private final boolean write;
  private final boolean random;
  private final int blockBytes;
  private final long blocks;
  private final MemorySegment[] memory;
  private final long[] started;
  private final Latencies latencies = new Latencies();
  private long state = 0x9e3779b97f4a7c15L;
  private long next;
  private long end;
  private long done;
  private int underWay;
  private long processor;
  private volatile boolean over;
  private int failed;

  private BlockioLoad(BlockDevice device, String pattern, int blockBytes, int depth) {
    this.device = device;
    this.write = pattern.endsWith("write");
    this.random = pattern.startsWith("rand");
    this.blockBytes = blockBytes;
    blocks = device.size() / blockBytes;
    memory = new MemorySegment[depth];
    started = new long[depth];
    for (int i = 0; i < depth; i++) {
      memory[i] = device.buffers().asSlice((long) i * blockBytes, blockBytes);
    }
  }

  /**
   * Warms up, then measures for as long; prints {@code iops}, {@code p99us}, and, where all is done
   * by one thread, {@code cpuns}, its processor time for one request.
   *
   * @param arguments confined, shared or waiting (shared, without callbacks, one request at a
   *     time); file; read, write, randread or randwrite; bytes; queue depth; seconds
   */
  public static void main(String[] arguments) throws IOException {
    String form = arguments[0];
    int blockBytes = Integer.parseInt(arguments[3]);
    int depth = Integer.parseInt(arguments[4]);
    double seconds = Double.parseDouble(arguments[5]);
    BlockDevices.Options options =
        BlockDevices.Options.DEFAULT
            .withQueueDepth(depth)
            .withBufferBytes((long) blockBytes * depth);
    Path file = Path.of(arguments[1]);
    try (BlockDevice device =
        form.equals("confined")
            ? BlockDevices.openConfined(file, options)
            : BlockDevices.open(file, options)) {
      BlockioLoad load = new BlockioLoad(device, arguments[2], blockBytes, depth);
      load.run(form, seconds);
      double iops = load.run(form, seconds);
      System.out.printf(Locale.ROOT, "iops %.1f%np99us %.2f%n", iops, load.latencies.micros(0.99));
      if (!form.equals("shared")) {
        System.out.printf(Locale.ROOT, "cpuns %.1f%n", load.processorNanos());
      }
    }
  }

  /** Nanoseconds of processor time that an operation of the last run cost this thread. */
  private double processorNanos() {
    return (double) processor / done;
  }

  private double run(String form, double seconds) throws IOException {
    long before = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    double iops = timed(form, seconds);
    processor = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - before;
    return iops;
  }

  private double timed(String form, double seconds) throws IOException {
    latencies.clear();
    done = 0;
    over = false;
    long start = System.nanoTime();
    end = start + (long) (seconds * 1e9);
    switch (form) {
      case "confined" -> loop((ConfinedBlockDevice) device);
      case "shared" -> callbacks();
      case "waiting" -> waiting();
      default -> throw new IllegalArgumentException(form);
    }
    if (failed > 0) {
      throw new IOException(failed + " requests failed");
    }
    return done / ((System.nanoTime() - start) / 1e9);
  }

  private void loop(ConfinedBlockDevice confined) throws IOException {
    confined.plug();
    startAll();
    confined.unplug();
    while (underWay > 0) {
      confined.await(1, PATIENCE);
    }
  }

  private void callbacks() throws IOException {
    Thread me = Thread.currentThread();
    device.plug();
    startAll();
    device.unplug();
    while (!over) {
      LockSupport.parkNanos(me, 1_000_000);
    }
  }

  private void waiting() throws IOException {
    long now = System.nanoTime();
    while (now < end) {
      long offset = offset(0);
      if (write) {
        device.write(offset, memory[0]);
      } else {
        device.read(offset, memory[0]);
      }
      long before = now;
      now = System.nanoTime();
      latencies.add(now - before);
      done++;
    }
  }

  private void startAll() throws IOException {
    underWay = memory.length;
    for (int i = 0; i < memory.length; i++) {
      start(i, System.nanoTime());
    }
  }

  /** Where a slot's next request goes: random writes never to a block that another slot writes. */
  private long offset(int slot) {
    if (!random) {
      next = next + 1 == blocks ? 0 : next + 1;
      return next * blockBytes;
    }
    state ^= state << 13;
    state ^= state >>> 7;
    state ^= state << 17;
    long stripes = blocks / memory.length;
    return (Math.unsignedMultiplyHigh(state, stripes) * memory.length + slot) * blockBytes;
  }

  private void start(int i, long now) throws IOException {
    started[i] = now;
    long offset = offset(i);
    if (write) {
      device.write(offset, memory[i], this, i);
    } else {
      device.read(offset, memory[i], this, i);
    }
  }

  @Override
  public void completed(long tag, int result) {
    int i = (int) tag;
    long now = System.nanoTime();
    latencies.add(now - started[i]);
    done++;
    failed += result == 0 ? 0 : 1;
    if (now >= end) {
      underWay--;
      over = underWay == 0;
      return;
    }
    try {
      start(i, now);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** A histogram in steps of 128 ns, up to 134 ms. */
  private static final class Latencies {
    private static final int STEP_BITS = 7;

    private final int[] counts = new int[1 << 20];
    private long total;

    void clear() {
      Arrays.fill(counts, 0);
      total = 0;
    }

    void add(long nanos) {
      counts[(int) Math.min(nanos >> STEP_BITS, counts.length - 1)]++;
      total++;
    }

    double micros(double quantile) {
      long left = (long) (total * quantile);
      int at = 0;
      while (left >= counts[at] && at < counts.length - 1) {
        left -= counts[at];
        at++;
      }
      return ((at + 1L) << STEP_BITS) / 1e3;
    }
  }
}
