// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.statx;

/**
 * The paths of this machine to the logical unit behind a block device. A registration belongs to a
 * path (an I_T nexus), not to a machine: what is to keep its access has to be registered on every
 * one.
 *
 * <p>Two sources, taken together: the paths that device-mapper multipath put under the device
 * ({@code slaves/}), and every other SCSI disk whose VPD page 0x83 (which the kernel keeps in
 * {@code device/vpd_pg83}) gives the unit the same world-wide name, whether multipath knows it or
 * not.
 *
 * @param name the kernel's name of the device, e.g. {@code sdb} or {@code dm-0}
 * @param kind what the device is
 * @param paths device nodes of SCSI disks: first the device itself, or what multipath put under it,
 *     then those that only have its name, each in the order of their names; empty unless the device
 *     is {@link Kind#SCSI_DISK} or {@link Kind#MULTIPATH}
 * @param alike device nodes of other SCSI disks that share a name with it which is not unique in
 *     the world, and of which no world-wide name says that they are others: each may be a path to
 *     the same unit, or a unit of its own
 */
public record DevicePaths(String name, Kind kind, List<Path> paths, List<Path> alike) {
  /** What a block device is. */
  public enum Kind {
    /** One path to a logical unit. */
    SCSI_DISK,
    /** A device-mapper multipath device over such paths. */
    MULTIPATH,
    /** Part of a disk: reservations are for the whole one. */
    PARTITION,
    /** Anything else: NVMe, virtio-blk, a logical volume, md, a loop device. */
    OTHER
  }

  private static final String NAME_A_BLOCK_DEVICE = "name a block device, such as /dev/sdb";
  static final Path SYS = Path.of("/sys");
  private static final Path DEV = Path.of("/dev");

  /** What dm-multipath's user space puts before the unit's name (multipath-tools, dmsetup). */
  private static final String MULTIPATH_UUID = "mpath-";

  /** Copies the lists. */
  public DevicePaths {
    paths = List.copyOf(paths);
    alike = List.copyOf(alike);
  }

  /**
   * Looks a block device up by its number, as its name may be a link.
   *
   * @throws IOException if there is no such device, sysfs does not have it, or what has the name of
   *     one of its paths in {@code /dev} is another device
   */
  public static DevicePaths find(Path device) throws IOException {
    String number =
        number(device)
            .orElseThrow(
                () ->
                    new ErrnoException(
                        "statx", device.toString(), Errnos.ENOTBLK, NAME_A_BLOCK_DEVICE));
    DevicePaths found = find(SYS, DEV, number);
    for (Path path : Stream.concat(found.paths().stream(), found.alike().stream()).toList()) {
      checkNode(SYS, found, path);
    }
    return found;
  }

  /** That a path's name is of the kernel's device of that name. */
  static void checkNode(Path sys, DevicePaths found, Path path) throws IOException {
    String name = String.valueOf(path.getFileName());
    String is;
    try {
      is = number(path).orElse("no block device");
    } catch (ErrnoException e) {
      if (e.errno() != Errnos.ENOENT) {
        throw e;
      }
      // As in a container: nobody has named this one.
      throw new IOException(
          "%s is not there, and the kernel's %s %s: make a node for it"
              .formatted(
                  path,
                  name,
                  found.alike().contains(path)
                      ? "may be another path to the disk, by a name that is not unique in the world"
                      : found.name().equals(name) ? "is the disk" : "is another path to the disk"),
          e);
    }
    String expected = Files.readString(sys.resolve("block").resolve(name).resolve("dev")).strip();
    if (!is.equals(expected)) {
      throw new IOException(
          "%s is %s, but the kernel's %s is %s: make the names in %s follow the kernel's"
              .formatted(path, is, name, expected, path.getParent()));
    }
  }

  /**
   * As {@link #find(Path)}, in another tree than {@code /sys}.
   *
   * @param sys the root of a tree like sysfs
   * @param dev where the device nodes are
   * @param number major and minor, e.g. {@code 8:16}
   */
  static DevicePaths find(Path sys, Path dev, String number) throws IOException {
    Path entry = sys.resolve("dev/block").resolve(number);
    Path dir;
    try {
      dir = entry.toRealPath();
    } catch (NoSuchFileException e) {
      throw new NoSuchFileException(entry.toString(), null, "no block device " + number);
    }
    String name = String.valueOf(dir.getFileName());
    Kind kind = kind(dir);
    Set<String> named = new TreeSet<>(DevicePaths::inOrder);
    if (kind == Kind.SCSI_DISK) {
      named.add(name);
    } else if (kind == Kind.MULTIPATH) {
      for (Path slave : list(dir.resolve("slaves"))) {
        if (isScsiDisk(slave)) {
          named.add(String.valueOf(slave.getFileName()));
        }
      }
    }
    Set<String> paths = new LinkedHashSet<>(named);
    Set<String> alike = addSameUnit(sys, paths);
    return new DevicePaths(
        name,
        kind,
        paths.stream().map(dev::resolve).toList(),
        alike.stream().map(dev::resolve).toList());
  }

