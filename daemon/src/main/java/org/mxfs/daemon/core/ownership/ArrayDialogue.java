// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;

/**
 * The conversation with the array: one command under way at a time, and of those that wait the most
 * urgent next.
 *
 * <p>Who needs the array says so anew in every step: nothing waits here that has become pointless
 * meanwhile, and a command is made, by the rules of that moment, only when its turn has come. Each
 * answer goes to who asked, with when that was; what is older than the question is refused.
 */
final class ArrayDialogue {
  /** In this order; of equals, who said so first. */
  enum Priority {
    /** Others wait for a dead node. */
    FENCE,
    /** A lease that hand-overs have kept waiting: busy as they are, it must not run out. */
    LEASE_OVERDUE,
    /** Where this node stands with the reservation: somebody waits for the volume. */
    HANDOVER,
    LEASE,
    TIDY
  }

  /**
   * An answer, and when its question went out.
   *
   * @param askedAtMillis by the clock
   * @param askedAt for {@link TenureRules#isEvidence}
   */
  record Reply(ArrayAnswer answer, long askedAtMillis, long askedAt) {}

  /** {@code phase}: the answer is wanted only while the machine is still in it. */
  private record Wish(
      Priority priority,
      @Nullable Phase phase,
      Supplier<ArrayCommand> command,
      Consumer<Reply> then) {}

  private record Question(Wish wish, ArrayCommand command, long askedAtMillis, long askedAt) {}

  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;

  private final List<Wish> wishes = new ArrayList<>();
  private @Nullable Question pending;
  private long retryDue;
  private int errors;
  private long preempts;

  ArrayDialogue(Outbox out, TenureRules rules, Situation situation) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
  }

  // ---- what is wanted ----

  void forgetWishes() {
    wishes.clear();
  }

  /**
   * @param command makes it, if its turn comes in this step
   * @param then takes the answer, in whatever phase the machine is then
   */
  void want(Priority priority, Supplier<ArrayCommand> command, Consumer<Reply> then) {
    wishes.add(new Wish(priority, null, command, then));
  }

  /** What the phase goes on with, once the pause after an error is over. */
  void wantForPhase(Supplier<ArrayCommand> command, Consumer<Reply> then) {
    if (out.now() < retryDue) {
      out.wakeAt(retryDue);
      return;
    }
    wishes.add(new Wish(Priority.HANDOVER, situation.phase(), command, then));
  }

  /** Issues the most urgent of what is wanted, unless a command is under way. */
  void issueNext() {
    if (pending != null || wishes.isEmpty()) {
      return;
    }
    Wish first = wishes.stream().min(Comparator.comparing(Wish::priority)).orElseThrow();
    ArrayCommand command = first.command().get();
    pending = new Question(first, command, out.now(), rules.ask());
    out.add(new Action.Array(pending.askedAt(), command));
  }

  // ---- answers ----

  /** Hands the answer to who asked, if it still says something to him. */
  void onAnswer(long question, ArrayAnswer answer) {
    Question asked = pending;
    if (asked == null || asked.askedAt() != question) {
      out.note(Action.Level.WARN, "refused: {}, an answer to an older question", answer);
      return;
    }
    pending = null;
    if (asked.command() instanceof ArrayCommand.Preempt && answer instanceof ArrayAnswer.Done) {
      preempts++;
    }
    Phase phase = asked.wish().phase();
    boolean wanted = phase == null || situation.isStillIn(phase);
    if (wanted && (!reads(asked.command()) || rules.isEvidence(asked.askedAt()))) {
      asked.wish().then().accept(new Reply(answer, asked.askedAtMillis(), asked.askedAt()));
    }
  }

  /**
   * How many PREEMPTs of ours are known to be carried out: each counts PRGENERATION up by one. One
   * of which that is not known may have, too.
   */
  long preempts() {
    return preempts;
  }

  private static boolean reads(ArrayCommand command) {
    return switch (command) {
      case ArrayCommand.ReportCapabilities _,
          ArrayCommand.ReadKeys _,
          ArrayCommand.ReadReservation _,
          ArrayCommand.ReadFullStatus _ ->
          true;
      case ArrayCommand.Register _,
          ArrayCommand.Unregister _,
          ArrayCommand.Reserve _,
          ArrayCommand.Preempt _ ->
          false;
    };
  }

  // ---- errors ----

  void succeeded() {
    errors = 0;
  }

  /** Counts an error and pauses; returns how many there were in a row. */
  int failed(long pauseMillis) {
    pause(pauseMillis);
    return ++errors;
  }

  /** Nothing more for the phase until then. */
  void pause(long millis) {
    retryDue = out.now() + millis;
  }
}
