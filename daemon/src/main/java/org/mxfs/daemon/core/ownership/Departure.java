// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.Collections;
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
  private final Guard guard;

  /** Since when the slots are to be read, by number and by the clock. */
  private long slotsSince;

  private long slotsAskedAt;
  private List<ReservationKey> registered = List.of();

  /** The key that ours is to take the place of; {@link ReservationKey#NONE}: none was found. */
  private ReservationKey untold = ReservationKey.NONE;

  /** The key that is being unregistered, and those that were tried. */
  private ReservationKey target = ReservationKey.NONE;

  private final Set<ReservationKey> tried = new HashSet<>();

  Departure(
      Outbox out,
      TenureRules rules,
      Situation situation,
      ArrayDialogue array,
      Attachment attachment,
      Pulse pulse,
      Guard guard) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.array = array;
    this.attachment = attachment;
    this.pulse = pulse;
    this.guard = guard;
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
            first(),
            situation.leaveSince() + OwnershipSettings.LEAVE_MILLIS));
  }

  /**
   * Whose registration is the reservation must not give it up while somebody is unaccounted for.
   */
  private Phase.DepartStep first() {
    guard.leaving();
    return situation.knowsAptpl() ? afterCapabilities() : Phase.DepartStep.CAPABILITIES;
  }

  private Phase.DepartStep afterCapabilities() {
    return guard.isOn() ? Phase.DepartStep.HOLDER : Phase.DepartStep.UNREGISTER;
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
   * while. One that a restarted daemon has taken over goes on; the kernel waits for ready_ms.
   */
  void trouble(String what, String why) {
    int errors = array.failed(OwnershipSettings.RETRY_MILLIS);
    String text = Outbox.fill("{} on {} failed: {}", what, situation.settings().device(), why);
    out.note(Action.Level.WARN, "{} ({} in a row)", text, errors);
    if (!situation.isReady()
        && !situation.isResuming()
        && errors >= OwnershipSettings.START_ERRORS_MAX) {
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
      case CAPABILITIES ->
          array.wantForPhase(
              ArrayCommand.ReportCapabilities::new, reply -> onReply(departing, reply));
      case HOLDER ->
          array.wantForPhase(
              ArrayCommand.ReadReservation::new, reply -> onHolder(departing, reply));
      case REPLACE ->
          array.wantForPhase(
              () -> rules.register(untold, rules.next(), situation.aptpl()),
              reply -> onReply(departing, reply));
      case COUNT, VERIFY ->
          array.wantForPhase(ArrayCommand.ReadKeys::new, reply -> onReply(departing, reply));
      case SLOTS -> readSlots(departing);
      case STAY -> {
        if (pulse.mayStay()) {
          stayed(departing.why());
        }
      }
      case UNREGISTER -> {
        if (pulse.mayUnregister()) {
          array.wantForPhase(this::unregister, reply -> onReply(departing, reply));
        }
      }
    }
  }

  private void onHolder(Phase.Departing departing, ArrayDialogue.Reply reply) {
    if (!(reply.answer() instanceof ArrayAnswer.Reservation reservation)) {
      out.note(Action.Level.WARN, "leaving: READ RESERVATION: {}", reply.answer());
      array.pause(OwnershipSettings.RETRY_MILLIS);
    } else {
      onHolder(departing, reservation.holder(), reply.askedAt());
    }
  }

  /**
   * What stays registered must be the key of which the slot speaks, or nobody may shut it out: so
   * one that has replaced ours becomes ours first, and everybody is told.
   */
  private void onHolder(Phase.Departing departing, ReservationKey holder, long askedAt) {
    boolean replaced = !holder.isNone() && holder.equals(rules.next());
    boolean perhaps = situation.isResuming() && holder.nodeId() == rules.key().nodeId();
    if (replaced) {
      rules.keyIsReplaced();
      out.add(new Action.TellKey(rules.key()));
      situation.become(departing.at(Phase.DepartStep.HOLDER));
    } else if (holder.equals(rules.key())) {
      rules.sawOurs(askedAt);
      situation.become(departing.at(Phase.DepartStep.COUNT));
    } else if (perhaps && untold.isNone()) {
      untold = holder;
      if (rules.next().isNone()) {
        rules.replaceKey(situation.freshKey(List.of(holder)));
      }
      situation.become(departing.at(Phase.DepartStep.REPLACE));
    } else {
      situation.become(
          departing.at(perhaps ? Phase.DepartStep.COUNT : Phase.DepartStep.UNREGISTER));
    }
  }

  /** Who is registered; a key of ours that nobody may take can have a slot by that. */
  private void onCount(ArrayAnswer.Keys keys, ArrayDialogue.Reply reply) {
    registered = keys.keys();
    if (rules.isOurs() && Collections.frequency(registered, rules.key()) == 1) {
      long epoch = Math.max(keys.generation(), Math.max(rules.epoch(), pulse.maxEpoch()) + 1);
      guard.leavingUnsettled(pulse.maxEpoch());
      rules.beginLastTenure(reply.askedAt(), epoch);
      pulse.beginTenure(registered, reply.askedAtMillis());
    } else {
      pulse.sawKeys(registered, reply.askedAtMillis());
    }
    slotsSince = pulse.mark();
    slotsAskedAt = out.now();
  }

  /** The slots, as they are after the array has shown who is registered. */
  private void readSlots(Phase.Departing departing) {
    long until = slotsAskedAt + OwnershipSettings.LAST_RECORD_MILLIS;
    if (!pulse.hasReadSince(slotsSince) && out.now() < until) {
      out.wakeAt(until);
      return;
    }
    guard.look(registered);
    if (guard.mayLeaveUnguarded(slotsSince)) {
      situation.become(departing.at(Phase.DepartStep.UNREGISTER));
    } else {
      rules.stay();
      situation.become(departing.at(Phase.DepartStep.STAY));
    }
  }

  private void stayed(Phase.Why why) {
    out.note(
        Action.Level.WARN,
        "this node has left and stays registered with key {}, so that {} stays reserved: {} was"
            + " shut out and has not come back, and may still have writes in its queues. It ends"
            + " when that node mounts the volume again, or, if it is off for certain, by mxfsctl"
            + " fence clear on a node that has the volume mounted; {}",
        rules.key(),
        situation.settings().device(),
        guard.names(slotsSince),
        pulse.hasLeft()
            ? "any node can mount the volume"
            : "its heartbeat slot could not be written, so that others wait for this node's own"
                + " next mount");
    end(why, Errno.NONE, true);
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
      case LET_GO, HOLDER, SLOTS, STAY -> {}
      case CAPABILITIES -> {
        switch (answer) {
          // The last REGISTER says for all registrations whether they outlive the power (SPC-4).
          case ArrayAnswer.Supported supported -> situation.aptpl(supported.aptpl());
          case ArrayAnswer.Unsupported _ -> situation.aptpl(false);
          default -> {
            out.note(Action.Level.WARN, "leaving: REPORT CAPABILITIES: {}", answer);
            situation.aptpl(true); // what does not have it refuses it, and is asked without
          }
        }
        situation.become(departing.at(afterCapabilities()));
      }
      case REPLACE -> {
        if (situation.isAptplRefused(answer)) {
          return;
        }
        if (!(answer instanceof ArrayAnswer.Done)) {
          out.note(Action.Level.WARN, "leaving: REGISTER over {}: {}", untold, answer);
        }
        situation.become(departing.at(Phase.DepartStep.HOLDER));
      }
      case COUNT -> {
        if (answer instanceof ArrayAnswer.Keys keys) {
          onCount(keys, reply);
          situation.become(departing.at(Phase.DepartStep.SLOTS));
        } else {
          out.note(Action.Level.WARN, "leaving: READ KEYS: {}", answer);
          array.pause(OwnershipSettings.RETRY_MILLIS);
        }
      }
      case UNREGISTER -> {
        if (answer instanceof ArrayAnswer.Done) {
          // The path has no key any more: nothing that is under way on it can take effect.
          finish(departing.why(), Errno.NONE);
        } else if (!situation.isAptplRefused(answer)) {
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
          situation.become(departing.at(first(), out.now() + OwnershipSettings.FAIL_MILLIS));
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
    end(why, trouble, trouble != Errno.NONE);
  }

  private void end(Phase.Why why, Errno trouble, boolean stays) {
    switch (why) {
      case Phase.Why.Umount _ -> {
        out.add(new Action.Left(trouble, stays));
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
