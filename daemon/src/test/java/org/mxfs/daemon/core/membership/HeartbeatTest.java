// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.LockstateMap;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.FencingSettings;
import org.mxfs.daemon.core.fencing.Proofs;
import org.mxfs.daemon.core.membership.Heartbeat.Verdict;
import org.mxfs.daemon.core.membership.Heartbeat.Wish;

/** One machine by hand, over slots in memory. The numbers are those of docs/takeover.md. */
final class HeartbeatTest {
  private static final ReservationKey ME = ReservationKey.of(1, 7);
  private static final ReservationKey OTHER = ReservationKey.of(2, 7);
  private static final LockstateMap MAP =
      new LockstateMap(512, List.of(new LockstateMap.Extent(0, 4096, 64 * 512)));
  private static final Lockstate TOLD = new Lockstate(1, MAP, 0, "");
  private static final long BEAT = 1_000;
  private static final long PATIENCE = 5_000;
  private static final long LEASE = 20_000;

  private final Heartbeat machine =
      new Heartbeat(new Heartbeat.Settings(BEAT, LEASE, "me", 1_000, PATIENCE));
  private final MemorySlots memory = new MemorySlots();
  private final List<Slot> disk = memory.slots;
  private final List<DiskCommand> done = new ArrayList<>();
  private final List<Action.Note> notes = new ArrayList<>();
  private ReservationKey key = ME;
  private long epoch = 5;
  private boolean holder;
  private Wish wish = Wish.BEAT;
  private long now = 1_000_000;

  /** Everything there is to do now. */
  private void settle() {
    for (int i = 0; i < 50; i++) {
      machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
      DiskCommand command = machine.next(now);
      notes.addAll(machine.takeNotes());
      if (command == null) {
        return;
      }
      done.add(command);
      machine.answered(memory.execute(command), now);
      notes.addAll(machine.takeNotes());
    }
    throw new AssertionError("no rest: " + done.subList(done.size() - 6, done.size()));
  }

  private void pass(long millis) {
    long end = now + millis;
    while (now < end) {
      now = Math.min(end, now + 100);
      settle();
    }
  }

  private void start(boolean earlier) {
    machine.start(earlier, now);
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    machine.told(TOLD, now);
  }

  private List<Beat> beats() {
    return done.stream()
        .filter(DiskCommand.WriteBeat.class::isInstance)
        .map(c -> ((DiskCommand.WriteBeat) c).beat())
        .toList();
  }

  private static Slot taken(ReservationKey key, Beat.State state, long epoch, long sequence) {
    return new Slot.Taken(new Beat(key, epoch, sequence, state, 20_000, "host"));
  }

  private void give(int slot, ReservationKey whom) {
    disk.set(slot, taken(whom, Beat.State.RESERVED, 1, 1));
  }

  private Beat at(int slot) {
    return ((Slot.Taken) disk.get(slot)).beat();
  }

  private List<String> texts() {
    return notes.stream().map(Action.Note::text).toList();
  }

  @Test
  void aMemberBeatsInTheSlotInWhichItReadsItsKeyAndNotBefore() {
    start(false);
    pass(5_000);
    assertThat(beats()).isEmpty();
    assertThat(machine.isRequired()).isFalse();
    give(9, ME);
    pass(5_000);
    assertThat(beats().size()).isBetween(5, 6);
    assertThat(at(9).state()).isEqualTo(Beat.State.ALIVE);
    assertThat(machine.isRequired()).isTrue();
    assertThat(machine.beatenAt()).isGreaterThan(now - 1_100);
  }

  @Test
  void sequencesRiseAlsoAboveWhatIsThereAndThoseOfEarlierDaemons() {
    disk.set(3, taken(ME, Beat.State.RESERVED, 1, 5_000));
    start(false);
    pass(3_000);
    List<Long> sequences = beats().stream().map(Beat::sequence).toList();
    assertThat(sequences).isSorted().doesNotHaveDuplicates();
    assertThat(sequences.getFirst()).isEqualTo(5_001);
  }

  @Test
  void theHolderGivesSlotsToItselfAndToWhoIsRegisteredOnAReadingAfterThat() {
    holder = true;
    start(false);
    settle();
    assertThat(beats()).as("nobody was seen to be registered").isEmpty();
    machine.sawKeys(List.of(ME, OTHER), now, now);
    done.clear();
    settle();
    assertThat(done.getFirst()).isInstanceOf(DiskCommand.ReadBeats.class);
    assertThat(at(0)).isEqualTo(new Beat(ME, 5, 1_001, Beat.State.ALIVE, 20_000, "me"));
    assertThat(at(1)).isEqualTo(new Beat(OTHER, 5, 1, Beat.State.RESERVED, 0, ""));
    assertThat(machine.mayAttach(5, now)).isEqualTo(Verdict.YES);
  }

