// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.ReservationKey;

class RangeLocksTest {
  private static final ResourceId FILE = ResourceId.extent(5, 1, 0);
  private static final ResourceId OTHER = ResourceId.extent(6, 1, 0);
  private static final ReservationKey NODE = ReservationKey.of(7, 1);

  private final RangeLocks locks = new RangeLocks(100, 10);

  private static RangeOwner owner(RangeOwner.Kind kind, long id) {
    return new RangeOwner(NODE, kind, id);
  }

  private static RangeLock posix(long id, boolean exclusive, long start, long end) {
    return new RangeLock(owner(RangeOwner.Kind.POSIX, id), (int) id, exclusive, start, end);
  }

  private static RangeLock ofd(long id, boolean exclusive, long start, long end) {
    return new RangeLock(owner(RangeOwner.Kind.OFD, id), -1, exclusive, start, end);
  }

  private static RangeLock flock(long id, boolean exclusive) {
    return new RangeLock(
        owner(RangeOwner.Kind.FLOCK, id), (int) id, exclusive, 0, RangeLock.TO_THE_END);
  }

  private static void expectWaits(RangeLocks.Answer answer) {
    assertThat(answer).isInstanceOf(RangeLocks.Answer.Waits.class);
  }

  private static void expectGranted(RangeLocks.Answer answer) {
    assertThat(answer).isEqualTo(new RangeLocks.Answer.Granted());
  }

  @Test
  void keepsToTheModelOverManyHistories() {
    int seeds = Integer.getInteger("mxfs.lock.histories", 1_000);
    long first = System.currentTimeMillis() << 16;
    long waited = 0;
    long deadlocks = 0;
    long overtaken = 0;
    long refused = 0;
    long conversions = 0;
    for (long seed = 0; seed < seeds; seed++) {
      RangeModel.Outcome outcome = RangeModel.run(seed < seeds / 2 ? seed : first + seed, 120);
      waited += outcome.waited();
      deadlocks += outcome.deadlocks();
      overtaken += outcome.overtaken();
      refused += outcome.refused();
      conversions += outcome.conversions();
    }
    assertThat(waited).isGreaterThan(seeds);
    assertThat(deadlocks).isGreaterThan(seeds / 20);
    assertThat(overtaken).isGreaterThan(seeds / 20);
    assertThat(refused).isGreaterThan(seeds);
    assertThat(conversions).isGreaterThan(seeds / 20);
  }

  @Test
  void aRangeInTheMiddleSplitsAndWhatIsNextToEachOtherJoins() {
    locks.lock(FILE, posix(1, true, 0, RangeLock.TO_THE_END), false);
    locks.unlock(FILE, owner(RangeOwner.Kind.POSIX, 1), 10, 19);
    assertThat(locks.held(FILE))
        .containsExactly(posix(1, true, 0, 9), posix(1, true, 20, RangeLock.TO_THE_END));
    locks.lock(FILE, posix(1, true, 10, 19), false);
    assertThat(locks.held(FILE)).containsExactly(posix(1, true, 0, RangeLock.TO_THE_END));
  }

  @Test
  void aCircleOfPosixLocksIsRefusedAndOneWithAnOfdLockIsNot() {
    locks.lock(FILE, posix(1, true, 0, 0), false);
    locks.lock(FILE, posix(2, true, 1, 1), false);
    assertThat(locks.lock(FILE, posix(1, true, 1, 1), true))
        .isInstanceOf(RangeLocks.Answer.Waits.class);
    assertThat(locks.lock(FILE, posix(2, true, 0, 0), true))
        .isEqualTo(new RangeLocks.Answer.WouldDeadlock());
    RangeLock ofd = new RangeLock(owner(RangeOwner.Kind.OFD, 3), -1, true, 5, 5);
    locks.lock(FILE, ofd, false);
    locks.lock(FILE, posix(2, true, 5, 5), true);
    assertThat(locks.lock(FILE, new RangeLock(ofd.owner(), -1, true, 1, 1), true))
        .isInstanceOf(RangeLocks.Answer.Waits.class);
  }

