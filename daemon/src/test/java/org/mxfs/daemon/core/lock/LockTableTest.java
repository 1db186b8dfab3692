// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class LockTableTest {
  @Test
  void saysWhatTheModelSaysOverManyHistories() {
    int seeds = Integer.getInteger("mxfs.lock.histories", 1_000);
    long first = System.currentTimeMillis() << 16;
    long grants = 0;
    for (long seed = 0; seed < seeds; seed++) {
      grants += TableModel.run(seed < seeds / 2 ? seed : first + seed, 150);
    }
    assertThat(grants).isGreaterThan(seeds * 10L);
  }
}
