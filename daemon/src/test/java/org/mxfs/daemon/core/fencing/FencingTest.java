// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ReservationKey;

/** When what is asked, and that it comes to an end. */
@Timeout(60)
class FencingTest {
  /** Of a command, in the model's array and in the settings: the settings say a little more. */
  private static final int LIFE = 10_000;

  private static FencingSettings settings(ModelArray.Kind kind) {
    return new FencingSettings(
        kind == ModelArray.Kind.STANDARD, kind.resetReaches, LIFE / 2, 0, LIFE / 2);
  }

  /** A fencing, its array and a clock. */
  private static final class Bench {
    final ModelArray array;
    final Fencing fencing;
    final List<String> asked = new ArrayList<>();
    final List<String> notes = new ArrayList<>();
    FenceAction.@Nullable Ask pending;
    long wakeAt = Long.MAX_VALUE;
    long now = 5_000;
    @Nullable Fenced fenced;
    boolean lost;
    boolean wantsReservation;

    Bench(ModelArray array, FencingSettings settings) {
      this.array = array;
      this.fencing = new Fencing(ModelArray.A, ModelArray.V, settings);
      step(new FenceEvent.Start());
    }

    void step(FenceEvent event) {
      wakeAt = Long.MAX_VALUE;
      for (FenceAction action : fencing.step(event, now)) {
        switch (action) {
          case FenceAction.Ask ask -> {
            pending = ask;
            asked.add(ask.command().getClass().getSimpleName());
          }
          case FenceAction.Wake wake -> wakeAt = wake.atMillis();
          case FenceAction.Reserve _ -> wantsReservation = true;
          case FenceAction.Done done -> fenced = done.proof();
          case FenceAction.Lost _ -> lost = true;
          case FenceAction.Note note -> notes.add(note.text());
        }
      }
    }

    void answer(ArrayAnswer answer) {
      FenceAction.Ask ask = requireNonNull(pending);
      pending = null;
      step(new FenceEvent.Answered(ask.question(), answer));
    }

    /** One thing that a healthy array and a clock do. */
    void goOn() {
      FenceAction.Ask ask = pending;
      if (ask != null) {
        now += 3;
        letTimePass(3);
        answer(array.execute(ask.command()));
      } else {
        assertThat(wakeAt).as("asks nothing, so it waits: %s", fencing).isLessThan(Long.MAX_VALUE);
        letTimePass((int) (wakeAt - now));
        now = Math.max(now, wakeAt);
        step(new FenceEvent.Tick());
      }
      if (wantsReservation) {
        wantsReservation = false;
        array.reserves(ModelArray.BY_A);
      }
    }

    /** What is too old ends. */
    private void letTimePass(int millis) {
      int left = Math.max(0, millis);
      while (left > 0) {
        int step = Math.min(left, LIFE - array.oldest());
        if (step > 0 && array.timePasses(step)) {
          left -= step;
        } else if (array.lateRegister == array.oldest()) {
          array.lateRegisterIsExecuted();
        } else {
          array.writeEnds(0);
        }
      }
    }

    boolean isOver() {
      return fenced != null || lost;
    }

    void toTheEnd() {
      for (int i = 0; i < 200 && !isOver(); i++) {
        goOn();
      }
      assertThat(isOver()).as("it comes to an end: %s %s %s", fencing, asked, notes).isTrue();
      assertThat(fencing.isOver()).isTrue();
    }
  }

  private static Bench bench(ModelArray.Kind kind, int holder) {
    return new Bench(new ModelArray(kind, LIFE, holder, ModelArray.Late.NONE), settings(kind));
  }

  @Test
  void onTgtItPreemptsReadsResetsAndReadsAgain() {
    Bench bench = bench(ModelArray.Kind.TGT, ModelArray.BY_V);
    bench.array.victimWrites();
    bench.toTheEnd();
    assertThat(bench.asked)
        .containsExactly("Preempt", "ReadKeys", "ReadReservation", "Reset", "ReadKeys");
    assertThat(requireNonNull(bench.fenced).end()).isEqualTo(new End.Reset());
    assertThat(bench.fenced.isHolder()).isTrue();
    assertThat(bench.array.whatIsNotShutOut()).isEmpty();
  }

