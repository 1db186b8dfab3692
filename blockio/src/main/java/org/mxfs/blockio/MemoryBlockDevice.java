// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Arrays;
import java.util.BitSet;
import java.util.random.RandomGenerator;

/**
 * A device in memory, with a volatile write cache: what was not flushed may survive a crash or not,
 * block by block. For tests and simulations.
 */
public final class MemoryBlockDevice extends AbstractBlockDevice {
  private static final int DEPTH = 64;

  private final Arena arena;
  private final InFlight gate;

  /** Guards the contents. */
  private final Object contents = new Object();

  private final byte[] cached;
  private final byte[] durable;
  private final BitSet dirty = new BitSet();
  private boolean closed;

  private MemoryBlockDevice(byte[] durable, int blockSize, Arena arena, MemorySegment buffers) {
    super("memory", durable.length, blockSize, buffers);
    this.arena = arena;
    this.durable = durable;
    this.cached = durable.clone();
    this.gate = new InFlight(name, DEPTH);
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
   * since, the newest content or the last durable one.
   *
   * @param chance decides for each such block
   */
  public byte[] afterCrash(RandomGenerator chance) {
    synchronized (contents) {
      byte[] found = durable.clone();
      for (int block = dirty.nextSetBit(0); block >= 0; block = dirty.nextSetBit(block + 1)) {
        if (chance.nextBoolean()) {
          System.arraycopy(cached, block * blockSize(), found, block * blockSize(), blockSize());
        }
      }
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
  void start(Operation op, long offset, long address, long length, Callback callback, long tag)
      throws IOException {
    callback.completed(tag, run(op, offset, address, length));
  }

  @Override
  int run(Operation op, long offset, long address, long length) throws IOException {
    gate.enter();
    try {
      synchronized (contents) {
        int at = (int) offset;
        int bytes = (int) length;
        switch (op) {
          case READ ->
              MemorySegment.copy(
                  cached,
                  at,
                  buffers(),
                  ValueLayout.JAVA_BYTE,
                  address - buffers().address(),
                  bytes);
          case WRITE, WRITE_THROUGH -> {
            MemorySegment.copy(
                buffers(), ValueLayout.JAVA_BYTE, address - buffers().address(), cached, at, bytes);
            written(at, bytes, op == Operation.WRITE_THROUGH);
          }
          case DISCARD, ZERO -> {
            Arrays.fill(cached, at, at + bytes, (byte) 0);
            written(at, bytes, false);
          }
          case FLUSH -> {
            for (int block = dirty.nextSetBit(0); block >= 0; block = dirty.nextSetBit(block + 1)) {
              System.arraycopy(
                  cached, block * blockSize(), durable, block * blockSize(), blockSize());
            }
            dirty.clear();
          }
        }
        return 0;
      }
    } finally {
      gate.leave();
    }
  }

  private void written(int at, int bytes, boolean through) {
    int first = at / blockSize();
    int end = (at + bytes) / blockSize();
    if (through) {
      System.arraycopy(cached, at, durable, at, bytes);
      dirty.clear(first, end);
    } else {
      dirty.set(first, end);
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
  public void plug() {}

  @Override
  public void unplug() {}

  @Override
  public int cancel(long tag) {
    return 0;
  }

  @Override
  public FreezeReport freeze(Duration deadline) {
    return gate.freeze(
        deadline,
        () -> {
          synchronized (contents) {
            System.arraycopy(cached, 0, durable, 0, cached.length);
            dirty.clear();
          }
          return 0;
        });
  }

  /** What was not flushed is gone: closing is no flush. */
  @Override
  public void close() throws IOException {
    synchronized (contents) {
      if (closed) {
        return;
      }
      closed = true;
    }
    if (gate.close(Duration.ofSeconds(10)) > 0) {
      throw new IOException(name + ": requests are still under way");
    }
    arena.close();
  }
}
