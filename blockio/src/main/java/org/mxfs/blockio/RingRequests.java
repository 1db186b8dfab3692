// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Files;
import org.mxfs.bindings.linux.IoUring;
import org.mxfs.bindings.linux.iovec;

/**
 * The requests of one ring: what each is, how it is put into the ring, and what a completion means
 * for it.
 *
 * <p>Each request has a slot; slots are arrays made when the device is opened, so a request
 * allocates nothing. The last slot is kept for the flush of a freeze. A slot has at most two
 * entries in the rings (a write and the flush linked to it), and both rings have room for that.
 *
 * <p>The user data of an entry is its slot in the low half and the slot's generation in the high
 * half: a completion that does not match would be a kernel's or our bug, and is not taken for
 * another request's.
 *
 * <p>Not thread-safe: the devices say which thread may do what.
 */
final class RingRequests {
  /** {@link #completed}: the request must be placed again. */
  static final int AGAIN = 1;

  /** {@link #completed}: another completion of the same request is to come. */
  static final int PENDING = 2;

  /** User data of an entry whose own end nobody wants to know. */
  static final long WAKE_UP = -1;

  /** Pieces of memory in one request. */
  static final int MAX_PARTS = 64;

  /** A slot whose request has no time limit. */
  static final long NO_DEADLINE = Long.MAX_VALUE;

  static final BlockDevice.Callback NOBODY = (tag, result) -> {};

  /**
   * How often one request is sent again after EINTR, EAGAIN or a short transfer, before it fails
   * with what it met.
   */
  private static final int MAX_SENDS = 64;

  private static final int ENTRIES_PER_SLOT = 2;
  private static final int FIXED_FILE = IoUring.IOSQE_FIXED_FILE;

  /** The only registered file. */
  private static final int THE_FILE = 0;

  private static final int FLUSH_PART = 1 << 30;

  final Ring ring;
  final int slots;
  final BlockDevice.Callback[] callback;
  final long[] tag;
  final long[] deadline;
  final int[] result;

  private final boolean registeredBuffer;
  private final int blockSize;
  private final MemorySegment vectors;
  private final Operation[] operation;
  private final long[] offset;
  private final long[] address;
  private final long[] length;
  private final long[] done;
  private final int[] firstPart;
  private final int[] endPart;
  private final int[] sends;
  private final int[] generation;
  private final int[] outstanding;
  private final int[] written;
  private final int[] flushed;

  /** What the requests that have not ended may still change. */
  private final WriteRanges writing;

  /**
   * Opens a ring for {@code depth} requests and the flush of a freeze.
   *
   * @param arena of the ring's memory
   */
  RingRequests(
      Arena arena,
      Ring.Sharing sharing,
      int fd,
      int blockSize,
      MemorySegment buffers,
      int depth,
      boolean registerBuffer)
      throws ErrnoException {
    this.blockSize = blockSize;
    slots = depth + 1;
    // One more for each slot, for what belongs to none: see placeCancel and placeWakeUp.
    ring = Ring.open(arena, (ENTRIES_PER_SLOT + 1) * slots, sharing);
    try {
      ring.requireOperations();
      ring.registerFile(fd);
      if (registerBuffer) {
        ring.registerBuffer(buffers);
      }
    } catch (ErrnoException | RuntimeException e) {
      ring.close();
      throw e;
    }
    registeredBuffer = registerBuffer;
    vectors = arena.allocate((long) slots * MAX_PARTS * iovec.SIZE, iovec.ALIGN);
    operation = new Operation[slots];
    offset = new long[slots];
    address = new long[slots];
    length = new long[slots];
    done = new long[slots];
    firstPart = new int[slots];
    endPart = new int[slots];
    sends = new int[slots];
    generation = new int[slots];
    outstanding = new int[slots];
    written = new int[slots];
    flushed = new int[slots];
    writing = new WriteRanges(slots);
    callback = new BlockDevice.Callback[slots];
    tag = new long[slots];
    deadline = new long[slots];
    result = new int[slots];
    for (int i = 0; i < slots; i++) {
      operation[i] = Operation.FLUSH;
      callback[i] = NOBODY;
      deadline[i] = NO_DEADLINE;
    }
  }

