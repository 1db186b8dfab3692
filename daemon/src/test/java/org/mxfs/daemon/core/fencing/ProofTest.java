// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ReservationKey;

/** What a proof is made of, one condition after the other. */
class ProofTest {
  private static final ReservationKey OWN = ReservationKey.of(1, 1);
  private static final ReservationKey OTHER = ReservationKey.of(2, 1);
  private static final ReservationKey EARLIER = ReservationKey.of(3, 1);
  private static final ReservationKey VICTIM = ReservationKey.of(3, 2);
  private static final ReservationKey ANEW = ReservationKey.of(3, 3);
  private static final ArrayAnswer DONE = new ArrayAnswer.Done();
  private static final FencingSettings RESET = FencingSettings.RESET_ENDS_ALL;
  private static final FencingSettings ABORT = new FencingSettings(true, false, 30_000, 5, 120_000);

  private Proof proof = new Proof(OWN, VICTIM, RESET);
  private long now = 1_000;

  private void ask(FenceCommand command, ArrayAnswer answer) {
    long question = proof.ask(command, now);
    now += 10;
    assertThat(proof.answered(question, answer, now)).isTrue();
  }

  private void keys(long generation, ReservationKey... keys) {
    ask(new FenceCommand.ReadKeys(), new ArrayAnswer.Keys(generation, List.of(keys)));
  }

  private void holder(ReservationKey key) {
    ask(new FenceCommand.ReadReservation(), new ArrayAnswer.Reservation(key, 5));
  }

  private void preempt(boolean abort, ArrayAnswer answer) {
    ask(new FenceCommand.Preempt(OWN, VICTIM, abort), answer);
  }

  private void reset(ArrayAnswer answer) {
    ask(new FenceCommand.Reset(), answer);
  }

  @Test
  void shutOutThenResetThenTheSameGenerationIsAProof() {
    preempt(false, DONE);
    keys(8, OWN, OTHER);
    holder(OWN);
    reset(DONE);
    assertThat(proof.fenced()).isNull();
    keys(8, OWN, OTHER);
    Fenced fenced = requireNonNull(proof.fenced());
    assertThat(fenced.end()).isEqualTo(new End.Reset());
    assertThat(fenced.victim()).isEqualTo(VICTIM);
    assertThat(fenced.generation()).isEqualTo(8);
    assertThat(fenced.isHolder()).isTrue();
    assertThat(fenced).asString().contains(VICTIM.toString(), OWN.toString(), "generation=8");
  }

  /** Two survivors fence one victim: both know it, and one of them holds the reservation. */
  @Test
  void whoLosesTheRaceKnowsItAsWell() {
    preempt(false, new ArrayAnswer.Conflict());
    keys(8, OWN, OTHER);
    holder(OTHER);
    reset(DONE);
    keys(8, OWN, OTHER);
    Fenced fenced = requireNonNull(proof.fenced());
    assertThat(fenced.holder()).isEqualTo(OTHER);
    assertThat(fenced.isHolder()).isFalse();
  }

  @Test
  void aResetCountsOnlyOnceTheVictimWasSeenToBeShutOut() {
    preempt(false, DONE);
    keys(8, OWN);
    reset(DONE); // nobody has looked at the reservation
    keys(8, OWN);
    assertThat(proof.fenced()).isNull();
    holder(OWN);
    keys(8, OWN);
    assertThat(proof.fenced()).isNull();
    assertThat(proof.isShutOut()).isTrue();
  }

  @Test
  void aResetOfWhichTheOutcomeIsNotKnownIsNone() {
    keys(8, OWN);
    holder(OWN);
    reset(new ArrayAnswer.Unclear("EIO"));
    keys(8, OWN);
    reset(new ArrayAnswer.Rejected("EACCES"));
    keys(8, OWN);
    assertThat(proof.fenced()).isNull();
    assertThat(proof.isShutOut()).isTrue();
    reset(DONE);
    keys(8, OWN);
    assertThat(proof.fenced()).isNotNull();
  }

