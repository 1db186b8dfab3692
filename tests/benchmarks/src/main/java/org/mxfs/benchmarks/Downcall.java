// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.mxfs.bindings.linux.Linux;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/**
 * What keeping errno costs: downcalls with and without it, once into the kernel and once into a C
 * function that does next to nothing ({@code labs}), where the difference cannot hide.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class Downcall {
  private static final MemoryLayout[] SIX = new MemoryLayout[6];

  static {
    Arrays.fill(SIX, ValueLayout.JAVA_LONG);
  }

  private static final FunctionDescriptor SYSCALL =
      FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG)
          .appendArgumentLayouts(SIX);
  private static final FunctionDescriptor LABS =
      FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG);

  private static final MethodHandle SYSCALL_PLAIN =
      link("syscall", SYSCALL, Linker.Option.firstVariadicArg(1));
  private static final MethodHandle LABS_PLAIN = link("labs", LABS);
  private static final MethodHandle LABS_ERRNO =
      link("labs", LABS, Linker.Option.captureCallState("errno"));

  private static final ThreadLocal<MemorySegment> SAVED =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(Linker.Option.captureStateLayout()));

  private final MemorySegment atHand = Arena.ofAuto().allocate(Linker.Option.captureStateLayout());

  private long value = -5;

  @SuppressWarnings("restricted") // the descriptors are those of the manual
  private static MethodHandle link(
      String function, FunctionDescriptor descriptor, Linker.Option... options) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(function), descriptor, options);
  }

  /** The library's own call. */
  @Benchmark
  public int kernelWithErrno() {
    return Linux.gettid();
  }

  /** The same system call, its errno thrown away. */
  @Benchmark
  public long kernelWithoutErrno() throws Throwable {
    return (long) SYSCALL_PLAIN.invokeExact((long) Linux.SYS_gettid, 0L, 0L, 0L, 0L, 0L, 0L);
  }

  /** As the library does it: into a segment of this thread's own, read when the call failed. */
  @Benchmark
  public long emptyWithErrno() throws Throwable {
    MemorySegment saved = SAVED.get();
    long returned = (long) LABS_ERRNO.invokeExact(saved, value);
    return returned == -1 ? -saved.get(ValueLayout.JAVA_INT, 0) : returned;
  }

  /** With the segment at hand: what the JDK's linker itself asks for. */
  @Benchmark
  public long emptyWithErrnoAtHand() throws Throwable {
    long returned = (long) LABS_ERRNO.invokeExact(atHand, value);
    return returned == -1 ? -atHand.get(ValueLayout.JAVA_INT, 0) : returned;
  }

  /** The bare downcall. */
  @Benchmark
  public long emptyWithoutErrno() throws Throwable {
    return (long) LABS_PLAIN.invokeExact(value);
  }
}
