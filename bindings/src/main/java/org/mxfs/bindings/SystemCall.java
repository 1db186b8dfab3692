// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;

/**
 * The way into the kernel: {@code syscall(2)} with six arguments, whatever the call.
 *
 * <p>Why one C function for all calls: linking a function costs milliseconds for each new
 * <em>shape</em> (7 to 17 ms on the build machine, many times that in an emulated one), and next to
 * nothing for the second function of a shape. The kernel's own interface is six machine words, so
 * three shapes serve every call: words only; words with a buffer as the second argument (what
 * reads, writes, sends and receives look like), both without allocation; and all pointers, for the
 * calls that are not on a hot path. Each is linked on its first use. Pointers are passed as
 * segments, not as numbers, so that the JVM checks that their memory is alive and keeps it alive
 * for the length of the call.
 *
 * <p>The generated classes in {@link org.mxfs.bindings.linux} give these calls their names and
 * types; use those.
 *
 * <p>Errors: {@code syscall} returns -1 and sets the calling thread's {@code errno}, which the
 * linker saves right after the call into a segment that belongs to this thread alone. Callers see
 * {@code -errno}.
 *
 * <p>A call that blocks in the kernel pins its carrier thread: use platform threads for those.
 */
public final class SystemCall {
  /** Whether the running machine is an aarch64 one; otherwise it is x86-64. */
  public static final boolean AARCH64 =
      isAarch64(System.getProperty("os.name"), System.getProperty("os.arch"));

  private static final StructLayout STATE = Linker.Option.captureStateLayout();
  private static final long ERRNO =
      STATE.byteOffset(MemoryLayout.PathElement.groupElement("errno"));

  private static final ThreadLocal<MemorySegment> SAVED =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(STATE));

  private SystemCall() {}

  static boolean isAarch64(String system, String machine) {
    if (system.equals("Linux")) {
      if (machine.equals("aarch64")) {
        return true;
      }
      if (machine.equals("amd64") || machine.equals("x86_64")) {
        return false;
      }
    }
    throw new UnsupportedOperationException(
        "system call numbers are known for Linux on x86-64 and aarch64, not for "
            + system
            + " on "
            + machine);
  }

  private static final class Integers {
    static final MethodHandle HANDLE =
        link(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
  }

  private static final class Buffer {
    static final MethodHandle HANDLE =
        link(JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
  }

  private static final class Any {
    static final MethodHandle HANDLE = link(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS);
  }

  @SuppressWarnings(
      "restricted") // the descriptor is syscall(2)'s own: a number and six machine words
  private static MethodHandle link(MemoryLayout... arguments) {
    Linker linker = Linker.nativeLinker();
    MemorySegment syscall =
        linker
            .defaultLookup()
            .find("syscall")
            .orElseThrow(() -> new UnsatisfiedLinkError("the C library has no syscall()"));
    return linker.downcallHandle(
        syscall,
        FunctionDescriptor.of(JAVA_LONG, JAVA_LONG).appendArgumentLayouts(arguments),
        Linker.Option.firstVariadicArg(1),
        Linker.Option.captureCallState("errno"));
  }

  private static long result(long returned, MemorySegment saved) {
    return returned == -1 ? -saved.get(JAVA_INT, ERRNO) : returned;
  }

  /**
   * A call whose arguments are all integers.
   *
   * @return what the call returns, or {@code -errno}
   */
  public static long integers(int number, long a, long b, long c, long d, long e, long f) {
    MemorySegment saved = SAVED.get();
    try {
      return result(
          (long) Integers.HANDLE.invokeExact(saved, (long) number, a, b, c, d, e, f), saved);
    } catch (Throwable t) {
      throw unexpected(t);
    }
  }

  /**
   * A call whose second argument, and only that, is a pointer.
   *
   * @return what the call returns, or {@code -errno}
   */
  public static long buffer(int number, long a, MemorySegment b, long c, long d, long e, long f) {
    MemorySegment saved = SAVED.get();
    try {
      return result(
          (long) Buffer.HANDLE.invokeExact(saved, (long) number, a, b, c, d, e, f), saved);
    } catch (Throwable t) {
      throw unexpected(t);
    }
  }

  /**
   * A call with pointers anywhere; integers are passed as {@link MemorySegment#ofAddress}.
   *
   * @return what the call returns, or {@code -errno}
   */
  public static long any(
      int number,
      MemorySegment a,
      MemorySegment b,
      MemorySegment c,
      MemorySegment d,
      MemorySegment e,
      MemorySegment f) {
    MemorySegment saved = SAVED.get();
    try {
      return result((long) Any.HANDLE.invokeExact(saved, (long) number, a, b, c, d, e, f), saved);
    } catch (Throwable t) {
      throw unexpected(t);
    }
  }

  /**
   * A handle declares {@code Throwable}; what it really throws is unchecked (a dead segment, a heap
   * segment).
   */
  private static RuntimeException unexpected(Throwable t) {
    if (t instanceof Error e) {
      throw e;
    }
    if (t instanceof RuntimeException e) {
      return e;
    }
    return new IllegalStateException("a native call threw a checked exception", t);
  }
}
