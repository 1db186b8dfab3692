// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ReservationKey;

final class SlotTableTest {
  private static final ReservationKey A = ReservationKey.of(1, 7);
  private static final ReservationKey B = ReservationKey.of(2, 7);
  private static final ReservationKey C = ReservationKey.of(3, 7);

  static Slot beat(ReservationKey key, long epoch, long sequence) {
    return new Slot.Taken(new Beat(key, epoch, sequence, Beat.State.ALIVE, 1_000, "host"));
  }

  private static List<Slot> slots(Slot... first) {
    List<Slot> slots = new ArrayList<>(Collections.nCopies(64, (Slot) new Slot.Free()));
    for (int i = 0; i < first.length; i++) {
      slots.set(i, first[i]);
    }
    return slots;
  }

  @Test
  void aKeyFindsItsSlotAndTheHighestEpochCounts() {
    SlotTable table = new SlotTable();
    table.read(slots(beat(A, 4, 9), beat(B, 6, 2)));
    assertThat(table.slotOf(B)).hasValue(1);
    assertThat(table.slotOf(C)).isEmpty();
    assertThat(table.slotOf(ReservationKey.NONE)).isEmpty();
    assertThat(table.maxEpoch()).isEqualTo(6);
    assertThat(table.sequenceOf(0)).isEqualTo(9);
    assertThat(table.sequenceOf(5)).isZero();
  }

  @Test
  void theSlotOfAKeyThatIsGoneRestsUntilNothingOfItCanBeUnderWay() {
    SlotTable table = new SlotTable();
    Slot[] all = new Slot[64];
    for (int i = 0; i < 64; i++) {
      all[i] = beat(ReservationKey.of(100 + i, 1), 1, 1);
    }
    table.read(slots(all));
    List<ReservationKey> registered = new ArrayList<>();
    for (int i = 1; i < 64; i++) {
      registered.add(ReservationKey.of(100 + i, 1));
    }
    table.sawRegistered(registered, 1_000);
    assertThat(table.freeSlot(A, false, 1_000 + SlotTable.REST_MILLIS - 1)).isEqualTo(-1);
    assertThat(table.freeSlot(A, false, 1_000 + SlotTable.REST_MILLIS)).isZero();
    // Registered again (a hand-over takes a registration away for a moment): it is not at rest.
    registered.add(ReservationKey.of(100, 1));
    table.sawRegistered(registered, 70_000);
    registered.removeLast();
    table.sawRegistered(registered, 80_000);
    assertThat(table.freeSlot(A, false, 80_001)).isEqualTo(-1);
  }

  /**
   * Danger 71: a REGISTER of the earlier one came late, and the later one is not registered for a
   * moment, after a grant.
   */
  @Test
  void anEarlierLifeIsNotGivenTheSlotOfALaterOne() {
    ReservationKey later = ReservationKey.of(2, 8);
    SlotTable table = new SlotTable();
    table.read(List.of(beat(later, 1, 1), beat(C, 1, 1)));
    table.sawRegistered(List.of(B, C), 0);
    assertThat(table.freeSlot(B, false, 1_000)).isEqualTo(-1);
    assertThat(table.freeSlot(ReservationKey.of(2, 9), false, 1_000)).isZero();
  }

  /** Danger 60. */
  @Test
  void whatNobodyHasIsGivenBeforeWhatHasRested() {
    SlotTable table = new SlotTable();
    table.read(slots(beat(B, 1, 1), beat(C, 1, 1)));
    table.sawRegistered(List.of(A, C), 0);
    assertThat(table.freeSlot(A, false, SlotTable.REST_MILLIS)).isEqualTo(2);
  }

  /** Danger 60: it may have been shut out, and nothing else remembers it. */
  @Test
  void whoWasToBeatAndIsMissingKeepsItsSlotWhileItIsStillToBeFound() {
    SlotTable table = new SlotTable();
    Beat paused = new Beat(C, 1, 1, Beat.State.PAUSED, 1_000, "host");
    Beat reserved = new Beat(ReservationKey.of(4, 7), 1, 1, Beat.State.RESERVED, 0, "");
    table.read(List.of(beat(B, 1, 1), new Slot.Taken(paused), new Slot.Taken(reserved)));
    table.sawRegistered(List.of(A), 0);
    table.keepTheMissing(true);
    assertThat(table.freeSlot(A, false, SlotTable.REST_MILLIS)).isEqualTo(2);
    assertThat(table.freeSlot(ReservationKey.of(2, 8), false, 0)).as("a later life").isZero();
    table.keepTheMissing(false);
    assertThat(table.freeSlot(A, false, SlotTable.REST_MILLIS)).isZero();
  }

