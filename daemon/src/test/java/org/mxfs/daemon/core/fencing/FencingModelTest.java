// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class FencingModelTest {
  /** {@code -Dmxfs.fencing.seeds=N}: so many walks on each kind of disk. */
  private static final int SEEDS = Integer.getInteger("mxfs.fencing.seeds", 20_000);

  private static final FencingModel.Limits LARGE = new FencingModel.Limits(2, 3, 1, 2);

  /** No command of the victim is under way, or can come, when there is a proof. */
  @ParameterizedTest
  @EnumSource
  void inASmallWorldAProofHoldsInEveryWayThereIs(ModelArray.Kind kind) {
    FencingModel model =
        FencingModel.explore(
            kind,
            FencingModel.settings(kind == ModelArray.Kind.STANDARD, kind.resetReaches),
            new FencingModel.Limits(1, 1, 0, 0));
    assertThat(model.proofs).containsKey(End.Waited.class);
    assertThat(model.proofs.containsKey(End.Aborted.class))
        .as("by abort")
        .isEqualTo(kind == ModelArray.Kind.STANDARD);
    assertThat(model.proofs.containsKey(End.Reset.class))
        .as("by reset")
        .isEqualTo(kind.resetReaches);
  }

  @ParameterizedTest
  @CsvSource({
    "STANDARD, true, true",
    "STANDARD, true, false",
    "LIO, false, true",
    "TGT, false, true",
    "LIO_BEHIND_QEMU, false, false"
  })
  void aProofHolds(ModelArray.Kind kind, boolean abort, boolean reset) {
    FencingModel model = FencingModel.walk(kind, FencingModel.settings(abort, reset), LARGE, SEEDS);
    assertThat(model.proofs.containsKey(End.Aborted.class)).as("by abort").isEqualTo(abort);
    assertThat(model.proofs.containsKey(End.Reset.class)).as("by reset").isEqualTo(reset);
    assertThat(model.proofs.containsKey(End.Waited.class) || reset).as("by time").isTrue();
  }

  /** What the settings say of a disk has to be true; the model sees it where it is not. */
  @ParameterizedTest
  @CsvSource({"LIO, true, false", "LIO_BEHIND_QEMU, false, true"})
  void whatIsClaimedOfADiskAndIsNotTrueIsFound(ModelArray.Kind kind, boolean abort, boolean reset) {
    assertThatThrownBy(
            () -> FencingModel.walk(kind, FencingModel.settings(abort, reset), LARGE, SEEDS))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("of the victim is under way, and yet");
  }
}
