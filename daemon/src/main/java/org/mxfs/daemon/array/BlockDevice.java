// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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

  /**
   * Looks a device up by its number, since the name given to mount may be a link, relative, or
   * something else by now.
   *
   * @param sys {@code /sys}
   * @param dev {@code /dev}
   */
  public static BlockDevice find(Path sys, Path dev, int major, int minor) throws IOException {
    Path dir = sys.resolve("dev/block/" + major + ":" + minor);
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
    return new BlockDevice(dev.resolve(name), Files.exists(dir.resolve("partition")), scsi);
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
