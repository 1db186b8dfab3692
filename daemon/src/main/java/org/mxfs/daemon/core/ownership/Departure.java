// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;

/** The ways out: umount, a mount that fails, being shut out. */
final class Departure {
  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final ArrayDialogue array;
  private final Attachment attachment;
  private final Pulse pulse;

  /** The key that is being unregistered, and those that were tried. */
  private ReservationKey target = ReservationKey.NONE;

  private final Set<ReservationKey> tried = new HashSet<>();

  Departure(
      Outbox out,
      TenureRules rules,
      Situation situation,
      ArrayDialogue array,
      Attachment attachment,
      Pulse pulse) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.array = array;
    this.attachment = attachment;
    this.pulse = pulse;
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
    situation.become(
        new Phase.Departing(
            why, Phase.DepartStep.LET_GO, out.now() + OwnershipSettings.LET_GO_MILLIS));
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
      case LET_GO -> letGo(departing);
      case UNREGISTER -> {
        if (pulse.mayUnregister()) {
          array.wantForPhase(this::unregister, reply -> onReply(departing, reply));
        }
      }
      case VERIFY ->
          array.wantForPhase(ArrayCommand.ReadKeys::new, reply -> onReply(departing, reply));
    }
  }

  private ArrayCommand unregister() {
    if (target.isNone()) {
      target = rules.key();
    }
    tried.add(target);
    return rules.unregister(target, situation.aptpl());
  }

  private void onReply(Phase.Departing departing, ArrayDialogue.Reply reply) {
    ArrayAnswer answer = reply.answer();
    switch (departing.step()) {
      case LET_GO -> {}
      case UNREGISTER -> {
        if (answer instanceof ArrayAnswer.Done) {
          // The path has no key any more: nothing that is under way on it can take effect.
          finish(departing.why(), Errno.NONE);
        } else {
          out.note(Action.Level.WARN, "unregistering {}: {}", target, answer);
          situation.become(departing.at(Phase.DepartStep.VERIFY));
        }
      }
      case VERIFY -> {
        if (answer instanceof ArrayAnswer.Keys keys) {
          target = left(keys.keys());
          if (target.isNone()) {
            finish(departing.why(), Errno.NONE);
            return;
          }
        }
        array.pause(OwnershipSettings.RETRY_MILLIS);
        situation.become(departing.at(Phase.DepartStep.UNREGISTER));
      }
    }
  }

  /** The kernel lets go of XFS; only then our registration, and with it the reservation, may go. */
  private void letGo(Phase.Departing departing) {
    switch (attachment.state()) {
      case DETACHED -> {
        if (!rules.key().isNone()) {
          // Unregistering also releases the reservation if we got that far.
          situation.become(
              departing.at(Phase.DepartStep.UNREGISTER, out.now() + OwnershipSettings.FAIL_MILLIS));
        } else {
          finish(departing.why(), Errno.NONE);
        }
      }
      case ATTACHED -> attachment.detachWhenDue(0);
      case ATTACHING, DETACHING, DEAD -> {}
    }
  }

  /** What is still registered of ours; a key that an earlier daemon did not live to tell, too. */
  private ReservationKey left(List<ReservationKey> registered) {
    if (registered.contains(rules.key())) {
      return rules.key();
    }
    if (!rules.next().isNone() && registered.contains(rules.next())) {
      return rules.next();
    }
    if (situation.isResuming()) {
      for (ReservationKey other : registered) {
        if (other.nodeId() == rules.key().nodeId() && !tried.contains(other)) {
          return other;
        }
      }
    }
    return ReservationKey.NONE;
  }

  private void finish(Phase.Why why, Errno trouble) {
    if (trouble == Errno.NONE) {
      out.add(new Action.Broadcast(new PeerMessage.Leave()));
    } else {
      // No LEAVE: a command of ours may still be under way, so that nobody may believe it.
      out.note(
          Action.Level.ERROR,
          "could not take key {} back from {} in time, and cannot prove that it is gone: other"
              + " nodes see it until this node mounts again, or until sg_persist --out"
              + " --register-ignore --param-sark=0 {} on this node",
          rules.key(),
          situation.settings().device(),
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
