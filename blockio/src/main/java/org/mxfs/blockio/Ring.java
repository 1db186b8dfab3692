// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.Mapping;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.IoUring;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Memory;
import org.mxfs.bindings.linux.__kernel_timespec;
import org.mxfs.bindings.linux.io_uring_cqe;
import org.mxfs.bindings.linux.io_uring_getevents_arg;
import org.mxfs.bindings.linux.io_uring_params;
import org.mxfs.bindings.linux.io_uring_probe;
import org.mxfs.bindings.linux.io_uring_probe_op;
import org.mxfs.bindings.linux.io_uring_sqe;
import org.mxfs.bindings.linux.io_uring_sync_cancel_reg;
import org.mxfs.bindings.linux.iovec;

/**
 * An io_uring instance: the two rings that are shared with the kernel, {@code io_uring(7)}.
 *
 * <p>The submission side may be used by one thread at a time, and so may the completion side; who,
 * is the caller's lock or rule. The kernel reads the submission ring only within {@link #submit}
 * and {@link #submitAndWait} (there is no kernel polling thread), so entries not yet submitted can
 * be taken back.
 */
final class Ring {
  /** Who will use a ring; the kernel can do less work for one thread than for many. */
  enum Sharing {
    /**
     * Any thread submits, any one thread at a time waits. Completions interrupt the submitting
     * thread (no {@code COOP_TASKRUN}): it may compute for long without entering the kernel, and
     * another thread waits for them.
     */
    THREADS(IoUring.IORING_SETUP_SUBMIT_ALL),
    /**
     * The thread that opened the ring does everything, so completions are prepared when that thread
     * waits for them, in one go ({@code DEFER_TASKRUN}, kernel 6.1).
     */
    CONFINED(
        IoUring.IORING_SETUP_SUBMIT_ALL
            | IoUring.IORING_SETUP_SINGLE_ISSUER
            | IoUring.IORING_SETUP_DEFER_TASKRUN);

    private final int flags;

    Sharing(int flags) {
      this.flags = flags;
    }
  }

  /** What a device sends, by the names a person can look up. */
  static final Map<String, Integer> OPERATIONS =
      Map.ofEntries(
          Map.entry("IORING_OP_NOP", IoUring.IORING_OP_NOP),
          Map.entry("IORING_OP_READ", IoUring.IORING_OP_READ),
          Map.entry("IORING_OP_WRITE", IoUring.IORING_OP_WRITE),
          Map.entry("IORING_OP_READV", IoUring.IORING_OP_READV),
          Map.entry("IORING_OP_WRITEV", IoUring.IORING_OP_WRITEV),
          Map.entry("IORING_OP_READ_FIXED", IoUring.IORING_OP_READ_FIXED),
          Map.entry("IORING_OP_WRITE_FIXED", IoUring.IORING_OP_WRITE_FIXED),
          Map.entry("IORING_OP_ASYNC_CANCEL", IoUring.IORING_OP_ASYNC_CANCEL),
          Map.entry("IORING_OP_FSYNC", IoUring.IORING_OP_FSYNC),
          Map.entry("IORING_OP_FALLOCATE", IoUring.IORING_OP_FALLOCATE));

  private static final Map<String, Integer> FEATURES =
      Map.of(
          "IORING_FEAT_SINGLE_MMAP", IoUring.IORING_FEAT_SINGLE_MMAP,
          "IORING_FEAT_NODROP", IoUring.IORING_FEAT_NODROP,
          "IORING_FEAT_EXT_ARG", IoUring.IORING_FEAT_EXT_ARG);

  /** {@link #submitAndWait} without a time limit. */
  static final long FOR_EVER = Long.MAX_VALUE;

  private static final int PROBED = 256;

  /** How long {@link #cancel} waits for the kernel's answer. */
  private static final long CANCEL_NANOS = 1_000_000;

  private static final long NANOS_PER_SECOND = 1_000_000_000;

  /**
   * Aligned in both rings; release and acquire are what the kernel's side pairs with
   * (smp_store_release, smp_load_acquire).
   */
  private static final VarHandle INT = JAVA_INT.varHandle().withInvokeExactBehavior();

