// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Checks that what a call may touch lies in the segment it is given. The kernel only sees an
 * address: a length larger than the segment would let it read or write someone else's memory.
 *
 * <p>Used by the generated calls; the table says which parameter bounds which.
 */
public final class Bounds {
  private Bounds() {}

  /**
   * The call may touch the first {@code bytes} bytes.
   *
   * @throws IndexOutOfBoundsException if the segment is smaller, or {@code bytes} is negative
   */
  public static void require(MemorySegment segment, long bytes, String parameter) {
    if (bytes < 0 || bytes > segment.byteSize()) {
      throw new IndexOutOfBoundsException(
          "the call may touch "
              + bytes
              + " bytes of '"
              + parameter
              + "', the segment has "
              + segment.byteSize());
    }
  }

  /**
   * As {@link #require}, for {@code count} structures of {@code size} bytes, one after the other.
   */
  public static void requireArray(MemorySegment segment, long count, int size, String parameter) {
    if (count < 0 || count > segment.byteSize() / size) {
      throw new IndexOutOfBoundsException(
          "the call may touch "
              + count
              + " times "
              + size
              + " bytes of '"
              + parameter
              + "', the segment has "
              + segment.byteSize());
    }
  }

  /** As {@link #require}, for a pointer that may be {@link MemorySegment#NULL}. */
  public static void requireUnlessNull(MemorySegment segment, long bytes, String parameter) {
    if (segment.address() != 0) {
      require(segment, bytes, parameter);
    }
  }

  /** As {@link #require}, for a length that is itself behind a pointer, in a 32 bit number. */
  public static void requireBehind(MemorySegment segment, MemorySegment bytes, String parameter) {
    require(segment, bytes.get(ValueLayout.JAVA_INT_UNALIGNED, 0), parameter);
  }

  /**
   * The call reads a path or another text, up to its NUL.
   *
   * @throws IndexOutOfBoundsException if there is none in the segment
   */
  public static void requireText(MemorySegment segment, String parameter) {
    for (long at = 0; at < segment.byteSize(); at++) {
      if (segment.get(ValueLayout.JAVA_BYTE, at) == 0) {
        return;
      }
    }
    throw new IndexOutOfBoundsException(
        "'" + parameter + "' has no NUL in its " + segment.byteSize() + " bytes");
  }
}
