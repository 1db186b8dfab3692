// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;
import org.mxfs.daemon.core.fencing.Proofs;

/** Slots of nodes that were shut out, or have left and stay registered. */
class SlotRulesTest {
  private static final ReservationKey ME = ReservationKey.of(1, 7);
  private static final ReservationKey EARLIER = ReservationKey.of(3, 1);
  private static final ReservationKey DEAD = ReservationKey.of(3, 2);
  private static final ReservationKey ANEW = ReservationKey.of(3, 3);
  private static final ReservationKey OTHER = ReservationKey.of(4, 1);
  private static final Fenced PROOF = Proofs.of(ME, DEAD, ME);
  private static final Slot TORN = new Slot.Damaged(Slot.Kind.TORN, "torn");
  private static final long FRESH = 1_000;
  private static final long KEYS = 10_000;
  private static final long TENURE = 9;

  private final SlotTable table = new SlotTable();
  private final SlotRules rules = new SlotRules(table, 100, FRESH, KEYS);
  private final List<Slot> disk = new ArrayList<>();
  private long now = 50_000;

  SlotRulesTest() {
    for (int i = 0; i < 8; i++) {
      disk.add(new Slot.Free());
    }
    disk.set(0, taken(ME, Beat.State.ALIVE, 5));
    disk.set(2, taken(DEAD, Beat.State.ALIVE, 40));
    rules.key(ME);
    rules.holder(true, TENURE);
    rules.shutOut(PROOF);
  }

  private static Slot taken(ReservationKey key, Beat.State state, long sequence) {
    return new Slot.Taken(new Beat(key, 3, sequence, state, 20_000, "host"));
  }

  private static final Silence SILENCE = Silences.of(DEAD, 25);

  private void keys(ReservationKey... registered) {
    rules.sawKeys(List.of(registered), now, now);
  }

  private void read() {
    rules.ask(now);
    rules.read(disk);
  }

  private boolean mayMark(int slot) {
    return rules.mayMark(slot, PROOF, SILENCE, now);
  }

  private void carriedOut(DiskCommand.WriteBeat write) {
    disk.set(write.slot(), new Slot.Taken(write.beat()));
    rules.written(true);
  }

  /** To what {@link #DEAD} has written last. */
  private void mark() {
    keys(ME);
    read();
    carriedOut(rules.mark(2, PROOF, SILENCE, 9, now));
  }

  @Test
  void whoWasShutOutIsRememberedInItsSlot() {
    keys(ME);
    read();
    DiskCommand.WriteBeat write = rules.mark(2, PROOF, SILENCE, 9, now);
    assertThat(write)
        .isEqualTo(
            new DiskCommand.WriteBeat(2, new Beat(DEAD, 9, 41, Beat.State.FENCED, 0, "host")));
    carriedOut(write);
    keys(ME);
    read();
    assertThat(table.isFenced(DEAD)).isTrue();
    assertThat(mayMark(2)).as("it says so already").isFalse();
  }