  @Test
  void whoDoesNotHoldTheReservationGivesNothing() {
    start(false);
    machine.sawKeys(List.of(ME, OTHER), now, now);
    pass(3_000);
    assertThat(beats()).isEmpty();
  }

  @Test
  void theEpochOfATenureIsWrittenAtOnceAndBeforeAttaching() {
    give(2, ME);
    start(false);
    pass(2_500);
    holder = true;
    epoch = 9;
    assertThat(machine.mayAttach(9, now)).isEqualTo(Verdict.NOT_YET);
    settle();
    assertThat(at(2).epoch()).isEqualTo(9);
    assertThat(machine.mayAttach(9, now)).isEqualTo(Verdict.YES);
  }

  /** Danger 1. */
  @Test
  void nothingIsWrittenWhereTheLastReadingDoesNotShowAnOwnRecord() {
    give(2, ME);
    start(false);
    pass(2_000);
    int before = beats().size();
    disk.set(2, new Slot.Damaged(Slot.Kind.FOREIGN, "other data"));
    pass(3_000);
    assertThat(beats()).hasSize(before);
    disk.set(2, taken(OTHER, Beat.State.ALIVE, 1, 1));
    pass(3_000);
    assertThat(beats()).hasSize(before);
    assertThat(machine.isRequired()).as("its lease ends").isTrue();
  }

  /** Danger 1. */
  @Test
  void aBrokenChecksumInTheOwnSlotAloneIsWrittenOver() {
    give(2, ME);
    start(false);
    pass(2_000);
    disk.set(2, new Slot.Damaged(Slot.Kind.TORN, "torn"));
    disk.set(7, new Slot.Damaged(Slot.Kind.TORN, "torn"));
    pass(2_000);
    assertThat(disk.get(2)).as("not the only one").isInstanceOf(Slot.Damaged.class);
    disk.set(7, new Slot.Free());
    pass(2_000);
    assertThat(at(2).key()).isEqualTo(ME);
  }

  /** Danger 1. */
  @Test
  void aDeviceWithAnotherVolumeIsNeverWrittenAgain() {
    give(2, ME);
    start(false);
    pass(2_000);
    memory.reading = new DiskAnswer.Foreign("another volume");
    pass(2_000);
    memory.reading = null;
    int before = done.size();
    pass(5_000);
    assertThat(done).hasSize(before);
    assertThat(texts()).anyMatch(t -> t.contains("another volume") && t.contains("lease ends"));
    assertThat(machine.isRequired()).isTrue();
  }

  /** Danger 1. */
  @Test
  void whereMostIsNoRecordNothingIsWritten() {
    give(2, ME);
    for (int i = 10; i < 50; i++) {
      disk.set(i, new Slot.Damaged(Slot.Kind.FOREIGN, "other data"));
    }
    holder = true;
    start(false);
    machine.sawKeys(List.of(ME, OTHER), now, now);
    pass(3_000);
    assertThat(beats()).isEmpty();
    assertThat(machine.mayAttach(5, now)).as("as without a disk").isEqualTo(Verdict.YES);
  }

  /** Danger 1. */
  @Test
  void aBeatNeedsAReadingThatIsGoodAndNotOld() {
    give(2, ME);
    start(false);
    pass(2_000);
    int before = beats().size();
    memory.reading = new DiskAnswer.Failed("EIO");
    pass(5_000);
    assertThat(beats()).hasSize(before);
    SlotTable table = new SlotTable();
    SlotRules rules = new SlotRules(table, 1, 2_000, 10_000);
    rules.key(ME);
    rules.ask(0);
    rules.read(List.of(taken(ME, Beat.State.RESERVED, 1, 1)));
    assertThatThrownBy(() -> rules.beat(Beat.State.ALIVE, 1, 1, "", 2_001))
        .isInstanceOf(IllegalStateException.class);
    rules.beat(Beat.State.ALIVE, 1, 1, "", 2_000);
  }

  /** Danger 32: what a reading shows is as old as its question. */
  @Test
  void aReadingIsAsOldAsItsQuestion() {
    give(2, ME);
    start(false);
    settle();
    now += BEAT;
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    assertThat(Objects.requireNonNull(machine.next(now))).isInstanceOf(DiskCommand.ReadBeats.class);
    now += LEASE / 4 + 1;
    machine.answered(memory.execute(new DiskCommand.ReadBeats()), now);
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    assertThat(machine.next(now)).as("read again").isInstanceOf(DiskCommand.ReadBeats.class);
    now += LEASE / 4;
    machine.answered(memory.execute(new DiskCommand.ReadBeats()), now);
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    assertThat(machine.next(now)).isInstanceOf(DiskCommand.WriteBeat.class);
  }

