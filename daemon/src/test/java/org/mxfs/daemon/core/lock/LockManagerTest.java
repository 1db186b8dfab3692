// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ReservationKey;

/** One node alone: what does not need a history. */
class LockManagerTest {
  private static final ReservationKey SELF = ReservationKey.of(1, 1);
  private static final View ALONE = new View(new ViewId(1, 1), List.of(SELF), List.of());
  private static final LockEvent.Wish WAIT = LockEvent.Wish.PLAIN;

  private final LockManager manager =
      new LockManager(new LockSettings(SELF, 0, 3, 5, 100, 100, 100, 10, 100));
  private final List<LockAction> said = new ArrayList<>();
  private long now;

  private List<LockAction> step(LockEvent event) {
    List<LockAction> actions = manager.step(event, now);
    said.addAll(actions);
    return actions;
  }

  private void acquire(long lock, ResourceId resource, Mode mode) {
    step(new LockEvent.Acquire(lock, resource, mode, WAIT));
  }

  private void toDisk() {
    List<LockAction> before = List.copyOf(said);
    said.clear();
    before.stream()
        .filter(LockAction.Persist.class::isInstance)
        .map(LockAction.Persist.class::cast)
        .forEach(p -> step(new LockEvent.Persisted(p.batch(), true)));
  }

  @Test
  void grantsThatWaitTogetherAreWrittenTogetherAndToldAfterwards() {
    step(new LockEvent.NewView(ALONE));
    acquire(1, ResourceId.inode(1, 0), Mode.EX);
    acquire(2, ResourceId.inode(2, 0), Mode.EX);
    acquire(3, ResourceId.inode(3, 0), Mode.EX);
    assertThat(said).noneMatch(LockAction.Granted.class::isInstance);
    assertThat(said).filteredOn(LockAction.Persist.class::isInstance).hasSize(1);
    toDisk();
    assertThat(said).filteredOn(LockAction.Granted.class::isInstance).hasSize(1);
    assertThat(said)
        .filteredOn(LockAction.Persist.class::isInstance)
        .singleElement()
        .satisfies(p -> assertThat(((LockAction.Persist) p).writes()).hasSize(2));
    toDisk();
    assertThat(said).filteredOn(LockAction.Granted.class::isInstance).hasSize(2);
  }

  @Test
  void whenSlotsRunOutTheOldestLockIsCalledBackAndTheRequestWaits() {
    step(new LockEvent.NewView(ALONE));
    for (long i = 1; i <= 3; i++) {
      acquire(i, ResourceId.inode(i, 0), Mode.PR);
      toDisk();
    }
    said.clear();
    acquire(4, ResourceId.inode(4, 0), Mode.PR);
    assertThat(said).first().isEqualTo(new LockAction.Blocking(1, Mode.NL, true));
    assertThat(said).noneMatch(LockAction.Refused.class::isInstance);
    said.clear();
    step(new LockEvent.Release(1, null));
    toDisk(); // the tombstone: then the slot is free
    toDisk();
    assertThat(said).anyMatch(a -> a instanceof LockAction.Granted g && g.lock() == 4);
  }

  @Test
  void whenAllSlotsAreInUseARequestIsRefusedAndNotKeptForEver() {
    step(new LockEvent.NewView(ALONE));
    for (long i = 1; i <= 3; i++) {
      acquire(i, ResourceId.inode(i, 0), Mode.PR);
      toDisk();
    }
    acquire(4, ResourceId.inode(4, 0), Mode.PR);
    for (int i = 0; i < 200; i++) {
      now += 50;
      step(new LockEvent.Tick());
    }
    assertThat(said).contains(new LockAction.Refused(4, Refusal.TOO_MANY));
  }

  private void ticks(int count) {
    for (int i = 0; i < count; i++) {
      now += 50;
      step(new LockEvent.Tick());
    }
  }

  /** Somebody who had use for it when he was called may have none now. */
  @Test
  void anIdleLockIsCalledBackAgainAfterARoundInVain() {
    step(new LockEvent.NewView(ALONE));
    for (long i = 1; i <= 3; i++) {
      acquire(i, ResourceId.inode(i, 0), Mode.PR);
      toDisk();
    }
    acquire(4, ResourceId.inode(4, 0), Mode.PR);
    said.clear();
    ticks(80);
    assertThat(said).contains(new LockAction.Blocking(1, Mode.NL, true));
    assertThat(said).noneMatch(LockAction.Refused.class::isInstance);
  }

  /** Who waits for a holder does not wait for a slot, whoever stood before him. */
  @Test
  void onlyWhoWaitsForASlotIsRefusedForWantOfOne() {
    step(new LockEvent.NewView(ALONE));
    for (long i = 1; i <= 3; i++) {
      acquire(i, ResourceId.inode(i, 0), Mode.PR);
      toDisk();
    }
    acquire(4, ResourceId.inode(1, 0), Mode.PR); // fits, and has no slot
    acquire(5, ResourceId.inode(1, 0), Mode.EX); // does not fit
    step(new LockEvent.Cancel(4));
    ticks(200);
    assertThat(said).contains(new LockAction.Refused(4, Refusal.CANCELLED));
    assertThat(said).doesNotContain(new LockAction.Refused(5, Refusal.TOO_MANY));
  }

