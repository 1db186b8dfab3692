// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

/**
 * The ranges that requests under way may still change: until one has ended, no other that overlaps
 * it is sent, because nobody could say which of the two the disk carries out last.
 *
 * <p>No two ranges overlap, so the beginning of one names it. Not thread-safe.
 */
final class WriteRanges {
  private final long[] from;
  private final long[] to;
  private int count;

  WriteRanges(int limit) {
    from = new long[limit];
    to = new long[limit];
  }

  /** Whether this request would change what another may still change. */
  boolean overlap(Operation operation, long at, long length) {
    if (!operation.changes()) {
      return false;
    }
    for (int i = 0; i < count; i++) {
      if (at < to[i] && from[i] < at + length) {
        return true;
      }
    }
    return false;
  }

  /** A request begins that {@link #overlap} found none for. */
  void begin(Operation operation, long at, long length) {
    if (operation.changes()) {
      from[count] = at;
      to[count] = at + length;
      count++;
    }
  }

  /** A request has ended. */
  void end(Operation operation, long at) {
    if (!operation.changes()) {
      return;
    }
    for (int i = 0; i < count; i++) {
      if (from[i] == at) {
        count--;
        from[i] = from[count];
        to[i] = to[count];
        return;
      }
    }
    throw new IllegalStateException("no request changes the device at " + at);
  }
}