  @Test
  void aSlotIsMarkedOnAReadingAfterTheArrayHasShownThatItsKeyIsGone() {
    read();
    keys(ME);
    assertThat(mayMark(2)).as("read before").isFalse();
    for (ReservationKey registered : List.of(DEAD, EARLIER)) {
      keys(ME, registered);
      read();
      assertThat(mayMark(2)).as("it writes by %s", registered).isFalse();
      keys(ME);
      read();
      assertThat(mayMark(2)).as("it may have written by %s since the proof", registered).isFalse();
      rules.shutOut(PROOF);
    }
    keys(ME, ANEW);
    read();
    assertThat(mayMark(2)).as("a later life is another").isTrue();
    assertThat(rules.mayMark(2, PROOF, SILENCE, now + FRESH + 1)).as("too old").isFalse();
    rules.holder(false, 0);
    assertThat(mayMark(2)).as("not the holder").isFalse();
    assertThatThrownBy(() -> rules.mark(2, PROOF, SILENCE, 9, now))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void noSlotButTheVictimsIsMarked() {
    disk.set(3, taken(OTHER, Beat.State.ALIVE, 1));
    disk.set(4, taken(ANEW, Beat.State.ALIVE, 1));
    disk.set(5, TORN);
    keys(ME, OTHER, ANEW);
    read();
    for (int i = 0; i < disk.size(); i++) {
      assertThat(mayMark(i)).as("slot %d", i).isEqualTo(i == 2);
    }
  }

  /** It may have died in the middle of a write. */
  @Test
  void aTornSlotThatWasTheVictimsIsMarked() {
    read();
    disk.set(2, TORN);
    keys(ME, ANEW);
    read();
    assertThat(mayMark(2)).as("it may be its later life's by now").isFalse();
    keys(ME);
    read();
    DiskCommand.WriteBeat write = rules.mark(2, PROOF, SILENCE, 9, now);
    assertThat(write.beat().sequence()).isEqualTo(41);
    assertThat(write.beat().host()).isEqualTo("host");
  }

  /** However long it rests. Only a later life of its node accounts for it. */
  @Test
  void aMarkedSlotGoesToALaterLifeOfTheSameNodeAndToNobodyElse() {
    mark();
    for (int i = 1; i < disk.size(); i++) {
      if (i != 2) {
        disk.set(i, taken(ReservationKey.of(50 + i, 1), Beat.State.ALIVE, 1));
      }
    }
    read();
    keys(ME, OTHER, EARLIER, ANEW);
    now += 10 * SlotTable.REST_MILLIS;
    assertThat(table.freeSlot(EARLIER, false, now)).isNotEqualTo(2);
    assertThat(table.freeSlot(ANEW, false, now)).isEqualTo(2);
    for (int i = 1; i < disk.size(); i++) {
      if (i != 2) {
        disk.set(i, taken(OTHER, Beat.State.ALIVE, 2));
      }
    }
    read();
    keys(ME, OTHER);
    now += 10 * SlotTable.REST_MILLIS;
    assertThat(table.freeSlot(ReservationKey.of(9, 1), false, now)).isEqualTo(-1);
    disk.set(2, TORN);
    read();
    keys(ME, OTHER);
    now += 10 * SlotTable.REST_MILLIS;
    assertThat(table.freeSlot(ReservationKey.of(9, 1), true, now)).as("torn since").isEqualTo(-1);
  }

  /** A late REGISTER of it must not bring it back to life on disk. */
  @Test
  void whoWasShutOutGetsNoSlotAgain() {
    mark();
    keys(ME, DEAD);
    read();
    assertThatThrownBy(() -> rules.give(DEAD, 9, 20_000, "", now))
        .isInstanceOf(IllegalStateException.class);
    SlotRules its = new SlotRules(table, 1, FRESH, KEYS);
    its.key(DEAD);
    its.ask(now);
    its.read(disk);
    assertThat(its.slot()).isEqualTo(-1);
    assertThat(its.mayWriteOwn(now)).isFalse();
  }

  @Test
  void whoLeavesAndStaysRegisteredWritesThatAsItsLast() {
    read();
    DiskCommand.WriteBeat write = rules.left(9, "me", now);
    assertThat(write.slot()).isZero();
    assertThat(write.beat()).isEqualTo(new Beat(ME, 9, 101, Beat.State.LEFT, 0, "me"));
    carriedOut(write);
    read();
    assertThat(rules.mayWriteOwn(now)).isFalse();
    assertThat(table.isFenced(ME)).isFalse();
    assertThatThrownBy(() -> rules.beat(Beat.State.LEFT, 1, 1, "", now))
        .isInstanceOf(IllegalStateException.class);
  }

  /** A person says that it is off. */
  @Test
  void theSlotOfWhoWasShutOutIsFreedByTheHolderAndNoOtherSlotIs() {
    mark();
    disk.set(3, taken(OTHER, Beat.State.ALIVE, 1));
    keys(ME, OTHER);
    assertThat(rules.mayClear(2, DEAD, now)).as("read before").isFalse();
    read();
    for (int i = 0; i < disk.size(); i++) {
      assertThat(rules.mayClear(i, DEAD, now)).as("slot %d", i).isEqualTo(i == 2);
      assertThat(rules.mayClear(i, OTHER, now)).as("slot %d", i).isFalse();
    }
    keys(ME);
    read();
    assertThat(rules.mayClear(3, OTHER, now)).as("its slot says that it lives").isFalse();
    assertThat(rules.clear(2, DEAD, 9, now)).isEqualTo(new DiskCommand.FreeSlot(2, 9, 42));
    rules.written(true);
    keys(ME, DEAD);
    read();
    assertThat(rules.mayClear(2, DEAD, now)).as("registered").isFalse();
    keys(ME, EARLIER);
    read();
    assertThat(rules.mayClear(2, DEAD, now)).as("danger 67: it writes by that").isFalse();
    keys(ME, ANEW);
    read();
    assertThat(rules.mayClear(2, DEAD, now)).as("a later life is another").isTrue();
    keys(ME);
    read();
    rules.holder(false, 0);
    assertThat(rules.mayClear(2, DEAD, now)).as("not the holder").isFalse();
    assertThatThrownBy(() -> rules.clear(2, DEAD, 9, now))
        .isInstanceOf(IllegalStateException.class);
  }

  /** A mount that failed, or a daemon that was restarted on the way out. */
  @Test
  void theHolderThatLeavesAndHasNoSlotGetsOneForThat() {
    disk.set(0, taken(ReservationKey.of(1, 6), Beat.State.ALIVE, 200));
    read();
    assertThatThrownBy(() -> rules.left(9, "me", now)).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> rules.giveLeft(9, "me", now))
        .isInstanceOf(IllegalStateException.class);
    keys(ME);
    read();
    DiskCommand.WriteBeat write = rules.giveLeft(9, "me", now);
    assertThat(write)
        .isEqualTo(new DiskCommand.WriteBeat(0, new Beat(ME, 9, 201, Beat.State.LEFT, 0, "me")));
    carriedOut(write);
    read();
    assertThat(table.departed(ME)).isNotNull();
    rules.holder(false, 0);
    disk.set(0, new Slot.Free());
    read();
    assertThatThrownBy(() -> rules.giveLeft(9, "me", now))
        .isInstanceOf(IllegalStateException.class);
  }

