// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.Locale;
import org.mxfs.bindings.linux.IoUring;

/**
 * Batches of requests that do nothing: what the ring itself costs. In this package because the ring
 * is not public. Twin: {@code blockio_nop.c}.
 */
public final class NopRing {
  private static final int BATCH = 32;

  private NopRing() {}

  /**
   * Warms up, then measures for as long; prints {@code ns}, the mean of one batch of 32.
   *
   * @param arguments how many seconds each
   */
  public static void main(String[] arguments) throws IOException {
    double seconds = Double.parseDouble(arguments[0]);
    try (Arena arena = Arena.ofShared()) {
      Ring ring = Ring.open(arena, BATCH, Ring.Sharing.CONFINED);
      run(ring, seconds);
      System.out.printf(Locale.ROOT, "ns %.1f%n", run(ring, seconds));
      ring.close();
    }
  }

  private static double run(Ring ring, double seconds) throws IOException {
    long start = System.nanoTime();
    long limit = (long) (seconds * 1e9);
    long batches = 0;
    long taken;
    do {
      for (int i = 0; i < 100; i++, batches++) {
        batch(ring);
      }
      taken = System.nanoTime() - start;
    } while (taken < limit);
    return (double) taken / batches;
  }

  private static void batch(Ring ring) throws IOException {
    for (int i = 0; i < BATCH; i++) {
      ring.place(IoUring.IORING_OP_NOP, 0, -1, 0, 0, 0, 0, i);
    }
    if (ring.submitAndWait(BATCH, Ring.FOR_EVER) != BATCH) {
      throw new IOException("io_uring_enter took less than the batch");
    }
    int head = ring.completionHead();
    int end = ring.completionTail();
    long sum = 0;
    for (; head != end; head++) {
      sum += ring.completionUserData(head) + ring.completionResult(head);
    }
    ring.releaseCompletions(head);
    if (sum != BATCH * (BATCH - 1) / 2) {
      throw new IOException("the completions are not those of the batch");
    }
  }
}