  private static Kind kind(Path dir) throws IOException {
    if (Files.exists(dir.resolve("partition"))) {
      return Kind.PARTITION;
    }
    if (isScsiDisk(dir)) {
      return Kind.SCSI_DISK;
    }
    Path uuid = dir.resolve("dm/uuid");
    return Files.exists(uuid) && Files.readString(uuid).startsWith(MULTIPATH_UUID)
        ? Kind.MULTIPATH
        : Kind.OTHER;
  }

  private static boolean isScsiDisk(Path dir) {
    return Files.exists(dir.resolve("device/scsi_level"));
  }

  /** Adds those that have a world-wide name of the unit, and returns those that may be it. */
  private static Set<String> addSameUnit(Path sys, Set<String> paths) throws IOException {
    Set<Designator> unit = new HashSet<>();
    for (String path : paths) {
      unit.addAll(unitNames(sys.resolve("block").resolve(path)));
    }
    Set<String> same = new TreeSet<>(DevicePaths::inOrder);
    Set<String> alike = new TreeSet<>(DevicePaths::inOrder);
    if (unit.isEmpty()) {
      return alike;
    }
    boolean named = unit.stream().anyMatch(Designator::isWorldWideUnitName);
    for (Path disk : list(sys.resolve("block"))) {
      if (!isScsiDisk(disk)) {
        continue;
      }
      List<Designator> names = unitNames(disk);
      List<Designator> shared = names.stream().filter(unit::contains).toList();
      boolean other = named && names.stream().anyMatch(Designator::isWorldWideUnitName);
      if (shared.stream().anyMatch(Designator::isWorldWideUnitName)) {
        same.add(String.valueOf(disk.getFileName()));
      } else if (!shared.isEmpty() && !other) {
        alike.add(String.valueOf(disk.getFileName()));
      }
    }
    paths.addAll(same);
    alike.removeAll(paths);
    return alike;
  }

  /** The names of the unit behind a path; none where the device does not tell any. */
  private static List<Designator> unitNames(Path disk) throws IOException {
    byte[] page;
    try {
      page = Files.readAllBytes(disk.resolve("device/vpd_pg83"));
    } catch (NoSuchFileException e) {
      return List.of();
    }
    try {
      return Vpd.designators(page).stream().filter(Designator::isUnitName).toList();
    } catch (ScsiFormatException e) {
      throw new IOException(disk + "/device/vpd_pg83: " + e.getMessage(), e);
    }
  }

  /** sda before sdb before sdaa, as the kernel counts. */
  private static int inOrder(String a, String b) {
    return a.length() != b.length() ? Integer.compare(a.length(), b.length()) : a.compareTo(b);
  }

  private static List<Path> list(Path dir) throws IOException {
    try (Stream<Path> files = Files.list(dir)) {
      return files.toList();
    }
  }

  static boolean isDeviceMapper(int fd, Path device) throws ErrnoException {
    Optional<String> number = number(fd, device);
    return number.isPresent()
        && Files.exists(SYS.resolve("dev/block").resolve(number.get()).resolve("dm"));
  }

  /**
   * The number of a block device, by which the kernel knows it whatever its names are.
   *
   * @return major and minor, e.g. {@code 8:16}; empty if it is no block device
   * @throws ErrnoException if there is no such file
   */
  public static Optional<String> number(Path device) throws ErrnoException {
    return number(org.mxfs.bindings.linux.Files.AT_FDCWD, device.toString(), 0, device.toString());
  }

  /** The same of what is open. */
  static Optional<String> number(int fd, Path device) throws ErrnoException {
    return number(fd, "", org.mxfs.bindings.linux.Files.AT_EMPTY_PATH, device + ", as opened");
  }

  private static Optional<String> number(int at, String path, int flags, String what)
      throws ErrnoException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(statx.SIZE, statx.ALIGN);
      Errno.check(
          Linux.statx(
              at,
              arena.allocateFrom(path),
              flags,
              org.mxfs.bindings.linux.Files.STATX_TYPE,
              buffer),
          "statx",
          what,
          NAME_A_BLOCK_DEVICE);
      boolean block =
          (statx.stx_mode(buffer, 0) & org.mxfs.bindings.linux.Files.S_IFMT)
              == org.mxfs.bindings.linux.Files.S_IFBLK;
      return block
          ? Optional.of(statx.stx_rdev_major(buffer, 0) + ":" + statx.stx_rdev_minor(buffer, 0))
          : Optional.empty();
    }
  }
}
