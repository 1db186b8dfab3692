// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KeyTest {
  @ParameterizedTest
  @ValueSource(strings = {"/state/boot", "state/boot", "//state///boot/", "state/boot//"})
  void everyWayOfWritingAKeyGivesOneForm(String written) {
    assertThat(Key.of(written)).isEqualTo(Key.of("/state/boot")).hasToString("/state/boot");
    assertThat(Key.of(written)).hasSameHashCodeAs(Key.of("/state/boot"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "/", "///", "/a/./b", "/a/../b", "/a b", "/ä", "/a\u0000", "/a\n", "/a\\b"})
  void whatIsNoKeyIsRefusedByName(String written) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Key.of(written))
        .withMessageStartingWith("key '");
  }

  @Test
  void theLongestKeyIsTakenAndOneMoreIsNot() {
    assertThat(Key.of("/" + "a".repeat(254)).length()).isEqualTo(Key.LENGTH_MAX);
    assertThatIllegalArgumentException().isThrownBy(() -> Key.of("/" + "a".repeat(255)));
  }

  @Test
  void belowMeansInTheFolderAndNotAfterItsName() {
    Key folder = Key.of("/a/b");
    assertThat(Key.of("/a/b/c").isBelow(folder)).isTrue();
    assertThat(Key.of("/a/b/c/d").isBelow(folder)).isTrue();
    assertThat(Key.of("/a/bc").isBelow(folder)).isFalse();
    assertThat(folder.isBelow(folder)).isFalse();
    assertThat(folder.isBelow(Key.ROOT)).isTrue();
    assertThat(Key.ROOT.isBelow(Key.ROOT)).isFalse();
  }
}
