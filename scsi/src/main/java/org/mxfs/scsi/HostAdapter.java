// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The host adapter by which a disk is reached, as sysfs tells.
 *
 * @param driver as the driver calls itself ({@code proc_name} of its host template, e.g. {@code
 *     iscsi_tcp}), or where it gives no such name the driver of the device that the host belongs to
 *     ({@code qla2xxx}); empty: not known
 * @param chip as the driver tells it ({@code isp_name} of qla2xxx, e.g. {@code ISP2432}); empty: it
 *     does not
 */
public record HostAdapter(String driver, String chip) {
  /** Nothing is known of it. */
  public static final HostAdapter UNKNOWN = new HostAdapter("", "");

  /** The adapter of a SCSI disk of this machine, by the disk's node. */
  public static HostAdapter of(Path device) throws IOException {
    String number = DevicePaths.number(device).orElse("");
    return number.isEmpty() ? UNKNOWN : find(DevicePaths.SYS, number);
  }

  /**
   * The adapter of a SCSI disk; {@link #UNKNOWN} for what has none.
   *
   * @param sys {@code /sys}
   * @param number of the block device, e.g. {@code 8:16}
   * @throws IOException when there is no such device, or sysfs cannot be read
   */
  public static HostAdapter find(Path sys, String number) throws IOException {
    Path top = sys.toRealPath();
    Path at = sys.resolve("dev/block").resolve(number).toRealPath();
    while (at != null && at.startsWith(top) && !at.equals(top)) {
      Path host = at.resolve("scsi_host").resolve(String.valueOf(at.getFileName()));
      if (Files.isDirectory(host)) {
        String name = text(host.resolve("proc_name"));
        // A driver without a name: scsi_sysfs.c prints its null pointer.
        boolean named = !name.isEmpty() && !name.startsWith("(") && !name.startsWith("<");
        return new HostAdapter(named ? name : driver(top, at), text(host.resolve("isp_name")));
      }
      at = at.getParent();
    }
    return UNKNOWN;
  }

  /** Of the nearest device above that has one; a host itself has none. */
  private static String driver(Path top, Path host) throws IOException {
    for (Path at = host.getParent(); at != null && !at.equals(top); at = at.getParent()) {
      Path driver = at.resolve("driver");
      if (Files.exists(driver)) {
        return String.valueOf(driver.toRealPath().getFileName());
      }
    }
    return "";
  }

  private static String text(Path attribute) throws IOException {
    return Files.exists(attribute) ? Files.readString(attribute).strip() : "";
  }
}
