// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;

class GenerationsTest {
  private static final ReservationKey KEY = ReservationKey.of(7, 1);
  private static final Event UP = new Event.PeerUp(KEY, 0, "peer", "", true);
  private static final Event DOWN = new Event.PeerDown(7);
  private static final Event MESSAGE = new Event.Received(KEY, 0, new PeerMessage.Leave());

  private final Generations generations = new Generations();

  @Test
  void aConnectionComesTalksAndGoes() {
    assertThat(generations.admit(1, UP)).isTrue();
    assertThat(generations.admit(1, MESSAGE)).isTrue();
    assertThat(generations.admit(1, UP)).describedAs("another key").isTrue();
    assertThat(generations.admit(1, DOWN)).isTrue();
    assertThat(generations.admit(1, MESSAGE)).isFalse();
  }

  @Test
  void theEndOfAnOlderConnectionDoesNotEndTheNewerOne() {
    assertThat(generations.admit(1, UP)).isTrue();
    assertThat(generations.admit(2, UP)).isTrue();
    assertThat(generations.admit(1, DOWN)).isFalse();
    assertThat(generations.admit(1, MESSAGE)).isFalse();
    assertThat(generations.admit(2, MESSAGE)).isTrue();
  }

  @Test
  void theBeginningOfAnOlderConnectionDoesNotHideTheNewerOne() {
    assertThat(generations.admit(2, UP)).isTrue();
    assertThat(generations.admit(1, UP)).isFalse();
    assertThat(generations.admit(2, MESSAGE)).isTrue();
    assertThat(generations.admit(2, DOWN)).isTrue();
    assertThat(generations.admit(1, UP)).isFalse();
    assertThat(generations.admit(3, UP)).isTrue();
  }

  @Test
  void anEndThatOvertakesItsBeginningLeavesNothing() {
    assertThat(generations.admit(1, DOWN)).isFalse();
    assertThat(generations.admit(1, UP)).isFalse();
    assertThat(generations.admit(1, MESSAGE)).isFalse();
  }

  @Test
  void manyInventedNodesDoNotPushOutOneThatIsUp() {
    assertThat(generations.admit(1, UP)).isTrue();
    for (int i = 0; i < 100_000; i++) {
      int node = 1_000 + i;
      generations.admit(2 + i, new Event.PeerUp(ReservationKey.of(node, 1), 0, "peer", "", true));
      generations.admit(2 + i, new Event.PeerDown(node));
    }
    assertThat(generations.admit(1, MESSAGE)).isTrue();
    assertThat(generations.size()).isLessThan(1_000);
  }

  @Test
  void whatIsNoPeersIsRefused() {
    assertThatThrownBy(() -> generations.admit(1, new Event.Want()))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