  /** Describes a request in a free slot; {@link #place} is next. */
  void fill(
      int slot, Operation op, long at, long memory, long bytes, MemorySegment @Nullable [] parts) {
    writing.begin(op, at, bytes);
    operation[slot] = op;
    offset[slot] = at;
    address[slot] = memory;
    length[slot] = bytes;
    done[slot] = 0;
    sends[slot] = 0;
    written[slot] = 0;
    generation[slot]++;
    firstPart[slot] = 0;
    endPart[slot] = 0;
    if (parts != null) {
      for (int i = 0; i < parts.length; i++) {
        long vector = vector(slot, i);
        iovec.iov_base(vectors, vector, parts[i].address());
        iovec.iov_len(vectors, vector, parts[i].byteSize());
      }
      endPart[slot] = parts.length;
    }
  }

  /** Whether a request must wait for the end of another that may still change its range. */
  boolean overlap(Operation op, long at, long bytes) {
    return writing.overlap(op, at, bytes);
  }

  /** The kernel has ended a slot's request. */
  void ended(int slot) {
    writing.end(operation[slot], offset[slot]);
  }

  /** Whether what a slot's request moves lies in this memory, or some of it. */
  boolean uses(int slot, MemorySegment memory) {
    if (!operation[slot].transfers()) {
      return false;
    }
    if (endPart[slot] == 0) {
      return overlap(address[slot], length[slot], memory);
    }
    for (int part = 0; part < endPart[slot]; part++) {
      long vector = vector(slot, part);
      if (overlap(iovec.iov_base(vectors, vector), iovec.iov_len(vectors, vector), memory)) {
        return true;
      }
    }
    return false;
  }

  private static boolean overlap(long at, long bytes, MemorySegment memory) {
    return at < memory.address() + memory.byteSize() && memory.address() < at + bytes;
  }

  private static long vector(int slot, int part) {
    return ((long) slot * MAX_PARTS + part) * iovec.SIZE;
  }

  long userData(int slot) {
    return (long) generation[slot] << Integer.SIZE | slot;
  }

  static int slotOf(long userData) {
    return (int) userData & ~FLUSH_PART;
  }

  /** Whether this user data is that of an entry of the request that the slot holds now. */
  boolean isCurrent(long userData) {
    int slot = slotOf(userData);
    return slot >= 0 && slot < slots && (int) (userData >>> Integer.SIZE) == generation[slot];
  }

  /** Puts what is left of a request into the ring. */
  void place(int slot) {
    sends[slot]++;
    switch (operation[slot]) {
      case READ, WRITE, WRITE_THROUGH -> {
        outstanding[slot] = 1;
        placeTransfer(slot, FIXED_FILE);
      }
      case WRITE_THEN_FLUSH -> placeWriteThenFlush(slot);
      case FLUSH -> {
        outstanding[slot] = 1;
        placeFlush(userData(slot));
      }
      case DISCARD -> placeFallocate(slot, Files.FALLOC_FL_PUNCH_HOLE | Files.FALLOC_FL_KEEP_SIZE);
      case ZERO -> placeFallocate(slot, Files.FALLOC_FL_ZERO_RANGE | Files.FALLOC_FL_KEEP_SIZE);
    }
  }

  /**
   * A link makes the kernel start the flush when the write has ended, and end it with ECANCELED
   * when the write fell short ({@code io_uring_enter(2)}, IOSQE_IO_LINK).
   */
  private void placeWriteThenFlush(int slot) {
    outstanding[slot] = 1;
    if (done[slot] < length[slot]) {
      outstanding[slot] = 2;
      placeTransfer(slot, FIXED_FILE | IoUring.IOSQE_IO_LINK);
    }
    placeFlush(userData(slot) | FLUSH_PART);
  }

  private void placeTransfer(int slot, int flags) {
    boolean read = operation[slot] == Operation.READ;
    int durable = operation[slot] == Operation.WRITE_THROUGH ? Files.RWF_DSYNC : 0;
    long from = offset[slot] + done[slot];
    int parts = endPart[slot] - firstPart[slot];
    if (parts > 0) {
      ring.place(
          read ? IoUring.IORING_OP_READV : IoUring.IORING_OP_WRITEV,
          flags,
          THE_FILE,
          from,
          vectors.address() + vector(slot, firstPart[slot]),
          parts,
          durable,
          userData(slot));
      return;
    }
    int opcode;
    if (registeredBuffer) {
      opcode = read ? IoUring.IORING_OP_READ_FIXED : IoUring.IORING_OP_WRITE_FIXED;
    } else {
      opcode = read ? IoUring.IORING_OP_READ : IoUring.IORING_OP_WRITE;
    }
    ring.place(
        opcode,
        flags,
        THE_FILE,
        from,
        address[slot] + done[slot],
        (int) (length[slot] - done[slot]),
        durable,
        userData(slot));
  }