  /**
   * Who is gone waits for 1 in another file, and 2 waits for him there; 2 gets what 1 waits for.
   */
  @Test
  void whoeverIsGoneIsInNoCircle() {
    ReservationKey dead = ReservationKey.of(8, 1);
    for (boolean whole : new boolean[] {true, false}) {
      RangeLocks both = new RangeLocks(100, 10);
      RangeOwner gone = new RangeOwner(dead, RangeOwner.Kind.POSIX, 4);
      both.lock(FILE, new RangeLock(gone, 4, false, 0, 0), false);
      both.lock(FILE, posix(3, true, 1, 1), false);
      both.lock(OTHER, new RangeLock(gone, 4, true, 0, 0), false);
      both.lock(OTHER, posix(1, true, 1, 1), false);
      for (RangeLocks.Answer answer :
          new RangeLocks.Answer[] {
            both.lock(FILE, posix(2, true, 0, 0), true),
            both.lock(FILE, posix(1, false, 0, 1), true),
            both.lock(OTHER, posix(2, true, 0, 0), true),
            both.lock(OTHER, new RangeLock(gone, 4, true, 1, 1), true)
          }) {
        assertThat(answer).isInstanceOf(RangeLocks.Answer.Waits.class);
      }
      if (whole) {
        both.clear(Set.of(dead));
      } else {
        both.exit(gone);
      }
      assertThat(both.takeEnded())
          .extracting(RangeLocks.Ended::lock, RangeLocks.Ended::granted)
          .containsExactly(tuple(posix(2, true, 0, 0), true), tuple(posix(2, true, 0, 0), true));
      assertThat(both.waiting()).isEqualTo(1);
    }
  }

  @Test
  void whoWaitsIsNotOvertakenByOneWhoComesLater() {
    locks.lock(FILE, posix(1, false, 0, 9), false);
    locks.lock(FILE, posix(2, true, 0, 9), true);
    assertThat(locks.lock(FILE, posix(3, false, 0, 9), true))
        .isInstanceOf(RangeLocks.Answer.Waits.class);
    // Not by one that has to be let in for the other ever to get it.
    assertThat(locks.lock(FILE, posix(1, false, 5, 20), true))
        .isEqualTo(new RangeLocks.Answer.Granted());
    locks.exit(owner(RangeOwner.Kind.POSIX, 1));
    assertThat(locks.takeEnded()).extracting(e -> e.lock().owner().id()).containsExactly(2L);
  }

  /** Processes that share a table of files are one owner with several pids. */
  @Test
  void aRangeThatGrowsKeepsThePidOfWhoTookItFirst() {
    RangeOwner owner = owner(RangeOwner.Kind.POSIX, 1);
    locks.lock(FILE, new RangeLock(owner, 71, true, 0, 9), false);
    locks.lock(FILE, new RangeLock(owner, 72, true, 5, 19), false);
    assertThat(locks.held(FILE)).containsExactly(new RangeLock(owner, 71, true, 0, 19));
    locks.lock(FILE, new RangeLock(owner, 73, false, 5, 9), false);
    assertThat(locks.held(FILE))
        .containsExactly(
            new RangeLock(owner, 71, true, 0, 4),
            new RangeLock(owner, 73, false, 5, 9),
            new RangeLock(owner, 71, true, 10, 19));
  }

  /** ENOLCK, as Linux has it where there is no memory for the second half. */
  @Test
  void unlockingWithinARangeIsRefusedWhenItWouldMakeTooMany() {
    RangeLocks small = new RangeLocks(3, 1);
    RangeOwner owner = owner(RangeOwner.Kind.POSIX, 1);
    small.lock(FILE, posix(1, true, 0, 99), false);
    assertThat(small.unlock(FILE, owner, 10, 10)).isTrue();
    assertThat(small.unlock(FILE, owner, 20, 20)).isTrue();
    assertThat(small.unlock(FILE, owner, 30, 30)).isFalse();
    assertThat(small.held(FILE)).contains(posix(1, true, 21, 99));
    assertThat(small.size()).isEqualTo(3);
    // What makes no more of them is done, also when there are too many.
    assertThat(small.unlock(FILE, owner, 21, 40)).isTrue();
    assertThat(small.lock(FILE, posix(1, true, 21, 40), false))
        .isEqualTo(new RangeLocks.Answer.Granted());
    assertThat(small.unlock(FILE, owner, 0, RangeLock.TO_THE_END)).isTrue();
    assertThat(small.size()).isZero();
  }