  /** Danger 32. */
  @Test
  void aSlotRestsForAsLongAsACommandCanLive() {
    assertThat(SlotTable.REST_MILLIS)
        .isEqualTo(FencingSettings.UNKNOWN_DISK.commandLifeMillis())
        .isEqualTo(303_000);
  }

  /** Danger 32: a stranger waits for the slot of who is gone, the same node does not. */
  @Test
  void whoBootsAgainHasItsSlotAtOnce() {
    for (int i = 0; i < 64; i++) {
      disk.set(i, taken(ReservationKey.of(100 + i, 1), Beat.State.ALIVE, 1, 1));
    }
    ReservationKey again = ReservationKey.of(105, 2);
    holder = true;
    start(false);
    settle();
    machine.sawKeys(List.of(ME, OTHER, again), now, now);
    pass(2 * BEAT);
    assertThat(at(5).key()).isEqualTo(again);
    assertThat(beats()).allMatch(b -> b.key().equals(again));
  }

  /** Danger 24: the module has the same rule. */
  @Test
  void halfOfTheSlotsMakeALockState() {
    give(2, ME);
    for (int i = 10; i < 42; i++) {
      disk.set(i, new Slot.Damaged(Slot.Kind.FOREIGN, "other data"));
    }
    start(false);
    pass(2_000);
    assertThat(beats()).as("32 are good").isNotEmpty();
    int before = beats().size();
    disk.set(42, new Slot.Damaged(Slot.Kind.FOREIGN, "other data"));
    pass(3_000);
    assertThat(beats()).as("31 are").hasSize(before);
    assertThat(texts()).anyMatch(t -> t.contains("most heartbeat slots are no records"));
  }

  /** Danger 2. */
  @Test
  void aMapThatDiffersAfterAnAttachEndsIt() {
    give(2, ME);
    start(false);
    pass(2_000);
    machine.told(TOLD, now);
    int before = beats().size();
    pass(2_000);
    assertThat(beats().size()).as("the same again changes nothing").isGreaterThan(before);
    machine.told(
        new Lockstate(
            2, new LockstateMap(512, List.of(new LockstateMap.Extent(0, 8192, 64 * 512))), 0, ""),
        now);
    before = done.size();
    pass(3_000);
    assertThat(done).hasSize(before);
    assertThat(texts()).anyMatch(t -> t.contains("not where it was"));
  }

  /** Danger 3. */
  @Test
  void aHolderThatCanGetNoSlotAttachesAsWithoutADisk() {
    for (int i = 0; i < 64; i++) {
      disk.set(i, taken(ReservationKey.of(100 + i, 1), Beat.State.ALIVE, 1, 1));
    }
    holder = true;
    start(false);
    machine.sawKeys(List.of(ME), now, now);
    settle();
    assertThat(machine.mayAttach(5, now)).isEqualTo(Verdict.YES);
    machine.sawKeys(List.of(ME), now, now);
    pass(SlotTable.REST_MILLIS + 5_000);
    machine.sawKeys(List.of(ME), now, now);
    settle();
    assertThat(machine.mayAttach(5, now)).isEqualTo(Verdict.YES);
    assertThat(beats()).as("when slots have come free").isNotEmpty();
  }

  /** Dangers 3 and 29. */
  @Test
  void roomIsWhereASlotIsOfNobodyWhoIsRegistered() {
    List<ReservationKey> all = new ArrayList<>(List.of(ME));
    for (int i = 0; i < 64; i++) {
      all.add(ReservationKey.of(100 + i, 1));
      disk.set(i, taken(all.getLast(), Beat.State.ALIVE, 1, 1));
    }
    start(false);
    settle();
    assertThat(machine.hasRoom()).as("who is registered is not known").isEqualTo(Verdict.NOT_YET);
    machine.sawKeys(all, now, now);
    assertThat(machine.hasRoom()).isEqualTo(Verdict.NO);
    machine.sawKeys(all.subList(0, 64), now, now);
    assertThat(machine.hasRoom()).as("one is gone").isEqualTo(Verdict.YES);
    disk.set(63, taken(all.getLast(), Beat.State.FENCED, 1, 2));
    pass(BEAT);
    assertThat(machine.hasRoom()).as("it was shut out, and may wake up").isEqualTo(Verdict.NO);
    disk.set(63, new Slot.Free());
    pass(BEAT);
    disk.set(63, taken(all.getLast(), Beat.State.ALIVE, 1, 3));
    machine.sawKeys(all, now, now);
    pass(BEAT);
    disk.set(63, new Slot.Damaged(Slot.Kind.TORN, "torn"));
    pass(BEAT);
    assertThat(machine.hasRoom()).as("it is its owner's still").isEqualTo(Verdict.NO);
    machine.sawKeys(all.subList(0, 64), now, now);
    assertThat(machine.hasRoom()).isEqualTo(Verdict.YES);
  }

