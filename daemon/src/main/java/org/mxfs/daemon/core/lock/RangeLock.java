// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

/**
 * A byte range lock that is held, or what is asked for.
 *
 * @param pid what F_GETLK tells; -1 for OFD locks, as Linux has it
 * @param end the last byte; {@link #TO_THE_END} for however long the file may become
 */
public record RangeLock(RangeOwner owner, int pid, boolean exclusive, long start, long end) {
  public static final long TO_THE_END = Long.MAX_VALUE;

  public RangeLock {
    if (start < 0 || end < start) {
      throw new IllegalArgumentException("a range from " + start + " to " + end);
    }
    if (owner.kind() == RangeOwner.Kind.FLOCK && (start != 0 || end != TO_THE_END)) {
      throw new IllegalArgumentException("flock locks whole files");
    }
  }

  boolean overlaps(long otherStart, long otherEnd) {
    return start <= otherEnd && otherStart <= end;
  }

  boolean excludes(RangeLock other) {
    return owner.meets(other.owner)
        && (exclusive || other.exclusive)
        && overlaps(other.start, other.end);
  }

  RangeLock from(long newStart) {
    return new RangeLock(owner, pid, exclusive, newStart, end);
  }

  RangeLock to(long newEnd) {
    return new RangeLock(owner, pid, exclusive, start, newEnd);
  }
}
