// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Role;

/** From the first question to the array until this node is a member, the owner, or alone. */
final class Joining {
  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final HolderView view;
  private final Neighbours neighbours;
  private final ArrayDialogue array;
  private final Attachment attachment;
  private final Departure departure;
  private final LeaseKeeper lease;
  private final Handover handover;

  Joining(
      Outbox out,
      TenureRules rules,
      Situation situation,
      HolderView view,
      Neighbours neighbours,
      ArrayDialogue array,
      Attachment attachment,
      Departure departure,
      LeaseKeeper lease,
      Handover handover) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.view = view;
    this.neighbours = neighbours;
    this.array = array;
    this.attachment = attachment;
    this.departure = departure;
    this.lease = lease;
    this.handover = handover;
  }

  void onCollision(String text) {
    if (situation.isReady() || situation.isLeaving() || situation.isResuming()) {
      out.note(Action.Level.ERROR, "{}; this node was here first and stays", text);
      return;
    }
    departure.fail(Errno.ENOTUNIQ, text);
  }

  void goOn(Phase.Starting starting) {
    switch (starting.step()) {
      case CAPABILITIES -> array.issueWhenDue(new ArrayCommand.ReportCapabilities());
      case KEYS, REGISTERED -> array.issueWhenDue(new ArrayCommand.ReadKeys());
      case REGISTER -> {
        if (array.isDue()) {
          array.issue(rules.register(rules.key(), situation.aptpl()));
        }
      }
      case RESUME -> array.issueWhenDue(new ArrayCommand.ReadReservation());
    }
  }

  void onAnswer(Phase.Starting starting, ArrayAnswer answer) {
    String step = starting.step().name();
    switch (answer) {
      case ArrayAnswer.Supported supported -> {
        situation.aptpl(supported.aptpl());
        situation.become(new Phase.Starting(Phase.StartStep.KEYS));
      }
      case ArrayAnswer.Unsupported unsupported -> startSolo(unsupported.reason());
      case ArrayAnswer.Keys keys -> onKeys(starting, keys);
      case ArrayAnswer.Done _ -> {
        tellKey();
        situation.become(new Phase.Starting(Phase.StartStep.REGISTERED));
      }
      case ArrayAnswer.Reservation reservation -> onResume(reservation);
      case ArrayAnswer.Rejected rejected -> {
        if (starting.step() == Phase.StartStep.REGISTER && situation.aptpl()) {
          out.note(
              Action.Level.WARN,
              "the device says it supports APTPL and rejects it: registering without ({})",
              rejected.reason());
          situation.aptpl(false);
        } else {
          departure.trouble(step, rejected.reason());
        }
      }
      case ArrayAnswer.Conflict _ -> departure.trouble(step, "RESERVATION CONFLICT");
      case ArrayAnswer.Unclear unclear -> departure.trouble(step, unclear.reason());
    }
  }

  private void tellKey() {
    out.add(new Action.TellKey(rules.key()));
  }

  private void onKeys(Phase.Starting starting, ArrayAnswer.Keys keys) {
    ReservationKey key = rules.key();
    if (starting.step() == Phase.StartStep.REGISTERED) {
      if (!keys.keys().contains(key)) {
        departure.trouble(
            "READ KEYS", Outbox.fill("our key {} is not registered after REGISTER", key));
        situation.become(new Phase.Starting(Phase.StartStep.REGISTER));
        return;
      }
      lease.extend(array.askedAt());
      if (situation.isResuming()) {
        situation.become(new Phase.Starting(Phase.StartStep.RESUME));
      } else {
        situation.become(new Phase.Member());
        view.readAt(out.now());
      }
      return;
    }
    boolean registered = !key.isNone() && keys.keys().contains(key);
    if (situation.isResuming() && registered) {
      tellKey();
      lease.extend(array.askedAt());
      situation.become(new Phase.Starting(Phase.StartStep.RESUME));
      return;
    }
    if (situation.isResuming() && !attachment.isDetached()) {
      departure.fenced(
          Outbox.fill(
              "key {} is no longer registered on {}: this node was shut out while its daemon was"
                  + " dead",
              key,
              situation.settings().device()));
      return;
    }
    rules.choose(situation.freshKey(keys.keys()));
    situation.become(new Phase.Starting(Phase.StartStep.REGISTER));
  }

  private void onResume(ArrayAnswer.Reservation reservation) {
    view.read(reservation);
    ReservationKey key = rules.key();
    if (view.holder().equals(key)) {
      if (attachment.isDetached()) {
        // The predecessor may have granted the volume to somebody: make such a grant void.
        handover.withdraw();
      } else {
        rules.resumeTenure();
        situation.become(new Phase.Holding());
      }
    } else if (!attachment.isDetached()) {
      departure.fenced(
          Outbox.fill(
              "the reservation of {} is held by {}, not by our {}, while XFS is attached here",
              situation.settings().device(),
              view.holder(),
              key));
      return;
    } else {
      situation.become(new Phase.Member());
    }
    out.note(
        Action.Level.INFO,
        "resumed: key={} epoch={} kernel={}",
        key,
        rules.epoch(),
        attachment.state());
    situation.becomeReady(
        situation.phase() instanceof Phase.Holding ? Role.OWNER : Role.MEMBER, true);
  }

  // ---- Solo ----

  private void startSolo(String reason) {
    out.note(
        Action.Level.WARN,
        "{} has no SCSI persistent reservations ({}): the volume is mounted on this node alone and"
            + " must not be mounted on another",
        situation.settings().device(),
        reason);
    rules.alone();
    situation.become(new Phase.Solo());
  }

  void goOnSolo() {
    if (out.now() >= lease.due()) {
      // No array to ask: alone, the lease only proves that the daemon lives.
      lease.extend(out.now());
    }
    out.wakeAt(lease.due());
    if (attachment.state() == KernelState.ATTACHED) {
      situation.becomeReady(Role.OWNER, false);
      return;
    }
    if (!attachment.isDetached()) {
      return;
    }
    if (!situation.isReady() && !situation.isResuming()) {
      if (!neighbours.heardNobody()) {
        departure.fail(
            Errno.EBUSY,
            Outbox.fill(
                "{} has no SCSI persistent reservations, so one node alone may mount it, and node"
                    + " {} announces the same volume {}",
                situation.settings().device(),
                neighbours.heardNames(),
                situation.settings().volume()));
        return;
      }
      long listenedAt = situation.startedAt() + OwnershipSettings.LISTEN_MILLIS;
      if (out.now() < listenedAt) {
        out.wakeAt(listenedAt);
        return;
      }
    }
    if (attachment.attachIsDue()) {
      attachment.attach();
    }
  }
}
