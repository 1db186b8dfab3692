// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Queue;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;

/**
 * A device in front of another that fails as its {@link Script} says: errors, torn, lost and
 * misdirected writes, requests that hang. For tests.
 */
public final class FaultyBlockDevice extends AbstractBlockDevice {
  /** What happens to a request. */
  public sealed interface Fault {
    /** Nothing. */
    record None() implements Fault {}

    /** It fails and has no effect. */
    record Fails(int errno) implements Fault {}

    /** It is reported as good and has no effect. */
    record Lost() implements Fault {}

    /** Only its first {@code blocks} blocks are written; then it fails. */
    record Torn(int blocks, int errno) implements Fault {}

    /** It is carried out at another offset, and reported as good. */
    record Misdirected(long offset) implements Fault {}

    /** It hangs until {@link FaultyBlockDevice#release}, and is carried out then. */
    record Hangs() implements Fault {}
  }

  /** Decides about each request. */
  @FunctionalInterface
  public interface Script {
    /**
     * What is to happen to a request.
     *
     * @param number of the request, from 0
     */
    Fault decide(long number, Operation operation, long offset, long length);
  }

  private record Held(
      Operation operation, long offset, long address, long length, Callback callback, long tag) {}

  private final BlockDevice inner;
  private final Script script;
  private final InFlight gate;

  /** Guards everything below; waited on by requests that hang. */
  private final Object monitor = new Object();

  private final Queue<Held> held = new ArrayDeque<>();
  private long next;
  private long releases;

  /** Takes over {@code inner}, its memory included, and closes it when it is closed itself. */
  public FaultyBlockDevice(BlockDevice inner, Script script) {
    super("faulty " + inner, inner.size(), inner.blockSize(), inner.buffers());
    this.inner = inner;
    this.script = script;
    this.gate = new InFlight(name, inner.queueDepth());
  }

  /** Carries out every request that hangs. */
  public void release() {
    while (true) {
      Held one;
      synchronized (monitor) {
        releases++;
        monitor.notifyAll();
        one = held.poll();
      }
      if (one == null) {
        return;
      }
      int result = forward(one.operation, one.offset, one.address, one.length);
      gate.leave();
      one.callback.completed(one.tag, result);
    }
  }

  private Fault decide(Operation op, long offset, long length) {
    long number;
    synchronized (monitor) {
      number = next++;
    }
    return script.decide(number, op, offset, length);
  }

  @Override
  void start(Operation op, long offset, long address, long length, Callback callback, long tag)
      throws IOException {
    gate.enter();
    Fault fault = decide(op, offset, length);
    if (fault instanceof Fault.Hangs) {
      synchronized (monitor) {
        held.add(new Held(op, offset, address, length, callback, tag));
      }
      return;
    }
    int result = apply(fault, op, offset, address, length);
    gate.leave();
    callback.completed(tag, result);
  }

  @Override
  int run(Operation op, long offset, long address, long length) throws IOException {
    gate.enter();
    try {
      Fault fault = decide(op, offset, length);
      if (fault instanceof Fault.Hangs) {
        hang();
        return forward(op, offset, address, length);
      }
      return apply(fault, op, offset, address, length);
    } finally {
      gate.leave();
    }
  }

  private void hang() {
    boolean interrupted = false;
    synchronized (monitor) {
      long before = releases;
      while (releases == before) {
        try {
          monitor.wait();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private int apply(Fault fault, Operation op, long offset, long address, long length) {
    return switch (fault) {
      case Fault.Fails(int errno) -> -errno;
      case Fault.Lost() -> 0;
      case Fault.Torn(int blocks, int errno) -> {
        long part = Math.min((long) blocks * blockSize(), length);
        int result = part == 0 ? 0 : forward(op, offset, address, part);
        yield result < 0 ? result : -errno;
      }
      case Fault.Misdirected(long elsewhere) -> forward(op, elsewhere, address, length);
      case Fault.None(), Fault.Hangs() -> forward(op, offset, address, length);
    };
  }

  private int forward(Operation op, long offset, long address, long length) {
    try {
      MemorySegment memory =
          op.transfers()
              ? buffers().asSlice(address - buffers().address(), length)
              : MemorySegment.NULL;
      switch (op) {
        case READ -> inner.read(offset, memory);
        case WRITE -> inner.write(offset, memory);
        case WRITE_THROUGH -> inner.writeThrough(offset, memory);
        case FLUSH -> inner.flush();
        case DISCARD -> inner.discard(offset, length);
        case ZERO -> inner.zero(offset, length);
      }
      return 0;
    } catch (ErrnoException e) {
      return -e.errno();
    } catch (IOException e) {
      return -Errnos.EIO;
    }
  }

  @Override
  public int queueDepth() {
    return gate.limit();
  }

  @Override
  public int inFlight() {
    return gate.inFlight();
  }

  @Override
  public void plug() {
    inner.plug();
  }

  @Override
  public void unplug() {
    inner.unplug();
  }

  @Override
  public int cancel(long tag) {
    return 0;
  }

  /** The flush is a request like any other: the script decides about it. */
  @Override
  public FreezeReport freeze(Duration deadline) {
    return gate.freeze(
        deadline,
        () -> {
          Fault fault = decide(Operation.FLUSH, 0, 0);
          if (fault instanceof Fault.Hangs) {
            hang();
          }
          return apply(fault, Operation.FLUSH, 0, 0, 0);
        });
  }

  @Override
  public void close() throws IOException {
    int left = gate.close(Duration.ofSeconds(1));
    if (left > 0) {
      throw new IOException(name + ": " + left + " requests hang; release() them first");
    }
    inner.close();
  }
}