  @Test
  void limitsAreRefusedByName() {
    RangeLocks small = new RangeLocks(3, 1);
    small.lock(FILE, posix(1, true, 0, 0), false);
    small.lock(FILE, posix(1, true, 2, 2), false);
    small.lock(FILE, posix(1, true, 6, 6), false);
    assertThat(small.lock(FILE, posix(1, true, 4, 4), false))
        .isEqualTo(new RangeLocks.Answer.TooMany());
    RangeLocks few = new RangeLocks(100, 1);
    few.lock(FILE, posix(1, true, 0, 0), false);
    few.lock(FILE, posix(2, true, 0, 0), true);
    assertThat(few.lock(FILE, posix(3, true, 0, 0), true))
        .isEqualTo(new RangeLocks.Answer.TooMany());
  }

  @Test
  void aNewMasterIsToldWhatIsHeldAndRefusesToBelieveWhatCannotBe() {
    locks.restore(FILE, posix(1, true, 0, 3));
    assertThat(locks.test(FILE, posix(2, false, 3, 3))).isEqualTo(posix(1, true, 0, 3));
    assertThatThrownBy(() -> locks.restore(FILE, posix(2, true, 3, 3)))
        .isInstanceOf(IllegalStateException.class);
  }

  /** As Linux has it, where 1 gets at once what can be shared. */
  @Test
  void nobodyWaitsBehindOneWhoseOtherThreadWaitsForHim() {
    locks.lock(FILE, posix(9, false, 0, 0), false);
    locks.lock(FILE, posix(1, true, 5, 5), false);
    expectWaits(locks.lock(FILE, posix(2, true, 0, 0), true));
    expectWaits(locks.lock(FILE, posix(2, true, 5, 5), true));
    expectGranted(locks.lock(FILE, posix(1, false, 0, 0), true));
    locks.unlock(FILE, owner(RangeOwner.Kind.POSIX, 9), 0, 0);
    assertThat(locks.takeEnded()).isEmpty();
    locks.exit(owner(RangeOwner.Kind.POSIX, 1));
    assertThat(locks.takeEnded()).extracting(RangeLocks.Ended::granted).containsExactly(true, true);
  }

  /** Nothing would end that circle: EDEADLK is for POSIX locks alone. */
  @Test
  void nobodyWaitsBehindAnOpenFileOnWhichAnotherThreadWaitsForHim() {
    locks.lock(FILE, ofd(9, false, 0, 0), false);
    locks.lock(FILE, ofd(1, true, 5, 5), false);
    expectWaits(locks.lock(FILE, ofd(2, true, 0, 0), true));
    expectWaits(locks.lock(FILE, ofd(2, true, 5, 5), true));
    expectGranted(locks.lock(FILE, ofd(1, false, 0, 0), true));

    locks.lock(FILE, flock(9, false), false);
    locks.lock(OTHER, flock(1, true), false);
    expectWaits(locks.lock(FILE, flock(2, true), true));
    expectWaits(locks.lock(OTHER, flock(2, true), true));
    expectGranted(locks.lock(FILE, flock(1, false), true));
  }

  /** Not before he waits for him: then it is the second wait that lets him in. */
  @Test
  void whoWaitsBehindOneIsLetInWhenThatOneComesToWaitForHim() {
    locks.lock(FILE, posix(9, false, 0, 0), false);
    locks.lock(FILE, posix(1, true, 5, 5), false);
    expectWaits(locks.lock(FILE, posix(2, true, 0, 0), true));
    expectWaits(locks.lock(FILE, posix(1, false, 0, 0), true));
    expectWaits(locks.lock(FILE, posix(2, true, 5, 5), true));
    assertThat(locks.takeEnded())
        .extracting(RangeLocks.Ended::lock)
        .containsExactly(posix(1, false, 0, 0));
  }

  @Test
  void whoConvertsByFlockLosesTheFileToWhoWaits() {
    locks.lock(FILE, flock(1, false), false);
    expectWaits(locks.lock(FILE, flock(2, true), true));
    assertThat(locks.lock(FILE, flock(1, true), false))
        .isEqualTo(new RangeLocks.Answer.InTheWay(flock(2, true)));
    assertThat(locks.takeEnded())
        .extracting(RangeLocks.Ended::lock)
        .containsExactly(flock(2, true));
    assertThat(locks.held(FILE)).containsExactly(flock(2, true));
  }