  /** Danger 29. */
  @Test
  void whoIsRegisteredAloneIsNeverRefused() {
    for (int i = 0; i < 64; i++) {
      disk.set(i, taken(ReservationKey.of(100 + i, 1), Beat.State.ALIVE, 1, 1));
    }
    disk.set(7, new Slot.Damaged(Slot.Kind.UNREADABLE, "EIO"));
    start(false);
    settle();
    machine.sawKeys(List.of(ME), now, now);
    assertThat(machine.hasRoom()).isEqualTo(Verdict.YES);
  }

  /** Danger 3. */
  @Test
  void whoseWritesAlwaysFailGivesUpAfterAWhile() {
    give(2, ME);
    start(false);
    pass(2_000);
    holder = true;
    epoch = 6;
    memory.answer = new DiskAnswer.Failed("EIO");
    assertThat(machine.mayAttach(6, now)).isEqualTo(Verdict.NOT_YET);
    pass(PATIENCE - 100);
    assertThat(machine.mayAttach(6, now)).isEqualTo(Verdict.NOT_YET);
    pass(200);
    assertThat(machine.mayAttach(6, now)).isEqualTo(Verdict.NO);
    memory.answer = null;
    pass(1_500);
    assertThat(machine.mayAttach(6, now)).isEqualTo(Verdict.YES);
  }

  /** Danger 5. */
  @Test
  void aDamagedSlotIsGivenOnlyToWhoHasBeenAloneForAsLongAsASlotRests() {
    for (int i = 1; i < 64; i++) {
      disk.set(i, taken(ReservationKey.of(100 + i, 1), Beat.State.ALIVE, 1, 1));
    }
    disk.set(0, new Slot.Damaged(Slot.Kind.FOREIGN, "whose it is nobody knows"));
    holder = true;
    start(false);
    settle();
    // Who has just given the volume away is not registered for a moment.
    machine.sawKeys(List.of(ME), now, now);
    pass(SlotTable.REST_MILLIS - 2_000);
    machine.sawKeys(List.of(ME), now, now);
    settle();
    assertThat(beats()).isEmpty();
    pass(2_000);
    machine.sawKeys(List.of(ME), now, now);
    settle();
    assertThat(at(0).key()).isEqualTo(ME);
  }

  /** Danger 6. */
  @Test
  void whatRestedInOneTenureDoesNotRestInTheNext() {
    for (int i = 0; i < 64; i++) {
      disk.set(i, taken(ReservationKey.of(100 + i, 1), Beat.State.ALIVE, 1, 1));
    }
    holder = true;
    start(false);
    settle();
    machine.sawKeys(List.of(ME), now, now);
    pass(2_000);
    holder = false;
    pass(SlotTable.REST_MILLIS);
    holder = true;
    settle();
    machine.sawKeys(List.of(ME), now, now);
    pass(2_000);
    assertThat(beats()).isEmpty();
  }

  /** Danger 7. */
  @Test
  void aSlotWhoseWritesAlwaysFailIsGivenUpForAnother() {
    give(2, ME);
    holder = true;
    start(false);
    machine.sawKeys(List.of(ME), now, now);
    memory.answer = new DiskAnswer.Failed("EIO");
    pass(2_000);
    assertThat(machine.isRequired()).as("what was asked for is not written").isFalse();
    pass(4_000);
    memory.answer = null;
    machine.sawKeys(List.of(ME), now, now);
    pass(1_000);
    assertThat(at(0).key()).isEqualTo(ME);
    assertThat(at(0).state()).isEqualTo(Beat.State.ALIVE);
    assertThat(at(2).state()).as("the bad one stays as it is").isEqualTo(Beat.State.RESERVED);
  }

  /** Danger 7. */
  @Test
  void aKeyThatDoesNotUseItsSlotGetsASecondAndNoThird() {
    holder = true;
    start(false);
    for (int i = 0; i < 60; i++) {
      machine.sawKeys(List.of(ME, OTHER), now, now);
      pass(1_000);
    }
    assertThat(beats().stream().filter(b -> b.key().equals(OTHER))).hasSize(2);
  }

  /** Danger 8. */
  @Test
  void aRestartedDaemonIsHeldToBeatsWhereItsKeyHadBeaten() {
    disk.set(4, taken(ME, Beat.State.ALIVE, 3, 77));
    machine.start(true, now);
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    assertThat(machine.isRequired()).as("it is not known yet").isTrue();
    machine.told(TOLD, now);
    memory.answer = new DiskAnswer.Failed("EIO");
    settle();
    assertThat(machine.isRequired()).as("it was seen alive").isTrue();
    memory.answer = null;
    pass(1_000);
    assertThat(machine.isRequired()).isTrue();
    assertThat(at(4).sequence()).isGreaterThan(1_000);
  }