  @Test
  void whereAbortEndsAllItLooksBeforeAndAfter() {
    Bench bench = bench(ModelArray.Kind.STANDARD, ModelArray.BY_B);
    bench.array.victimWrites();
    bench.toTheEnd();
    assertThat(bench.asked).containsExactly("ReadKeys", "ReadReservation", "Preempt", "ReadKeys");
    assertThat(requireNonNull(bench.fenced).end()).isEqualTo(new End.Aborted());
    assertThat(bench.fenced.isHolder()).isFalse();
  }

  @Test
  void whereNothingIsKnownToEndItWaits() {
    Bench bench = bench(ModelArray.Kind.LIO_BEHIND_QEMU, ModelArray.BY_A);
    long begun = bench.now;
    bench.toTheEnd();
    assertThat(requireNonNull(bench.fenced).end()).isInstanceOf(End.Waited.class);
    assertThat(bench.now - begun).isBetween(10_000L, 12_500L);
    assertThat(bench.asked).doesNotContain("Reset");
    assertThat(bench.notes).anyMatch(note -> note.contains("has ended in 10"));
  }

  /** What is trusted to abort and refuses the command: the next way. */
  @Test
  void aRefusedPreemptAndAbortBecomesAPreempt() {
    ModelArray tgt =
        new ModelArray(ModelArray.Kind.TGT, LIFE, ModelArray.BY_V, ModelArray.Late.NONE);
    Bench bench = new Bench(tgt, new FencingSettings(true, true, LIFE / 2, 0, LIFE / 2));
    bench.toTheEnd();
    assertThat(requireNonNull(bench.fenced).end()).isEqualTo(new End.Reset());
    assertThat(bench.notes).anyMatch(note -> note.contains("no PREEMPT AND ABORT"));
  }

  @Test
  void aResetThatFailsIsTriedAgainAndThenWaitedFor() {
    Bench bench = bench(ModelArray.Kind.LIO, ModelArray.BY_A);
    while (!bench.isOver()) {
      FenceAction.Ask ask = bench.pending;
      if (ask != null && ask.command() instanceof FenceCommand.Reset) {
        bench.answer(new ArrayAnswer.Unclear("EIO"));
      } else {
        bench.goOn();
      }
    }
    assertThat(bench.asked.stream().filter("Reset"::equals)).hasSize(FencingSettings.RESETS_MAX);
    assertThat(requireNonNull(bench.fenced).end()).isInstanceOf(End.Waited.class);
    assertThat(bench.notes).anyMatch(note -> note.contains("only waiting is left"));
  }

  @Test
  void aPreemptWithoutEffectIsSentAgainAfterAPause() {
    Bench bench = bench(ModelArray.Kind.TGT, ModelArray.BY_V);
    bench.answer(new ArrayAnswer.Unclear("time-out")); // never executed
    long begun = bench.now;
    bench.toTheEnd();
    assertThat(bench.asked).startsWith("Preempt", "ReadKeys", "Preempt", "ReadKeys");
    assertThat(bench.now - begun).isGreaterThanOrEqualTo(FencingSettings.RETRY_MILLIS);
    assertThat(bench.fenced).isNotNull();
  }

  /** Nothing was sent, so that says nothing of the way: it is tried again, and time counts. */
  @Test
  void aResetThatIsRefusedDoesNotCountAgainstResets() {
    Bench bench = bench(ModelArray.Kind.LIO, ModelArray.BY_A);
    int refused = 0;
    while (!bench.isOver()) {
      FenceAction.Ask ask = bench.pending;
      if (ask != null && ask.command() instanceof FenceCommand.Reset && refused < 4) {
        refused++;
        bench.answer(new ArrayAnswer.Rejected("EAGAIN"));
      } else {
        bench.goOn();
      }
    }
    assertThat(requireNonNull(bench.fenced).end()).isEqualTo(new End.Reset());
    assertThat(bench.asked.stream().filter("Reset"::equals)).hasSize(5);
    assertThat(bench.notes.stream().filter(note -> note.contains("EAGAIN"))).hasSize(1);
  }

