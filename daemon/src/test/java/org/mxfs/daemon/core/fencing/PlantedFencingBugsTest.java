// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.mxfs.daemon.core.PlantedBug;

/** Plants one mistake at a time into {@link Proof} and sees that the model finds it. */
class PlantedFencingBugsTest {
  private static final long SEEDS = 300_000;

  enum Bug {
    GOOD_OF_A_PREEMPT_IS_BELIEVED(
        "case FenceCommand.Preempt _ -> stage = stage == Stage.ABORTING"
            + " && answer instanceof ArrayAnswer.Done ? Stage.ABORTED : Stage.NOTHING;",
        "case FenceCommand.Preempt _ -> { if (answer instanceof ArrayAnswer.Done) {"
            + " prove(new End.Aborted(), own); } }"),
    THE_RESERVATION_IS_NOT_LOOKED_AT(
        "stage = Stage.GONE;\n      generation = keys.generation();",
        "stage = Stage.SHUT_OUT;\n      generation = keys.generation();\n      holder = own;\n"
            + "      shutOutAtMillis = askedAtMillis + 1;"),
    A_DISK_WITHOUT_A_RESERVATION_WILL_DO(
        "boolean reserved = !reservation.holder().isNone() && reservation.type() == TYPE;",
        "boolean reserved = reservation.type() < 9;"),
    NO_LAST_READING(
        "stage = answer instanceof ArrayAnswer.Done ? Stage.ENDED : Stage.SHUT_OUT;",
        "if (answer instanceof ArrayAnswer.Done) { prove(new End.Reset(), holder); }"),
    NO_END_OF_WHAT_WAS_UNDER_WAY(
        "if (askedAtMillis >= lifeEndsAtMillis()) {", "if (askedAtMillis >= 0) {"),
    THE_WAIT_ENDS_BEFORE_THE_LAST_QUESTION(
        "private void sawKeys(ArrayAnswer.Keys keys, long askedAtMillis) {",
        "private void sawKeys(ArrayAnswer.Keys keys, long askedAt) {\n"
            + "    long askedAtMillis = askedAt + 2;"),
    THE_WAIT_IS_COUNTED_FROM_THE_QUESTION(
        "sawReservation(reservation, now);", "sawReservation(reservation, asked.askedAtMillis());"),
    THE_WAIT_IS_SHORTER_THAN_A_COMMAND_LIVES(
        "return shutOutAtMillis + settings.commandLifeMillis();",
        "return shutOutAtMillis + settings.timeoutMillis();"),
    A_RESET_BEFORE_THE_PROOF_COUNTS(
        "if (stage == Stage.SHUT_OUT && settings.resetEndsAll()) {",
        "if (stage != Stage.NOTHING && settings.resetEndsAll()) {"),
    A_RESET_OF_UNKNOWN_OUTCOME_COUNTS(
        "stage = answer instanceof ArrayAnswer.Done ? Stage.ENDED : Stage.SHUT_OUT;",
        "stage = Stage.ENDED;"),
    CHANGES_IN_BETWEEN_DO_NOT_MATTER(
        "boolean same = keys.generation() == generation;", "boolean same = true;"),
    WHO_SHUT_IT_OUT_DOES_NOT_MATTER(
        "boolean next = keys.generation() == (generation + 1) % GENERATIONS;",
        "boolean next = true;"),
    WHETHER_IT_WAS_RESERVED_BEFORE_DOES_NOT_MATTER(
        "abort && settings.abortEndsAll() && stage == Stage.GUARDED",
        "abort && settings.abortEndsAll() && isRegistered()"),
    AN_ABORT_OF_UNKNOWN_OUTCOME_COUNTS(
        "stage == Stage.ABORTING && answer instanceof ArrayAnswer.Done"
            + " ? Stage.ABORTED : Stage.NOTHING",
        "stage == Stage.ABORTING ? Stage.ABORTED : Stage.NOTHING"),
    AN_OLD_ANSWER_IS_BELIEVED(
        "if (asked == null || asked.number() != question) {", "if (asked == null) {"),
    REGISTERING_AGAIN_DOES_NOT_MATTER(
        "void registering() {\n    lost = true;", "void registering() {"),
    OUR_OWN_KEY_IS_NOT_LOOKED_FOR(
        "if (!keys.keys().contains(own)) {", "if (keys.keys().isEmpty()) {"),
    WHO_HELD_THE_RESERVATION_HOLDS_IT_STILL("holder.equals(victim) ? own : holder", "holder"),
    AN_EARLIER_KEY_DOES_NOT_MATTER(
        "key.incarnation() < victim.incarnation()", "key.incarnation() < 0");

    final String right;
    final String wrong;

    Bug(String right, String wrong) {
      this.right = right;
      this.wrong = wrong;
    }
  }

  @ParameterizedTest
  @EnumSource
  void eachIsFound(Bug bug, @TempDir Path folder) throws Exception {
    Throwable found =
        PlantedBug.find("Proof.java", bug.right, bug.wrong, FencingModel.class, SEEDS, folder);
    assertThat(found).as("what finds " + bug).hasMessageContaining("and yet Fenced");
  }
}
