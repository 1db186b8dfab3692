// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.lang.foreign.Arena;
import java.util.BitSet;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.IoUring;

/** The two rings, with requests that do nothing. */
@Timeout(60)
class RingTest {
  private static void placeNops(Ring ring, int first, int count) {
    for (int i = first; i < first + count; i++) {
      ring.place(IoUring.IORING_OP_NOP, 0, -1, 0, 0, 0, 0, i);
    }
  }

  /** Notes whose completions are there. */
  private static void drain(Ring ring, BitSet seen) {
    int head = ring.completionHead();
    for (int end = ring.completionTail(); head != end; head++) {
      int who = (int) ring.completionUserData(head);
      assertThat(seen.get(who)).as("completion %s came before", who).isFalse();
      seen.set(who);
    }
    ring.releaseCompletions(head);
  }

  @ParameterizedTest
  @EnumSource
  void eachEntryCompletesOnce(Ring.Sharing sharing) throws Exception {
    try (Arena arena = Arena.ofShared()) {
      Ring ring = Ring.open(arena, 32, sharing);
      BitSet seen = new BitSet();
      for (int round = 0; round < 10; round++) {
        placeNops(ring, round * 32, 32);
        assertThat(ring.placed()).isEqualTo(32);
        assertThat(ring.submitAndWait(32, Ring.FOR_EVER)).isEqualTo(32);
        drain(ring, seen);
      }
      assertThat(seen.cardinality()).isEqualTo(320);
      ring.close();
    }
  }

  @ParameterizedTest
  @EnumSource
  void completionsThatFindTheirRingFullAreNotLost(Ring.Sharing sharing) throws Exception {
    try (Arena arena = Arena.ofShared()) {
      Ring ring = Ring.open(arena, 8, 8, sharing);
      BitSet seen = new BitSet();
      for (int round = 0; round < 8; round++) {
        placeNops(ring, round * 8, 8);
        assertThat(ring.submit()).isEqualTo(8);
      }
      boolean overflowed = false;
      while (seen.cardinality() < 64) {
        assertThat(ring.await(1, 5_000_000_000L)).isNotNegative();
        overflowed |= ring.overflowed();
        drain(ring, seen);
      }
      assertThat(overflowed).as("64 completions met a ring of 8").isTrue();
      ring.close();
    }
  }

  @Test
  void aWaitEndsInTime() throws Exception {
    try (Arena arena = Arena.ofShared()) {
      Ring ring = Ring.open(arena, 4, Ring.Sharing.THREADS);
      long before = System.nanoTime();
      assertThat(ring.await(1, 20_000_000)).isEqualTo(-Errnos.ETIME);
      assertThat(System.nanoTime() - before).isGreaterThanOrEqualTo(20_000_000);
      ring.close();
    }
  }

  @Test
  void whatTheKernelLacksIsNamed() throws Exception {
    try (Arena arena = Arena.ofShared()) {
      Ring ring = Ring.open(arena, 4, Ring.Sharing.THREADS);
      ring.requireOperations();
      assertThat(ring.missing(Map.of("IORING_OP_NOP", 0, "IORING_OP_OF_TOMORROW", 255)))
          .containsExactly("IORING_OP_OF_TOMORROW");
      ring.close();
    }
  }

  @Test
  void moreEntriesThanTheKernelAllowsAreRefused() {
    try (Arena arena = Arena.ofShared()) {
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> Ring.open(arena, 40_000, Ring.Sharing.THREADS))
          .withMessageContaining("the kernel allows 32768");
    }
  }

  @Test
  void refusalsSayWhatToDo() {
    assertThat(Ring.setupHint(Errnos.EPERM))
        .containsPattern("kernel.io_uring_disabled is [012]")
        .contains("seccomp")
        .contains("pread/pwrite");
    assertThat(Ring.setupHint(Errnos.ENOSYS)).contains("pread/pwrite");
    assertThat(Ring.setupHint(Errnos.ENOMEM))
        .contains("ulimit -l")
        .containsPattern("now \\S+ bytes");
  }
}
