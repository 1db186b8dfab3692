// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/**
 * The errors with which a mount can fail for a reason the daemon finds (Linux, {@code
 * asm-generic/errno.h}).
 */
public enum Errno {
  NONE(0),
  EIO(5),
  EBUSY(16),
  EINVAL(22),
  ETIME(62),
  ENOTUNIQ(76),
  EOPNOTSUPP(95),
  ETIMEDOUT(110),
  EHOSTUNREACH(113);

  private final int number;

  Errno(int number) {
    this.number = number;
  }

  public int number() {
    return number;
  }
}