  /** flock_lock_inode() has its memory before it gives the old lock up. */
  @Test
  void aConversionThatIsRefusedForWantOfRoomLosesNothing() {
    RangeLocks few = new RangeLocks(100, 1);
    few.lock(FILE, flock(1, false), false);
    few.lock(FILE, flock(2, false), false);
    few.lock(OTHER, posix(3, true, 0, 0), false);
    expectWaits(few.lock(OTHER, posix(4, true, 0, 0), true));
    assertThat(few.lock(FILE, flock(1, true), true)).isEqualTo(new RangeLocks.Answer.TooMany());
    assertThat(few.held(FILE)).containsExactly(flock(1, false), flock(2, false));
  }

  @Test
  void aConversionTakesNoMoreRoom() {
    RangeLocks full = new RangeLocks(3, 10);
    full.lock(FILE, flock(1, false), false);
    expectWaits(full.lock(FILE, flock(2, true), true));
    full.lock(OTHER, posix(3, true, 0, 0), false);
    assertThat(full.lock(OTHER, posix(3, true, 2, 2), false))
        .isEqualTo(new RangeLocks.Answer.TooMany());
    expectWaits(full.lock(FILE, flock(1, true), true));
    assertThat(full.takeEnded()).extracting(RangeLocks.Ended::lock).containsExactly(flock(2, true));
    full.exit(owner(RangeOwner.Kind.FLOCK, 2));
    assertThat(full.takeEnded()).extracting(RangeLocks.Ended::lock).containsExactly(flock(1, true));
  }

  /** Who waits has his room already. */
  @Test
  void grantsOfWhoWaitedMakeNoMoreThanThereMayBe() {
    RangeLocks small = new RangeLocks(4, 10);
    small.lock(FILE, posix(1, true, 0, 1), false);
    expectWaits(small.lock(FILE, posix(2, true, 0, 0), true));
    expectGranted(small.lock(FILE, posix(3, true, 5, 5), false));
    assertThat(small.lock(FILE, posix(3, true, 7, 7), false))
        .isEqualTo(new RangeLocks.Answer.TooMany());
    assertThat(small.lock(FILE, posix(4, true, 0, 0), true))
        .isEqualTo(new RangeLocks.Answer.TooMany());
    assertThat(small.unlock(FILE, owner(RangeOwner.Kind.POSIX, 1), 0, 0)).isTrue();
    assertThat(small.takeEnded()).hasSize(1);
    assertThat(small.size()).isEqualTo(3);
  }

  @Test
  void whatIsRestoredMayFreeARange() {
    locks.lock(FILE, posix(1, true, 0, 9), false);
    expectWaits(locks.lock(FILE, posix(2, false, 0, 9), true));
    locks.restore(FILE, posix(1, false, 0, 9));
    assertThat(locks.takeEnded())
        .extracting(RangeLocks.Ended::lock)
        .containsExactly(posix(2, false, 0, 9));
  }

  @Test
  void whatIsRestoredMayCloseACircle() {
    locks.lock(FILE, posix(1, true, 0, 0), false);
    locks.lock(FILE, posix(3, false, 5, 5), false);
    expectWaits(locks.lock(FILE, posix(2, true, 0, 0), true));
    expectWaits(locks.lock(FILE, posix(1, true, 5, 5), true));
    locks.restore(FILE, posix(2, false, 5, 5));
    assertThat(locks.takeEnded()).extracting(RangeLocks.Ended::granted).containsExactly(false);
    assertThat(locks.waiting()).isEqualTo(1);
  }