  /** Its record in a slot that it had given up says "alive" for ever. */
  @Test
  void whoHasLeftIsDepartedInBothOfItsSlotsAndNobodyElseIs() {
    disk.set(3, taken(DEAD, Beat.State.LEFT, 60));
    disk.set(4, taken(ANEW, Beat.State.ALIVE, 1));
    keys(ME);
    read();
    assertThat(rules.unsettled(_ -> true)).containsExactly(ANEW);
    assertThat(table.departed(DEAD)).isEqualTo(new Departed(DEAD));
    for (ReservationKey other : List.of(ME, EARLIER, ANEW, ReservationKey.NONE)) {
      assertThat(table.departed(other)).as("%s", other).isNull();
    }
    disk.set(3, TORN);
    read();
    assertThat(table.departed(DEAD)).as("for ever").isNotNull();
  }

  /** It has let go of XFS, and whoever shuts it out ends its registration: it rests like others. */
  @Test
  void theSlotOfWhoHasLeftIsFreeOnceItsKeyIsGoneAndItHasRested() {
    disk.set(2, taken(DEAD, Beat.State.LEFT, 41));
    for (int i = 1; i < disk.size(); i++) {
      if (i != 2) {
        disk.set(i, taken(OTHER, Beat.State.ALIVE, 1));
      }
    }
    keys(ME, OTHER, DEAD);
    read();
    now += 10 * SlotTable.REST_MILLIS;
    assertThat(table.freeSlot(ReservationKey.of(9, 1), false, now)).isEqualTo(-1);
    keys(ME, OTHER);
    assertThat(table.freeSlot(ReservationKey.of(9, 1), false, now + SlotTable.REST_MILLIS))
        .isEqualTo(2);
  }

