// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.membership.Departures;
import org.mxfs.daemon.core.membership.Outcasts;
import org.mxfs.daemon.core.membership.Silence;
import org.mxfs.daemon.core.membership.Silences;

/** Who may be shut out for being silent, and what is forbidden until that is all over. */
class SilentPermitTest {
  private static final int NODE = 1;
  private static final ReservationKey ME = ReservationKey.of(NODE, 5);
  private static final ReservationKey EARLIER = ReservationKey.of(3, 1);
  private static final ReservationKey DEAD = ReservationKey.of(3, 2);
  private static final ReservationKey ANEW = ReservationKey.of(3, 3);
  private static final Silence SILENCE = Silences.of(DEAD, 27);

  private final TenureRules rules = rules(27_000);

  private static TenureRules rules(long silenceMillis) {
    TenureRules rules = new TenureRules(NODE, silenceMillis);
    rules.choose(ME);
    return rules;
  }

  private static void refused(ThrowingCallable how) {
    assertThatThrownBy(how).isInstanceOf(TenureRules.BrokenRule.class);
  }

  private void beginTenure() {
    beginTenure(rules);
  }

  private static void beginTenure(TenureRules of) {
    of.sawOurs(of.ask());
    long keysAskedAt = of.ask();
    of.sawOurs(of.ask());
    of.beginTenure(keysAskedAt, 7, false);
    of.invariants();
  }

  @Test
  void whoIsSilentForLongEnoughIsShutOutAndSoAreItsEarlierLives() {
    assertThat(rules.preempt(new Permit.Silent(SILENCE, DEAD)))
        .isEqualTo(new ArrayCommand.Preempt(ME, DEAD));
    assertThat(rules.preempt(new Permit.Silent(SILENCE, EARLIER)))
        .isEqualTo(new ArrayCommand.Preempt(ME, EARLIER));
  }

  @Test
  void nobodyElseIs() {
    List<Permit.Silent> wrong =
        List.of(
            new Permit.Silent(Silences.of(DEAD, 26), DEAD),
            new Permit.Silent(SILENCE, ANEW),
            new Permit.Silent(SILENCE, ReservationKey.of(4, 1)),
            new Permit.Silent(
                Silences.of(ReservationKey.of(NODE, 1), 27), ReservationKey.of(1, 1)));
    for (Permit.Silent permit : wrong) {
      refused(() -> rules.preempt(permit));
    }
    refused(() -> rules(0).preempt(new Permit.Silent(SILENCE, DEAD)));
    beginTenure();
    refused(() -> rules.preempt(new Permit.Silent(SILENCE, DEAD)));
  }

  @Test
  void aTenureThatNobodyHasGrantedNeitherAttachesNorGrantsBeforeItIsSettled() {
    beginTenure();
    assertThat(rules.isSettled()).isFalse();
    refused(rules::attach);
    refused(rules::grant);
    assertThat(rules.shutOut(new Permit.Silent(SILENCE, DEAD)))
        .isEqualTo(new ArrayCommand.Preempt(ME, DEAD));
    rules.settled();
    rules.invariants();
    refused(() -> rules.shutOut(new Permit.Silent(SILENCE, DEAD)));
    rules.attach();
    rules.xfs(false);
    rules.grant();
    rules.invariants();
    assertThat(rules.isSettled()).as("the next tenure begins anew").isFalse();
  }

  @Test
  void whoHasGrantedATenureWasSettled() {
    ReservationKey granter = ReservationKey.of(4, 1);
    rules.open(9);
    Permit.Granted granted = rules.accept(granter, 9, 6);
    assertThat(granted).isNotNull();
    beginTenure();
    assertThat(rules.isSettled()).isTrue();
    rules.attach();
  }

  /** Of an earlier key of the victim: what the later one has under way it knows nothing of. */
  @Test
  void aGrantThatComesWhenSomebodyWasShutOutSettlesNothing() {
    rules.open(9);
    rules.preempt(new Permit.Silent(SILENCE, DEAD));
    assertThat(rules.accept(EARLIER, 9, 6)).isNotNull();
    beginTenure();
    assertThat(rules.isSettled()).isFalse();
    refused(rules::attach);
  }

  @Test
  void withoutTakeoverAllIsAsItWas() {
    TenureRules off = rules(0);
    off.sawOurs(off.ask());
    off.beginTenure(off.ask(), 7, false);
    assertThat(off.isSettled()).isTrue();
    off.attach();
  }

  /** Its slot says so, by its own hand, after XFS was detached. */
  @Test
  void whoHasLeftIsTakenFromAndNobodyOfThisNodesName() {
    assertThat(rules.preempt(new Permit.Left(Departures.of(DEAD))))
        .isEqualTo(new ArrayCommand.Preempt(ME, DEAD));
    refused(() -> rules.preempt(new Permit.Left(Departures.of(ReservationKey.of(NODE, 1)))));
    refused(() -> rules(0).preempt(new Permit.Left(Departures.of(DEAD))));
    beginTenure();
    refused(() -> rules.preempt(new Permit.Left(Departures.of(DEAD))));
  }

