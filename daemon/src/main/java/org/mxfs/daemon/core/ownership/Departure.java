// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;

/** The ways out: umount, a mount that fails, being shut out. */
final class Departure {
  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final ArrayDialogue array;

  Departure(Outbox out, TenureRules rules, Situation situation, ArrayDialogue array) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.array = array;
  }

  /** Ends what has taken too long. */
  void endWhatIsOverdue() {
    if (situation.isLeaving()
        && out.now() >= situation.leaveSince() + OwnershipSettings.LEAVE_MILLIS
        && !situation.isGone()) {
      finish(new Phase.Why.Umount(), Errno.ETIMEDOUT);
    }
    if (situation.phase() instanceof Phase.Departing departing
        && out.now() >= departing.deadline()) {
      finish(departing.why(), Errno.ETIMEDOUT);
    }
  }

  void wakeForDeadlines() {
    if (situation.isLeaving()) {
      out.wakeAt(situation.leaveSince() + OwnershipSettings.LEAVE_MILLIS);
    }
    if (situation.phase() instanceof Phase.Departing departing) {
      out.wakeAt(departing.deadline());
    }
  }

  void forUmount() {
    if (situation.phase() instanceof Phase.Solo
        || situation.phase() instanceof Phase.New
        || rules.key().isNone()) {
      finish(new Phase.Why.Umount(), Errno.NONE);
      return;
    }
    situation.become(
        new Phase.Departing(
            new Phase.Why.Umount(),
            Phase.DepartStep.UNREGISTER,
            situation.leaveSince() + OwnershipSettings.LEAVE_MILLIS));
  }

  void fail(Errno errno, String message) {
    if (situation.phase() instanceof Phase.Departing || situation.isGone()) {
      return;
    }
    out.note(Action.Level.ERROR, "mount fails with {}: {}", errno, message);
    Phase.Why why = new Phase.Why.Failure(errno, message);
    if (!rules.isRegistering()) {
      finish(why, Errno.NONE);
      return;
    }
    array.dropAnswer();
    // Unregistering also releases the reservation if we got that far.
    situation.become(
        new Phase.Departing(
            why, Phase.DepartStep.UNREGISTER, out.now() + OwnershipSettings.FAIL_MILLIS));
  }

  /**
   * An array command went wrong: again after a pause; a mount that is not ready gives up after a
   * while.
   */
  void trouble(String what, String why) {
    int errors = array.failed(OwnershipSettings.RETRY_MILLIS);
    String text = Outbox.fill("{} on {} failed: {}", what, situation.settings().device(), why);
    out.note(Action.Level.WARN, "{} ({} in a row)", text, errors);
    if (!situation.isReady() && errors >= OwnershipSettings.START_ERRORS_MAX) {
      fail(Errno.EIO, text);
    }
  }

  void halt(String message) {
    out.note(Action.Level.ERROR, "{}", message);
    if (situation.isReady() || situation.isResuming()) {
      out.add(new Action.Fenced(message));
    } else {
      out.add(new Action.Fail(Errno.EIO, message));
    }
    gone();
  }

  void fenced(String message) {
    out.note(Action.Level.ERROR, "fenced: {}", message);
    out.add(new Action.Fenced(message));
    gone();
  }

  void goOn(Phase.Departing departing) {
    switch (departing.step()) {
      case UNREGISTER -> {
        if (array.isDue()) {
          array.issue(rules.unregister(situation.aptpl()));
        }
      }
      case VERIFY -> array.issueWhenDue(new ArrayCommand.ReadKeys());
    }
  }

  void onAnswer(Phase.Departing departing, ArrayAnswer answer) {
    switch (departing.step()) {
      case UNREGISTER -> {
        if (answer instanceof ArrayAnswer.Done) {
          finish(departing.why(), Errno.NONE);
        } else {
          out.note(Action.Level.WARN, "unregistering {}: {}", rules.key(), answer);
          situation.become(departing.at(Phase.DepartStep.VERIFY));
        }
      }
      case VERIFY -> {
        if (answer instanceof ArrayAnswer.Keys keys && !keys.keys().contains(rules.key())) {
          finish(departing.why(), Errno.NONE);
        } else {
          array.pause(OwnershipSettings.RETRY_MILLIS);
          situation.become(departing.at(Phase.DepartStep.UNREGISTER));
        }
      }
    }
  }

  private void finish(Phase.Why why, Errno trouble) {
    out.add(new Action.Broadcast(new PeerMessage.Leave()));
    if (trouble != Errno.NONE) {
      out.note(
          Action.Level.ERROR,
          "could not take key {} back from {} in time: other nodes see it until this node mounts"
              + " again, or until sg_persist --out --register-ignore --param-sark=0 DEV on this"
              + " node",
          rules.key(),
          situation.settings().device());
    }
    switch (why) {
      case Phase.Why.Umount _ -> {
        out.add(new Action.Left(trouble));
        out.note(Action.Level.INFO, "left ms={}", out.now() - situation.leaveSince());
      }
      case Phase.Why.Failure failure ->
          out.add(new Action.Fail(failure.errno(), failure.message()));
    }
    gone();
  }

  void gone() {
    situation.become(new Phase.Gone());
    out.neverWake();
    out.add(new Action.Exit());
  }
}
