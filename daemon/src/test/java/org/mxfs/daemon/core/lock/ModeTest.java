// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ModeTest {
  @Test
  void whoMayHoldWithWhomIsAsInVms() {
    StringBuilder text = new StringBuilder();
    for (Mode held : Mode.values()) {
      for (Mode wanted : Mode.values()) {
        text.append(held.isCompatible(wanted) ? 1 : 0);
        assertThat(held.isCompatible(wanted)).isEqualTo(wanted.isCompatible(held));
      }
      text.append(' ');
    }
    // The matrix of OpenVMS System Services, $ENQ: rows NL CR CW PR PW EX.
    assertThat(text.toString().strip()).isEqualTo("111111 111110 111000 110100 110000 100000");
  }

  @Test
  void modesAreWithinStrongerOnesAndPrAndCwAreInNoOrder() {
    assertThat(Mode.NL.isWithin(Mode.CR)).isTrue();
    assertThat(Mode.CR.isWithin(Mode.PR)).isTrue();
    assertThat(Mode.CW.isWithin(Mode.PW)).isTrue();
    assertThat(Mode.PR.isWithin(Mode.PW)).isTrue();
    assertThat(Mode.PW.isWithin(Mode.EX)).isTrue();
    assertThat(Mode.EX.isWithin(Mode.PW)).isFalse();
    assertThat(Mode.PR.isWithin(Mode.CW)).isFalse();
    assertThat(Mode.CW.isWithin(Mode.PR)).isFalse();
    assertThat(Mode.PR.common(Mode.CW)).isEqualTo(Mode.CR);
    for (Mode mode : Mode.values()) {
      assertThat(mode.isWithin(mode)).isTrue();
      assertThat(mode.common(mode)).isEqualTo(mode);
    }
  }

  @Test
  void twoThatMayWriteTheValueNeverMeet() {
    assertThat(Mode.values()).filteredOn(Mode::mayWriteValue).containsExactly(Mode.PW, Mode.EX);
    assertThat(Mode.values())
        .filteredOn(Mode::keepsValue)
        .containsExactly(Mode.CW, Mode.PR, Mode.PW, Mode.EX);
    for (Mode a : Mode.values()) {
      for (Mode b : Mode.values()) {
        if (a.mayWriteValue() && b.mayWriteValue()) {
          assertThat(a.isCompatible(b)).isFalse();
        }
      }
    }
  }
}