  /** It waits for a slot, which is no wait; then for a holder, which is one. */
  @Test
  void whoDoesNotWantToWaitIsRefusedWhenHeWouldHaveTo() {
    step(new LockEvent.NewView(ALONE));
    acquire(1, ResourceId.inode(1, 0), Mode.NL);
    acquire(2, ResourceId.inode(2, 0), Mode.PR);
    acquire(3, ResourceId.inode(3, 0), Mode.PR);
    acquire(4, ResourceId.inode(1, 0), Mode.CR);
    toDisk();
    toDisk();
    LockEvent.Wish now1 = new LockEvent.Wish(true, 0, 0, Long.MAX_VALUE);
    step(new LockEvent.Acquire(5, ResourceId.inode(1, 0), Mode.CW, now1));
    assertThat(said).doesNotContain(new LockAction.Refused(5, Refusal.WOULD_WAIT));
    step(
        new LockEvent.Convert(
            4, Mode.EX, null, WAIT)); // a conversion goes before it, and is granted
    assertThat(said).contains(new LockAction.Refused(5, Refusal.WOULD_WAIT));
  }

  @Test
  void theNumbersOfWritesGoOnAfterARestart() {
    LockId lock = new LockId(ReservationKey.of(2, 1), 7);
    step(new LockEvent.Found(2, 41, new SlotWrite.Entry(lock, ResourceId.inode(9, 0), Mode.PR)));
    step(new LockEvent.NewView(ALONE));
    acquire(1, ResourceId.inode(1, 0), Mode.EX);
    assertThat(said)
        .filteredOn(LockAction.Persist.class::isInstance)
        .flatExtracting(a -> ((LockAction.Persist) a).writes())
        .isNotEmpty()
        .allMatch(write -> write.number() > 41);
  }

  @Test
  void limitsAreRefusedByName() {
    for (long i = 1; i <= 6; i++) {
      acquire(i, ResourceId.inode(i, 0), Mode.NL);
    }
    assertThat(said).containsExactly(new LockAction.Refused(6, Refusal.TOO_MANY));
  }

  @Test
  void aRecordThatCannotBeWrittenEndsAllGranting() {
    step(new LockEvent.NewView(ALONE));
    acquire(1, ResourceId.inode(1, 0), Mode.EX);
    step(new LockEvent.Persisted(1, false));
    assertThat(said).last().isInstanceOf(LockAction.Halted.class);
    said.clear();
    acquire(2, ResourceId.inode(1, 0), Mode.EX);
    assertThat(said).isEmpty();
  }

  @Test
  void aViewWithADeadNodeIsAMistake() {
    ReservationKey dead = ReservationKey.of(2, 1);
    step(new LockEvent.Clear(new Cleared(dead)));
    step(new LockEvent.NewView(new View(new ViewId(1, 1), List.of(SELF, dead), List.of())));
    assertThat(said).last().isInstanceOf(LockAction.Halted.class);
  }

  @Test
  void nothingIsGrantedBeforeASuspectIsCleared() {
    ReservationKey suspect = ReservationKey.of(2, 1);
    step(new LockEvent.NewView(new View(new ViewId(1, 1), List.of(SELF), List.of(suspect))));
    acquire(1, ResourceId.inode(1, 0), Mode.EX);
    assertThat(said).isEmpty();
    assertThat(manager.isGrace()).isTrue();
    step(new LockEvent.Clear(new Cleared(suspect)));
    assertThat(manager.isGrace()).isFalse();
    toDisk();
    assertThat(said).anyMatch(LockAction.Granted.class::isInstance);
  }

  @Test
  void aWaitThatIsOverByTheClockIsRefusedAsTimedOut() {
    step(new LockEvent.NewView(ALONE));
    acquire(1, ResourceId.inode(1, 0), Mode.EX);
    toDisk();
    LockEvent.Wish brief = new LockEvent.Wish(false, 0, 0, 120);
    step(new LockEvent.Acquire(2, ResourceId.inode(1, 0), Mode.EX, brief));
    now = 119;
    step(new LockEvent.Tick());
    assertThat(said).noneMatch(LockAction.Refused.class::isInstance);
    now = 120;
    step(new LockEvent.Tick());
    assertThat(said).contains(new LockAction.Refused(2, Refusal.TIMED_OUT));
  }

  @Test
  void twoSharedHoldersWhoBothWantMoreAreACircleAndOneIsRefused() {
    step(new LockEvent.NewView(ALONE));
    acquire(1, ResourceId.inode(1, 0), Mode.PR);
    acquire(2, ResourceId.inode(1, 0), Mode.PR);
    toDisk();
    toDisk();
    step(new LockEvent.Convert(1, Mode.EX, null, WAIT));
    step(new LockEvent.Convert(2, Mode.EX, null, new LockEvent.Wish(false, 0, -1, 10_000)));
    for (int i = 0; i < 10; i++) {
      now += 50;
      step(new LockEvent.Tick());
    }
    assertThat(said)
        .filteredOn(LockAction.Refused.class::isInstance)
        .containsExactly(new LockAction.Refused(2, Refusal.DEADLOCK));
  }
}
