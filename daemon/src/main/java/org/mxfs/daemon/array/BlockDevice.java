// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The block device of a mount, as sysfs tells. Registrations belong to a path and to a whole
 * logical unit, so neither a partition nor a device-mapper device over SCSI disks can be shared by
 * what is done to it.
 *
 * @param node where to open it
 * @param partition whether it is a part of a disk
 * @param scsiBelow SCSI disks underneath, when it is a device-mapper or md device
 */
public record BlockDevice(Path node, boolean partition, List<String> scsiBelow) {
  public BlockDevice {
    scsiBelow = List.copyOf(scsiBelow);
  }

  /** Tells which block device a device node is. */
  public interface Nodes {
    /**
     * The number of a device node.
     *
     * @return {@code major:minor}; empty if it is no block device
     * @throws IOException if there is no such node
     */
    Optional<String> number(Path node) throws IOException;
  }

  /**
   * Looks a device up by its number, which is what the kernel has mounted. A name proves nothing:
   * the one given to mount may be a link, relative, or something else by now, and the one that the
   * kernel has for the device may stand for another one in {@code /dev}. A node of either name is
   * taken only if it has this number, for a reservation on another disk would guard nothing.
   *
   * @param sys {@code /sys}
   * @param dev {@code /dev}
   * @param given the name given to mount
   */
  public static BlockDevice find(Path sys, Path dev, Nodes nodes, Path given, int major, int minor)
      throws IOException {
    String number = major + ":" + minor;
    Path dir = sys.resolve("dev/block").resolve(number);
    String name = null;
    for (String line : Files.readAllLines(dir.resolve("uevent"))) {
      if (line.startsWith("DEVNAME=")) {
        name = line.substring("DEVNAME=".length());
      }
    }
    if (name == null) {
      throw new IOException(dir + "/uevent has no DEVNAME");
    }
    List<String> scsi = new ArrayList<>();
    collect(dir, scsi, 0);
    Path node = node(nodes, dev.resolve(name), given, number);
    return new BlockDevice(node, Files.exists(dir.resolve("partition")), scsi);
  }

  private static Path node(Nodes nodes, Path named, Path given, String number) throws IOException {
    Set<Path> candidates = new LinkedHashSet<>(List.of(named));
    if (given.isAbsolute()) {
      candidates.add(given);
    }
    List<String> found = new ArrayList<>();
    for (Path candidate : candidates) {
      try {
        String is = nodes.number(candidate).orElse("no block device");
        if (is.equals(number)) {
          return candidate;
        }
        found.add(candidate + " is " + is);
      } catch (IOException e) {
        found.add(String.valueOf(e.getMessage()));
      }
    }
    throw new IOException(
        "no device node for block device %s (%s): make one, or mount by its name in /dev"
            .formatted(number, String.join("; ", found)));
  }

  private static void collect(Path dir, List<String> scsi, int depth) throws IOException {
    Path slaves = dir.resolve("slaves");
    if (depth > 8 || !Files.isDirectory(slaves)) {
      return;
    }
    List<Path> below;
    try (Stream<Path> list = Files.list(slaves)) {
      below = list.toList();
    }
    for (Path each : below) {
      Path real = each.toRealPath();
      Path disk = Files.exists(real.resolve("partition")) ? real.getParent() : real;
      if (disk != null && Files.exists(disk.resolve("device/scsi_level"))) {
        scsi.add(String.valueOf(each.getFileName()));
      }
      collect(real, scsi, depth + 1);
    }
  }
}
