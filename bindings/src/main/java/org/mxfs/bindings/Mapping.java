// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.mxfs.bindings.linux.Linux;

/**
 * Memory mapped by {@code mmap(2)}, as a segment that is bounded and that dies with its arena.
 *
 * <p>The mapping is removed when {@code arena} closes; a use after that is refused by the JVM
 * instead of crashing it.
 */
public final class Mapping {
  private Mapping() {}

  /**
   * Maps {@code length} bytes of {@code fd} from {@code offset}.
   *
   * @param protection {@code PROT_*} of {@link org.mxfs.bindings.linux.Memory}
   * @param flags {@code MAP_*} of {@link org.mxfs.bindings.linux.Memory}
   * @throws ErrnoException if the kernel refuses
   */
  @SuppressWarnings("restricted") // the address and the length come from mmap itself
  public static MemorySegment map(
      Arena arena, int fd, long offset, long length, int protection, int flags)
      throws ErrnoException {
    long address = Linux.mmap(0, length, protection, flags, fd, offset);
    Errno.check(
        address,
        "mmap",
        "fd=" + fd + ", offset=" + offset + ", length=" + length,
        "see ulimit -l (locked memory) and ulimit -v");
    return MemorySegment.ofAddress(address)
        .reinterpret(length, arena, memory -> unmap(memory.address(), length));
  }

  private static void unmap(long address, long length) {
    long result = Linux.munmap(address, length);
    if (result < 0) {
      throw new IllegalStateException(
          "munmap of a mapping of ours failed: " + Errno.describe((int) -result));
    }
  }
}
