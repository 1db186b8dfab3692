// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ReservationKey;

/**
 * One victim, from the first PREEMPT to the proof: {@code step(event, now) -> actions}. It decides
 * when what is asked, and never gives up: what fails is tried again after a pause and told. Only
 * {@link Proof} says when it is done.
 *
 * <p>Several survivors may fence one victim: whose PREEMPT comes late goes on with the readings,
 * and both get their proof; who holds the reservation is in it. A victim that has registered anew
 * meanwhile, as another incarnation, is fenced as well: the proof is of one key. Of several victims
 * one is fenced after the other, as each PREEMPT changes PRGENERATION for the others; while only
 * waiting is left, whoever registers makes that wait begin anew.
 */
public final class Fencing implements Cloneable {
  private static final String READ_KEYS = "READ KEYS";
  private static final String READ_RESERVATION = "READ RESERVATION";
  private static final String RESET = "LOGICAL UNIT RESET";

  private final ReservationKey own;
  private final ReservationKey victim;
  private final FencingSettings settings;
  private Proof proof;

  private List<FenceAction> out = new ArrayList<>();
  private boolean over;

  /** Nothing is asked before then. */
  private long pauseUntil;

  /**
   * While waiting is all that is left: when the array is looked at next, to see early what makes
   * the wait begin anew.
   */
  private long lookAt;

  /** PREEMPT AND ABORT was refused: it is not a command of this disk. */
  private boolean abortRefused;

  /**
   * A reset was refused, so nothing was sent: that says nothing of the way to the unit. The array
   * is looked at before the next, and time counts meanwhile.
   */
  private boolean resetRefused;

  private int preempts;
  private @Nullable ReservationKey earlierPreempted;
  private int unknownResets;

  /** By command, what was told of it: told again when it is another, or after a success. */
  private Map<String, String> failures = new HashMap<>();

  /** Of the question that is open. */
  private long askedAt;

  private long openNotedAt;
  private boolean againNoted;
  private boolean unguardedNoted;
  private boolean waitNoted;

  public Fencing(ReservationKey own, ReservationKey victim, FencingSettings settings) {
    this.own = own;
    this.victim = victim;
    this.settings = settings;
    this.proof = new Proof(own, victim, settings);
  }

  /** Of one that is not registered as far as is known: it looks first. */
  public static Fencing ofOneThatIsGone(
      ReservationKey own, ReservationKey victim, FencingSettings settings) {
    Fencing fencing = new Fencing(own, victim, settings);
    fencing.preempts = 1;
    return fencing;
  }

  /** For exploring what may happen from here. */
  @Override
  public Fencing clone() {
    try {
      Fencing copy = (Fencing) super.clone();
      copy.proof = proof.clone();
      copy.out = new ArrayList<>();
      copy.failures = new HashMap<>(failures);
      return copy;
    } catch (CloneNotSupportedException impossible) {
      throw new AssertionError(impossible);
    }
  }

  public ReservationKey victim() {
    return victim;
  }

  public boolean isOver() {
    return over;
  }

  public List<FenceAction> step(FenceEvent event, long now) {
    if (over) {
      return List.of(); // what was under way at the end is answered after it
    }
    switch (event) {
      case FenceEvent.Start _, FenceEvent.Tick _ -> {}
      case FenceEvent.Registering _ -> proof.registering();
      case FenceEvent.Answered answered -> onAnswered(answered, now);
    }
    goOn(now);
    List<FenceAction> actions = out;
    out = new ArrayList<>();
    return actions;
  }

  private void onAnswered(FenceEvent.Answered event, long now) {
    FenceCommand asked = proof.asked();
    boolean wasRegistered = proof.isRegistered();
    boolean wasEnded = proof.isEnded();
    if (asked == null || !proof.answered(event.question(), event.answer(), now)) {
      note(Action.Level.WARN, "refused: " + event.answer() + ", an answer to an older question");
      return;
    }
    ArrayAnswer answer = event.answer();
    switch (asked) {
      case FenceCommand.ReadKeys _ -> {
        resetRefused = false;
        againNoted &= !proof.isGone();
        if (answer instanceof ArrayAnswer.Keys) {
          failures.remove(READ_KEYS);
        } else {
          failed(READ_KEYS, answer, now);
        }
      }
      case FenceCommand.ReadReservation _ -> {
        if (!(answer instanceof ArrayAnswer.Reservation)) {
          failed(READ_RESERVATION, answer, now);
          break;
        }
        failures.remove(READ_RESERVATION);
        if (proof.isUnguarded()) {
          unguarded(now);
        } else {
          unguardedNoted = false;
        }
      }
      case FenceCommand.Preempt preempt -> onPreempted(preempt, answer);
      case FenceCommand.Reset _ -> onReset(answer, now);
    }
    if (proof.isRegistered() && !wasRegistered && preempts > 0) {
      if (!againNoted) {
        againNoted = true;
        note(Action.Level.WARN, victim + " is registered after a PREEMPT, or again: once more");
      }
      pauseUntil = now + FencingSettings.RETRY_MILLIS;
    }
    ReservationKey earlier = proof.earlier();
    if (earlier != null && earlier.equals(earlierPreempted)) {
      pauseUntil = now + FencingSettings.RETRY_MILLIS;
    }
    if (wasEnded && proof.isGone()) {
      // A reset disturbs everybody: not one after the other while others come and go.
      note(Action.Level.INFO, "registrations changed while " + victim + " was fenced: once more");
      pauseUntil = now + FencingSettings.RETRY_MILLIS;
    }
    if (onlyTimeIsLeft()) {
      lookAt = now + FencingSettings.LOOK_MILLIS;
      if (!waitNoted) {
        waitNoted = true;
        note(
            Action.Level.INFO,
            victim
                + " is shut out; what it had under way has ended in "
                + (proof.lifeEndsAtMillis() - now)
                + " ms");
      }
    }
  }

