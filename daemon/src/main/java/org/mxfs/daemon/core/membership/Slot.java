// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

/** A heartbeat slot as it was read. */
public sealed interface Slot {
  /**
   * Nobody's.
   *
   * @param epoch the highest one that was known to who had it last; 0 as it was made
   * @param sequence as {@link Beat#sequence}
   */
  record Free(long epoch, long sequence) implements Slot {
    /** As it was made. */
    public Free() {
      this(0, 0);
    }
  }

  record Taken(Beat beat) implements Slot {}

  /** Not a record of this slot of this volume. Never trusted. */
  record Damaged(Kind kind, String why) implements Slot {}

  /** What is wrong with a damaged one. */
  enum Kind {
    /** A record whose checksum is wrong: a write that was cut off, or a disk that lies. */
    TORN,
    /** Other data, or a record of another volume, version or place. */
    FOREIGN,
    UNREADABLE
  }
}
