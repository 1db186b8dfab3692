// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayCommand;

/**
 * The conversation with the array: one command under way at a time, and each answer goes with when
 * its command was issued.
 */
final class ArrayDialogue {
  private final Outbox out;
  private final TenureRules rules;

  private @Nullable ArrayCommand pending;

  /** When the command under way, or the last one, was issued: by the clock, and for the rules. */
  private long askedAtMillis;

  private long askedAt;

  /** The phase went on while the command was under way: its answer says nothing to the new one. */
  private boolean answerIsDropped;

  private long retryDue;
  private int errors;

  ArrayDialogue(Outbox out, TenureRules rules) {
    this.out = out;
    this.rules = rules;
  }

  boolean isBusy() {
    return pending != null;
  }

  long askedAtMillis() {
    return askedAtMillis;
  }

  /** For {@link TenureRules#isEvidence}. */
  long askedAt() {
    return askedAt;
  }

  /** Issues now. */
  void issue(ArrayCommand command) {
    if (pending != null) {
      throw new IllegalStateException(command + " while " + pending + " is under way");
    }
    pending = command;
    askedAtMillis = out.now();
    askedAt = rules.ask();
    out.add(new Action.Array(command));
  }

  /** Whether the pause after an error is over; else the machine is woken when it is. */
  boolean isDue() {
    if (out.now() < retryDue) {
      out.wakeAt(retryDue);
      return false;
    }
    return true;
  }

  void issueWhenDue(ArrayCommand command) {
    if (isDue()) {
      issue(command);
    }
  }

  void dropAnswer() {
    answerIsDropped = pending != null;
  }

  /**
   * Takes the command that was answered. False if the answer is to be forgotten: nobody wants it
   * any more, or it is a reading that was asked for before something that made it old.
   */
  boolean answered() {
    ArrayCommand command = pending;
    if (command == null) {
      throw new IllegalStateException("an answer without a command");
    }
    pending = null;
    boolean wanted = !answerIsDropped && (!reads(command) || rules.isEvidence(askedAt));
    answerIsDropped = false;
    return wanted;
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

  void succeeded() {
    errors = 0;
  }

  /** Counts an error and pauses; returns how many there were in a row. */
  int failed(long pauseMillis) {
    pause(pauseMillis);
    return ++errors;
  }

  void pause(long millis) {
    retryDue = out.now() + millis;
  }
}
