// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
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
  private final Duration timeout;
  private boolean closed;

  SystemCallBlockDevice(
      String name,
      int fd,
      long size,
      int blockSize,
      Arena arena,
      MemorySegment buffers,
      int depth,
      Duration timeout) {
    super(name, size, blockSize, buffers);
    this.fd = fd;
    this.arena = arena;
    this.timeout = timeout;
    this.gate = new InFlight(name, depth);
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
      return switch (op) {
        case READ, WRITE, WRITE_THROUGH -> transfer(op, offset, address, length);
        case FLUSH -> Linux.fdatasync(fd);
        case DISCARD ->
            Linux.fallocate(
                fd, Files.FALLOC_FL_PUNCH_HOLE | Files.FALLOC_FL_KEEP_SIZE, offset, length);
        case ZERO ->
            Linux.fallocate(
                fd, Files.FALLOC_FL_ZERO_RANGE | Files.FALLOC_FL_KEEP_SIZE, offset, length);
      };
    } finally {
      gate.leave();
    }
  }

  private int transfer(Operation op, long offset, long address, long length) {
    long done = 0;
    while (done < length) {
      MemorySegment part = buffers().asSlice(address + done - buffers().address(), length - done);
      long got =
          switch (op) {
            case READ -> Linux.pread64(fd, part, part.byteSize(), offset + done);
            case WRITE -> Linux.pwrite64(fd, part, part.byteSize(), offset + done);
            default -> writeThrough(part, offset + done);
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
  private long writeThrough(MemorySegment part, long offset) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment vector = call.allocate(iovec.SIZE, iovec.ALIGN);
      vector.set(ValueLayout.JAVA_LONG, iovec.OFFSET_iov_base, part.address());
      iovec.iov_len(vector, 0, part.byteSize());
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
  public void plug() {}

  @Override
  public void unplug() {}

  @Override
  public int cancel(long tag) {
    return 0;
  }

  @Override
  public FreezeReport freeze(Duration deadline) {
    // The flush gets a thread of its own, so that a device which never answers cannot hold the
    // caller.
    return gate.freeze(deadline, () -> Linux.fdatasync(fd));
  }

  @Override
  public void close() throws IOException {
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
    }
    int left = gate.close(timeout);
    if (left > 0) {
      throw new IOException(
          name
              + ": "
              + left
              + " requests have not ended; the device stays open and its memory is kept");
    }
    arena.close();
    Errno.check(Linux.close(fd), "close", name, "an earlier write may have failed");
  }

  @Override
  public String toString() {
    return name + ": pread and pwrite, in flight " + inFlight();
  }
}