  /** Danger 8. */
  @Test
  void aRestartedDaemonWhoseKeyNeverHadASlotIsHeldToNothing() {
    start(true);
    assertThat(machine.isRequired()).isTrue();
    settle();
    assertThat(machine.isRequired()).isFalse();
  }

  /** Danger 30. */
  @Test
  void anErrorOfLookingDoesNotFreeARestartedDaemon() {
    machine.start(true, now);
    machine.told(new Lockstate(1, null, 5, "it cannot be looked for: EIO"), now);
    assertThat(machine.isRequired()).isTrue();
    machine.told(new Lockstate(2, null, 12, "it cannot be looked for: ENOMEM"), now);
    assertThat(machine.isRequired()).isTrue();
    assertThat(machine.mayAttach(5, now)).isEqualTo(Verdict.NOT_YET);
    assertThat(machine.mayAttach(5, now + PATIENCE)).isEqualTo(Verdict.NO);
    // Found after all, and the key has no slot in it.
    machine.told(TOLD, now);
    settle();
    assertThat(machine.isRequired()).isFalse();
  }

  /** Danger 30. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 27, 61, 71, 95, 117})
  void thatThereIsNoneFreesARestartedDaemon(int errno) {
    machine.start(true, now);
    machine.told(new Lockstate(1, null, errno, "there is none"), now);
    assertThat(machine.isRequired()).isFalse();
    assertThat(machine.mayAttach(5, now)).isEqualTo(Verdict.YES);
  }

  /** Danger 31. */
  @Test
  void whereBeatsHaveEndedNoTenureIsWaitedFor() {
    give(2, ME);
    start(false);
    pass(2_000);
    memory.reading = new DiskAnswer.Foreign("another volume");
    pass(2_000);
    holder = true;
    epoch = 9;
    settle();
    assertThat(machine.isDoomed()).isTrue();
    assertThat(machine.mayAttach(9, now)).isEqualTo(Verdict.NO);
  }

  /** Danger 8. */
  @Test
  void aRestartedDaemonThatFindsDamagedSlotsCannotKnow() {
    disk.set(4, new Slot.Damaged(Slot.Kind.TORN, "torn"));
    start(true);
    settle();
    assertThat(machine.isRequired()).isTrue();
    disk.set(4, new Slot.Free());
    pass(2_000);
    assertThat(machine.isRequired()).isFalse();
  }

  /** Danger 8. */
  @Test
  void aSlotThatWasGivenMeanwhileTellsNothingOfTheDamagedOne() {
    disk.set(4, new Slot.Damaged(Slot.Kind.UNREADABLE, "EIO"));
    start(true);
    settle();
    give(6, ME);
    memory.answer = new DiskAnswer.Failed("EIO");
    pass(1_500);
    assertThat(machine.isRequired()).isTrue();
  }

  /** Danger 12. */
  @Test
  void afterAWriteOfUnknownOutcomeATenureIsOnDiskWhenItWasReadBack() {
    give(2, ME);
    start(false);
    pass(2_000);
    memory.answer = new DiskAnswer.Failed("gave up");
    pass(300);
    memory.answer = null;
    holder = true;
    epoch = 8;
    assertThat(machine.mayAttach(8, now)).isEqualTo(Verdict.NOT_YET);
    now += 250;
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    DiskCommand command = Objects.requireNonNull(machine.next(now));
    while (!(command instanceof DiskCommand.WriteBeat)) {
      machine.answered(memory.execute(command), now);
      command = Objects.requireNonNull(machine.next(now));
    }
    machine.answered(memory.execute(command), now);
    assertThat(machine.mayAttach(8, now)).as("written, not read").isEqualTo(Verdict.NOT_YET);
    settle();
    assertThat(machine.mayAttach(8, now)).isEqualTo(Verdict.YES);
  }

  /** Danger 12. */
  @Test
  void whatLandsLateIsWrittenOver() {
    give(2, ME);
    start(false);
    pass(3_000);
    long last = at(2).sequence();
    disk.set(2, taken(ME, Beat.State.ALIVE, 1, 1_002));
    pass(1_100);
    assertThat(at(2).sequence()).isGreaterThan(last);
  }

  /** Danger 12. */
  @Test
  void aRestartedDaemonGivesNothingUntilNothingOfItsPredecessorCanBeUnderWay() {
    disk.set(4, taken(ME, Beat.State.ALIVE, 3, 77));
    holder = true;
    start(true);
    for (long passed = 0; passed < SlotTable.REST_MILLIS - 1_000; passed += 5_000) {
      machine.sawKeys(List.of(ME, OTHER), now, now);
      pass(5_000);
      if (passed + 5_000 < SlotTable.REST_MILLIS) {
        assertThat(beats()).allMatch(b -> b.key().equals(ME));
      }
    }
    machine.sawKeys(List.of(ME, OTHER), now, now);
    pass(2_000);
    assertThat(beats()).anyMatch(b -> b.key().equals(OTHER));
  }