  @Test
  void aResetThatDoesNotReachTheUnitIsNone() {
    proof = new Proof(OWN, VICTIM, FencingSettings.UNKNOWN_DISK);
    keys(8, OWN);
    holder(OWN);
    reset(DONE);
    keys(8, OWN);
    assertThat(proof.fenced()).isNull();
  }

  @Test
  void whateverChangesInBetweenMakesItBeginAgain() {
    keys(8, OWN, OTHER);
    holder(OWN);
    reset(DONE);
    keys(9, OWN, OTHER);
    assertThat(proof.fenced()).isNull();
    assertThat(proof.isGone()).as("it was another reading of the same").isTrue();
    holder(OWN);
    reset(DONE);
    keys(9, OWN, OTHER);
    assertThat(requireNonNull(proof.fenced()).generation()).isEqualTo(9);
  }

  @Test
  void aVictimThatIsSeenAgainIsNotShutOut() {
    keys(8, OWN);
    holder(OWN);
    reset(DONE);
    keys(9, OWN, VICTIM);
    assertThat(proof.isRegistered()).isTrue();
    keys(10, OWN);
    holder(VICTIM);
    assertThat(proof.isShutOut()).as("it holds the reservation again").isFalse();
  }

  @Test
  void aNewIncarnationOfTheVictimIsNotTheVictim() {
    keys(8, OWN, ANEW);
    holder(ANEW);
    reset(DONE);
    keys(8, OWN, ANEW);
    assertThat(requireNonNull(proof.fenced()).holder()).isEqualTo(ANEW);
  }

  /** A late REGISTER of an earlier daemon is in the place of the victim's: its XFS writes by it. */
  @Test
  void whileAnEarlierKeyOfItsNodeIsRegisteredNothingIsKnown() {
    keys(8, OWN, EARLIER);
    assertThat(proof.isGone()).isFalse();
    holder(OWN);
    assertThat(proof.isShutOut()).isFalse();
    reset(DONE);
    keys(8, OWN, EARLIER);
    assertThat(proof.fenced()).isNull();
    keys(9, OWN);
    holder(EARLIER);
    assertThat(proof.isShutOut()).as("it holds the reservation again").isFalse();
    keys(10, OWN);
    holder(OWN);
    reset(DONE);
    keys(10, OWN);
    assertThat(proof.fenced()).isNotNull();
  }

  @Test
  void withoutAReservationNobodyIsShutOut() {
    keys(8, OWN);
    ask(new FenceCommand.ReadReservation(), new ArrayAnswer.Reservation(ReservationKey.NONE, 0));
    assertThat(proof.isUnguarded()).isTrue();
    assertThat(proof.isShutOut()).isFalse();
    ask(new FenceCommand.ReadReservation(), new ArrayAnswer.Reservation(OTHER, 3));
    assertThat(proof.isUnguarded()).as("another type lets others write, or nobody").isTrue();
    reset(DONE);
    keys(8, OWN);
    assertThat(proof.fenced()).isNull();
  }

  @Test
  void aWaitIsCountedFromTheAnswerThatShowedItToTheQuestionThatShowsItAgain() {
    keys(8, OWN);
    long question = proof.ask(new FenceCommand.ReadReservation(), now);
    now += 5_000; // it may have been shut out at any time until here
    proof.answered(question, new ArrayAnswer.Reservation(OWN, 5), now);
    long shownAt = now;
    assertThat(proof.lifeEndsAtMillis()).isEqualTo(shownAt + RESET.commandLifeMillis());
    question = proof.ask(new FenceCommand.ReadKeys(), shownAt + RESET.commandLifeMillis() - 1);
    now = shownAt + RESET.commandLifeMillis() + 1;
    proof.answered(question, new ArrayAnswer.Keys(8, List.of(OWN)), now);
    assertThat(proof.fenced()).as("asked for too early, whenever it was answered").isNull();
    keys(8, OWN);
    assertThat(requireNonNull(proof.fenced()).end())
        .isEqualTo(new End.Waited(RESET.commandLifeMillis() + 1));
  }

