// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Files;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.iovec;

/**
 * A device on {@code pread(2)}, {@code pwrite(2)} and {@code pwritev2(2)}: each request is carried
 * out by the thread that makes it. A request that hangs in the kernel hangs its thread; {@link
 * #freeze} returns in time all the same, and counts it.
 */
final class SystemCallBlockDevice extends AbstractBlockDevice {
  private final int fd;
  private final Arena arena;
  private final InFlight gate;
  private final Flusher flusher;
  private final AtomicBoolean closed = new AtomicBoolean();

  SystemCallBlockDevice(
      String name,
      int fd,
      long size,
      int blockSize,
      Arena arena,
      MemorySegment buffers,
      BlockDevices.Options options) {
    super(name, size, blockSize, buffers, options.timeout());
    this.fd = fd;
    this.arena = arena;
    this.gate = new InFlight(name, options.queueDepth());
    this.flusher = new Flusher(name, gate, () -> Linux.fdatasync(fd));
  }

  SystemCallBlockDevice started() {
    flusher.started();
    return this;
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
      return switch (op) {
        case READ, WRITE, WRITE_THROUGH -> transferAll(op, offset, address, length, parts);
        case WRITE_THEN_FLUSH -> {
          int written = transferAll(Operation.WRITE, offset, address, length, parts);
          yield written < 0 ? written : flush(fd);
        }
        case FLUSH -> flush(fd);
        case DISCARD -> fallocate(Files.FALLOC_FL_PUNCH_HOLE, offset, length);
        case ZERO -> fallocate(Files.FALLOC_FL_ZERO_RANGE, offset, length);
      };
    } finally {
      gate.leave(op, offset);
    }
  }

  private static int flush(int fd) {
    int result;
    do {
      result = Linux.fdatasync(fd);
    } while (result == -Errnos.EINTR);
    return result;
  }

  private int fallocate(int mode, long offset, long length) {
    int result;
    do {
      result = Linux.fallocate(fd, mode | Files.FALLOC_FL_KEEP_SIZE, offset, length);
    } while (result == -Errnos.EINTR);
    return result;
  }

  /** One call for each piece of memory: this backend is for where speed is not the question. */
  private int transferAll(
      Operation op, long offset, long address, long length, MemorySegment @Nullable [] parts) {
    if (parts == null) {
      return transfer(op, offset, address, length);
    }
    long at = offset;
    for (MemorySegment part : parts) {
      int result = transfer(op, at, part.address(), part.byteSize());
      if (result < 0) {
        return result;
      }
      at += part.byteSize();
    }
    return 0;
  }

  private int transfer(Operation op, long offset, long address, long length) {
    long done = 0;
    while (done < length) {
      MemorySegment rest = memory(address + done, length - done);
      long got =
          switch (op) {
            case READ -> Linux.pread64(fd, rest, rest.byteSize(), offset + done);
            case WRITE -> Linux.pwrite64(fd, rest, rest.byteSize(), offset + done);
            default -> writeThrough(rest, offset + done);
          };
      if (got == -Errnos.EINTR) {
        continue;
      }
      if (got < 0) {
        return (int) got;
      }
      done += got;
      if (done < length && (got == 0 || (got & (blockSize() - 1)) != 0)) {
        return -Errnos.EIO; // the end of something, not a short transfer
      }
    }
    return 0;
  }

  /** RWF_DSYNC: the kernel sets FUA where the device has it, and flushes where not. */
  private long writeThrough(MemorySegment memory, long offset) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment vector = call.allocate(iovec.SIZE, iovec.ALIGN);
      iovec.iov_base(vector, 0, memory.address());
      iovec.iov_len(vector, 0, memory.byteSize());
      return Linux.pwritev2(fd, vector, 1, offset, 0, Files.RWF_DSYNC);
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
    return gate.freeze(deadline, flusher);
  }

  @Override
  public void close() throws IOException {
    if (closed.getAndSet(true)) {
      return;
    }
    int left = gate.close(after(System.nanoTime(), timeout()));
    if (left > 0) {
      throw new IOException(Callbacks.notEnded(name, left));
    }
    flusher.stop();
    arena.close();
    Errno.check(Linux.close(fd), "close", name, "an earlier write may have failed");
  }

  @Override
  public String toString() {
    return name + ": pread and pwrite, in flight " + inFlight();
  }
}
