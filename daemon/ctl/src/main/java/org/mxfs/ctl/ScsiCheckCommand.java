// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.ctl.ScsiCheck.PathUnderCheck;
import org.mxfs.ctl.Step.Outcome;
import org.mxfs.scsi.DevicePaths;
import org.mxfs.scsi.HostAdapter;
import org.mxfs.scsi.ScsiDevice;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code mxfsctl scsi check DEV}. */
@Command(
    name = "check",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {
      "Proves on a disk, before any mount, what fencing needs of it: reservations of type 5,"
          + " PREEMPT, PREEMPT AND ABORT, APTPL, unit attentions, every path of this machine. And"
          + " says how what a fenced node has under way would be ended there.",
      "",
      "Only reservations are written, never data, and none are left behind, also after an error or"
          + " a signal. Nothing is tried while anybody is registered, while the disk is mounted or"
          + " held on this machine. A machine that uses the disk without registering (a plain mount"
          + " elsewhere) cannot be seen, and could not write for the second that this takes.",
      "",
      "Not tried, because that would write data: whether the disk refuses WRITE, UNMAP and WRITE"
          + " SAME of a node that was fenced. tgt, for one, refuses WRITE and lets the others"
          + " through."
    },
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {
      "0:usable, as far as was tried (see 'not tried')",
      "1:not usable: something that fencing needs does not work",
      "2:wrong usage",
      "3:refused: others are registered, or this machine uses the disk; nothing was changed",
      "4:not checked: no such device, no permission, the device does not answer, or its paths are"
          + " not seen to lead to one unit",
      "5:something of the check may be left on the disk",
      "130, 143:ended by SIGINT, SIGTERM; nothing is left behind"
    })
final class ScsiCheckCommand implements Callable<Integer> {
  /** Longer than one command's time-out. */
  private static final long SIGNAL_WAIT_MILLIS = 30_000;

  private static final Path BLOCK_CLASS = Path.of("/sys/class/block");

  /** Open until the result is printed. */
  private final CountDownLatch told = new CountDownLatch(1);

  @Parameters(paramLabel = "DEV", description = "the disk, such as /dev/sdb or /dev/mapper/mpatha")
  Path device;

  @Option(names = "--json", description = "print the result as JSON")
  boolean json;

  @Option(
      names = "--no-abort",
      description = {
        "do not send PREEMPT AND ABORT: Linux' own target as a local disk (tcm_loop) never answers"
            + " it"
      })
  boolean noAbort;

  // picocli fills it in.
  @SuppressWarnings("NullAway.Init")
  ScsiCheckCommand() {}

  @Override
  public Integer call() {
    try {
      Report report = check();
      System.out.print(json ? report.json() : report.text());
      System.out.flush();
      return report.verdict().exitStatus();
    } finally {
      told.countDown();
    }
  }

  private Report check() {
    try {
      DevicePaths found = DevicePaths.find(device);
      return switch (found.kind()) {
        case PARTITION ->
            ended(
                Verdict.UNKNOWN,
                "a whole disk",
                "this is a partition; name the disk that it is on: registrations and the"
                    + " reservation are of the whole disk, and so is what this command tries out");
        case OTHER ->
            ended(
                Verdict.UNUSABLE,
                "a SCSI disk",
                found.name()
                    + " is none (but NVMe, virtio-blk, a logical volume, a loop device);"
                    + " mxfs shares SCSI disks only. It mounts this on one machine at a time, and"
                    + " not at all where it lies over SCSI disks or comes by a network of storage");
        case SCSI_DISK, MULTIPATH -> {
          Report report = checkUnused(found);
          yield report.adding(remark(found, report.verdict()));
        }
      };
    } catch (ErrnoException e) {
      return ended(
          e.errno() == Errnos.EBUSY ? Verdict.REFUSED : Verdict.UNKNOWN,
          "the device can be used",
          String.valueOf(e.getMessage()));
    } catch (IOException e) {
      return ended(Verdict.UNKNOWN, "the device can be used", e.toString());
    }
  }

  /** What is to be known of a usable disk: what mxfs lacks itself, and what was not tried. */
  static String remark(DevicePaths found, Verdict verdict) {
    if (verdict != Verdict.USABLE) {
      return "";
    }
    List<String> remarks = new ArrayList<>();
    if (found.kind() == DevicePaths.Kind.MULTIPATH) {
      remarks.add(
          "But this version does not mount device-mapper multipath: it mounts the disk by one of"
              + " its paths, which multipathd has to leave alone (blacklist its wwid in"
              + " /etc/multipath.conf).");
    }
    for (Path disk : found.alike()) {
      remarks.add(
          disk
              + " may be another path to it, by a name that is not unique in the world, or another"
              + " disk: it was not tried.");
    }
    return String.join(" ", remarks);
  }

  private Report ended(Verdict verdict, String what, String found) {
    return new Report(
        device.toString(),
        List.of(),
        List.of(new Step("device", Outcome.FAILED, what, found)),
        List.of(),
        verdict,
        "");
  }

  /**
   * Holds the device and all its paths for the time of the check, so that nobody mounts it; and
   * what may be a path, though nothing is registered by that.
   */
  private Report checkUnused(DevicePaths found) throws IOException {
    try (Exclusive held = new Exclusive()) {
      held.claim(device);
      for (Path path : found.paths()) {
        if (!isNamed(found, path) && !isBelow(found, path)) {
          held.claim(path);
        }
      }
      for (Path path : found.alike()) {
        held.claimAlike(path);
      }
      return checkPaths(found);
    }
  }

  private static boolean isNamed(DevicePaths found, Path path) {
    return String.valueOf(path.getFileName()).equals(found.name());
  }

  private static boolean isBelow(DevicePaths found, Path path) {
    String name = String.valueOf(path.getFileName());
    return Files.exists(BLOCK_CLASS.resolve(name).resolve("holders").resolve(found.name()));
  }

  private Report checkPaths(DevicePaths found) throws IOException {
    List<PathUnderCheck> paths = new ArrayList<>();
    Map<Path, IOException> notFound = new LinkedHashMap<>();
    try {
      for (Path node : found.paths()) {
        HostAdapter adapter = adapter(node, why -> notFound.put(node, why));
        paths.add(
            new PathUnderCheck(
                node.toString(), ScsiDevice.open(node), adapter, isBelow(found, node)));
      }
      ScsiCheck check = new ScsiCheck(device.toString(), paths, !noAbort, new SecureRandom());
      notFound.forEach(check::adapterNotFound);
      endOnSignal(check);
      return check.run();
    } finally {
      paths.forEach(path -> path.device().close());
    }
  }

  /** See {@link ScsiCheck#adapterNotFound}. */
  static HostAdapter adapter(Path node, Consumer<IOException> notFound) {
    try {
      return HostAdapter.of(node);
    } catch (IOException e) {
      notFound.accept(e);
      return HostAdapter.UNKNOWN;
    }
  }

  /**
   * A signal ends the check before its next step; the JVM ends when the check has cleaned up and
   * told what it found.
   */
  private void endOnSignal(ScsiCheck check) {
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  check.interrupt();
                  try {
                    if (!told.await(SIGNAL_WAIT_MILLIS, TimeUnit.MILLISECONDS)) {
                      System.err.println(
                          "mxfsctl: the disk does not answer; see scsi check --help");
                    }
                  } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                  }
                }));
  }
}