  private final int fd;
  private final int setupFlags;
  private final MemorySegment ring;
  private final MemorySegment sqes;
  private final int sqHead;
  private final int sqTail;
  private final int sqMask;
  private final int sqFlags;
  private final int cqHead;
  private final int cqTail;
  private final int cqMask;
  private final int cqes;
  private final int entries;
  private final MemorySegment cancel;
  private final MemorySegment limit;
  private final MemorySegment waitArguments;
  private int tail;
  private boolean closed;

  private Ring(Arena arena, int fd, MemorySegment params) throws ErrnoException {
    this.fd = fd;
    requireFeatures(io_uring_params.features(params, 0));
    setupFlags = io_uring_params.flags(params, 0);
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
    sqFlags = io_uring_params.sq_off_flags(params, 0);
    cqHead = io_uring_params.cq_off_head(params, 0);
    cqTail = io_uring_params.cq_off_tail(params, 0);
    cqMask = ring.get(JAVA_INT, io_uring_params.cq_off_ring_mask(params, 0));
    cqes = io_uring_params.cq_off_cqes(params, 0);
    tail = ring.get(JAVA_INT, sqTail);
    cancel = arena.allocate(io_uring_sync_cancel_reg.SIZE, io_uring_sync_cancel_reg.ALIGN);
    limit = arena.allocate(__kernel_timespec.SIZE, __kernel_timespec.ALIGN);
    waitArguments = arena.allocate(io_uring_getevents_arg.SIZE, io_uring_getevents_arg.ALIGN);
    io_uring_getevents_arg.ts(waitArguments, 0, limit.address());
    // The indirection between ring position and entry is of no use here: entry i is always at
    // position i.
    long array = io_uring_params.sq_off_array(params, 0);
    for (int i = 0; i < entries; i++) {
      ring.set(JAVA_INT, array + (long) i * Integer.BYTES, i);
    }
  }

  private static void requireFeatures(int features) throws ErrnoException {
    List<String> missing = new ArrayList<>();
    FEATURES.forEach(
        (name, bit) -> {
          if ((features & bit) == 0) {
            missing.add(name);
          }
        });
    if (!missing.isEmpty()) {
      missing.sort(null);
      throw new ErrnoException(
          "io_uring_setup",
          "features 0x" + Integer.toHexString(features),
          Errnos.EOPNOTSUPP,
          "this kernel's io_uring lacks " + missing + " (Linux 5.11); " + FALL_BACK);
    }
  }

  private static final String FALL_BACK = "the pread/pwrite backend works without";

  /**
   * Makes a ring for at least {@code wanted} entries; its completion ring holds twice as many, and
   * what would overflow it is kept by the kernel ({@code IORING_FEAT_NODROP}).
   *
   * @param arena of the shared memory; must be closed after {@link #close}
   */
  static Ring open(Arena arena, int wanted, Sharing sharing) throws ErrnoException {
    return open(arena, wanted, 0, sharing);
  }

  /** With another number of completions, rounded up to a power of two by the kernel. */
  static Ring open(Arena arena, int wanted, int completions, Sharing sharing)
      throws ErrnoException {
    MemorySegment params = arena.allocate(io_uring_params.SIZE, io_uring_params.ALIGN);
    int fd = setup(params, wanted, completions, sharing.flags);
    if (fd == -Errnos.EINVAL) {
      // Older than 6.1: the flags are about speed only, and toString() says which are in use.
      fd = setup(params, wanted, completions, 0);
    }
    if (fd < 0) {
      throw new ErrnoException("io_uring_setup", "entries=" + wanted, -fd, setupHint(-fd));
    }
    Ring ring = null;
    try {
      ring = new Ring(arena, fd, params);
      if (ring.entries < wanted) {
        throw new ErrnoException(
            "io_uring_setup",
            "entries=" + wanted,
            Errnos.EINVAL,
            "the kernel allows " + ring.entries + "; ask for a smaller queue depth");
      }
      return ring;
    } catch (ErrnoException | RuntimeException e) {
      Linux.close(fd);
      throw e;
    }
  }