  @Test
  void whereAResetIsAlwaysRefusedTimeEndsIt() {
    Bench bench = bench(ModelArray.Kind.LIO, ModelArray.BY_A);
    long begun = bench.now;
    while (!bench.isOver()) {
      FenceAction.Ask ask = bench.pending;
      if (ask != null && ask.command() instanceof FenceCommand.Reset) {
        bench.answer(new ArrayAnswer.Rejected("EAGAIN"));
      } else {
        bench.goOn();
      }
    }
    assertThat(requireNonNull(bench.fenced).end()).isInstanceOf(End.Waited.class);
    assertThat(bench.now - begun).isBetween(10_000L, 10_300L + FencingSettings.LOOK_MILLIS);
    assertThat(bench.notes.stream().filter(note -> note.contains("EAGAIN"))).hasSize(1);
  }

  @Test
  void aQuestionThatStaysOpenIsToldEachMinute() {
    Bench bench = bench(ModelArray.Kind.TGT, ModelArray.BY_V);
    for (int minute = 1; minute <= 3; minute++) {
      assertThat(bench.wakeAt).isEqualTo(bench.now + FencingSettings.OPEN_MILLIS);
      bench.now += FencingSettings.OPEN_MILLIS - 1;
      bench.step(new FenceEvent.Tick());
      assertThat(bench.notes).hasSize(minute - 1);
      bench.now++;
      bench.step(new FenceEvent.Tick());
      assertThat(bench.notes).hasSize(minute);
      assertThat(bench.notes.getLast()).contains("no answer for " + minute * 60_000 + " ms");
    }
    bench.toTheEnd();
    assertThat(bench.fenced).isNotNull();
  }

  @Test
  void aPreemptThatIsRefusedAgainAndAgainIsToldWhenTheReasonChanges() {
    Bench bench = bench(ModelArray.Kind.TGT, ModelArray.BY_V);
    int refused = 0;
    while (!bench.isOver()) {
      FenceAction.Ask ask = bench.pending;
      if (ask != null && ask.command() instanceof FenceCommand.Preempt && refused < 20) {
        bench.answer(new ArrayAnswer.Rejected(refused++ < 10 ? "not ready" : "no memory"));
      } else {
        bench.goOn();
      }
    }
    assertThat(bench.fenced).isNotNull();
    assertThat(bench.notes.stream().filter(note -> note.contains("not ready"))).hasSize(1);
    assertThat(bench.notes.stream().filter(note -> note.contains("no memory"))).hasSize(1);
    assertThat(bench.notes.stream().filter(note -> note.contains("once more"))).hasSize(1);
  }

  /** A REGISTER of an earlier daemon has come late, in the place of the victim's. */
  @Test
  void aKeyOfAnEarlierLifeIsShutOutToo() {
    ModelArray array =
        new ModelArray(
            ModelArray.Kind.LIO, LIFE, ModelArray.BY_B, ModelArray.Late.OF_AN_EARLIER_LIFE);
    Bench bench = new Bench(array, settings(ModelArray.Kind.LIO));
    bench.goOn();
    array.lateRegisterIsExecuted();
    bench.toTheEnd();
    assertThat(bench.asked)
        .containsExactly(
            "Preempt", "ReadKeys", "Preempt", "ReadKeys", "ReadReservation", "Reset", "ReadKeys");
    assertThat(array.whatIsNotShutOut()).isEmpty();
    assertThat(bench.notes).anyMatch(note -> note.contains("an earlier daemon"));
  }

  @Test
  void aDiskThatIsNotReservedIsReservedFirst() {
    Bench bench = bench(ModelArray.Kind.TGT, ModelArray.NOBODY);
    bench.toTheEnd();
    assertThat(requireNonNull(bench.fenced).isHolder()).isTrue();
    assertThat(bench.notes).anyMatch(note -> note.contains("not reserved"));
  }