  /** Five retries of 30 s and a target that takes 120 s, and one in a hundred. */
  @Test
  void theLifeOfACommandIsWhatTheKernelAndTheTargetGiveIt() {
    assertThat(FencingSettings.UNKNOWN_DISK.commandLifeMillis()).isEqualTo(303_000);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new FencingSettings(false, false, 0, 5, 1));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new FencingSettings(false, false, 1, 0, 0));
  }

  @Test
  void ourOwnPreemptAndAbortIsAProofWhereTheDiskIsKnownToEndAllWithIt() {
    proof = new Proof(OWN, VICTIM, ABORT);
    keys(0xffff_ffffL, OWN, VICTIM);
    holder(VICTIM);
    preempt(true, DONE);
    keys(0, OWN);
    Fenced fenced = requireNonNull(proof.fenced());
    assertThat(fenced.end()).isEqualTo(new End.Aborted());
    assertThat(fenced.isHolder()).as("it moved here").isTrue();
  }

  @Test
  void aPreemptAndAbortCountsOnlyWhenItWasOursThatShutItOut() {
    proof = new Proof(OWN, VICTIM, ABORT);
    keys(7, OWN, VICTIM);
    holder(OTHER);
    preempt(true, DONE);
    keys(9, OWN); // two changes: one was somebody else's
    assertThat(proof.fenced()).isNull();

    proof = new Proof(OWN, VICTIM, ABORT);
    keys(7, OWN, VICTIM);
    holder(OTHER);
    preempt(true, new ArrayAnswer.Unclear("time-out"));
    keys(8, OWN);
    assertThat(proof.fenced()).as("who did it is not known").isNull();

    proof = new Proof(OWN, VICTIM, ABORT);
    keys(7, OWN, VICTIM);
    preempt(true, DONE);
    keys(8, OWN);
    assertThat(proof.fenced()).as("it may not have been reserved").isNull();

    proof = new Proof(OWN, VICTIM, RESET);
    keys(7, OWN, VICTIM);
    holder(OTHER);
    preempt(true, DONE);
    keys(8, OWN);
    assertThat(proof.fenced()).as("a disk that does not end all").isNull();
  }

  @Test
  void goodOfAPreemptIsNoProof() {
    preempt(false, DONE);
    holder(OWN);
    reset(DONE);
    assertThat(proof.fenced()).isNull();
    keys(8, OWN, VICTIM);
    assertThat(proof.isRegistered()).isTrue();
  }

  @Test
  void withoutOurOwnKeyThereIsNothingToBeKnown() {
    keys(8, OWN);
    holder(OTHER);
    keys(9, OTHER);
    assertThat(proof.isLost()).isTrue();
    assertThatIllegalStateException().isThrownBy(() -> proof.ask(new FenceCommand.ReadKeys(), now));
  }

  /** All registrations are lost, and the same number of them comes back. */
  @Test
  void whoRegistersAgainBeginsAgain() {
    keys(8, OWN);
    holder(OWN);
    reset(DONE);
    long question = proof.ask(new FenceCommand.ReadKeys(), now);
    proof.registering();
    proof.answered(question, new ArrayAnswer.Keys(8, List.of(OWN)), now);
    assertThat(proof.fenced()).isNull();
    assertThat(proof.isLost()).isTrue();
  }

  @Test
  void anAnswerToAnotherQuestionIsRefused() {
    keys(8, OWN);
    holder(OWN);
    reset(DONE);
    long question = proof.ask(new FenceCommand.ReadKeys(), now);
    ArrayAnswer old = new ArrayAnswer.Keys(8, List.of(OWN));
    assertThat(proof.answered(question - 3, old, now)).isFalse();
    assertThat(proof.fenced()).isNull();
    assertThatIllegalStateException()
        .as("one at a time")
        .isThrownBy(() -> proof.ask(new FenceCommand.Reset(), now));
  }

  @Test
  void nobodyFencesItself() {
    assertThatIllegalArgumentException().isThrownBy(() -> new Proof(OWN, OWN, RESET));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new Proof(OWN, ReservationKey.NONE, RESET));
  }
}