  private static int setup(MemorySegment params, int entries, int completions, int flags) {
    params.fill((byte) 0);
    int size = completions == 0 ? 0 : IoUring.IORING_SETUP_CQSIZE;
    io_uring_params.flags(params, 0, flags | size | IoUring.IORING_SETUP_CLAMP);
    io_uring_params.cq_entries(params, 0, completions);
    return Linux.io_uring_setup(entries, params);
  }

  static String setupHint(int errno) {
    return switch (errno) {
      case Errnos.EPERM ->
          "io_uring is not allowed here: sysctl kernel.io_uring_disabled is "
              + disabledSetting()
              + " (0 allows it to all, 1 to CAP_SYS_ADMIN and the group of"
              + " kernel.io_uring_group, 2 to nobody), or a seccomp filter refuses it"
              + " (containers); "
              + FALL_BACK;
      case Errnos.ENOSYS -> "the kernel is built without io_uring; " + FALL_BACK;
      case Errnos.ENOMEM ->
          "raise the limit of locked memory (ulimit -l, now "
              + lockedMemoryLimit()
              + ") or ask for a smaller queue depth";
      case Errnos.EMFILE, Errnos.ENFILE -> "raise the limit of open files (ulimit -n)";
      default -> "";
    };
  }

  private static String disabledSetting() {
    try {
      return Files.readString(Path.of("/proc/sys/kernel/io_uring_disabled")).strip();
    } catch (IOException e) {
      return "unreadable (" + e + ")";
    }
  }

