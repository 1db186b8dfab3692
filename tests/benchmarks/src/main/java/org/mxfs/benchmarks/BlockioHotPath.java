// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.blockio.BlockDevices;
import org.mxfs.blockio.ConfinedBlockDevice;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** Reads of 4 KiB, for what they allocate: run with {@code -prof gc}. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@SuppressWarnings("NullAway.Init") // JMH calls open() before anything else
public class BlockioHotPath {
  private static final int DEPTH = 32;
  private static final int BYTES = 4096;
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private Path file = Path.of("");
  private BlockDevice shared;
  private ConfinedBlockDevice confined;
  private final MemorySegment[] memory = new MemorySegment[DEPTH];
  private MemorySegment one;
  private int failed;

  /** Opens a file of 4 MiB both ways. */
  @Setup(Level.Trial)
  public void open() throws IOException {
    file = Files.createTempFile("blockio", ".hot");
    try (RandomAccessFile contents = new RandomAccessFile(file.toFile(), "rw")) {
      contents.write(new byte[4 << 20]);
    }
    // From the page cache: no disk, so many reads, beside which what JMH allocates itself is
    // little.
    BlockDevices.Options options =
        BlockDevices.Options.DEFAULT.withBufferBytes(1 << 20).asBuffered();
    shared = BlockDevices.open(file, options);
    one = shared.buffers().asSlice(0, BYTES);
    confined = BlockDevices.openConfined(file, options.withQueueDepth(DEPTH));
    for (int i = 0; i < DEPTH; i++) {
      memory[i] = confined.buffers().asSlice((long) i * BYTES, BYTES);
    }
  }

  /** Closes and removes it. */
  @TearDown(Level.Trial)
  public void close() throws IOException {
    shared.close();
    confined.close();
    Files.delete(file);
    if (failed > 0) {
      throw new IOException(failed + " reads failed");
    }
  }

  private void ended(long tag, int result) {
    failed += result == 0 ? 0 : 1;
  }

  private final BlockDevice.Callback callback = this::ended;

  /** A batch of 32 on the device of one thread. */
  @Benchmark
  @OperationsPerInvocation(DEPTH)
  public void confinedBatch() throws IOException {
    confined.plug();
    for (int i = 0; i < DEPTH; i++) {
      confined.read((long) i * BYTES, memory[i], callback, i);
    }
    confined.unplug();
    confined.await(DEPTH, PATIENCE);
  }

  /** One read that is waited for, on the device of all threads. */
  @Benchmark
  public void sharedRead() throws IOException {
    shared.read(0, one);
  }
}