  @Test
  void ourOwnKeyGoneIsTheEnd() {
    Bench bench = bench(ModelArray.Kind.TGT, ModelArray.BY_B);
    bench.array.otherPreemptsUs();
    bench.toTheEnd();
    assertThat(bench.lost).isTrue();
    assertThat(bench.fenced).isNull();
  }

  @Test
  void whoRegistersAgainGivesItUp() {
    Bench bench = bench(ModelArray.Kind.TGT, ModelArray.BY_A);
    FenceAction.Ask ask = requireNonNull(bench.pending);
    bench.step(new FenceEvent.Registering());
    assertThat(bench.lost).isTrue();
    ArrayAnswer late = new ArrayAnswer.Reservation(ReservationKey.NONE, 0);
    assertThat(bench.fencing.step(new FenceEvent.Answered(ask.question(), late), bench.now))
        .as("over is over")
        .isEmpty();
    assertThat(bench.fencing.step(new FenceEvent.Tick(), bench.now)).isEmpty();
  }

  @Test
  void anAnswerThatComesTwiceIsRefused() {
    Bench bench = bench(ModelArray.Kind.TGT, ModelArray.BY_A);
    bench.goOn();
    FenceAction.Ask ask = requireNonNull(bench.pending);
    ArrayAnswer answer = bench.array.execute(ask.command());
    bench.answer(answer);
    bench.step(new FenceEvent.Answered(ask.question(), answer));
    assertThat(bench.notes).anyMatch(note -> note.contains("an older question"));
    bench.toTheEnd();
  }

  /** While only waiting is left it looks: what changes makes the wait begin anew at once. */
  @Test
  void whileItWaitsItLooks() {
    Bench bench = bench(ModelArray.Kind.LIO_BEHIND_QEMU, ModelArray.BY_A);
    for (int i = 0; i < 6; i++) {
      bench.goOn();
    }
    long changedAt = bench.now;
    bench.array.otherRegistersOrLeaves();
    bench.toTheEnd();
    assertThat(bench.now - changedAt)
        .isBetween(10_000L, 10_200L + FencingSettings.LOOK_MILLIS + FencingSettings.RETRY_MILLIS);
  }

  /** Faults for a while and then none: it comes to an end, and what it says is true. */
  @ParameterizedTest
  @EnumSource
  void onceFaultsStopItComesToAnEnd(ModelArray.Kind kind) {
    int proofs = 0;
    for (long seed = 0; seed < 2_000; seed++) {
      RandomGenerator random = new SplittableRandom(seed);
      ModelArray array =
          new ModelArray(kind, LIFE, random.nextInt(0, 4), ModelArray.Late.any(random));
      Bench bench = new Bench(array, settings(kind));
      for (int i = 0; i < 12 && !bench.isOver(); i++) {
        fault(bench, random);
        if (random.nextBoolean() && !bench.isOver()) {
          bench.goOn();
        }
      }
      bench.toTheEnd();
      if (bench.fenced != null) {
        proofs++;
        assertThat(array.whatIsNotShutOut()).as("seed %d: %s", seed, bench.fenced).isEmpty();
      }
    }
    assertThat(proofs).isGreaterThan(500);
  }

  private static void fault(Bench bench, RandomGenerator random) {
    ModelArray array = bench.array;
    FenceAction.Ask ask = bench.pending;
    switch (random.nextInt(8)) {
      case 0 -> array.victimWrites();
      case 1 -> array.lateRegisterIsExecuted();
      case 2 -> array.otherPreemptsVictim();
      case 3 -> array.victimRegistersAnew();
      case 4 -> array.otherRegistersOrLeaves();
      case 5 -> {
        if (ask != null) {
          array.execute(ask.command());
          bench.answer(new ArrayAnswer.Unclear("the answer was lost"));
        }
      }
      case 6 -> {
        if (ask != null) {
          bench.answer(new ArrayAnswer.Unclear("never arrived"));
        }
      }
      default -> {
        if (random.nextInt(10) == 0) {
          array.otherPreemptsUs();
        }
      }
    }
  }
}