  private void placeFlush(long mark) {
    ring.place(
        IoUring.IORING_OP_FSYNC,
        FIXED_FILE,
        THE_FILE,
        0,
        0,
        0,
        IoUring.IORING_FSYNC_DATASYNC,
        mark);
  }

  /**
   * Asks the kernel to end a slot's request early. Its answer is of no interest: the request's own
   * end tells. Left out where there is no room: the request then ends when it ends.
   */
  void placeCancel(int slot) {
    if (hasRoomForExtra()) {
      ring.place(IoUring.IORING_OP_ASYNC_CANCEL, 0, -1, 0, userData(slot), 0, 0, WAKE_UP);
    }
  }

  /** Ends the wait of whoever waits for a completion; {@link #hasRoomForExtra} was asked. */
  void placeWakeUp() {
    ring.place(IoUring.IORING_OP_NOP, 0, -1, 0, 0, 0, 0, WAKE_UP);
  }

  /** Room for an entry that belongs to no slot; what the slots themselves may need stays free. */
  boolean hasRoomForExtra() {
    return ring.placed() < ring.entries() - ENTRIES_PER_SLOT * slots;
  }

  /**
   * IORING_OP_FALLOCATE has the length where others have the address, and the mode where others
   * have the length. On a block device both modes zero; punching a hole refuses to do it by writing
   * zeros ({@code blkdev_fallocate}).
   */
  private void placeFallocate(int slot, int mode) {
    outstanding[slot] = 1;
    ring.place(
        IoUring.IORING_OP_FALLOCATE,
        FIXED_FILE,
        THE_FILE,
        offset[slot],
        length[slot],
        mode,
        0,
        userData(slot));
  }

  /**
   * Takes a completion in.
   *
   * @param got the kernel's result
   * @return 0 or {@code -errno} if the request has ended with that; else {@link #AGAIN} or {@link
   *     #PENDING}
   */
  int completed(long userData, int got) {
    int slot = slotOf(userData);
    outstanding[slot]--;
    if (operation[slot] == Operation.WRITE_THEN_FLUSH) {
      return pairCompleted(slot, ((int) userData & FLUSH_PART) != 0, got);
    }
    if (operation[slot].transfers()) {
      return transferred(slot, got);
    }
    return repeatable(got) ? again(slot, got) : Math.min(got, 0);
  }

  private static boolean repeatable(int got) {
    return got == -Errnos.EINTR || got == -Errnos.EAGAIN;
  }

  private int again(int slot, int otherwise) {
    return sends[slot] < MAX_SENDS ? AGAIN : otherwise;
  }

  private int transferred(int slot, int got) {
    if (got < 0) {
      return repeatable(got) ? again(slot, got) : got;
    }
    done[slot] += got;
    if (done[slot] == length[slot]) {
      return 0;
    }
    // A transfer that stops within a block, or makes no progress, has met the end of something: an
    // error, not a short transfer.
    if (got == 0 || (got & (blockSize - 1)) != 0) {
      return -Errnos.EIO;
    }
    skipParts(slot, got);
    return again(slot, -Errnos.EIO);
  }

  private void skipParts(int slot, long bytes) {
    long left = bytes;
    while (left > 0 && firstPart[slot] < endPart[slot]) {
      long vector = vector(slot, firstPart[slot]);
      long part = iovec.iov_len(vectors, vector);
      if (part > left) {
        iovec.iov_base(vectors, vector, iovec.iov_base(vectors, vector) + left);
        iovec.iov_len(vectors, vector, part - left);
        return;
      }
      left -= part;
      firstPart[slot]++;
    }
  }

  private int pairCompleted(int slot, boolean flush, int got) {
    if (flush) {
      // Only a flush that ended after the whole write covers it. The link sees to that, unless the
      // kernel took the two entries in two goes; then the flush is sent once more.
      flushed[slot] = done[slot] == length[slot] ? got : -Errnos.EAGAIN;
    } else {
      written[slot] = transferred(slot, got);
    }
    if (outstanding[slot] > 0) {
      return PENDING;
    }
    if (written[slot] != 0) {
      return written[slot];
    }
    return repeatable(flushed[slot]) ? again(slot, flushed[slot]) : Math.min(flushed[slot], 0);
  }

  @Override
  public String toString() {
    return "registered file"
        + (registeredBuffer ? ", registered buffers" : ", buffers not registered")
        + (ring.deferred() ? ", deferred task work" : "");
  }
}
