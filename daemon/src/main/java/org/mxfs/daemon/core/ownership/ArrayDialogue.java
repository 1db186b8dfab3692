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

  private @Nullable ArrayCommand pending;

  /** When the command under way, or the last one, was issued. */
  private long askedAt;

  /** The phase went on while the command was under way: its answer says nothing to the new one. */
  private boolean answerIsDropped;

  private long retryDue;
  private int errors;

  ArrayDialogue(Outbox out) {
    this.out = out;
  }

  boolean isBusy() {
    return pending != null;
  }

  long askedAt() {
    return askedAt;
  }

  /** Issues now. */
  void issue(ArrayCommand command) {
    if (pending != null) {
      throw new IllegalStateException(command + " while " + pending + " is under way");
    }
    pending = command;
    askedAt = out.now();
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

  /** Takes the command that was answered; false if nobody wants the answer any more. */
  boolean answered() {
    if (pending == null) {
      throw new IllegalStateException("an answer without a command");
    }
    pending = null;
    boolean wanted = !answerIsDropped;
    answerIsDropped = false;
    return wanted;
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