  /** A beat that was under way when it was shut out gave it a lease anew. */
  @Test
  void itIsSeenToBeSilentAfterTheProof() {
    keys(ME);
    read();
    Fenced later = Proofs.of(ME, DEAD, ME);
    assertThat(rules.mayMark(2, later, SILENCE, now)).as("never told").isFalse();
    rules.shutOut(later);
    assertThat(rules.mayMark(2, later, SILENCE, now)).as("read before").isFalse();
    read();
    assertThat(rules.mayMark(2, later, Silences.of(OTHER, 25), now))
        .as("another is silent")
        .isFalse();
    assertThat(rules.mayMark(2, later, SILENCE, now)).isTrue();
  }

  /** Danger 33: the array may have lost everything in between. */
  @Test
  void aProofHoldsInItsTenureOnly() {
    rules.holder(false, 0);
    rules.holder(true, TENURE);
    keys(ME);
    read();
    assertThat(mayMark(2)).isFalse();
  }

  /** Danger 39. */
  @Test
  void aVictimIsOneUntilItsSlotSaysOtherwiseWhoeverIsRegistered() {
    keys(ME);
    rules.victim(DEAD);
    read();
    keys(ME, DEAD);
    read();
    assertThat(rules.unsettled(_ -> false)).as("registered again").containsExactly(DEAD);
    disk.set(2, TORN);
    read();
    assertThat(rules.unsettled(_ -> false)).as("torn").containsExactly(DEAD);
    disk.set(2, taken(ANEW, Beat.State.RESERVED, 41));
    read();
    assertThat(rules.unsettled(_ -> true)).as("a later life has its slot").isEmpty();
    disk.set(2, new Slot.Free(3, 42));
    read();
    assertThat(rules.unsettled(_ -> true)).as("it had let go of XFS").isEmpty();
    disk.set(2, taken(DEAD, Beat.State.ALIVE, 43));
    read();
    assertThat(rules.unsettled(_ -> false)).containsExactly(DEAD);
    rules.holder(false, 0);
    rules.holder(true, TENURE);
    keys(ME, DEAD);
    read();
    assertThat(rules.unsettled(_ -> true)).as("another tenure").isEmpty();
  }

  @Test
  void whoSaysThatItIsAliveAndIsNotRegisteredIsUnsettled() {
    disk.set(3, taken(OTHER, Beat.State.ALIVE, 1));
    disk.set(4, taken(ReservationKey.of(5, 1), Beat.State.RESERVED, 1));
    disk.set(5, taken(ReservationKey.of(1, 2), Beat.State.ALIVE, 1));
    read();
    keys(ME, OTHER);
    assertThat(rules.unsettled(_ -> true)).as("read before").isNull();
    read();
    assertThat(rules.unsettled(_ -> true)).containsExactly(DEAD);
    assertThat(rules.unsettled(_ -> false)).as("not known to be in").containsExactly(DEAD, OTHER);
    carriedOut(rules.mark(2, PROOF, SILENCE, 9, now));
    read();
    assertThat(rules.unsettled(_ -> true)).isEmpty();
    rules.holder(false, 0);
    assertThat(rules.unsettled(_ -> true)).isNull();
  }

  private static Slot knowing(ReservationKey key, long epoch) {
    return new Slot.Taken(new Beat(key, epoch, 50, Beat.State.ALIVE, 20_000, "host"));
  }

  /** Dangers 48 and 54: without a clock, and however often it has beaten. */
  @Test
  void whoIsRegisteredIsAMemberOnceItsRecordTellsOfThisTenure() {
    keys(ME, DEAD);
    for (long epoch : List.of(3L, TENURE - 1)) {
      disk.set(2, knowing(DEAD, epoch));
      read();
      assertThat(rules.unsettled(_ -> false)).as("epoch %d", epoch).containsExactly(DEAD);
    }
    disk.set(2, knowing(DEAD, TENURE));
    read();
    assertThat(rules.unsettled(_ -> false)).isEmpty();
    disk.set(2, taken(DEAD, Beat.State.ALIVE, 51));
    disk.set(3, knowing(DEAD, TENURE));
    read();
    assertThat(rules.unsettled(_ -> false)).as("in one of its two slots").isEmpty();
    keys(ME);
    read();
    assertThat(rules.unsettled(_ -> false)).as("and not registered").containsExactly(DEAD);
  }

