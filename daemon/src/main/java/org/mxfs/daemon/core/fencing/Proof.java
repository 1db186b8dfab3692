// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import java.util.Arrays;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Safety alone: when a victim is {@link Fenced}. It sees every command of a fencing go out and
 * every answer come; in whatever order they are, what it makes of them holds.
 *
 * <p><b>The argument.</b> A command of the victim is accepted by the array while its key is
 * registered, or while the disk is not reserved. So three things have to be known at one moment, on
 * the array's side: (1) the victim is not registered and another holds the reservation, (2) that
 * has been so without a gap since some earlier moment, (3) what was accepted before that moment has
 * ended since.
 *
 * <p>(1) READ KEYS shows our key and not the victim's; READ RESERVATION, asked after that was
 * answered, shows a holder of type 5 that is not the victim. Nobody ever sends RELEASE. GOOD of a
 * PREEMPT is no proof, nor is a conflict. A key of an earlier life of the victim's node counts as
 * the victim's: a late REGISTER of a daemon that is gone can put it there, and the array takes the
 * victim's writes by it, since it looks at the way by which they come and not at the key.
 *
 * <p>(2) A last READ KEYS, asked after the end of what was under way, shows the same PRGENERATION:
 * nobody registered, unregistered, preempted or cleared in between. Without that, a REGISTER of the
 * victim that was under way could have let it in, and another survivor shut it out again, with a
 * write accepted in between.
 *
 * <p>(3) One of:
 *
 * <ul>
 *   <li>a logical unit reset, asked for after (1) was answered, whose success is known;
 *   <li>time: the last READ KEYS was asked for later than a command can live after (1) was
 *       <em>answered</em>. When it was asked for is too early: the disk may have been reserved
 *       between the question and the answer;
 *   <li>our own PREEMPT AND ABORT, where it is known to end all and was GOOD. That it was ours that
 *       shut the victim out, and not another survivor's plain PREEMPT, is known by READ KEYS before
 *       and after: the victim is in the one and not in the other, and PRGENERATION is one more.
 * </ul>
 *
 * <p><b>Age.</b> One command at a time, each answer by the number of its question: an answer is to
 * a question that was asked after all answers before it. Others are refused.
 *
 * <p>Registering again makes an end of it ({@link #registering}): after the array has lost all
 * registrations PRGENERATION begins anew and may come to the same number.
 */
final class Proof implements Cloneable {
  /** SPC-4 table 52: Write Exclusive, Registrants Only. */
  private static final int TYPE = 5;

  private static final long GENERATIONS = 1L << 32;

  /** What is known; what is not named in a stage is not known in it. */
  private enum Stage {
    NOTHING,
    /** READ KEYS has shown the victim and us. */
    REGISTERED,
    /** And READ RESERVATION that the disk is reserved, type 5. */
    GUARDED,
    /** Our PREEMPT AND ABORT is under way, right after that. */
    ABORTING,
    /** It was GOOD. */
    ABORTED,
    /** READ KEYS has shown us and not the victim. */
    GONE,
    /** And READ RESERVATION that another holds it: shut out. */
    SHUT_OUT,
    /** And right after that a reset is under way. */
    RESETTING,
    /** And its success is known. */
    ENDED
  }

  private record Question(long number, FenceCommand command, long askedAtMillis) {}

  private final ReservationKey own;
  private final ReservationKey victim;
  private final FencingSettings settings;

  private Stage stage = Stage.NOTHING;
  private @Nullable Question pending;
  private long questions;

  /** Of the last READ KEYS that made the stage. */
  private long generation;

  private ReservationKey holder = ReservationKey.NONE;

  /** When (1) was answered, by our clock. */
  private long shutOutAtMillis;

  /** The key of an earlier life of the victim's node that READ KEYS has shown, without a later. */
  private @Nullable ReservationKey earlier;

  private boolean unguarded;
  private boolean lost;
  private @Nullable Fenced fenced;

  Proof(ReservationKey own, ReservationKey victim, FencingSettings settings) {
    if (own.isNone() || victim.isNone() || own.equals(victim)) {
      throw new IllegalArgumentException("fencing of " + victim + " by " + own);
    }
    this.own = own;
    this.victim = victim;
    this.settings = settings;
  }

  /** For exploring what may happen from here: what is not a number is not changed in place. */
  @Override
  public Proof clone() {
    try {
      return (Proof) super.clone();
    } catch (CloneNotSupportedException impossible) {
      throw new AssertionError(impossible);
    }
  }

  // ---- what is known ----

  @Nullable Fenced fenced() {
    return fenced;
  }

  /** Our own key is gone, or was registered anew: there is nothing more to be known here. */
  boolean isLost() {
    return lost;
  }

  /** The command under way. */
  @Nullable FenceCommand asked() {
    return pending == null ? null : pending.command();
  }

  /** The victim is registered, as far as is known. */
  boolean isRegistered() {
    return stage == Stage.REGISTERED || stage == Stage.GUARDED;
  }

  /** The victim is registered and the disk reserved: time for PREEMPT AND ABORT. */
  boolean isGuarded() {
    return stage == Stage.GUARDED;
  }

  /** Registered in the victim's place: time for a PREEMPT of it. */
  @Nullable ReservationKey earlier() {
    return earlier;
  }

  /** The victim is not registered: time for READ RESERVATION. */
  boolean isGone() {
    return stage == Stage.GONE;
  }

  /** Time for a reset, or to wait until {@link #lifeEndsAtMillis}. */
  boolean isShutOut() {
    return stage == Stage.SHUT_OUT;
  }

  /** What was under way has ended: time for the last READ KEYS. */
  boolean isEnded() {
    return stage == Stage.ENDED;
  }

  /** The last READ RESERVATION showed that the disk is not reserved as it has to be. */
  boolean isUnguarded() {
    return unguarded;
  }

  /** From then on a READ KEYS counts as the last one; only while {@link #isShutOut}. */
  long lifeEndsAtMillis() {
    return shutOutAtMillis + settings.commandLifeMillis();
  }

  // ---- what happens ----

  /** A command goes out; the number by which its answer comes. */
  long ask(FenceCommand command, long now) {
    if (pending != null || lost || fenced != null) {
      throw new IllegalStateException(command + " beside " + pending);
    }
    pending = new Question(++questions, command, now);
    switch (command) {
      case FenceCommand.ReadKeys _, FenceCommand.ReadReservation _ -> {}
      case FenceCommand.Preempt preempt -> {
        boolean abort = preempt.abort() && preempt.victim().equals(victim);
        stage =
            abort && settings.abortEndsAll() && stage == Stage.GUARDED
                ? Stage.ABORTING
                : Stage.NOTHING;
        earlier = null;
      }
      case FenceCommand.Reset _ -> {
        if (stage == Stage.SHUT_OUT && settings.resetEndsAll()) {
          stage = Stage.RESETTING;
        }
      }
    }
    return questions;
  }

  /** This node sends a REGISTER: what is known of the array may be of before a loss. */
  void registering() {
    lost = true;
  }

  /** Returns whether the answer was to the question that is open. */
  boolean answered(long question, ArrayAnswer answer, long now) {
    Question asked = pending;
    if (asked == null || asked.number() != question) {
      return false;
    }
    pending = null;
    if (lost) {
      return true;
    }
    switch (asked.command()) {
      case FenceCommand.ReadKeys _ -> {
        if (answer instanceof ArrayAnswer.Keys keys) {
          sawKeys(keys, asked.askedAtMillis());
        }
      }
      case FenceCommand.ReadReservation _ -> {
        if (answer instanceof ArrayAnswer.Reservation reservation) {
          sawReservation(reservation, now);
        }
      }
      case FenceCommand.Preempt _ ->
          stage =
              stage == Stage.ABORTING && answer instanceof ArrayAnswer.Done
                  ? Stage.ABORTED
                  : Stage.NOTHING;
      case FenceCommand.Reset _ -> {
        if (stage == Stage.RESETTING) {
          stage = answer instanceof ArrayAnswer.Done ? Stage.ENDED : Stage.SHUT_OUT;
        }
      }
    }
    return true;
  }

  private void sawKeys(ArrayAnswer.Keys keys, long askedAtMillis) {
    if (!keys.keys().contains(own)) {
      lost = true;
      return;
    }
    earlier = null;
    if (keys.keys().contains(victim)) {
      stage = Stage.REGISTERED;
      generation = keys.generation();
      return;
    }
    earlier = keys.keys().stream().filter(this::isEarlier).findFirst().orElse(null);
    if (earlier != null) {
      stage = Stage.NOTHING;
      return;
    }
    boolean same = keys.generation() == generation;
    boolean next = keys.generation() == (generation + 1) % GENERATIONS;
    if (stage == Stage.ABORTED && next) {
      // That the disk was reserved all the time follows from GUARDED; who holds it is read next.
      generation = keys.generation();
      prove(new End.Aborted(), holder.equals(victim) ? own : holder);
    } else if (stage == Stage.ENDED && same) {
      prove(new End.Reset(), holder);
    } else if (stage == Stage.SHUT_OUT && same) {
      if (askedAtMillis >= lifeEndsAtMillis()) {
        prove(new End.Waited(askedAtMillis - shutOutAtMillis), holder);
      }
    } else {
      stage = Stage.GONE;
      generation = keys.generation();
    }
  }

  private boolean isEarlier(ReservationKey key) {
    return key.nodeId() == victim.nodeId() && key.incarnation() < victim.incarnation();
  }

  private void sawReservation(ArrayAnswer.Reservation reservation, long now) {
    boolean reserved = !reservation.holder().isNone() && reservation.type() == TYPE;
    unguarded = !reserved;
    if (!reserved || isEarlier(reservation.holder())) {
      stage = Stage.NOTHING;
    } else if (stage == Stage.REGISTERED || stage == Stage.GUARDED) {
      stage = Stage.GUARDED;
      holder = reservation.holder();
    } else if (reservation.holder().equals(victim)) {
      stage = Stage.NOTHING; // registered again
    } else if (stage == Stage.GONE) {
      stage = Stage.SHUT_OUT;
      holder = reservation.holder();
      shutOutAtMillis = now;
    }
  }

  private void prove(End end, ReservationKey heldBy) {
    fenced = new Fenced(victim, own, heldBy, generation, end);
  }

  /**
   * All that decides what may be proven, without the counters: stage, and times as how long ago, as
   * far as they count.
   */
  void digest(long now, LongConsumer into) {
    long bits = Arrays.asList(Stage.values()).indexOf(stage);
    bits = bits << 1 | (lost ? 1 : 0);
    bits = bits << 1 | (fenced != null ? 1 : 0);
    bits = bits << 1 | (unguarded ? 1 : 0);
    boolean counts = stage.compareTo(Stage.SHUT_OUT) >= 0;
    bits = bits << 16 | (counts ? Math.min(now - shutOutAtMillis, lifeEnd()) : 0);
    Question asked = pending;
    bits = bits << 16 | (asked == null ? 0 : 1 + Math.min(now - asked.askedAtMillis(), lifeEnd()));
    into.accept(bits);
    into.accept(stage == Stage.NOTHING ? 0 : generation);
    into.accept(stage == Stage.NOTHING || stage == Stage.GONE ? 0 : holder.value());
  }

  private long lifeEnd() {
    return settings.commandLifeMillis() + 1;
  }

  @Override
  public String toString() {
    return stage
        + " generation="
        + generation
        + " holder="
        + holder
        + (lost ? " lost" : "")
        + (fenced == null ? "" : " " + fenced);
  }
}
