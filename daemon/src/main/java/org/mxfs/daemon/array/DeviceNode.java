// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.scsi.ScsiDevice;

/**
 * Opens a block device by its number. A name proves nothing: the one given to mount may be a link,
 * relative, of another mount namespace, or something else by now, and the one that the kernel has
 * for the device may stand for another one in {@code /dev}; a reservation on another disk would
 * guard nothing. So the name is tried and what it opened is looked at, and where that is not the
 * device a node of its own is made for the moment of opening.
 */
public final class DeviceNode {
  /** What is done with the path of a device node. */
  public interface Use<T> {
    T with(Path node) throws IOException;
  }

  private DeviceNode() {}

  /**
   * Opens it for SCSI commands.
   *
   * @param dev {@code /dev}: the file system where device nodes work
   * @throws ErrnoException as {@link ScsiDevice#open(Path, int, int)}
   */
  public static ScsiDevice open(Path dev, BlockDevice block) throws IOException {
    try {
      return ScsiDevice.open(dev.resolve(block.name()), block.major(), block.minor());
    } catch (ErrnoException e) {
      if (ScsiArray.takesNoScsi(e.errno())) {
        throw e; // it was that device
      }
    }
    return made(dev, block, node -> ScsiDevice.open(node, block.major(), block.minor()));
  }

  /**
   * Makes a node of the device, which is gone again when it was used.
   *
   * @param dev {@code /dev}: the file system where device nodes work
   */
  public static <T> T made(Path dev, BlockDevice block, Use<T> use) throws IOException {
    return made(dev, block.toString(), block.major(), block.minor(), use);
  }

  /** As of a whole device. */
  static <T> T made(Path dev, Partition.Other other, Use<T> use) throws IOException {
    return made(dev, other.toString(), other.major(), other.minor(), use);
  }

  private static <T> T made(Path dev, String name, int major, int minor, Use<T> use)
      throws IOException {
    String number = major + ":" + minor;
    Path directory = dev.resolve(".mxfs");
    try {
      Files.createDirectory(
          directory,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (FileAlreadyExistsException e) {
      // Made by an earlier daemon; /dev is root's alone.
    }
    Path node =
        directory.resolve(
            ProcessHandle.current().pid() + "-" + Thread.currentThread().threadId() + "-" + number);
    Files.deleteIfExists(node);
    try (Arena arena = Arena.ofConfined()) {
      Errno.check(
          Linux.mknodat(
              org.mxfs.bindings.linux.Files.AT_FDCWD,
              arena.allocateFrom(node.toString()),
              org.mxfs.bindings.linux.Files.S_IFBLK | 0600,
              encoded(major, minor)),
          "mknod",
          node + ", block device " + number,
          name + " is not that device, and no node of our own can be made");
      return use.with(node);
    } finally {
      Files.deleteIfExists(node);
    }
  }

  /** {@code new_encode_dev()}, linux/kdev_t.h: how mknod(2) takes a number. */
  static int encoded(int major, int minor) {
    return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
  }
}