  /** Danger 60: it was shut out, and readings were too slow for the proof that it is silent. */
  @Test
  void nobodyIsGivenTheSlotOfOneWhoIsMissingBeforeTheTenureIsSettled() {
    disk.set(0, taken(ReservationKey.of(9, 1), Beat.State.ALIVE, 3, 77));
    List<ReservationKey> registered = new ArrayList<>(List.of(ME));
    for (int i = 1; i < 64; i++) {
      registered.add(ReservationKey.of(100 + i, 1));
      disk.set(i, taken(registered.getLast(), Beat.State.ALIVE, 3, 1));
    }
    disk.set(63, taken(ME, Beat.State.RESERVED, 3, 1));
    registered.set(63, OTHER);
    holder = true;
    start(false);
    settle();
    machine.sawKeys(registered, now, now);
    machine.unsettled(now);
    pass(SlotTable.REST_MILLIS + BEAT);
    machine.sawKeys(registered, now, now);
    pass(2 * BEAT);
    assertThat(disk.get(0)).isEqualTo(taken(ReservationKey.of(9, 1), Beat.State.ALIVE, 3, 77));
    machine.settled();
    machine.sawKeys(registered, now, now);
    pass(2 * BEAT);
    assertThat(at(0).key()).isNotEqualTo(ReservationKey.of(9, 1));
  }

  /** Danger 63: nobody else can have been given it, and others read of the tenure there. */
  @Test
  void aRestartedDaemonHasTheSlotOfItsOwnEarlierLifeAtOnce() {
    disk.set(4, taken(ReservationKey.of(1, 6), Beat.State.ALIVE, 3, 77));
    holder = true;
    start(true);
    settle();
    machine.unsettled(now);
    machine.sawKeys(List.of(ME, OTHER), now, now);
    pass(2 * BEAT);
    assertThat(at(4)).isEqualTo(new Beat(ME, 5, at(4).sequence(), Beat.State.ALIVE, LEASE, "me"));
    machine.mayAttach(5, now);
    settle();
    assertThat(machine.mayAttach(5, now)).as("it is read back").isEqualTo(Verdict.YES);
    assertThat(beats()).noneMatch(beat -> beat.key().equals(OTHER));
  }

  /** Danger 12: a gift of its predecessor may be under way to any other. */
  @Test
  void aRestartedDaemonTakesNoOtherSlotForItself() {
    disk.set(0, taken(OTHER, Beat.State.ALIVE, 3, 77));
    holder = true;
    start(true);
    settle();
    machine.sawKeys(List.of(ME, OTHER), now, now);
    pass(2 * BEAT);
    assertThat(beats()).isEmpty();
  }

  /** Danger 12. */
  @Test
  void aWriteUnderWayIsToldOfUntilItHasEnded() {
    holder = true;
    start(false);
    settle();
    machine.sawKeys(List.of(ME), now, now);
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    DiskCommand command = Objects.requireNonNull(machine.next(now));
    machine.answered(memory.execute(command), now);
    assertThat(machine.isWriting()).isFalse();
    command = Objects.requireNonNull(machine.next(now));
    assertThat(command).isInstanceOf(DiskCommand.WriteBeat.class);
    assertThat(machine.isWriting()).as("to itself").isTrue();
    machine.answered(memory.execute(command), now);
    assertThat(machine.isWriting()).isFalse();
  }

  /** Danger 13. */
  @Test
  void whoGivesTheVolumeAwaySaysThatItWillBeSilentAndBeatsAgainAfterwards() {
    give(2, ME);
    holder = true;
    start(false);
    pass(2_000);
    wish = Wish.PAUSE;
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    assertThat(machine.isLastRecordWritten(1_000, now)).isFalse();
    settle();
    assertThat(at(2).state()).isEqualTo(Beat.State.PAUSED);
    assertThat(machine.isLastRecordWritten(1_000, now)).isTrue();
    int before = beats().size();
    pass(3_000);
    assertThat(beats()).hasSize(before);
    wish = Wish.BEAT;
    holder = false;
    settle();
    assertThat(at(2).state()).isEqualTo(Beat.State.ALIVE);
  }

  /** Dangers 13 and 18. */
  @Test
  void whoLeavesGivesItsSlotBackAndTheEpochStaysThere() {
    give(2, ME);
    start(false);
    pass(2_000);
    long last = at(2).sequence();
    wish = Wish.LEAVE;
    settle();
    assertThat(disk.get(2)).isEqualTo(new Slot.Free(5, last + 1));
    assertThat(machine.isLastRecordWritten(1_000, now)).isTrue();
  }