  /** This process's soft limit of locked memory, as {@code /proc/self/limits} has it. */
  static String lockedMemoryLimit() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/limits"))) {
        if (line.startsWith("Max locked memory")) {
          return line.substring("Max locked memory".length()).strip().split("\\s+", 2)[0]
              + " bytes";
        }
      }
      return "unknown";
    } catch (IOException e) {
      return "unreadable (" + e + ")";
    }
  }

  int entries() {
    return entries;
  }

  /** Whether completions are prepared only when the owning thread waits for them. */
  boolean deferred() {
    return (setupFlags & IoUring.IORING_SETUP_DEFER_TASKRUN) != 0;
  }

  // ---- what the kernel can do ----

  /** Names the operations of this map that the kernel lacks ({@code IORING_REGISTER_PROBE}). */
  List<String> missing(Map<String, Integer> operations) throws ErrnoException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment probe =
          arena.allocate(
              io_uring_probe.SIZE + (long) PROBED * io_uring_probe_op.SIZE, io_uring_probe.ALIGN);
      Errno.check(
          Linux.io_uring_register(fd, IoUring.IORING_REGISTER_PROBE, probe, PROBED),
          "io_uring_register",
          "IORING_REGISTER_PROBE",
          "the kernel is older than 5.6; " + FALL_BACK);
      return operations.entrySet().stream()
          .filter(wanted -> !probed(probe, wanted.getValue()))
          .map(Map.Entry::getKey)
          .sorted()
          .toList();
    }
  }

  private static boolean probed(MemorySegment probe, int operation) {
    long at = io_uring_probe.SIZE + (long) operation * io_uring_probe_op.SIZE;
    return operation <= io_uring_probe.last_op(probe, 0)
        && (io_uring_probe_op.flags(probe, at) & IoUring.IO_URING_OP_SUPPORTED) != 0;
  }

  /** Refuses a kernel that lacks any of {@link #OPERATIONS}, by their names. */
  void requireOperations() throws ErrnoException {
    List<String> missing = missing(OPERATIONS);
    if (!missing.isEmpty()) {
      throw new ErrnoException(
          "io_uring_register",
          "IORING_REGISTER_PROBE",
          Errnos.EOPNOTSUPP,
          "this kernel's io_uring lacks " + missing + "; " + FALL_BACK);
    }
  }

  /**
   * Pins {@code memory} once instead of on every request; it becomes fixed buffer 0.
   *
   * @throws ErrnoException {@code ENOMEM} when the limit of locked memory is too low
   */
  void registerBuffer(MemorySegment memory) throws ErrnoException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment vector = arena.allocate(iovec.SIZE, iovec.ALIGN);
      iovec.iov_base(vector, 0, memory.address());
      iovec.iov_len(vector, 0, memory.byteSize());
      Errno.check(
          Linux.io_uring_register(fd, IoUring.IORING_REGISTER_BUFFERS, vector, 1),
          "io_uring_register",
          "IORING_REGISTER_BUFFERS, " + memory.byteSize() + " bytes",
          "registered buffers count as locked memory, together with those of all this user's other"
              + " rings: raise the limit (ulimit -l, now "
              + lockedMemoryLimit()
              + "; LimitMEMLOCK= of a systemd unit; or CAP_IPC_LOCK), ask for less memory"
              + " (withBufferBytes), or do without (withUnregisteredBuffers: every request then"
              + " pins its own pages)");
    }
  }

  /** Resolves {@code file} once instead of on every request; it becomes fixed file 0. */
  void registerFile(int file) throws ErrnoException {
    try (Arena arena = Arena.ofConfined()) {
      Errno.check(
          Linux.io_uring_register(
              fd, IoUring.IORING_REGISTER_FILES, arena.allocateFrom(JAVA_INT, file), 1),
          "io_uring_register",
          "IORING_REGISTER_FILES, fd=" + file,
          "see ulimit -n");
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
    // The first eight bytes are opcode, flags, ioprio and fd; one store for all of them, and
    // whole words for the rest: an entry is written on every request.
    sqes.set(JAVA_LONG, at, opcode | flags << 8 | (long) file << Integer.SIZE);
    io_uring_sqe.off(sqes, at, offset);
    io_uring_sqe.addr(sqes, at, address);
    sqes.set(
        JAVA_LONG,
        at + io_uring_sqe.OFFSET_len,
        Integer.toUnsignedLong(length) | (long) operationFlags << Integer.SIZE);
    io_uring_sqe.user_data(sqes, at, userData);
    for (long rest = io_uring_sqe.OFFSET_buf_index; rest < io_uring_sqe.SIZE; rest += Long.BYTES) {
      sqes.set(JAVA_LONG, at + rest, 0);
    }
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

  /**
   * Hands placed entries over and waits until {@code atLeast} completions are there, or for {@code
   * nanos}; the submission side must be the caller's, too.
   *
   * @return how many were taken, or {@code -errno}: {@code -ETIME} if the time was up with none
   *     taken
   */
  int submitAndWait(int atLeast, long nanos) {
    return enter(placed(), atLeast, nanos);
  }

  /**
   * Waits until {@code atLeast} completions are there, or for {@code nanos}.
   *
   * @return {@code >= 0} or {@code -errno}, {@code -ETIME} if the time was up
   */
  int await(int atLeast, long nanos) {
    return enter(0, atLeast, nanos);
  }

  private int enter(int toSubmit, int atLeast, long nanos) {
    if (nanos == FOR_EVER || atLeast == 0) {
      return Linux.io_uring_enter(fd, toSubmit, atLeast, IoUring.IORING_ENTER_GETEVENTS, 0, 0);
    }
    long wait = Math.max(nanos, 0);
    __kernel_timespec.tv_sec(limit, 0, wait / NANOS_PER_SECOND);
    __kernel_timespec.tv_nsec(limit, 0, wait % NANOS_PER_SECOND);
    return Linux.io_uring_enter(
        fd,
        toSubmit,
        atLeast,
        IoUring.IORING_ENTER_GETEVENTS | IoUring.IORING_ENTER_EXT_ARG,
        waitArguments.address(),
        io_uring_getevents_arg.SIZE);
  }

  /**
   * Whether the kernel keeps completions back that found the completion ring full. They come into
   * it with the next {@link #await}.
   */
  boolean overflowed() {
    return ((int) INT.getAcquire(ring, (long) sqFlags) & IoUring.IORING_SQ_CQ_OVERFLOW) != 0;
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
    io_uring_sync_cancel_reg.timeout_tv_nsec(cancel, 0, CANCEL_NANOS);
    return Linux.io_uring_register(fd, IoUring.IORING_REGISTER_SYNC_CANCEL, cancel, 1);
  }

  synchronized void close() {
    if (!closed) {
      closed = true;
      Linux.close(fd);
    }
  }
}