  /** From then on its slot permits others to take the reservation. */
  @Test
  void whoStaysRegisteredAndLeavesDoesNothingAnyMore() {
    beginTenure();
    rules.settled();
    rules.stay();
    rules.invariants();
    refused(rules::attach);
    refused(rules::grant);
    refused(() -> rules.register(ME, ME, false));
    refused(rules::reserve);
    refused(() -> rules.preempt(new Permit.Silent(SILENCE, DEAD)));
    TenureRules owner = rules(27_000);
    beginTenure(owner);
    owner.settled();
    owner.attach();
    refused(owner::stay);
  }

  /** Another may have held it when the keys were read, and PRGENERATION with them. */
  @Test
  void aTenureRestsOnKeysBetweenTwoLooksAtTheReservation() {
    rules.sawOurs(rules.ask());
    long keysAskedAt = rules.ask();
    refused(() -> rules.beginTenure(keysAskedAt, 7, false));
    rules.sawOurs(rules.ask());
    refused(() -> rules.beginTenure(rules.ask(), 7, false));
    rules.beginTenure(keysAskedAt, 7, false);
  }

  /** It is the holder to say so in a slot of its own, and nothing else. */
  @Test
  void aLastTenureNeitherAttachesNorGrants() {
    rules.sawOurs(rules.ask());
    rules.beginLastTenure(rules.ask(), 7);
    rules.invariants();
    refused(rules::attach);
    refused(rules::grant);
    rules.settled();
    refused(rules::attach);
    refused(rules::grant);
    refused(() -> rules.register(ME, ME, false));
    rules.stay();
    TenureRules other = rules(27_000);
    refused(() -> other.beginLastTenure(other.ask(), 7));
  }

  /** Danger 50. */
  @Test
  void whoWasShutOutAndIsInAgainIsShutOutBesideXfsToo() {
    Permit.ShutOut permit = new Permit.ShutOut(Outcasts.of(DEAD), DEAD);
    refused(() -> rules.shutOut(permit));
    refused(rules::unsettle);
    beginTenure();
    rules.settled();
    refused(() -> rules.shutOut(permit));
    rules.attach();
    rules.unsettle();
    rules.invariants();
    for (ReservationKey key : List.of(DEAD, EARLIER)) {
      assertThat(rules.shutOut(new Permit.ShutOut(Outcasts.of(DEAD), key)))
          .isEqualTo(new ArrayCommand.Preempt(ME, key));
    }
    for (ReservationKey key : List.of(ANEW, ME, ReservationKey.of(4, 1))) {
      refused(() -> rules.shutOut(new Permit.ShutOut(Outcasts.of(DEAD), key)));
    }
    refused(() -> rules.shutOut(new Permit.Silent(SILENCE, DEAD)));
    refused(rules::settled);
    rules.xfs(false);
    refused(rules::attach);
    refused(rules::grant);
    rules.settled();
    rules.attach();
  }

  /** Danger 67: a REGISTER and a RESERVE of it came late. */
  @Test
  void whoWasShutOutAndHoldsIsTakenFromForATenureThatIsNotSettled() {
    for (ReservationKey key : List.of(DEAD, EARLIER)) {
      TenureRules of = rules(27_000);
      of.open(9);
      assertThat(of.preempt(new Permit.ShutOut(Outcasts.of(DEAD), key)))
          .isEqualTo(new ArrayCommand.Preempt(ME, key));
      // Whoever grants it: the reservation may be ours by that PREEMPT.
      assertThat(of.accept(ReservationKey.of(4, 1), 9, 6)).isNotNull();
      beginTenure(of);
      assertThat(of.isSettled()).isFalse();
      refused(of::attach);
      refused(() -> of.preempt(new Permit.ShutOut(Outcasts.of(DEAD), key)));
    }
    for (ReservationKey key : List.of(ANEW, ME, ReservationKey.of(4, 1))) {
      refused(() -> rules.preempt(new Permit.ShutOut(Outcasts.of(DEAD), key)));
    }
    refused(() -> rules(0).preempt(new Permit.ShutOut(Outcasts.of(DEAD), DEAD)));
  }

  /** Danger 64: it came late on another path, while its later life was mounting. */
  @Test
  void anEarlierLifeOfThisNodeThatWasShutOutIsShutOutAgainAndNoLaterOneIs() {
    ReservationKey before = ReservationKey.of(NODE, 4);
    ReservationKey evenBefore = ReservationKey.of(NODE, 3);
    beginTenure();
    for (ReservationKey key : List.of(before, evenBefore)) {
      assertThat(rules.shutOut(new Permit.ShutOut(Outcasts.of(before), key)))
          .isEqualTo(new ArrayCommand.Preempt(ME, key));
    }
    ReservationKey later = ReservationKey.of(NODE, 6);
    for (ReservationKey fenced : List.of(ME, later)) {
      for (ReservationKey key : List.of(before, ME, later)) {
        refused(() -> rules.shutOut(new Permit.ShutOut(Outcasts.of(fenced), key)));
      }
    }
  }

  @Test
  void nothingIsSettledWithoutATenure() {
    refused(rules::settled);
  }
}