  /** posix_locks_deadlock() asks what any holder waits for, if a POSIX lock is in its way. */
  @Test
  void whoClosesACircleThroughAnOpenFileIsRefusedWhereLinuxRefusesHim() {
    locks.lock(FILE, ofd(3, true, 5, 5), false);
    locks.lock(FILE, posix(1, true, 1, 1), false);
    expectWaits(locks.lock(FILE, ofd(3, true, 1, 1), true));
    assertThat(locks.lock(FILE, posix(1, true, 5, 5), true))
        .isEqualTo(new RangeLocks.Answer.WouldDeadlock());
    // Not where an OFD lock is in the way of the open file.
    locks.lock(FILE, ofd(4, true, 7, 7), false);
    locks.lock(FILE, ofd(6, true, 8, 8), false);
    expectWaits(locks.lock(FILE, ofd(6, true, 7, 7), true));
    expectWaits(locks.lock(FILE, ofd(4, true, 1, 1), true));
    expectWaits(locks.lock(FILE, posix(1, true, 8, 8), true));
  }

  @Test
  void nodesThatDieTogetherAreInNoCircle() {
    RangeOwner one = new RangeOwner(ReservationKey.of(8, 1), RangeOwner.Kind.POSIX, 4);
    RangeOwner two = new RangeOwner(ReservationKey.of(9, 1), RangeOwner.Kind.POSIX, 5);
    locks.lock(FILE, new RangeLock(one, 4, true, 0, 0), false);
    locks.lock(FILE, new RangeLock(two, 5, false, 1, 1), false);
    locks.lock(FILE, posix(1, true, 2, 2), false);
    expectWaits(locks.lock(FILE, posix(2, true, 0, 0), true));
    expectWaits(locks.lock(FILE, posix(1, true, 1, 1), true));
    expectWaits(locks.lock(FILE, new RangeLock(two, 5, true, 0, 0), true));
    expectWaits(locks.lock(FILE, posix(2, true, 2, 2), true));
    locks.clear(new LinkedHashSet<>(List.of(one.node(), two.node())));
    assertThat(locks.takeEnded())
        .extracting(RangeLocks.Ended::lock, RangeLocks.Ended::granted)
        .containsExactlyInAnyOrder(
            tuple(posix(2, true, 0, 0), true), tuple(posix(1, true, 1, 1), true));
  }

  @Test
  void whoIsGoneIsToldNothingAndGrantedNothing() {
    RangeOwner dead = new RangeOwner(ReservationKey.of(8, 1), RangeOwner.Kind.POSIX, 4);
    locks.lock(FILE, posix(1, true, 0, 0), false);
    expectWaits(locks.lock(FILE, new RangeLock(dead, 4, true, 0, 0), true));
    locks.exit(owner(RangeOwner.Kind.POSIX, 1));
    locks.clear(Set.of(dead.node()));
    assertThat(locks.takeEnded()).isEmpty();
    // What was under way from there.
    assertThat(locks.lock(FILE, new RangeLock(dead, 4, true, 0, 0), true))
        .isEqualTo(new RangeLocks.Answer.Gone());
    locks.restore(FILE, new RangeLock(dead, 4, true, 0, 0));
    assertThat(locks.size()).isZero();
    assertThat(locks.files()).isZero();
  }

  /** posix_lock_inode(): the first that grows, or is replaced, is the one that stays. */
  @Test
  void aRangeThatReplacesBeforeItJoinsHasThePidOfWhoAsked() {
    RangeOwner owner = owner(RangeOwner.Kind.POSIX, 1);
    locks.lock(FILE, new RangeLock(owner, 71, false, 0, 4), false);
    locks.lock(FILE, new RangeLock(owner, 72, true, 5, 9), false);
    locks.lock(FILE, new RangeLock(owner, 73, true, 0, 4), false);
    assertThat(locks.held(FILE)).containsExactly(new RangeLock(owner, 73, true, 0, 9));
    // What is shortened only stays what it is, and the next one grows.
    locks.lock(OTHER, new RangeLock(owner, 71, false, 0, 9), false);
    locks.lock(OTHER, new RangeLock(owner, 72, true, 10, 14), false);
    locks.lock(OTHER, new RangeLock(owner, 73, true, 5, 9), false);
    assertThat(locks.held(OTHER))
        .containsExactly(
            new RangeLock(owner, 71, false, 0, 4), new RangeLock(owner, 72, true, 5, 14));
  }

