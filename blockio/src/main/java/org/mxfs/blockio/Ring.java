// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.Mapping;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.IoUring;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Memory;
import org.mxfs.bindings.linux.io_uring_cqe;
import org.mxfs.bindings.linux.io_uring_params;
import org.mxfs.bindings.linux.io_uring_probe;
import org.mxfs.bindings.linux.io_uring_probe_op;
import org.mxfs.bindings.linux.io_uring_sqe;
import org.mxfs.bindings.linux.io_uring_sync_cancel_reg;
import org.mxfs.bindings.linux.iovec;

/**
 * An io_uring instance: the two rings that are shared with the kernel, {@code io_uring(7)}.
 *
 * <p>The submission side may be used by one thread at a time (the caller's lock), the completion
 * side by one thread. The kernel reads the submission ring only within {@link #submit} (there is no
 * kernel polling thread), so entries not yet submitted can be taken back.
 */
final class Ring {
  /**
   * Aligned in both rings; release and acquire are what the kernel's side pairs with
   * (smp_store_release, smp_load_acquire).
   */
  private static final VarHandle INT = JAVA_INT.varHandle().withInvokeExactBehavior();

  private final int fd;
  private final MemorySegment ring;
  private final MemorySegment sqes;
  private final int sqHead;
  private final int sqTail;
  private final int sqMask;
  private final int cqHead;
  private final int cqTail;
  private final int cqMask;
  private final int cqes;
  private final int entries;
  private final MemorySegment cancel;
  private int tail;
  private boolean closed;

  private Ring(Arena arena, int fd, MemorySegment params) throws ErrnoException {
    this.fd = fd;
    if ((io_uring_params.features(params, 0) & IoUring.IORING_FEAT_SINGLE_MMAP) == 0) {
      throw new ErrnoException("io_uring_setup", "", Errnos.ENOSYS, "the kernel is older than 5.4");
    }
    entries = io_uring_params.sq_entries(params, 0);
    long sqBytes = io_uring_params.sq_off_array(params, 0) + (long) entries * Integer.BYTES;
    long cqBytes =
        io_uring_params.cq_off_cqes(params, 0)
            + (long) io_uring_params.cq_entries(params, 0) * io_uring_cqe.SIZE;
    int protection = Memory.PROT_READ | Memory.PROT_WRITE;
    int flags = Memory.MAP_SHARED | Memory.MAP_POPULATE;
    ring =
        Mapping.map(
            arena, fd, IoUring.IORING_OFF_SQ_RING, Math.max(sqBytes, cqBytes), protection, flags);
    sqes =
        Mapping.map(
            arena,
            fd,
            IoUring.IORING_OFF_SQES,
            (long) entries * io_uring_sqe.SIZE,
            protection,
            flags);
    sqHead = io_uring_params.sq_off_head(params, 0);
    sqTail = io_uring_params.sq_off_tail(params, 0);
    sqMask = ring.get(JAVA_INT, io_uring_params.sq_off_ring_mask(params, 0));
    cqHead = io_uring_params.cq_off_head(params, 0);
    cqTail = io_uring_params.cq_off_tail(params, 0);
    cqMask = ring.get(JAVA_INT, io_uring_params.cq_off_ring_mask(params, 0));
    cqes = io_uring_params.cq_off_cqes(params, 0);
    tail = ring.get(JAVA_INT, sqTail);
    cancel = arena.allocate(io_uring_sync_cancel_reg.SIZE, io_uring_sync_cancel_reg.ALIGN);
    // The indirection between ring position and entry is of no use here: entry i is always at
    // position i.
    long array = io_uring_params.sq_off_array(params, 0);
    for (int i = 0; i < entries; i++) {
      ring.set(JAVA_INT, array + (long) i * Integer.BYTES, i);
    }
  }

  /**
   * Makes a ring for at least {@code entries} requests under way; the completion ring has room for
   * all of them, so it cannot overflow.
   *
   * @param arena of the shared memory; must be closed after {@link #close}
   */
  static Ring open(Arena arena, int entries) throws ErrnoException {
    MemorySegment params = arena.allocate(io_uring_params.SIZE, io_uring_params.ALIGN);
    // COOP_TASKRUN (5.19): completions wait for the reader's next system call instead of
    // interrupting whoever submitted.
    int wanted = IoUring.IORING_SETUP_SUBMIT_ALL | IoUring.IORING_SETUP_COOP_TASKRUN;
    int fd = setup(params, entries, wanted);
    if (fd == -Errnos.EINVAL) {
      fd = setup(params, entries, 0);
    }
    if (fd < 0) {
      throw new ErrnoException("io_uring_setup", "entries=" + entries, -fd, setupHint(-fd));
    }
    try {
      return new Ring(arena, fd, params);
    } catch (ErrnoException | RuntimeException e) {
      Linux.close(fd);
      throw e;
    }
  }

  private static int setup(MemorySegment params, int entries, int flags) {
    params.fill((byte) 0);
    io_uring_params.flags(params, 0, flags | IoUring.IORING_SETUP_CLAMP);
    return Linux.io_uring_setup(entries, params);
  }

  private static String setupHint(int errno) {
    return switch (errno) {
      case Errnos.EPERM -> {
        String value = "unknown";
        try {
          value = Files.readString(Path.of("/proc/sys/kernel/io_uring_disabled")).strip();
        } catch (java.io.IOException e) {
          value = "unreadable (" + e.getMessage() + ")";
        }
        yield "io_uring is not allowed here: sysctl kernel.io_uring_disabled is "
            + value
            + " (0 allows it), or a seccomp filter refuses it (containers); the pread/pwrite"
            + " backend works without";
      }
      case Errnos.ENOSYS ->
          "the kernel is built without io_uring; the pread/pwrite backend works without";
      case Errnos.ENOMEM -> "raise the limit of locked memory (ulimit -l) or ask for fewer entries";
      case Errnos.EMFILE, Errnos.ENFILE -> "raise the limit of open files (ulimit -n)";
      default -> "";
    };
  }

