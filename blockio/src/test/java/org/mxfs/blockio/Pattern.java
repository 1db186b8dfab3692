// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Contents that name their place and version, so that a misplaced or stale block shows. */
final class Pattern {
  private Pattern() {}

  static void fill(MemorySegment memory, long offset, int version) {
    for (long i = 0; i < memory.byteSize(); i += Long.BYTES) {
      memory.set(ValueLayout.JAVA_LONG_UNALIGNED, i, word(offset + i, version));
    }
  }

  static boolean matches(MemorySegment memory, long offset, int version) {
    for (long i = 0; i < memory.byteSize(); i += Long.BYTES) {
      if (memory.get(ValueLayout.JAVA_LONG_UNALIGNED, i) != word(offset + i, version)) {
        return false;
      }
    }
    return true;
  }

  static boolean isZero(MemorySegment memory) {
    for (long i = 0; i < memory.byteSize(); i += Long.BYTES) {
      if (memory.get(ValueLayout.JAVA_LONG_UNALIGNED, i) != 0) {
        return false;
      }
    }
    return true;
  }

  private static long word(long offset, int version) {
    return (offset ^ (long) version << 40) * 0x9e3779b97f4a7c15L + version;
  }
}
