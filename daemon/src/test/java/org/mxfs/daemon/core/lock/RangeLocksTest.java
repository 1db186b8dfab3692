// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ReservationKey;

class RangeLocksTest {
  private static final ResourceId FILE = ResourceId.extent(5, 1, 0);
  private static final ReservationKey NODE = ReservationKey.of(7, 1);

  private final RangeLocks locks = new RangeLocks(100, 10);

  private static RangeOwner owner(RangeOwner.Kind kind, long id) {
    return new RangeOwner(NODE, kind, id);
  }

  private static RangeLock posix(long id, boolean exclusive, long start, long end) {
    return new RangeLock(owner(RangeOwner.Kind.POSIX, id), (int) id, exclusive, start, end);
  }

  @Test
  void keepsToTheModelOverManyHistories() {
    int seeds = Integer.getInteger("mxfs.lock.histories", 1_000);
    long first = System.currentTimeMillis() << 16;
    long waited = 0;
    long deadlocks = 0;
    long overtaken = 0;
    for (long seed = 0; seed < seeds; seed++) {
      RangeModel.Outcome outcome = RangeModel.run(seed < seeds / 2 ? seed : first + seed, 120);
      waited += outcome.waited();
      deadlocks += outcome.deadlocks();
      overtaken += outcome.overtaken();
    }
    assertThat(waited).isGreaterThan(seeds);
    assertThat(deadlocks).isGreaterThan(seeds / 20);
    assertThat(overtaken).isGreaterThan(seeds / 20);
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
      ResourceId other = ResourceId.extent(6, 1, 0);
      RangeOwner gone = new RangeOwner(dead, RangeOwner.Kind.POSIX, 4);
      both.lock(FILE, new RangeLock(gone, 4, false, 0, 0), false);
      both.lock(FILE, posix(3, true, 1, 1), false);
      both.lock(other, new RangeLock(gone, 4, true, 0, 0), false);
      both.lock(other, posix(1, true, 1, 1), false);
      for (RangeLocks.Answer answer :
          new RangeLocks.Answer[] {
            both.lock(FILE, posix(2, true, 0, 0), true),
            both.lock(FILE, posix(1, false, 0, 1), true),
            both.lock(other, posix(2, true, 0, 0), true),
            both.lock(other, new RangeLock(gone, 4, true, 1, 1), true)
          }) {
        assertThat(answer).isInstanceOf(RangeLocks.Answer.Waits.class);
      }
      if (whole) {
        both.clear(dead);
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
    org.assertj.core.api.Assertions.assertThatThrownBy(
            () -> locks.restore(FILE, posix(2, true, 3, 3)))
        .isInstanceOf(IllegalStateException.class);
  }
}