  int entries() {
    return entries;
  }

  // ---- what the kernel can do ----

  /** Whether the kernel has all these operations ({@code IORING_REGISTER_PROBE}). */
  boolean supports(int... operations) throws ErrnoException {
    int count = 256;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment probe =
          arena.allocate(
              io_uring_probe.SIZE + (long) count * io_uring_probe_op.SIZE, io_uring_probe.ALIGN);
      Errno.check(
          Linux.io_uring_register(fd, IoUring.IORING_REGISTER_PROBE, probe, count),
          "io_uring_register",
          "IORING_REGISTER_PROBE");
      for (int operation : operations) {
        long at = io_uring_probe.SIZE + (long) operation * io_uring_probe_op.SIZE;
        if (operation > io_uring_probe.last_op(probe, 0)
            || (io_uring_probe_op.flags(probe, at) & IoUring.IO_URING_OP_SUPPORTED) == 0) {
          return false;
        }
      }
      return true;
    }
  }

  /**
   * Pins {@code memory} once instead of on every request; it becomes fixed buffer 0. Returns 0 or
   * {@code -errno}.
   */
  int registerBuffer(MemorySegment memory) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment vector = arena.allocate(iovec.SIZE, iovec.ALIGN);
      iovec.iov_base(vector, 0, memory.address());
      iovec.iov_len(vector, 0, memory.byteSize());
      return Linux.io_uring_register(fd, IoUring.IORING_REGISTER_BUFFERS, vector, 1);
    }
  }

  /**
   * Resolves {@code file} once instead of on every request; it becomes fixed file 0. Returns 0 or
   * {@code -errno}.
   */
  int registerFile(int file) {
    try (Arena arena = Arena.ofConfined()) {
      return Linux.io_uring_register(
          fd, IoUring.IORING_REGISTER_FILES, arena.allocateFrom(JAVA_INT, file), 1);
    }
  }

  // ---- submission side ----

  /** Entries placed and not yet taken by the kernel. */
  int placed() {
    return tail - (int) INT.getAcquire(ring, (long) sqHead);
  }

  /** Puts a request into the ring. The caller keeps {@link #placed} below {@link #entries}. */
  void place(
      int opcode,
      int flags,
      int file,
      long offset,
      long address,
      int length,
      int operationFlags,
      long userData) {
    long at = (long) (tail & sqMask) * io_uring_sqe.SIZE;
    for (int i = 0; i < io_uring_sqe.SIZE; i += Long.BYTES) {
      sqes.set(JAVA_LONG, at + i, 0);
    }
    io_uring_sqe.opcode(sqes, at, opcode);
    io_uring_sqe.flags(sqes, at, flags);
    io_uring_sqe.fd(sqes, at, file);
    io_uring_sqe.off(sqes, at, offset);
    io_uring_sqe.addr(sqes, at, address);
    io_uring_sqe.len(sqes, at, length);
    io_uring_sqe.rw_flags(sqes, at, operationFlags);
    io_uring_sqe.user_data(sqes, at, userData);
    tail++;
    INT.setRelease(ring, (long) sqTail, tail);
  }

  /** Takes back the newest entry that the kernel has not taken, and returns its user data. */
  long takeBack() {
    tail--;
    INT.setRelease(ring, (long) sqTail, tail);
    return io_uring_sqe.user_data(sqes, (long) (tail & sqMask) * io_uring_sqe.SIZE);
  }

  /** Hands placed entries over; returns how many were taken, or {@code -errno}. */
  int submit() {
    return Linux.io_uring_enter(fd, placed(), 0, 0, 0, 0);
  }

  // ---- completion side ----

  /** Waits for at least one completion; returns {@code >= 0}, or {@code -errno}. */
  int await() {
    return Linux.io_uring_enter(fd, 0, 1, IoUring.IORING_ENTER_GETEVENTS, 0, 0);
  }

  int completionHead() {
    return ring.get(JAVA_INT, cqHead);
  }

  int completionTail() {
    return (int) INT.getAcquire(ring, (long) cqTail);
  }

  long completionUserData(int position) {
    return io_uring_cqe.user_data(ring, cqes + (long) (position & cqMask) * io_uring_cqe.SIZE);
  }

  int completionResult(int position) {
    return io_uring_cqe.res(ring, cqes + (long) (position & cqMask) * io_uring_cqe.SIZE);
  }

  /** Gives the kernel everything before {@code position} back. */
  void releaseCompletions(int position) {
    INT.setRelease(ring, (long) cqHead, position);
  }

  /**
   * Asks the kernel to end a request early, and waits a moment for it; 0, {@code -ENOENT}, {@code
   * -EALREADY} or {@code -ETIME}.
   */
  synchronized int cancel(long userData) {
    if (closed) {
      return -Errnos.ENOENT;
    }
    cancel.fill((byte) 0);
    io_uring_sync_cancel_reg.addr(cancel, 0, userData);
    io_uring_sync_cancel_reg.fd(cancel, 0, -1);
    io_uring_sync_cancel_reg.timeout_tv_nsec(cancel, 0, 1_000_000);
    return Linux.io_uring_register(fd, IoUring.IORING_REGISTER_SYNC_CANCEL, cancel, 1);
  }

  synchronized void close() {
    if (!closed) {
      closed = true;
      Linux.close(fd);
    }
  }
}