  /** Dangers 3 and 18. */
  @Test
  void theLastRecordIsNotWaitedForLonger() {
    give(2, ME);
    start(false);
    pass(2_000);
    wish = Wish.LEAVE;
    memory.answer = new DiskAnswer.Refused("reservation conflict");
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    assertThat(Objects.requireNonNull(machine.next(now))).isNotNull();
    // And it is never answered.
    assertThat(machine.isLastRecordWritten(1_000, now + 999)).isFalse();
    assertThat(machine.isLastRecordWritten(1_000, now + 1_000)).isTrue();
  }

  /** Danger 20. */
  @Test
  void aNodeThatDiedWhileItWroteIsSilentAllTheSame() {
    start(false);
    disk.set(5, taken(OTHER, Beat.State.ALIVE, 1, 1));
    machine.sawKeys(List.of(ME, OTHER), now, now);
    pass(5_000);
    disk.set(5, new Slot.Damaged(Slot.Kind.TORN, "torn"));
    pass(25_000);
    assertThat(texts())
        .filteredOn(t -> t.contains("its heartbeat"))
        .as("a lease after its last beat, and it stays so")
        .singleElement()
        .asString()
        .matches(".* has not written its heartbeat for 2[0-9]{4} ms");
  }

  /** Danger 21. */
  @Test
  void theEpochIsInTheSlotsOfAllWhoReadIt() {
    give(2, ME);
    disk.set(5, taken(OTHER, Beat.State.ALIVE, 400, 1));
    start(false);
    pass(2_000);
    assertThat(at(2).epoch()).isEqualTo(400);
    disk.set(5, new Slot.Damaged(Slot.Kind.TORN, "torn"));
    assertThat(machine.maxEpoch()).isEqualTo(400);
  }

  /** Danger 21. */
  @Test
  void aWriterRemembersItsSequenceWhereTheSlotWasDamaged() {
    give(2, ME);
    start(false);
    pass(3_000);
    long last = at(2).sequence();
    disk.set(2, new Slot.Damaged(Slot.Kind.TORN, "torn"));
    pass(1_500);
    assertThat(at(2).sequence()).isGreaterThan(last);
  }

  /** Danger 10. */
  @Test
  void aFaultIsSaidOnceUntilItChanges() {
    give(2, ME);
    start(false);
    memory.reading = new DiskAnswer.Failed("EIO");
    pass(10_000);
    assertThat(texts()).filteredOn(t -> t.contains("EIO")).hasSize(1);
    memory.reading = null;
    pass(2_000);
    memory.reading = new DiskAnswer.Failed("EIO");
    pass(2_000);
    assertThat(texts()).filteredOn(t -> t.contains("EIO")).hasSize(2);
    memory.reading = null;
    pass(2_000);
    notes.clear();
    memory.answer = new DiskAnswer.Failed("ENOSPC");
    pass(4_000);
    assertThat(texts()).singleElement().asString().contains("ENOSPC");
    memory.answer = null;
    pass(2_000);
    assertThat(texts()).hasSize(2);
  }

  /** A record that was written says nothing of the slot that is used now. */
  @Test
  void anEpochInASlotThatIsLostIsNotOnDisk() {
    give(2, ME);
    start(false);
    pass(2_000);
    holder = true;
    epoch = 6;
    settle();
    assertThat(machine.mayAttach(6, now)).isEqualTo(Verdict.YES);
    disk.set(2, taken(OTHER, Beat.State.ALIVE, 1, 1));
    give(4, ME);
    now += 1_000;
    machine.stand(new Heartbeat.Standing(key, epoch, holder, wish), now);
    DiskCommand command = Objects.requireNonNull(machine.next(now));
    machine.answered(memory.execute(command), now);
    assertThat(machine.mayAttach(6, now)).isEqualTo(Verdict.NOT_YET);
    settle();
    assertThat(at(4).epoch()).isEqualTo(6);
    assertThat(machine.mayAttach(6, now)).isEqualTo(Verdict.YES);
  }

  /** However a reading ends, the next one comes with the next beat. */
  @Test
  void aTenureThatWaitsForASlotThatIsLostDoesNotReadWithoutEnd() {
    give(2, ME);
    start(false);
    pass(2_000);
    memory.answer = new DiskAnswer.Failed("EIO");
    pass(1_000);
    memory.answer = null;
    pass(1_000);
    holder = true;
    epoch = 6;
    disk.set(2, taken(OTHER, Beat.State.ALIVE, 1, 1));
    machine.mayAttach(6, now);
    int before = done.size();
    pass(5_000);
    assertThat(done.size() - before).isLessThan(20);
  }

