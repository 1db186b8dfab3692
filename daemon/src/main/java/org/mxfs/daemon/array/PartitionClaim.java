// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BiConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
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

  /**
   * One that a mount which is there goes on without, for now.
   *
   * @param why it could not be claimed
   */
  public record Missing(Partition.Other other, String why) {}

  /** What a try made of one that was missing. */
  public enum Change {
    HELD,
    GONE
  }

  private static final String HELD_BY_SOMETHING =
      "is held by something on this node (a program that opened it exclusively, a file system)";

  private static final Pattern ESCAPED = Pattern.compile("\\\\([0-3][0-7][0-7])");

  private final Claimer claimer;
  private final Path sys;
  private final Path proc;

  /** Emptied by whoever ends it, while a try may be adding to it. */
  private final Queue<Closeable> given = new ConcurrentLinkedQueue<>();

  private final CountDownLatch ended = new CountDownLatch(1);
  private final ReentrantLock trying = new ReentrantLock();
  private final List<Partition.Other> held = new ArrayList<>();
  private final List<Missing> missing = new ArrayList<>();

  PartitionClaim(Claimer claimer, Path sys, Path proc) {
    this.claimer = claimer;
    this.sys = sys;
    this.proc = proc;
  }

  /**
   * Of no partition yet.
   *
   * @param dev {@code /dev}: the file system where device nodes work
   * @param sys {@code /sys}
   * @param proc {@code /proc}, to tell by whom one is used
   */
  public static PartitionClaim none(Path dev, Path sys, Path proc) {
    return new PartitionClaim(other -> open(dev, other), sys, proc);
  }

  /**
   * Claims all of them, or none.
   *
   * @return those that were there
   * @throws InUseException one of them is in use
   */
  public List<Partition.Other> takeAll(Partition partition) throws IOException {
    try {
      for (Partition.Other other : partition.others()) {
        claim(other);
      }
    } catch (IOException e) {
      giveBack();
      held.clear();
      throw e;
    }
    return List.copyOf(held);
  }

  /**
   * Claims each that can be had: for a mount that is there, whoever has taken one while it was not
   * held.
   *
   * @return the others
   */
  public List<Missing> takeWhatIsFree(Partition partition) {
    for (Partition.Other other : partition.others()) {
      try {
        claim(other);
      } catch (IOException e) {
        missing.add(new Missing(other, String.valueOf(e.getMessage())));
      }
    }
    return List.copyOf(missing);
  }

  /** How the kernel has the disk by now. */
  @FunctionalInterface
  public interface Look {
    Partition look() throws IOException;
  }

  /**
   * Tries again what is missing, until nothing is, or the claim is given back.
   *
   * @param told what has changed
   */
  public void keepTrying(Look look, long paceMillis, BiConsumer<Partition.Other, Change> told)
      throws InterruptedException {
    while (!missing.isEmpty() && !ended.await(paceMillis, TimeUnit.MILLISECONDS)) {
      tryAgain(look, told);
    }
  }

  /** Numbers are given to other devices in time, so what is tried is looked up first. */
  void tryAgain(Look look, BiConsumer<Partition.Other, Change> told) {
    trying.lock();
    try {
      List<Partition.Other> there = look.look().others();
      for (Missing each : List.copyOf(missing)) {
        Change change = tryAgain(there, each.other());
        if (change != null) {
          missing.remove(each);
          told.accept(each.other(), change);
        }
      }
    } catch (IOException e) {
      // What cannot be looked at now is looked at next time.
    } finally {
      trying.unlock();
    }
  }

  private @Nullable Change tryAgain(List<Partition.Other> there, Partition.Other other) {
    if (there.stream().noneMatch(each -> each.isSame(other))) {
      return Change.GONE;
    }
    try {
      return ended.getCount() != 0 && claim(other) ? Change.HELD : null;
    } catch (IOException e) {
      return null; // somebody has it still
    }
  }

  /** Returns false when it is not there any more. */
  private boolean claim(Partition.Other other) throws IOException {
    try {
      given.add(claimer.claim(other));
    } catch (ErrnoException e) {
      if (e.errno() == Errnos.EBUSY) {
        throw new InUseException(other + ", on the same disk, " + user(proc, other), e);
      }
      if (e.errno() == Errnos.ENXIO
          && !Files.exists(sys.resolve("dev/block").resolve(number(other)))) {
        return false;
      }
      throw e;
    }
    held.add(other);
    if (ended.getCount() == 0) {
      giveBack();
    }
    return true;
  }

  private static String number(Partition.Other other) {
    return other.major() + ":" + other.minor();
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
  private static String user(Path proc, Partition.Other other) {
    try {
      return mountOrSwap(proc, other);
    } catch (IOException e) {
      return HELD_BY_SOMETHING; // that it is in use is certain
    }
  }

  /** Names are any bytes: the files are read as such. */
  private static String mountOrSwap(Path proc, Partition.Other other) throws IOException {
    String number = number(other);
    for (String line : lines(proc.resolve("self/mountinfo"))) {
      // proc_pid_mountinfo(5): id, parent, major:minor, root, place, options, ..., -, type, ...
      String[] fields = line.split(" ", -1);
      int dash = List.of(fields).indexOf("-");
      if (fields.length > 4 && fields[2].equals(number) && dash > 0 && dash + 1 < fields.length) {
        return "is mounted as " + fields[dash + 1] + " on " + unescaped(fields[4]);
      }
    }
    for (String line : lines(proc.resolve("swaps"))) {
      if (line.startsWith(other + " ") || line.startsWith(other + "\t")) {
        return "is in use as swap";
      }
    }
    return other.holders().isEmpty()
        ? HELD_BY_SOMETHING
        : "is held by " + String.join(", ", other.holders());
  }

  private static List<String> lines(Path file) throws IOException {
    return Files.readAllLines(file, StandardCharsets.ISO_8859_1);
  }

  /** Space, tab, newline and backslash stand as three octal digits. */
  private static String unescaped(String word) {
    String bytes =
        ESCAPED.matcher(word).replaceAll(m -> quoted((char) Integer.parseInt(m.group(1), 8)));
    return new String(bytes.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
  }

  private static String quoted(char c) {
    return Matcher.quoteReplacement(String.valueOf(c));
  }

  private void giveBack() {
    for (Closeable each = given.poll(); each != null; each = given.poll()) {
      try {
        each.close();
      } catch (IOException e) {
        // close(2) of a device that nothing was written to: it is closed all the same.
      }
    }
  }

  /** Gives all of them back, but for one that a try which does not end is about to get. */
  @Override
  public void close() {
    close(0);
  }

  /**
   * Gives all of them back.
   *
   * @param millis how long to wait for a try that is under way; what that gets it gives back itself
   */
  public void close(long millis) {
    ended.countDown();
    giveBack();
    try {
      if (trying.tryLock(millis, TimeUnit.MILLISECONDS)) {
        trying.unlock();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