  private void onPreempted(FenceCommand.Preempt preempt, ArrayAnswer answer) {
    String what = "PREEMPT of " + preempt.victim();
    if (answer instanceof ArrayAnswer.Rejected && preempt.abort()) {
      abortRefused = true;
      note(Action.Level.INFO, "the disk has no PREEMPT AND ABORT: " + answer);
    } else if (answer instanceof ArrayAnswer.Rejected || answer instanceof ArrayAnswer.Unclear) {
      // READ KEYS is next, and makes the pause where it had no effect.
      noteOnChange(what, answer);
    } else {
      failures.remove(what);
    }
  }

  private void onReset(ArrayAnswer answer, long now) {
    if (answer instanceof ArrayAnswer.Done) {
      failures.remove(RESET);
      return;
    }
    failed(RESET, answer, now);
    if (answer instanceof ArrayAnswer.Rejected) {
      resetRefused = true;
      pauseUntil = now + FencingSettings.LOOK_MILLIS;
    } else if (++unknownResets == FencingSettings.RESETS_MAX) {
      note(Action.Level.WARN, "no reset is known to be done: only waiting is left");
    }
  }

  private void unguarded(long now) {
    if (!unguardedNoted) {
      unguardedNoted = true;
      note(Action.Level.WARN, "the disk is not reserved, so nobody is shut out of it");
    }
    out.add(new FenceAction.Reserve());
    pauseUntil = now + FencingSettings.RETRY_MILLIS;
  }

  private void failed(String what, ArrayAnswer answer, long now) {
    noteOnChange(what, answer);
    pauseUntil = now + FencingSettings.RETRY_MILLIS;
  }

  private void noteOnChange(String what, ArrayAnswer answer) {
    String failure = answer.toString();
    if (!failure.equals(failures.put(what, failure))) {
      note(Action.Level.WARN, what + ", while " + victim + " is fenced: " + failure);
    }
  }

  private void goOn(long now) {
    Fenced fenced = proof.fenced();
    if (fenced != null) {
      over = true;
      note(Action.Level.INFO, fenced.toString());
      out.add(new FenceAction.Done(fenced));
      return;
    }
    if (proof.isLost()) {
      over = true;
      out.add(new FenceAction.Lost());
      return;
    }
    if (proof.asked() != null) {
      stillOpen(now);
      return;
    }
    long due = onlyTimeIsLeft() ? Math.min(lookAt, proof.lifeEndsAtMillis()) : pauseUntil;
    if (now < Math.max(due, pauseUntil)) {
      out.add(new FenceAction.Wake(Math.max(due, pauseUntil)));
      return;
    }
    ask(next(now), now);
  }

  /** Whoever carries the question out has a time limit of its own; that it is late is told. */
  private void stillOpen(long now) {
    if (now >= openNotedAt + FencingSettings.OPEN_MILLIS) {
      openNotedAt = now;
      note(
          Action.Level.WARN,
          "no answer for "
              + (now - askedAt)
              + " ms, while "
              + victim
              + " is fenced, to "
              + proof.asked());
    }
    out.add(new FenceAction.Wake(openNotedAt + FencingSettings.OPEN_MILLIS));
  }

  private boolean onlyTimeIsLeft() {
    return proof.isShutOut()
        && !(settings.resetEndsAll() && unknownResets < FencingSettings.RESETS_MAX);
  }

  private FenceCommand next(long now) {
    ReservationKey earlier = proof.earlier();
    if (earlier != null) {
      if (!earlier.equals(earlierPreempted)) {
        earlierPreempted = earlier;
        note(
            Action.Level.WARN,
            earlier + " of an earlier daemon there is registered: it is shut out first");
      }
      return new FenceCommand.Preempt(own, earlier, false);
    }
    boolean abort = settings.abortEndsAll() && !abortRefused;
    if (proof.isGuarded()) {
      return preempt(abort);
    }
    if (proof.isRegistered()) {
      return abort ? new FenceCommand.ReadReservation() : preempt(false);
    }
    if (proof.isGone()) {
      return new FenceCommand.ReadReservation();
    }
    boolean timeIsUp = proof.isShutOut() && now >= proof.lifeEndsAtMillis();
    if (proof.isShutOut() && !onlyTimeIsLeft() && !resetRefused && !timeIsUp) {
      return new FenceCommand.Reset();
    }
    // Without a PREEMPT first only where what it ends has to be known from before.
    boolean first = preempts == 0 && !abort && !proof.isShutOut() && !proof.isEnded();
    return first ? preempt(false) : new FenceCommand.ReadKeys();
  }

  private FenceCommand preempt(boolean abort) {
    preempts++;
    return new FenceCommand.Preempt(own, victim, abort);
  }

  private void ask(FenceCommand command, long now) {
    askedAt = now;
    openNotedAt = now;
    out.add(new FenceAction.Ask(proof.ask(command, now), command));
    out.add(new FenceAction.Wake(now + FencingSettings.OPEN_MILLIS));
  }

  private void note(Action.Level level, String text) {
    out.add(new FenceAction.Note(level, text));
  }

  @Override
  public String toString() {
    return "Fencing[" + victim + " " + proof + "]";
  }
}
