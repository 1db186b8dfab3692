// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import org.mxfs.bindings.Errno;
import org.mxfs.bindings.linux.Errnos;

/**
 * What became of a LOGICAL UNIT RESET; see {@link ScsiDevice#resetLogicalUnit}. The kernel says no
 * more of it than an errno: why a driver failed is in the kernel's log.
 */
public sealed interface LogicalUnitReset {
  /**
   * The driver says that it was done. What that is worth depends on the driver and on the target,
   * and is not for this type to say.
   */
  record Done() implements LogicalUnitReset {
    @Override
    public String toString() {
      return "LOGICAL UNIT RESET: done";
    }
  }

  /**
   * The kernel refused before it asked the driver: nothing was sent.
   *
   * @param errno positive; EACCES: CAP_SYS_ADMIN and CAP_SYS_RAWIO are needed; EAGAIN: the host
   *     adapter is in error recovery, ask again; ENODEV: the device is offline or going away;
   *     ENOTTY: no SCSI device
   */
  record Refused(int errno) implements LogicalUnitReset {
    @Override
    public String toString() {
      return "LOGICAL UNIT RESET: refused, " + Errno.describe(errno);
    }
  }

  /**
   * The driver does not say that it was done. EIO is all there is for a driver that cannot, a
   * target that refuses, a time-out and a lost session alike: it may have been done, be done later,
   * or never.
   *
   * @param errno positive
   */
  record Unknown(int errno) implements LogicalUnitReset {
    @Override
    public String toString() {
      return "LOGICAL UNIT RESET: outcome unknown, " + Errno.describe(errno);
    }
  }

  /**
   * Judges what the ioctl returned. The errors of a refusal are those that the kernel returns
   * before it calls the driver (drivers/scsi/scsi_error.c, scsi_ioctl_reset; scsi_ioctl.c,
   * scsi_ioctl_block_when_processing_errors; sg.c; block/ioctl.c for what is no SCSI disk).
   *
   * @param errno 0, or the positive error of the system call
   */
  static LogicalUnitReset of(int errno) {
    return switch (errno) {
      case 0 -> new Done();
      case Errnos.EACCES,
          Errnos.EPERM,
          Errnos.EAGAIN,
          Errnos.ENODEV,
          Errnos.ENXIO,
          Errnos.ENOTTY,
          Errnos.EINVAL,
          Errnos.EBADF,
          Errnos.EFAULT ->
          new Refused(errno);
      default -> new Unknown(errno);
    };
  }
}
