// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The block device of a mount, as sysfs tells, looked up by its number, which is what the kernel
 * has mounted. Registrations belong to a path, so a device-mapper device over SCSI disks cannot be
 * shared by what is done to it; and to a whole logical unit, so a partition is shared at the cost
 * of all the others.
 *
 * @param name the kernel's name of it, below {@code /dev} by default; for messages, and to try
 *     first
 * @param partition what it is a part of, when it is one
 * @param scsiBelow SCSI disks underneath, when it is a device-mapper or md device
 * @param network what brings it here when that is a network of storage, where other machines can
 *     reach it, too: "iSCSI", "Fibre Channel", "NVMe over tcp", ...
 */
public record BlockDevice(
    String name,
    int major,
    int minor,
    Optional<Partition> partition,
    List<String> scsiBelow,
    Optional<String> network) {
  private static final int DEPTH_MAX = 8;

  public BlockDevice {
    scsiBelow = List.copyOf(scsiBelow);
  }

  /** As the kernel writes it: {@code 8:16}. */
  public String number() {
    return major + ":" + minor;
  }

  /** What to call it. */
  @Override
  public String toString() {
    return "/dev/" + name;
  }

  /**
   * Looks a device up.
   *
   * @param sys {@code /sys}
   */
  public static BlockDevice find(Path sys, int major, int minor) throws IOException {
    Path dir = sys.resolve("dev/block").resolve(major + ":" + minor);
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
    collect(dir.toRealPath(), scsi, 0);
    return new BlockDevice(
        name,
        major,
        minor,
        Optional.ofNullable(Partition.find(dir.toRealPath())),
        scsi,
        Optional.ofNullable(network(sys, dir.toRealPath(), 0)));
  }

  private static void collect(Path dir, List<String> scsi, int depth) throws IOException {
    if (depth > DEPTH_MAX) {
      return;
    }
    for (Path each : slaves(dir)) {
      Path real = each.toRealPath();
      if (Files.exists(whole(real).resolve("device/scsi_level"))) {
        scsi.add(String.valueOf(each.getFileName()));
      }
      collect(real, scsi, depth + 1);
    }
  }

  /** The disk of a partition; anything else is one itself. Without links. */
  private static Path whole(Path dir) {
    Path parent = dir.getParent();
    return parent != null && Files.exists(dir.resolve("partition")) ? parent : dir;
  }

  /** Those of the whole device: a partition of it has no list (block/genhd.c, device_add_disk). */
  private static List<Path> slaves(Path dir) throws IOException {
    return Partition.list(whole(dir).resolve("slaves"));
  }

  /** By the devices that it hangs on in sysfs, and for a stacked one by those below it. */
  private static @Nullable String network(Path sys, Path dir, int depth) throws IOException {
    Path top = sys.toRealPath();
    for (Path at = dir; at != null && at.startsWith(top) && !at.equals(top); at = at.getParent()) {
      String found = networkOf(at);
      if (found != null) {
        return found;
      }
    }
    if (depth < DEPTH_MAX) {
      for (Path below : slaves(dir)) {
        String found = network(sys, below.toRealPath(), depth + 1);
        if (found != null) {
          return found;
        }
      }
    }
    return null;
  }

  private static @Nullable String networkOf(Path dir) throws IOException {
    String name = String.valueOf(dir.getFileName());
    if (name.startsWith("session") && Files.isDirectory(dir.resolve("iscsi_session"))) {
      return "iSCSI";
    }
    if (name.startsWith("rport-")) {
      return "Fibre Channel";
    }
    if (name.startsWith("rbd") && Files.exists(dir.resolve("dev"))) {
      return "Ceph RBD";
    }
    if (name.startsWith("etherd!")) {
      return "ATA over Ethernet";
    }
    if (name.startsWith("host") && text(dir.resolve("scsi_host").resolve(name)).equals("ib_srp")) {
      return "SRP";
    }
    if (name.startsWith("nvme")) {
      // A controller, or a subsystem with links to its controllers.
      List<Path> controllers = new ArrayList<>(List.of(dir));
      if (name.startsWith("nvme-subsys")) {
        controllers = Partition.list(dir);
      }
      for (Path each : controllers) {
        Path transport = each.resolve("transport");
        if (Files.exists(transport)) {
          String by = Files.readString(transport).strip();
          if (!by.equals("pcie") && !by.equals("apple-nvme") && !by.equals("loop")) {
            return "NVMe over " + by;
          }
        }
      }
    }
    return null;
  }

  private static String text(Path host) throws IOException {
    Path driver = host.resolve("proc_name");
    return Files.exists(driver) ? Files.readString(driver).strip() : "";
  }
}
