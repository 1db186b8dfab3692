// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ReservationKey;

class RangeIndexTest {
  private static RangeLock lock(Random random) {
    RangeOwner owner =
        new RangeOwner(ReservationKey.of(1, 1), RangeOwner.Kind.POSIX, random.nextInt(5));
    long start = random.nextInt(200);
    long end = start + random.nextInt(random.nextBoolean() ? 3 : 150);
    return new RangeLock(
        owner, 1, random.nextBoolean(), start, end > 300 ? RangeLock.TO_THE_END : end);
  }

  @Test
  void findsWhatALookAtAllWouldFind() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    RangeIndex<Integer> index = new RangeIndex<>();
    List<RangeIndex.Entry<Integer>> all = new ArrayList<>();
    for (int i = 0; i < 5_000; i++) {
      if (all.isEmpty() || random.nextInt(all.size() < 150 ? 3 : 2) != 0) {
        RangeLock added = lock(random);
        all.add(index.add(added, i));
      } else {
        index.remove(all.remove(random.nextInt(all.size())));
      }
      RangeLock wanted = lock(random);
      int divisor = 1 + random.nextInt(3);
      List<RangeIndex.Entry<Integer>> found =
          all.stream().filter(entry -> entry.lock.excludes(wanted)).toList();
      assertThat(index.excluding(wanted))
          .as("seed %d", seed)
          .containsExactlyInAnyOrderElementsOf(found.stream().map(e -> e.value).toList());
      Integer first =
          found.stream()
              .filter(e -> e.value % divisor == 0)
              .min(
                  Comparator.<RangeIndex.Entry<Integer>>comparingLong(e -> e.lock.start())
                      .thenComparing(e -> e.value))
              .map(e -> e.value)
              .orElse(null);
      assertThat(index.first(wanted, value -> value % divisor == 0))
          .as("seed %d", seed)
          .isEqualTo(first);
      assertThat(index.isEmpty()).isEqualTo(all.isEmpty());
    }
  }

  /** In whatever order they come and go: a list would take hours. */
  @Test
  void staysFlat() {
    for (int step : new int[] {1, -1, 7_919}) {
      RangeIndex<Integer> index = new RangeIndex<>();
      List<RangeIndex.Entry<Integer>> all = new ArrayList<>();
      int count = 50_000;
      for (int i = 0; i < count; i++) {
        long start = Math.floorMod((long) step * i, (long) count);
        RangeOwner owner = new RangeOwner(ReservationKey.of(1, 1), RangeOwner.Kind.POSIX, i);
        all.add(index.add(new RangeLock(owner, 1, true, start, start), i));
      }
      assertThat(index.depth()).isLessThan(24); // 1.44 times the logarithm
      all.subList(0, count - 10).forEach(index::remove);
      assertThat(index.depth()).isLessThan(6);
    }
  }
}