  /** Whom this tenure has shut out, and who is in again, as a member and as nothing else. */
  @Test
  void aVictimThatTellsOfThisTenureIsNoneAnyMore() {
    keys(ME);
    rules.victim(DEAD);
    disk.set(2, knowing(DEAD, TENURE));
    read();
    assertThat(rules.unsettled(_ -> false)).containsExactly(DEAD);
    keys(ME, DEAD);
    read();
    assertThat(rules.unsettled(_ -> false)).isEmpty();
  }

  /** Danger 53: "for a while" landed late, over what an owner had written. */
  @Test
  void whoSaidThatItWouldBeSilentForAWhileAndIsNotRegisteredIsUnsettled() {
    disk.set(2, taken(DEAD, Beat.State.PAUSED, 41));
    keys(ME);
    read();
    assertThat(rules.unsettled(_ -> true)).containsExactly(DEAD);
    keys(ME, DEAD);
    read();
    assertThat(rules.unsettled(_ -> false)).as("let in again").containsExactly(DEAD);
    disk.set(2, taken(DEAD, Beat.State.ALIVE, 42));
    rules.victim(DEAD);
    read();
    disk.set(2, taken(DEAD, Beat.State.PAUSED, 43));
    keys(ME);
    read();
    assertThat(rules.unsettled(_ -> false)).as("it lands late").containsExactly(DEAD);
  }

  /** Danger 48: it may have been shut out, and another may be the holder. */
  @Test
  void aHolderThatReadsAHigherEpochThanItsOwnWritesNothing() {
    disk.set(3, taken(OTHER, Beat.State.FENCED, 1));
    keys(ME);
    read();
    assertThat(rules.isOvertaken()).isFalse();
    assertThat(rules.mayGive(ANEW, now)).isTrue();
    disk.set(4, new Slot.Free(TENURE + 1, 1));
    read();
    assertThat(rules.isOvertaken()).isTrue();
    assertThat(rules.mayGive(ANEW, now)).isFalse();
    assertThat(mayMark(2)).isFalse();
    assertThat(rules.mayClear(3, OTHER, now)).isFalse();
    assertThat(rules.unsettled(_ -> true)).isNull();
    for (Beat.State state : List.of(Beat.State.ALIVE, Beat.State.PAUSED)) {
      assertThatThrownBy(() -> rules.beat(state, TENURE, 20_000, "me", now))
          .isInstanceOf(IllegalStateException.class);
    }
    rules.isStillOurs();
    assertThat(rules.isOvertaken()).as("the array has shown that it goes on").isFalse();
    assertThat(rules.isBelowOthers()).as("the next tenure is to be above").isTrue();
    assertThat(rules.unsettled(_ -> true)).as("nobody can tell of both").isNull();
    assertThat(rules.beat(Beat.State.ALIVE, TENURE + 1, 20_000, "me", now).beat().epoch())
        .isEqualTo(TENURE);
    rules.written(true);
    disk.set(4, new Slot.Free(TENURE + 2, 1));
    read();
    assertThat(rules.isOvertaken()).as("and again").isTrue();
    rules.holder(false, 0);
    assertThat(rules.isOvertaken()).isFalse();
    assertThat(rules.beat(Beat.State.ALIVE, TENURE + 2, 20_000, "me", now).beat().epoch())
        .isEqualTo(TENURE + 2);
  }

