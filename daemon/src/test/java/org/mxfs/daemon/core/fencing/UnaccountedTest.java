// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Unaccounted.State;

class UnaccountedTest {
  private static final ReservationKey OWN = ReservationKey.of(1, 1);
  private static final ReservationKey EARLIER = ReservationKey.of(3, 1);
  private static final ReservationKey DEAD = ReservationKey.of(3, 2);
  private static final ReservationKey ANEW = ReservationKey.of(3, 3);
  private static final ReservationKey OTHER = ReservationKey.of(4, 1);

  private final Unaccounted unaccounted = new Unaccounted();

  private static Fenced fenced(ReservationKey victim) {
    return new Fenced(victim, OWN, OWN, 1, new End.Reset());
  }

  @Test
  void withoutOneTheDiskMayBeLeftUnguarded() {
    assertThat(unaccounted.mayLeaveUnguarded()).isTrue();
    assertThat(unaccounted).hasToString("none");
  }

  /** A PREEMPT that was sent may take effect, whatever is heard of it. */
  @Test
  void itBeginsBeforeThePreemptGoesOut() {
    unaccounted.shuttingOut(DEAD);
    assertThat(unaccounted.mayLeaveUnguarded()).isFalse();
    unaccounted.fenced(fenced(DEAD));
    assertThat(unaccounted.list()).containsExactly(java.util.Map.entry(DEAD, State.FENCED));
    unaccounted.shuttingOut(DEAD);
    assertThat(unaccounted.list()).containsEntry(DEAD, State.FENCED);
  }

  @Test
  void itEndsWithANewIncarnationOfThatNodeAndNoOther() {
    unaccounted.fenced(fenced(DEAD));
    assertThat(unaccounted.cameBack(OTHER)).isEmpty();
    assertThat(unaccounted.cameBack(DEAD)).as("it is in again, not back").isEmpty();
    assertThat(unaccounted.mayLeaveUnguarded()).isFalse();
    assertThat(unaccounted.cameBack(ANEW)).containsExactly(DEAD);
    assertThat(unaccounted.mayLeaveUnguarded()).isTrue();
  }

  /**
   * What an earlier life has left registered, or a late REGISTER of it, says nothing of a later.
   */
  @Test
  void anEarlierKeyOfThatNodeIsNoReturn() {
    unaccounted.fenced(fenced(DEAD));
    assertThat(unaccounted.cameBack(EARLIER)).isEmpty();
    assertThat(unaccounted.compared(List.of(), List.of(OWN), List.of(OWN, EARLIER))).isEmpty();
    assertThat(unaccounted.mayLeaveUnguarded()).isFalse();
    assertThat(unaccounted.compared(List.of(), List.of(OWN), List.of(OWN, EARLIER, ANEW)))
        .containsExactly(DEAD);
  }

  @Test
  void aNewIncarnationThatIsShutOutAsWellAccountsForNothing() {
    unaccounted.fenced(fenced(DEAD));
    unaccounted.shuttingOut(ANEW);
    assertThat(unaccounted.cameBack(ANEW)).isEmpty();
    assertThat(unaccounted.list()).containsOnlyKeys(DEAD, ANEW);
  }

  @Test
  void itEndsByAPersonsWordForThatIncarnation() {
    unaccounted.fenced(fenced(DEAD));
    assertThat(unaccounted.cleared(ANEW)).isFalse();
    assertThat(unaccounted.mayLeaveUnguarded()).isFalse();
    assertThat(unaccounted.cleared(DEAD)).isTrue();
    assertThat(unaccounted.mayLeaveUnguarded()).isTrue();
  }

  /** Who fenced it died before that was written down. */
  @Test
  void whoHasASlotAndIsNotRegisteredWasShutOutByWhoDidNotLiveToSaySo() {
    unaccounted.compared(List.of(), List.of(OWN, DEAD), List.of(OWN));
    assertThat(unaccounted.list()).containsExactly(java.util.Map.entry(DEAD, State.MISSING));
    assertThat(unaccounted.compared(List.of(), List.of(OWN, DEAD), List.of(OWN, ANEW)))
        .containsExactly(DEAD);
  }

  /** Between a PREEMPT by consent and the next REGISTER a node is missing, and then it is not. */
  @Test
  void whoIsMissingForAMomentIsNotForgottenNorKept() {
    unaccounted.compared(List.of(), List.of(OWN, OTHER), List.of(OWN));
    assertThat(unaccounted.mayLeaveUnguarded()).isFalse();
    unaccounted.compared(List.of(), List.of(OWN, OTHER), List.of(OWN, OTHER));
    assertThat(unaccounted.mayLeaveUnguarded()).isTrue();
    unaccounted.compared(List.of(), List.of(OWN, OTHER), List.of(OWN));
    unaccounted.compared(List.of(), List.of(OWN), List.of(OWN));
    assertThat(unaccounted.mayLeaveUnguarded()).as("its slot was left").isTrue();
  }

  @Test
  void whatIsKnownForCertainDoesNotEndWithAComparison() {
    unaccounted.fenced(fenced(DEAD));
    unaccounted.shuttingOut(OTHER);
    unaccounted.compared(List.of(), List.of(OWN), List.of(OWN));
    assertThat(unaccounted.list())
        .containsEntry(DEAD, State.FENCED)
        .containsEntry(OTHER, State.SHUT_OUT);
    assertThat(unaccounted).asString().contains(DEAD.toString());
  }

  /** Once its slot says it the slot is what counts: its later life gets it, or a person speaks. */
  @Test
  void whatTheDiskHasSaidIsOverWhenItSaysItNoMore() {
    unaccounted.fenced(fenced(DEAD));
    unaccounted.compared(List.of(DEAD, OTHER), List.of(OWN), List.of(OWN));
    assertThat(unaccounted.list()).containsOnlyKeys(DEAD, OTHER);
    unaccounted.compared(List.of(OTHER), List.of(OWN), List.of(OWN));
    assertThat(unaccounted.list()).containsOnlyKeys(OTHER);
    unaccounted.compared(List.of(OTHER), List.of(OWN), List.of(OWN, ReservationKey.of(4, 2)));
    assertThat(unaccounted.mayLeaveUnguarded()).as("its later life is there").isTrue();
  }
}