  /** Danger 61: a beat that was under way lands over it. */
  @Test
  void whoWasShutOutIsThatWhateverItsSlotSaysUntilItIsFreeOrOfAnother() {
    ReservationKey later = ReservationKey.of(2, 8);
    SlotTable table = new SlotTable();
    Slot other = beat(C, 1, 1);
    Slot fenced = new Slot.Taken(new Beat(B, 5, 9, Beat.State.FENCED, 0, "host"));
    for (Slot after : List.of(new Slot.Free(5, 10), beat(later, 5, 10), beat(A, 5, 10))) {
      table.read(List.of(fenced, other));
      for (Slot late :
          List.of(
              new Slot.Damaged(Slot.Kind.TORN, "torn"),
              new Slot.Taken(new Beat(B, 4, 8, Beat.State.PAUSED, 1_000, "host")),
              beat(B, 4, 8))) {
        table.read(List.of(late, other));
        assertThat(table.isFenced(B)).as("%s", late).isTrue();
        assertThat(table.outcasts(List.of(A, B))).as("%s", late).hasSize(1);
        assertThat(table.shows(0, B)).as("%s: it writes it no more", late).isFalse();
      }
      assertThat(table.canMark(0, B)).as("it is marked again").isTrue();
      table.sawRegistered(List.of(A, C), 0);
      assertThat(table.freeSlot(A, false, SlotTable.REST_MILLIS)).isEqualTo(-1);
      assertThat(table.hasRoomFor(A, List.of(A, C))).isFalse();
      assertThat(table.freeSlot(later, false, 0)).isZero();
      table.read(List.of(after, other));
      assertThat(table.isFenced(B)).as("%s", after).isFalse();
      assertThat(table.outcasts(List.of(A, B))).as("%s", after).isEmpty();
    }
  }

  @Test
  void aSlotThatBeatsIsNotAtRest() {
    SlotTable table = new SlotTable();
    Slot[] all = new Slot[64];
    for (int i = 0; i < 64; i++) {
      all[i] = beat(ReservationKey.of(100 + i, 1), 1, 1);
    }
    table.read(slots(all));
    List<ReservationKey> others = new ArrayList<>();
    for (int i = 1; i < 64; i++) {
      others.add(ReservationKey.of(100 + i, 1));
    }
    table.sawRegistered(others, 0);
    all[0] = beat(ReservationKey.of(100, 1), 1, 2);
    table.read(slots(all));
    assertThat(table.freeSlot(A, false, SlotTable.REST_MILLIS)).isEqualTo(-1);
  }

  /** A hand-over takes its registration away for a moment, and it is then that one looks. */
  @Test
  void aSlotThatMovesIsNotAtRest() {
    SlotTable table = new SlotTable();
    Slot[] all = new Slot[64];
    long turns = SlotTable.REST_MILLIS / 1_000 + 10;
    for (int n = 0; n <= turns; n++) {
      for (int i = 0; i < 64; i++) {
        all[i] = beat(ReservationKey.of(100 + i, 1), 1, 1 + n);
      }
      table.read(slots(all));
      List<ReservationKey> registered = new ArrayList<>();
      for (int i = 1; i < 64; i++) {
        registered.add(ReservationKey.of(100 + i, 1));
      }
      table.sawRegistered(registered, n * 1_000L);
    }
    assertThat(table.freeSlot(A, false, turns * 1_000)).isEqualTo(-1);
  }

  @Test
  void aTableOfAnotherSizeBeginsWithNothingAtRest() {
    SlotTable table = new SlotTable();
    table.read(List.of(beat(B, 1, 1), beat(C, 1, 1)));
    table.read(List.of(beat(B, 1, 1)));
    assertThat(table.freeSlot(A, false, SlotTable.REST_MILLIS)).isEqualTo(-1);
  }

  @Test
  void anEarlierLifeOfTheSameNodeGivesItsSlotAtOnce() {
    SlotTable table = new SlotTable();
    table.read(slots(beat(B, 1, 1), beat(ReservationKey.of(1, 6), 1, 1)));
    assertThat(table.freeSlot(A, false, 0)).as("not seen to be gone").isEqualTo(2);
    table.sawRegistered(List.of(A, B), 0);
    assertThat(table.freeSlot(A, false, 0)).isEqualTo(1);
  }

  /** By another holder, to the node's life of today, before it was damaged. */
  @Test
  void aSlotThatCannotBeReadMayHaveBeenGivenMeanwhile() {
    SlotTable table = new SlotTable();
    table.read(slots(beat(ReservationKey.of(1, 6), 1, 1)));
    table.read(slots(new Slot.Damaged(Slot.Kind.UNREADABLE, "EIO")));
    table.sawRegistered(List.of(A, B), 0);
    assertThat(table.freeSlot(A, false, 0)).isEqualTo(1);
    assertThat(table.freeSlot(A, false, SlotTable.REST_MILLIS)).isZero();
  }

  @Test
  void aDamagedSlotHasAWriterUnlessWeAreAlone() {
    SlotTable table = new SlotTable();
    table.read(slots(new Slot.Damaged(Slot.Kind.TORN, "torn"), beat(A, 1, 1)));
    assertThat(table.freeSlot(B, false, 0)).isEqualTo(2);
    assertThat(table.freeSlot(B, true, 0)).isZero();
    assertThat(table.damage()).containsExactly("slot 0: torn");
  }

  @Test
  void whereMostIsNoRecordNothingIsWritten() {
    SlotTable table = new SlotTable();
    Slot[] all = new Slot[33];
    Arrays.fill(all, new Slot.Damaged(Slot.Kind.FOREIGN, "other data"));
    table.read(slots(all));
    assertThat(table.isCredible()).isFalse();
    assertThat(table.freeSlot(A, true, 0)).isEqualTo(-1);
    assertThat(new SlotTable().isCredible()).as("nothing was read").isFalse();
  }
}
