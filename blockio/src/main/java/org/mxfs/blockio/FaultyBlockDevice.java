// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;

/**
 * A device in front of another that fails as its {@link Script} says: errors, torn, lost and
 * misdirected writes, requests that are late or hang. For tests.
 *
 * <p>A request of the callback form that is late or hangs is told of by another thread; all others
 * by the caller's.
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

    /**
     * Only its first {@code blocks} blocks are written, and it is reported as good: what a disk
     * does that lies about its cache.
     */
    record SilentlyTorn(int blocks) implements Fault {}

    /** It is carried out at another offset, and reported as good. */
    record Misdirected(long offset) implements Fault {}

    /** It is carried out after a while. */
    record Delayed(Duration by) implements Fault {}

    /** It hangs until {@link FaultyBlockDevice#release}, and is carried out then. */
    record Hangs() implements Fault {}

    /**
     * It is told of as ETIMEDOUT at once, and carried out at {@link FaultyBlockDevice#release}: a
     * disk that answers after its time. What is written is what its memory holds then.
     */
    record TimesOut() implements Fault {}
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

  private record Request(
      Operation operation,
      long offset,
      long address,
      long length,
      MemorySegment @Nullable [] parts) {}

  private record Held(Request request, Callback callback, long tag, boolean toldBefore) {}

  private static final Request FLUSH = new Request(Operation.FLUSH, 0, 0, 0, null);

  private final AbstractBlockDevice inner;
  private final Script script;
  private final InFlight gate;
  private final Flusher flusher;

  /** Guards everything below; waited on by requests that hang. */
  private final Object monitor = new Object();

  private final Queue<Held> held = new ArrayDeque<>();
  private long next;
  private long releases;

  /**
   * Takes over {@code inner}, its memory included, and closes it when it is closed itself.
   *
   * @param inner a device of this package
   */
  public static FaultyBlockDevice over(BlockDevice inner, Script script) {
    if (!(inner instanceof AbstractBlockDevice device)) {
      throw new IllegalArgumentException(inner + " is no device of this package");
    }
    FaultyBlockDevice faulty = new FaultyBlockDevice(device, script);
    faulty.flusher.started();
    return faulty;
  }

  private FaultyBlockDevice(AbstractBlockDevice inner, Script script) {
    super("faulty " + inner, inner.size(), inner.blockSize(), inner.buffers(), inner.timeout());
    this.inner = inner;
    this.script = script;
    this.gate = new InFlight(name, inner.queueDepth());
    this.flusher = new Flusher(name, gate, this::lastFlush);
  }

  /** Carries out every request that hangs or timed out. */
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
      end(one, forward(one.request));
    }
  }

  private void end(Held one, int result) {
    gate.leave(one.request.operation, one.request.offset);
    if (one.toldBefore) {
      one.callback.released(one.tag, result);
    } else {
      Callbacks.tell(one.callback, one.tag, result);
    }
  }

  private void hold(Held one) {
    synchronized (monitor) {
      held.add(one);
    }
  }

  private Fault decide(Request request) {
    long number;
    synchronized (monitor) {
      number = next++;
    }
    return script.decide(number, request.operation, request.offset, request.length);
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
    gate.enter(op, offset, length, timeoutNanos);
    Request request = new Request(op, offset, address, length, parts);
    Held one = new Held(request, callback, tag, false);
    switch (decide(request)) {
      case Fault.Hangs() -> hold(one);
      case Fault.TimesOut() -> {
        hold(new Held(request, callback, tag, true));
        callback.completed(tag, -Errnos.ETIMEDOUT);
      }
      case Fault.Delayed(Duration by) ->
          Thread.ofPlatform()
              .daemon()
              .name("blockio delay " + name)
              .start(
                  () -> {
                    pause(by);
                    end(one, forward(request));
                  });
      case Fault now -> end(one, apply(now, request));
    }
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
    gate.enter(op, offset, length, timeoutNanos);
    Request request = new Request(op, offset, address, length, parts);
    Fault fault = decide(request);
    if (fault instanceof Fault.TimesOut) {
      hold(new Held(request, RingRequests.NOBODY, 0, true));
      return -Errnos.ETIMEDOUT;
    }
    try {
      return carryOut(fault, request);
    } finally {
      gate.leave(op, offset);
    }
  }

  /** The flush of a freeze is a request like any other: the script decides about it. */
  private int lastFlush() {
    return carryOut(decide(FLUSH), FLUSH);
  }

  private int carryOut(Fault fault, Request request) {
    return switch (fault) {
      case Fault.Hangs() -> {
        hang();
        yield forward(request);
      }
      case Fault.Delayed(Duration by) -> {
        pause(by);
        yield forward(request);
      }
      case Fault now -> apply(now, request);
    };
  }

  private static void pause(Duration by) {
    long end = System.nanoTime() + by.toNanos();
    boolean interrupted = false;
    long left = by.toNanos();
    while (left > 0) {
      try {
        TimeUnit.NANOSECONDS.sleep(left);
      } catch (InterruptedException e) {
        interrupted = true;
      }
      left = end - System.nanoTime();
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
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

  private int apply(Fault fault, Request request) {
    return switch (fault) {
      case Fault.Fails(int errno) -> -errno;
      case Fault.Lost() -> 0;
      case Fault.Torn(int blocks, int errno) -> {
        int result = forwardFirst(request, blocks);
        yield result < 0 ? result : -errno;
      }
      case Fault.SilentlyTorn(int blocks) -> forwardFirst(request, blocks);
      case Fault.Misdirected(long elsewhere) ->
          forward(
              new Request(
                  request.operation, elsewhere, request.address, request.length, request.parts));
      case Fault.None(), Fault.Delayed(Duration _), Fault.Hangs(), Fault.TimesOut() ->
          forward(request);
    };
  }

  /** Carries out the first blocks of a request, piece by piece. */
  private int forwardFirst(Request request, int blocks) {
    MemorySegment[] parts =
        request.parts != null
            ? request.parts
            : new MemorySegment[] {
              request.operation.transfers()
                  ? memory(request.address, request.length)
                  : MemorySegment.NULL
            };
    long left = Math.min((long) blocks * blockSize(), request.length);
    if (!request.operation.transfers()) {
      return left == 0 ? 0 : forward(new Request(request.operation, request.offset, 0, left, null));
    }
    long at = request.offset;
    for (MemorySegment part : parts) {
      long bytes = Math.min(left, part.byteSize());
      if (bytes == 0) {
        return 0;
      }
      int result = forward(new Request(request.operation, at, part.address(), bytes, null));
      if (result < 0) {
        return result;
      }
      at += bytes;
      left -= bytes;
    }
    return 0;
  }

  private int forward(Request request) {
    try {
      return inner.run(
          request.operation,
          request.offset,
          request.address,
          request.length,
          request.parts,
          timeout().toNanos());
    } catch (ErrnoException e) {
      return -e.errno();
    } catch (IOException e) {
      return -Errnos.EIO; // the device below is frozen or closed
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
  public boolean mayStillUse(MemorySegment memory) {
    synchronized (monitor) {
      return held.stream().anyMatch(one -> one.toldBefore && uses(one.request, memory));
    }
  }

  private static boolean uses(Request request, MemorySegment memory) {
    if (!request.operation.transfers()) {
      return false;
    }
    if (request.parts == null) {
      return memory.address() < request.address + request.length
          && request.address < memory.address() + memory.byteSize();
    }
    for (MemorySegment part : request.parts) {
      if (part.asOverlappingSlice(memory).isPresent()) {
        return true;
      }
    }
    return false;
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

  @Override
  public FreezeReport freeze(Duration deadline) {
    return gate.freeze(deadline, flusher);
  }

  @Override
  public void close() throws IOException {
    int left = gate.close(System.nanoTime() + TimeUnit.SECONDS.toNanos(1));
    if (left > 0) {
      throw new IOException(name + ": " + left + " requests hang; release() them first");
    }
    flusher.stop();
    inner.close();
  }

  @Override
  public String toString() {
    return name;
  }
}