  /** Danger 48: who stood still for that long may have been shut out since. */
  @Test
  void othersSlotsAreWrittenOnKeysThatWereAskedForWithinHalfALease() {
    disk.set(3, taken(OTHER, Beat.State.FENCED, 1));
    keys(ME, ANEW);
    now += KEYS;
    read();
    assertThat(rules.mayGive(ANEW, now)).isTrue();
    assertThat(mayMark(2)).isTrue();
    assertThat(rules.mayClear(3, OTHER, now)).isTrue();
    now++;
    read();
    assertThat(rules.mayGive(ANEW, now)).isFalse();
    assertThat(rules.mayGiveAfterReading(ANEW, now)).isFalse();
    assertThat(mayMark(2)).isFalse();
    assertThat(rules.mayClear(3, OTHER, now)).isFalse();
    rules.sawKeys(List.of(ME, ANEW), now - KEYS - 1, now);
    read();
    assertThat(rules.mayGive(ANEW, now)).as("asked for longer ago").isFalse();
  }

  /** Danger 50: a REGISTER of it comes after its slot says that it was shut out. */
  @Test
  void whoWasShutOutAndIsRegisteredIsUnsettledByWhateverKeyOfItsItIs() {
    mark();
    for (ReservationKey registered : List.of(DEAD, EARLIER)) {
      keys(ME, registered);
      read();
      assertThat(rules.outcasts()).extracting(Outcast::key).containsExactly(DEAD);
      assertThat(rules.unsettled(_ -> true)).as("%s", registered).containsExactly(DEAD);
    }
    disk.set(2, TORN);
    read();
    assertThat(rules.unsettled(_ -> true)).as("torn since").containsExactly(DEAD);
    keys(ME, ANEW, OTHER);
    read();
    assertThat(rules.outcasts()).as("a later life, and another node").isEmpty();
    assertThat(rules.unsettled(_ -> true)).isEmpty();
  }

  /** Danger 67: the slots cannot be read any more, and it may have been let in again. */
  @Test
  void aVictimThatIsRegisteredByAKeyOfAnEarlierLifeMayWrite() {
    keys(ME);
    rules.victim(DEAD);
    for (ReservationKey none : List.of(ANEW, ReservationKey.of(9, 1))) {
      keys(ME, none);
      assertThat(rules.victimsThatAreRegistered()).as("%s", none).isEmpty();
    }
    for (ReservationKey path : List.of(DEAD, EARLIER)) {
      keys(ME, path);
      assertThat(rules.victimsThatAreRegistered()).as("%s", path).containsExactly(DEAD);
    }
  }

  /** Danger 60: nothing else tells what became of it. */
  @Test
  void aVictimWhoseSlotAnotherNodeHasIsOneUntilItIsProvenToHaveEnded() {
    rules.holder(false, 0); // what was proven before
    rules.holder(true, TENURE);
    read();
    keys(ME);
    rules.victim(DEAD);
    disk.set(2, taken(ReservationKey.of(9, 1), Beat.State.RESERVED, 41));
    read();
    assertThat(rules.isOverwritten(DEAD)).isTrue();
    assertThat(rules.unsettled(_ -> true)).containsExactly(DEAD);
    rules.shutOut(PROOF);
    assertThat(rules.unsettled(_ -> true)).isEmpty();
    keys(ME, DEAD);
    read();
    assertThat(rules.unsettled(_ -> true)).as("registered again").containsExactly(DEAD);
    disk.set(2, taken(ANEW, Beat.State.RESERVED, 42));
    read();
    assertThat(rules.isOverwritten(DEAD)).as("a later life of it").isFalse();
  }

  /** Danger 64: of this node's own lives, which it may shut out, and which it is itself. */
  @Test
  void anEarlierLifeOfThisNodeIsAnOutcastAndALaterOneIsNone() {
    ReservationKey before = ReservationKey.of(1, 6);
    ReservationKey later = ReservationKey.of(1, 8);
    disk.set(3, taken(before, Beat.State.FENCED, 1));
    disk.set(4, taken(later, Beat.State.FENCED, 1));
    keys(ME, before, later);
    read();
    assertThat(rules.outcasts()).extracting(Outcast::key).containsExactly(before);
  }
}
