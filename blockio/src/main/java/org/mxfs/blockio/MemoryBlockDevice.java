// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.LongToIntFunction;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * A device in memory, with a volatile write cache: what was not flushed may survive a crash or not,
 * block by block. For tests and simulations.
 *
 * <p>Every version that a block had since it was last durable is kept until the next flush: a crash
 * may leave any of them.
 */
public final class MemoryBlockDevice extends AbstractBlockDevice {
  private static final int DEPTH = 64;
  private static final Duration TIMEOUT = Duration.ofSeconds(10);

  private final Arena arena;
  private final InFlight gate;
  private final LongToIntFunction lastFlush;
  private final AtomicBoolean closed = new AtomicBoolean();

  /** Guards the contents. */
  private final Object contents = new Object();

  private final byte[] cached;
  private final byte[] durable;

  /** The versions of each block since it was last durable, oldest first. */
  private final TreeMap<Integer, List<byte[]>> unflushed = new TreeMap<>();

  private MemoryBlockDevice(byte[] durable, int blockSize, Arena arena, MemorySegment buffers) {
    super("memory", durable.length, blockSize, buffers, TIMEOUT);
    this.arena = arena;
    this.durable = durable;
    this.cached = durable.clone();
    this.gate = new InFlight(name, DEPTH);
    this.lastFlush = end -> flushCache();
  }

  /** A device of zeros. */
  public static MemoryBlockDevice create(int size, int blockSize, long bufferBytes) {
    return withContents(new byte[size], blockSize, bufferBytes);
  }

  /** A device that holds {@code contents}, a whole number of blocks, which is copied. */
  public static MemoryBlockDevice withContents(byte[] contents, int blockSize, long bufferBytes) {
    if (contents.length % blockSize != 0) {
      throw new IllegalArgumentException(
          contents.length + " bytes are not whole blocks of " + blockSize);
    }
    Arena arena = Arena.ofShared();
    return new MemoryBlockDevice(
        contents.clone(), blockSize, arena, arena.allocate(bufferBytes, blockSize));
  }

  /**
   * What would be found after a power loss now: everything durable, and of each block written
   * since, any version that it had, or the last durable one. A write of several blocks may thus be
   * torn, and writes may be lost in any order.
   *
   * @param chance decides for each such block
   */
  public byte[] afterCrash(RandomGenerator chance) {
    synchronized (contents) {
      byte[] found = durable.clone();
      unflushed.forEach(
          (block, versions) -> {
            int kept = chance.nextInt(versions.size() + 1);
            if (kept < versions.size()) {
              System.arraycopy(versions.get(kept), 0, found, block * blockSize(), blockSize());
            }
          });
      return found;
    }
  }

  /** What reads return now. */
  public byte[] contents() {
    synchronized (contents) {
      return cached.clone();
    }
  }

  @Override
  void start(
      Operation op,
      long offset,
      long address,
      long length,
      MemorySegment @Nullable [] parts,
      Callback callback,
      long tag,
      long timeoutNanos)
      throws IOException {
    Callbacks.tell(callback, tag, run(op, offset, address, length, parts, timeoutNanos));
  }

  @Override
  int run(
      Operation op,
      long offset,
      long address,
      long length,
      MemorySegment @Nullable [] parts,
      long timeoutNanos)
      throws IOException {
    gate.enter(op, offset, length, InFlight.FOR_EVER);
    try {
      synchronized (contents) {
        if (op.transfers()) {
          transfer(op, (int) offset, address, length, parts);
        }
        if (op == Operation.DISCARD || op == Operation.ZERO) {
          Arrays.fill(cached, (int) offset, (int) (offset + length), (byte) 0);
        }
        settle(op, (int) offset, (int) length);
      }
      return 0;
    } finally {
      gate.leave(op, offset);
    }
  }

  private void transfer(
      Operation op, int offset, long address, long length, MemorySegment @Nullable [] parts) {
    if (parts == null) {
      copy(op, memory(address, length), offset);
      return;
    }
    int at = offset;
    for (MemorySegment part : parts) {
      copy(op, part, at);
      at += (int) part.byteSize();
    }
  }

  private void copy(Operation op, MemorySegment memory, int at) {
    MemorySegment disk = MemorySegment.ofArray(cached).asSlice(at, memory.byteSize());
    if (op == Operation.READ) {
      memory.copyFrom(disk);
    } else {
      disk.copyFrom(memory);
    }
  }

  /** What became durable, and what became volatile. */
  private void settle(Operation op, int at, int length) {
    switch (op) {
      case READ -> {}
      case WRITE, DISCARD, ZERO -> remember(at, length);
      case WRITE_THROUGH -> {
        System.arraycopy(cached, at, durable, at, length);
        unflushed.subMap(at / blockSize(), (at + length) / blockSize()).clear();
      }
      case WRITE_THEN_FLUSH, FLUSH -> flushCache();
    }
  }

  private void remember(int at, int length) {
    for (int from = at; from < at + length; from += blockSize()) {
      unflushed
          .computeIfAbsent(from / blockSize(), block -> new ArrayList<>())
          .add(Arrays.copyOfRange(cached, from, from + blockSize()));
    }
  }

  private int flushCache() {
    synchronized (contents) {
      System.arraycopy(cached, 0, durable, 0, cached.length);
      unflushed.clear();
      return 0;
    }
  }

  @Override
  public int queueDepth() {
    return DEPTH;
  }

  @Override
  public int inFlight() {
    return gate.inFlight();
  }

  @Override
  public boolean mayStillUse(MemorySegment memory) {
    return false; // who makes a request waits for its end
  }

  @Override
  public void plug() {}

  @Override
  public void unplug() {}

  @Override
  public int cancel(long tag) {
    return 0;
  }

  @Override
  public FreezeReport freeze(Duration deadline) {
    return gate.freeze(deadline, lastFlush);
  }

  /** What was not flushed is gone: closing is no flush. */
  @Override
  public void close() throws IOException {
    if (closed.getAndSet(true)) {
      return;
    }
    int left = gate.close(after(System.nanoTime(), timeout()));
    if (left > 0) {
      throw new IOException(Callbacks.notEnded(name, left));
    }
    arena.close();
  }

  @Override
  public String toString() {
    return name + " of " + size() + " bytes, blocks of " + blockSize();
  }
}
