// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import org.mxfs.bindings.linux.Linux;

/**
 * What the first calls of a process cost: the foreign function machinery as a whole, each further
 * function shape, and a call of a shape that is there already. In milliseconds.
 */
public final class Linking {
  private Linking() {}

  /** Takes no arguments; calls the kernel, each call failing or doing nothing. */
  public static void main(String[] arguments) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocate(256);
      measure("firstShape", Linux::getpid);
      measure("secondShape", () -> Linux.read(-1, memory, 8));
      measure("thirdShape", () -> Linux.statx(-1, memory, 0, 0, memory));
      measure("sameShape", Linux::gettid);
    }
  }

  private static void measure(String name, Runnable call) {
    long start = System.nanoTime();
    call.run();
    System.out.printf(Locale.ROOT, "%s %.3f%n", name, (System.nanoTime() - start) / 1e6);
  }
}
