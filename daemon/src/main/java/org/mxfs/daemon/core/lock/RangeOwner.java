// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import org.mxfs.daemon.core.ReservationKey;

/**
 * Whose a byte range lock is.
 *
 * @param id of a process's table of files for {@link Kind#POSIX}, of an open file description for
 *     the other two; the node's own
 */
public record RangeOwner(ReservationKey node, Kind kind, long id) {
  /** Which system call made it. */
  public enum Kind {
    /** fcntl F_SETLK: a process's; excludes OFD locks as well. */
    POSIX,
    /** fcntl F_OFD_SETLK: an open file's. */
    OFD,
    /** flock: an open file's, the whole file; the other two do not see it. */
    FLOCK
  }

  boolean meets(RangeOwner other) {
    return !equals(other) && (kind == Kind.FLOCK) == (other.kind == Kind.FLOCK);
  }
}