  /** Each waits for the next; of what one more asks for nobody waits. */
  @Test
  @Timeout(60)
  void aGrantThatNobodyWaitsForLooksAtNobody() {
    RangeLocks many = new RangeLocks(100_000, 100_000);
    for (int i = 0; i < 20_000; i++) {
      many.lock(FILE, posix(i, true, i, i), false);
    }
    for (int i = 0; i < 19_999; i++) {
      expectWaits(many.lock(FILE, posix(i, true, i + 1, i + 1), true));
    }
    for (int i = 30_000; i < 50_000; i++) {
      expectGranted(many.lock(FILE, posix(i, true, i, i), false));
    }
    many.exit(owner(RangeOwner.Kind.POSIX, 19_999));
    assertThat(many.takeEnded()).hasSize(1);
  }

  @Test
  @Timeout(60)
  void whatIsAskedOfOneFileDoesNotLookAtOthers() {
    RangeLocks many = new RangeLocks(200_000, 200_000);
    for (int i = 0; i < 40_000; i++) {
      ResourceId file = ResourceId.extent(100 + i, 1, 0);
      many.lock(file, posix(i, true, 0, 0), false);
      expectWaits(many.lock(file, posix(i + 1_000_000, true, 0, 0), true));
    }
    for (int i = 0; i < 40_000; i++) {
      expectGranted(many.lock(FILE, posix(2_000_000 + i, false, 0, 0), false));
      expectGranted(many.lock(FILE, posix(2_000_000 + i, false, 2, 2), true));
      many.exit(owner(RangeOwner.Kind.POSIX, 2_000_000 + i));
      many.exit(owner(RangeOwner.Kind.POSIX, 3_000_000 + i));
    }
    assertThat(many.files()).isEqualTo(40_000);
    assertThat(many.takeEnded()).isEmpty();
  }

  @Test
  @Timeout(60)
  void aRangeIsFoundAmongManyOfOneOwnerAndOfMany() {
    RangeLocks many = new RangeLocks(400_000, 10);
    for (int i = 0; i < 100_000; i++) {
      many.lock(FILE, posix(1, true, 2L * i, 2L * i), false);
      many.lock(OTHER, posix(10 + i, false, i, 200_000), false);
    }
    for (int i = 0; i < 100_000; i++) {
      assertThat(many.test(FILE, posix(2, false, 2L * i, 2L * i)))
          .isEqualTo(posix(1, true, 2L * i, 2L * i));
      assertThat(many.test(FILE, posix(2, false, 2L * i + 1, 2L * i + 1))).isNull();
      assertThat(many.test(OTHER, posix(1, true, i, i))).isEqualTo(posix(10, false, 0, 200_000));
    }
    many.unlock(FILE, owner(RangeOwner.Kind.POSIX, 1), 0, RangeLock.TO_THE_END);
    assertThat(many.size()).isEqualTo(100_000);
  }

  /**
   * Each G waits to share a byte behind a V, and in another thread for the next V: granted, he has
   * the next V in a circle, whose end lets the next G in. However many of them, nothing nests.
   */
  @Test
  @Timeout(60)
  void aCircleWhoseEndMakesTheNextOneDoesNotNest() {
    int count = 10_000;
    RangeLocks many = new RangeLocks(1_000_000, 1_000_000);
    many.lock(FILE, posix(9, false, 0, count), false);
    for (int i = 0; i <= count; i++) {
      many.lock(OTHER, posix(100_000 + i, true, i, i), false);
    }
    RangeLocks.Answer first = new RangeLocks.Answer.TooMany();
    for (int i = 0; i < count; i++) {
      RangeLocks.Answer victim =
          many.lock(FILE, posix(100_000 + i, true, Math.max(0, i - 1), i), true);
      expectWaits(victim);
      first = i == 0 ? victim : first;
      expectWaits(many.lock(FILE, posix(200_000 + i, false, i, i), true));
      expectWaits(many.lock(OTHER, posix(200_000 + i, true, i + 1, i + 1), true));
    }
    assertThat(first)
        .isInstanceOfSatisfying(
            RangeLocks.Answer.Waits.class, waits -> many.cancel(waits.ticket()));
    List<RangeLocks.Ended> ended = many.takeEnded();
    assertThat(ended.stream().filter(RangeLocks.Ended::granted)).hasSize(count);
    assertThat(ended.stream().filter(end -> !end.granted())).hasSize(count - 1);
  }
}
