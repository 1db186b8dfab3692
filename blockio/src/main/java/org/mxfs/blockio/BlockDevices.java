// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.Mapping;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Files;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Memory;
import org.mxfs.bindings.linux.statx;

/** Opens block devices and files. */
public final class BlockDevices {
  /** What carries the requests. */
  public enum Backend {
    /** io_uring. */
    URING,
    /**
     * {@code pread(2)} and {@code pwrite(2)} on the calling thread, for kernels and containers that
     * do not allow io_uring. A request with a callback has ended when the method returns; nothing
     * can be cancelled.
     */
    SYSTEM_CALLS
  }

  /**
   * How to open a device.
   *
   * @param backend what carries the requests; never replaced by another in silence
   * @param readOnly open for reading only
   * @param direct past the page cache ({@code O_DIRECT}); without it a file system that has no
   *     direct I/O can be used in tests
   * @param registeredBuffers pin the memory for requests once, when opening, instead of on every
   *     request (io_uring only); counts against the limit of locked memory
   * @param queueDepth how many requests may be under way at once
   * @param bufferBytes memory for requests, see {@link BlockDevice#buffers}
   * @param timeout how long one request may take, and {@link BlockDevice#close} in all
   */
  public record Options(
      Backend backend,
      boolean readOnly,
      boolean direct,
      boolean registeredBuffers,
      int queueDepth,
      long bufferBytes,
      Duration timeout) {
    /** io_uring, read and write, direct, registered, 64 requests, 4 MiB, 30 s. */
    public static final Options DEFAULT =
        new Options(Backend.URING, false, true, true, 64, 4 << 20, Duration.ofSeconds(30));

    /** Two entries of a ring for each request, and a ring has 32768 at most. */
    private static final int MAX_DEPTH = 8192;

    /** Checks the limits. */
    public Options {
      if (queueDepth < 1 || queueDepth > MAX_DEPTH) {
        throw new IllegalArgumentException(
            "queue depth " + queueDepth + " is not between 1 and " + MAX_DEPTH);
      }
      if (bufferBytes < 4096 || bufferBytes > 1L << 30) {
        throw new IllegalArgumentException(
            "buffers of " + bufferBytes + " bytes are not between 4 KiB and 1 GiB");
      }
      if (timeout.isNegative() || timeout.isZero()) {
        throw new IllegalArgumentException("a time-out of " + timeout);
      }
    }

    /** The same with another backend. */
    public Options withBackend(Backend other) {
      return new Options(
          other, readOnly, direct, registeredBuffers, queueDepth, bufferBytes, timeout);
    }

    /** The same for reading only. */
    public Options asReadOnly() {
      return new Options(
          backend, true, direct, registeredBuffers, queueDepth, bufferBytes, timeout);
    }

    /** The same with another queue depth. */
    public Options withQueueDepth(int other) {
      return new Options(backend, readOnly, direct, registeredBuffers, other, bufferBytes, timeout);
    }

    /** The same with another amount of memory. */
    public Options withBufferBytes(long other) {
      return new Options(backend, readOnly, direct, registeredBuffers, queueDepth, other, timeout);
    }

    /** The same with another time-out. */
    public Options withTimeout(Duration other) {
      return new Options(
          backend, readOnly, direct, registeredBuffers, queueDepth, bufferBytes, other);
    }

    /** The same through the page cache. */
    public Options asBuffered() {
      return new Options(
          backend, readOnly, false, registeredBuffers, queueDepth, bufferBytes, timeout);
    }

    /** The same with memory that is pinned on every request: slower, and no limit applies. */
    public Options withUnregisteredBuffers() {
      return new Options(backend, readOnly, direct, false, queueDepth, bufferBytes, timeout);
    }
  }

  /** What the kernel says about an open file. */
  private record Geometry(long size, int blockSize) {}

  /**
   * Logical blocks are larger than a page nowhere in Linux before 6.15; a bigger number here is not
   * a block size.
   */
  private static final int MAX_BLOCK = 1 << 16;

  private BlockDevices() {}

  /** Opens a device with {@link Options#DEFAULT}. */
  public static BlockDevice open(Path path) throws ErrnoException {
    return open(path, Options.DEFAULT);
  }

  /**
   * Opens a block device, or a regular file of a fixed size, for any number of threads.
   *
   * @throws ErrnoException if it cannot be opened that way; the text says what to change
   */
  public static BlockDevice open(Path path, Options options) throws ErrnoException {
    return open(
        path,
        options,
        (fd, g, arena, buffers) ->
            switch (options.backend) {
              case URING ->
                  new UringBlockDevice(
                          path.toString(), fd, g.size, g.blockSize, arena, buffers, options)
                      .started();
              case SYSTEM_CALLS ->
                  new SystemCallBlockDevice(
                          path.toString(), fd, g.size, g.blockSize, arena, buffers, options)
                      .started();
            });
  }