  @Test
  void anotherKeyIsHeldToNothingUntilItHasBeaten() {
    give(2, ME);
    start(false);
    pass(2_000);
    key = ReservationKey.of(1, 8);
    settle();
    assertThat(machine.isRequired()).isFalse();
    int before = beats().size();
    pass(3_000);
    assertThat(beats()).as("its slot is not found").hasSize(before);
  }

  @Test
  void anOldModuleOrNoFileMeansNoBeats() {
    machine.start(false, now);
    machine.told(new Lockstate(0, null, 2, "there is none"), now);
    holder = true;
    pass(3_000);
    assertThat(done).isEmpty();
    assertThat(machine.mayAttach(5, now)).isEqualTo(Verdict.YES);
    // The attach has made it.
    machine.told(TOLD, now);
    machine.sawKeys(List.of(ME), now, now);
    pass(1_500);
    assertThat(at(0).key()).isEqualTo(ME);
  }

  /** It wakes up and reads that it is dead: it beats no more, and its lease ends. */
  @Test
  void whoReadsThatItWasShutOutEndsItsBeats() {
    give(2, ME);
    start(false);
    pass(2_000);
    int before = beats().size();
    disk.set(2, taken(ME, Beat.State.FENCED, 9, 5_000));
    pass(5_000);
    assertThat(beats()).hasSize(before);
    assertThat(machine.isRequired()).isTrue();
    assertThat(texts()).anyMatch(text -> text.contains("shut this incarnation out"));
    assertThat(machine.mayAttach(9, now)).isNotEqualTo(Heartbeat.Verdict.YES);
  }

  /** A late REGISTER of who was shut out. */
  @Test
  void theHolderGivesNoSlotToWhoWasShutOut() {
    holder = true;
    give(0, ME);
    disk.set(4, taken(OTHER, Beat.State.FENCED, 5, 9));
    start(false);
    for (int i = 0; i < 30; i++) {
      machine.sawKeys(List.of(ME, OTHER), now, now);
      pass(1_000);
    }
    assertThat(beats()).noneMatch(beat -> beat.key().equals(OTHER));
    assertThat(at(4).state()).isEqualTo(Beat.State.FENCED);
  }

  /** As the holder, with one that was shut out in slot 4. */
  private void startBeside(Beat.State state) {
    holder = true;
    give(2, ME);
    disk.set(4, taken(OTHER, state, 5, 9));
    start(false);
    settle();
    machine.sawKeys(List.of(ME), now, now);
    pass(2 * LEASE);
    machine.sawKeys(List.of(ME), now, now);
  }

  private long writesOf(int slot) {
    return done.stream()
        .filter(
            command ->
                switch (command) {
                  case DiskCommand.WriteBeat write -> write.slot() == slot;
                  case DiskCommand.FreeSlot free -> free.slot() == slot;
                  default -> false;
                })
        .count();
  }

  /** Danger 55. */
  @Test
  void aSlotThatTakesNoMarkKeepsNobodyFromBeating() {
    startBeside(Beat.State.ALIVE);
    memory.bad.add(4);
    machine.shutOut(Proofs.of(ME, OTHER, ME), 1);
    for (int i = 0; i < 20; i++) {
      machine.sawKeys(List.of(ME), now, now);
      pass(BEAT);
      assertThat(machine.beatenAt()).isGreaterThan(now - 2 * BEAT);
    }
    assertThat(writesOf(4)).as("in 20 s").isBetween(2L, 6L);
    memory.bad.clear();
    pass(LEASE / 4 + BEAT);
    assertThat(at(4).state()).isEqualTo(Beat.State.FENCED);
  }

  /** Danger 55. */
  @Test
  void aSlotThatCannotBeFreedKeepsNobodyFromBeating() {
    startBeside(Beat.State.FENCED);
    memory.bad.add(4);
    machine.clear(OTHER);
    for (int i = 0; i < 20; i++) {
      machine.sawKeys(List.of(ME), now, now);
      pass(BEAT);
      assertThat(machine.beatenAt()).isGreaterThan(now - 2 * BEAT);
    }
    assertThat(writesOf(4)).as("in 20 s").isBetween(2L, 6L);
    memory.bad.clear();
    pass(LEASE / 4 + BEAT);
    assertThat(disk.get(4)).isInstanceOf(Slot.Free.class);
  }

  /** Danger 55, the other way round: who was shut out holds up all others. */
  @Test
  void whoCannotBeatMarksAllTheSame() {
    startBeside(Beat.State.ALIVE);
    memory.bad.add(2);
    machine.shutOut(Proofs.of(ME, OTHER, ME), 1);
    pass(3 * BEAT);
    assertThat(at(4).state()).isEqualTo(Beat.State.FENCED);
  }
}
