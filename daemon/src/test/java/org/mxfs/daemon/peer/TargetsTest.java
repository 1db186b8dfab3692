// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class TargetsTest {
  private static final long SECOND = 1_000_000_000L;

  private final Targets targets = new Targets();
  private long now = SECOND;

  private void heard(int node, String address) {
    targets.heard(node, at(address), "host", now);
  }

  private static InetSocketAddress at(String address) {
    return new InetSocketAddress(address, 7_600);
  }

  private Targets.@Nullable Target next() {
    return targets.next(_ -> false, now);
  }

  private Targets.Target some() {
    Targets.Target target = next();
    if (target == null) {
      throw new AssertionError("nobody is due");
    }
    return target;
  }

  @Test
  void anotherAddressForANodeDoesNotReplaceTheFirst() {
    heard(1, "10.0.0.1");
    Targets.Target real = some();
    targets.ended(real, true, now);
    now += SECOND;
    heard(1, "10.0.0.66");
    heard(1, "10.0.0.1");
    assertThat(some().address).isEqualTo(at("10.0.0.1"));
  }

  @Test
  void whatNeverAnswersIsTriedAfterWhatWasNotTriedYet() {
    heard(1, "10.0.0.66");
    Targets.Target invented = some();
    assertThat(next()).describedAs("one attempt a node").isNull();
    targets.ended(invented, false, now);
    now += 5 * SECOND;
    heard(1, "10.0.0.66");
    heard(1, "10.0.0.1");
    assertThat(some().address).isEqualTo(at("10.0.0.1"));
  }

  @Test
  void inventedNodesFromOneAddressTakeItsPlacesOnly() {
    heard(1, "10.0.0.1");
    for (int i = 0; i < 1_000; i++) {
      heard(100 + i, "10.0.0.66");
    }
    assertThat(targets.size()).isEqualTo(1 + Targets.PER_ADDRESS_MAX);
  }

  @Test
  void inventedAddressesPushOutOnlyWhatDidNotAnswerAndNeverKeepANewOneOut() {
    heard(1, "10.0.0.1");
    Targets.Target real = some();
    targets.ended(real, true, now);
    for (int i = 0; i < 2_000; i++) {
      now++;
      heard(100 + i, "10." + (1 + i / 250) + ".1." + (1 + i % 250));
    }
    assertThat(targets.size()).isEqualTo(Targets.MAX);
    now++;
    heard(2, "10.0.0.2");
    assertThat(some().nodeId).describedAs("heard last").isEqualTo(2);
    now += SECOND;
    assertThat(some().nodeId).describedAs("answered before").isEqualTo(1);
  }

  @Test
  void whoIsSilentIsForgotten() {
    heard(1, "10.0.0.1");
    now += Targets.FORGET_NANOS + 1;
    assertThat(next()).isNull();
    assertThat(targets.size()).isZero();
  }

  @Test
  void onlyTheFirstFailureIsTold() {
    heard(1, "10.0.0.1");
    assertThat(targets.ended(some(), false, now)).isTrue();
    now += 3 * SECOND;
    assertThat(targets.ended(some(), false, now)).isFalse();
    now += 3 * SECOND;
    assertThat(targets.ended(some(), true, now)).isFalse();
    now += 3 * SECOND;
    assertThat(targets.ended(some(), false, now)).isTrue();
  }
}
