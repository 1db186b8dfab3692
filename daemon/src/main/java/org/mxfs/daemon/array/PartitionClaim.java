// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Linux;

/**
 * All other partitions of a disk, held for as long as one of them is mounted: they are behind the
 * same reservation, so what they are used for on this node would fail whenever this node is the one
 * that it shuts out.
 *
 * <p>Each is opened with {@code O_EXCL}, which is one claim of it in the kernel (block/bdev.c,
 * bd_prepare_to_claim): file systems, swap, device-mapper, md and other programs' {@code O_EXCL}
 * each take the same, so who has one now is seen, and nobody gets one later. The whole disk cannot
 * be claimed instead: the mount's own claim of its partition keeps everybody from that
 * (bd_may_claim), which is why nobody else can claim it, either. What opens a partition, or the
 * disk, without {@code O_EXCL} is not seen and not kept out, and partitions that are made later are
 * not held.
 */
public final class PartitionClaim implements Closeable {
  /** Claims one. */
  @FunctionalInterface
  interface Claimer {
    /**
     * The claim ends when it is closed.
     *
     * @throws ErrnoException EBUSY: somebody has it
     */
    Closeable claim(Partition.Other other) throws IOException;
  }

  /** Another partition of the disk is in use. */
  public static final class InUseException extends IOException {
    private static final long serialVersionUID = 1;

    InUseException(String message, IOException cause) {
      super(message, cause);
    }
  }

  private final List<Closeable> held = new ArrayList<>();

  private PartitionClaim() {}

  /**
   * Claims all of them, or none.
   *
   * @param dev {@code /dev}: the file system where device nodes work
   * @param proc {@code /proc}, to tell by whom one is used
   * @throws InUseException one of them is in use
   */
  public static PartitionClaim take(Path dev, Path proc, Partition partition) throws IOException {
    return take(other -> open(dev, other), proc, partition);
  }

  static PartitionClaim take(Claimer claimer, Path proc, Partition partition) throws IOException {
    PartitionClaim claim = new PartitionClaim();
    try {
      for (Partition.Other other : partition.others()) {
        claim.held.add(claim(claimer, proc, other));
      }
    } catch (IOException e) {
      claim.close();
      throw e;
    }
    return claim;
  }

  private static Closeable claim(Claimer claimer, Path proc, Partition.Other other)
      throws IOException {
    try {
      return claimer.claim(other);
    } catch (ErrnoException e) {
      if (e.errno() == Errnos.EBUSY) {
        throw new InUseException(other + ", on the same disk, " + user(proc, other), e);
      }
      throw e;
    }
  }

  private static Closeable open(Path dev, Partition.Other other) throws IOException {
    int fd =
        DeviceNode.made(
            dev,
            other,
            node -> {
              try (Arena arena = Arena.ofConfined()) {
                return Errno.check(
                    Linux.openat(
                        org.mxfs.bindings.linux.Files.AT_FDCWD,
                        arena.allocateFrom(node.toString()),
                        // Not for writing: udev takes the end of that for a change.
                        org.mxfs.bindings.linux.Files.O_RDONLY
                            | org.mxfs.bindings.linux.Files.O_EXCL
                            | org.mxfs.bindings.linux.Files.O_NONBLOCK
                            | org.mxfs.bindings.linux.Files.O_CLOEXEC,
                        0),
                    "open",
                    other + ", O_EXCL",
                    "no other partition of the disk may be in use");
              }
            });
    return () -> Linux.close(fd);
  }

  /** Who has it, as far as can be told; to follow its name. */
  private static String user(Path proc, Partition.Other other) throws IOException {
    String number = other.major() + ":" + other.minor();
    for (String line : Files.readAllLines(proc.resolve("self/mountinfo"))) {
      // proc_pid_mountinfo(5): id, parent, major:minor, root, place, options, ..., -, type, ...
      String[] fields = line.split(" ", -1);
      int dash = List.of(fields).indexOf("-");
      if (fields.length > 4 && fields[2].equals(number) && dash > 0 && dash + 1 < fields.length) {
        return "is mounted as " + fields[dash + 1] + " on " + fields[4];
      }
    }
    for (String line : Files.readAllLines(proc.resolve("swaps"))) {
      if (line.startsWith(other + " ") || line.startsWith(other + "\t")) {
        return "is in use as swap";
      }
    }
    return other.holders().isEmpty()
        ? "is held by something on this node (a program that opened it exclusively, a file system)"
        : "is held by " + String.join(", ", other.holders());
  }

  /** Gives all of them back. */
  @Override
  public void close() {
    for (Closeable each : held) {
      try {
        each.close();
      } catch (IOException e) {
        // close(2) of a device that nothing was written to: it is closed all the same.
      }
    }
    held.clear();
  }
}