  /**
   * Opens a block device, or a regular file of a fixed size, on an io_uring for the calling thread
   * alone.
   *
   * @throws IllegalArgumentException for another backend than {@link Backend#URING}
   * @throws ErrnoException if it cannot be opened that way; the text says what to change
   */
  public static ConfinedBlockDevice openConfined(Path path, Options options) throws ErrnoException {
    if (options.backend != Backend.URING) {
      throw new IllegalArgumentException("a confined device is on an io_uring: " + options);
    }
    return open(
        path,
        options,
        (fd, g, arena, buffers) ->
            new ConfinedUringBlockDevice(
                path.toString(), fd, g.size, g.blockSize, arena, buffers, options));
  }

  /** Makes a device of what {@link #open} has prepared. */
  @FunctionalInterface
  private interface Maker<T extends BlockDevice> {
    T make(int fd, Geometry geometry, Arena arena, MemorySegment buffers) throws ErrnoException;
  }

  private static <T extends BlockDevice> T open(Path path, Options options, Maker<T> maker)
      throws ErrnoException {
    int fd = openFile(path, options);
    Arena arena = Arena.ofShared();
    try {
      Geometry geometry = geometry(path, fd, options);
      MemorySegment buffers =
          Mapping.map(
              arena,
              -1,
              0,
              options.bufferBytes,
              Memory.PROT_READ | Memory.PROT_WRITE,
              Memory.MAP_PRIVATE | Memory.MAP_ANONYMOUS | Memory.MAP_POPULATE);
      return maker.make(fd, geometry, arena, buffers);
    } catch (ErrnoException | RuntimeException e) {
      arena.close();
      Linux.close(fd);
      throw e;
    }
  }

  private static int openFile(Path path, Options options) throws ErrnoException {
    try (Arena arena = Arena.ofConfined()) {
      int flags =
          Files.O_CLOEXEC
              | (options.readOnly ? Files.O_RDONLY : Files.O_RDWR)
              | (options.direct ? Files.O_DIRECT : 0);
      int fd = Linux.openat(Files.AT_FDCWD, arena.allocateFrom(path.toString()), flags, 0);
      if (fd < 0) {
        throw new ErrnoException(
            "open", path + ", flags 0x" + Integer.toHexString(flags), -fd, openHint(-fd, options));
      }
      return fd;
    }
  }

  private static String openHint(int errno, Options options) {
    return switch (errno) {
      case Errnos.EBUSY -> "it is mounted or held by something else";
      case Errnos.EINVAL -> options.direct ? "its file system may have no direct I/O" : "";
      case Errnos.EROFS -> "it is write-protected: open it for reading only";
      case Errnos.EACCES, Errnos.EPERM ->
          "block devices need root or membership in the disk's group";
      default -> "";
    };
  }

  private static Geometry geometry(Path path, int fd, Options options) throws ErrnoException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment st = arena.allocate(statx.SIZE, statx.ALIGN);
      Errno.check(
          Linux.statx(
              fd,
              arena.allocateFrom(""),
              Files.AT_EMPTY_PATH,
              Files.STATX_TYPE | Files.STATX_SIZE | Files.STATX_DIOALIGN,
              st),
          "statx",
          path.toString());
      int type = statx.stx_mode(st, 0) & Files.S_IFMT;
      if (type == Files.S_IFBLK) {
        MemorySegment number = arena.allocate(ValueLayout.JAVA_LONG);
        Errno.check(Linux.ioctl(fd, Files.BLKGETSIZE64, number), "ioctl", path + ", BLKGETSIZE64");
        long size = number.get(ValueLayout.JAVA_LONG, 0);
        Errno.check(Linux.ioctl(fd, Files.BLKSSZGET, number), "ioctl", path + ", BLKSSZGET");
        return new Geometry(size, number.get(ValueLayout.JAVA_INT, 0));
      }
      if (type != Files.S_IFREG) {
        throw new ErrnoException(
            "statx", path.toString(), Errnos.ENOTBLK, "neither a block device nor a regular file");
      }
      int block = 512;
      if (options.direct && (statx.stx_mask(st, 0) & Files.STATX_DIOALIGN) != 0) {
        block = Math.max(statx.stx_dio_offset_align(st, 0), statx.stx_dio_mem_align(st, 0));
        if (block == 0) {
          throw new ErrnoException(
              "statx", path.toString(), Errnos.EOPNOTSUPP, "its file system has no direct I/O");
        }
        block = Math.max(block, 512);
      } else if (options.direct) {
        block = 4096; // older kernels do not say; no file system asks for more
      }
      if (Integer.bitCount(block) != 1 || block > MAX_BLOCK) {
        throw new ErrnoException(
            "statx", path.toString(), Errnos.EINVAL, "direct I/O in units of " + block + " bytes");
      }
      return new Geometry(statx.stx_size(st, 0) / block * block, block);
    }
  }
}
