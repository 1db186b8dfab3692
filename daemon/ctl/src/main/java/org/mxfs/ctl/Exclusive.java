// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.io.Closeable;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Files;
import org.mxfs.bindings.linux.Linux;

/**
 * Block devices held exclusively: O_EXCL on a block device without O_CREAT fails with EBUSY while
 * it is mounted, or used by device mapper or md (open(2)), and keeps both away as long as it is
 * open.
 */
final class Exclusive implements Closeable {
  private final List<Integer> held = new ArrayList<>();

  void claim(Path device) throws ErrnoException {
    claim(
        device,
        "this machine uses the disk: unmount it (findmnt "
            + device
            + "), or name the multipath device that it is a path of (lsblk "
            + device
            + ")");
  }

  /** One that need not be the disk in question. */
  void claimAlike(Path device) throws ErrnoException {
    claim(
        device,
        "this machine uses this disk, which may be the same: they share a name, though not one"
            + " that is unique in the world. Unmount it (findmnt "
            + device
            + "), or, where they are two, give them names of their own at the target (tgt makes"
            + " names of the numbers of target and unit: another --tid)");
  }

  private void claim(Path device, String trouble) throws ErrnoException {
    try (Arena arena = Arena.ofConfined()) {
      held.add(
          Errno.check(
              Linux.openat(
                  Files.AT_FDCWD,
                  arena.allocateFrom(device.toString()),
                  Files.O_RDONLY | Files.O_EXCL | Files.O_NONBLOCK | Files.O_CLOEXEC,
                  0),
              "open",
              device + ", O_EXCL",
              trouble));
    }
  }

  @Override
  public void close() {
    held.forEach(Linux::close);
    held.clear();
  }
}
