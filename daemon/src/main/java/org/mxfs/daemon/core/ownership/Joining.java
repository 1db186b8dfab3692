// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.List;
import org.jspecify.annotations.Nullable;
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
  private final Registrar registrar;
  private final Pulse pulse;

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
      Registrar registrar,
      Pulse pulse) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.view = view;
    this.neighbours = neighbours;
    this.array = array;
    this.attachment = attachment;
    this.departure = departure;
    this.lease = lease;
    this.registrar = registrar;
    this.pulse = pulse;
  }

  void onCollision(String text) {
    rules.heardTwin();
    if (situation.isReady() || situation.isLeaving() || situation.isResuming()) {
      out.note(Action.Level.ERROR, "{}; this node was here first and stays", text);
      return;
    }
    departure.fail(Errno.ENOTUNIQ, text);
  }

  void goOn(Phase.Starting starting) {
    switch (starting.step()) {
      case CAPABILITIES ->
          array.wantForPhase(ArrayCommand.ReportCapabilities::new, this::onCapabilities);
      case KEYS -> array.wantForPhase(ArrayCommand.ReadKeys::new, this::onKeys);
      case REGISTER -> registrar.goOn(this::onRegister);
      case RESUME -> array.wantForPhase(ArrayCommand.ReadReservation::new, this::onResume);
    }
  }

  private void onCapabilities(ArrayDialogue.Reply reply) {
    switch (reply.answer()) {
      case ArrayAnswer.Supported _ when wasAlone() ->
          refuse(
              Errno.EIO,
              Outbox.fill(
                  "{} has SCSI persistent reservations now, and had none when it was looked at for"
                      + " this mount: mount it again",
                  situation.settings().device()));
      case ArrayAnswer.Supported supported -> {
        situation.aptpl(supported.aptpl());
        situation.become(new Phase.Starting(Phase.StartStep.KEYS));
      }
      case ArrayAnswer.Unsupported unsupported -> startSolo(unsupported.reason());
      case ArrayAnswer other -> departure.trouble("REPORT CAPABILITIES", other.toString());
    }
  }

  /**
   * This node had, or was to have, the volume for itself. A node id that does not tell the
   * partition makes no key; and where XFS is attached without the reservation, any node that comes
   * may take that, and XFS's log with it.
   */
  private boolean wasAlone() {
    boolean resumed = situation.isResuming() && rules.key().isNone();
    return situation.settings().alone() || (resumed && !attachment.isDetached());
  }

  private void onKeys(ArrayDialogue.Reply reply) {
    switch (reply.answer()) {
      case ArrayAnswer.Keys keys -> onKeys(keys, reply.askedAtMillis());
      case ArrayAnswer other -> departure.trouble("READ KEYS", other.toString());
    }
  }

  private void onRegister(Registrar.Result result, ArrayDialogue.Reply reply) {
    switch (result) {
      case Registrar.Result.GoingOn _ -> {}
      case Registrar.Result.Registered _ -> {
        onRegistered(reply.askedAtMillis());
        if (reply.answer() instanceof ArrayAnswer.Keys keys) {
          refuseOtherPartitions(keys.keys());
        }
      }
      case Registrar.Result.InUse inUse -> refuse(Errno.EBUSY, inUse.text());
      case Registrar.Result.Twin twin -> refuse(Errno.ENOTUNIQ, twin.text());
    }
  }

  private void onResume(ArrayDialogue.Reply reply) {
    switch (reply.answer()) {
      case ArrayAnswer.Reservation reservation -> onResume(reservation, reply.askedAt());
      case ArrayAnswer other -> departure.trouble("READ RESERVATION", other.toString());
    }
  }

  private void refuse(Errno errno, String text) {
    if (situation.isResuming()) {
      departure.fenced(text);
    } else {
      departure.fail(errno, text);
    }
  }

  /**
   * Registrations and the reservation are of the whole disk, so one volume of it has them at a
   * time: with another's node it could only be fought over. Looked at before this node registers,
   * so that it leaves no trace on a disk that is another's, and again when it is registered: of two
   * that come at once, the one that registers later sees the other. A mount that is there already
   * stays.
   */
  private boolean refuseOtherPartitions(List<ReservationKey> registered) {
    String other = otherPartition(registered);
    if (other == null || situation.isResuming()) {
      return false;
    }
    departure.fail(Errno.EBUSY, other);
    return true;
  }

  private @Nullable String otherPartition(List<ReservationKey> registered) {
    OwnershipSettings settings = situation.settings();
    if (settings.partition() == 0) {
      return null;
    }
    for (ReservationKey key : registered) {
      if (key.partition() != settings.partition()) {
        return Outbox.fill(
            "key {} is registered on the disk of this partition, {}, for partition {} if it is"
                + " mxfs's. Reservations are of the whole disk: one partition of it is mounted as"
                + " mxfs at a time, on all nodes. Unmount the other one; after a crash mount it"
                + " there again first, or, if that node is off for certain: D={}; sg_persist -o -I"
                + " -S 1 $D; sg_persist -o -P -T 5 -K 1 -S {} $D; sg_persist -o -G -K 1 -S 0 $D;"
                + " mount again",
            key,
            settings.partition(),
            key.partition(),
            settings.device(),
            key);
      }
    }
    return null;
  }

  private void tellKey() {
    out.add(new Action.TellKey(rules.key()));
  }

  private void onKeys(ArrayAnswer.Keys keys, long askedAtMillis) {
    ReservationKey key = rules.key();
    boolean registered = !key.isNone() && keys.keys().contains(key);
    if (situation.isResuming() && !attachment.isDetached()) {
      if (!registered) {
        departure.fenced(
            Outbox.fill(
                "key {} is no longer registered on {}: this node was shut out while its daemon"
                    + " was dead",
                key,
                situation.settings().device()));
        return;
      }
      rules.foundRegistered(keys.keys());
      tellKey();
      lease.extend(askedAtMillis);
      situation.become(new Phase.Starting(Phase.StartStep.RESUME));
      return;
    }
    rules.foundRegistered(keys.keys());
    if (refuseOtherPartitions(keys.keys())) {
      return;
    }
    ReservationKey fresh = situation.freshKey(keys.keys());
    if (!key.isNone()) {
      // The predecessor may have granted the volume, and a command of it may still be under way: a
      // new key makes an end to both, wherever they are. That its key is gone is no fence: a grant
      // of it may have been used.
      rules.replaceKey(fresh);
      registrar.begin(registered ? key : ReservationKey.NONE, fresh);
    } else {
      rules.choose(fresh);
      registrar.begin(ReservationKey.NONE, fresh);
    }
    situation.become(new Phase.Starting(Phase.StartStep.REGISTER));
  }

  private void onRegistered(long askedAtMillis) {
    if (!rules.next().isNone()) {
      rules.keyIsReplaced();
    }
    tellKey();
    lease.extend(askedAtMillis);
    situation.become(new Phase.Member());
    view.readAt(out.now());
    view.mustReread(true);
    if (situation.isResuming()) {
      noteResumed();
      situation.becomeReady(Role.MEMBER, true);
    }
  }

  private void onResume(ArrayAnswer.Reservation reservation, long askedAt) {
    view.read(reservation);
    if (!view.holder().equals(rules.key())) {
      departure.fenced(
          Outbox.fill(
              "the reservation of {} is held by {}, not by our {}, while XFS is attached here",
              situation.settings().device(),
              view.holder(),
              rules.key()));
      return;
    }
    if (attachment.isDetached()) {
      // It was detached since HELLO, and not to be granted: nobody was here who could have.
      situation.become(new Phase.Member());
      view.mustReread(true);
    } else {
      rules.resumeTenure(askedAt);
      situation.become(new Phase.Holding());
    }
    noteResumed();
    situation.becomeReady(Role.OWNER, true);
  }

  private void noteResumed() {
    out.note(
        Action.Level.INFO,
        "resumed: key={} epoch={} kernel={}",
        rules.key(),
        rules.epoch(),
        attachment.state());
  }

  // ---- Solo ----

  private void startSolo(String reason) {
    int partition = situation.settings().partition();
    boolean shared = situation.isResuming() && !rules.key().isNone();
    if (partition != 0 || shared) {
      // Of a partition our node id tells it, so mxfs 0.2.0 does not hear our announcements. And
      // what
      // this mount shared until now another node may have attached: nothing would refuse its
      // writes, nor ours.
      refuse(
          Errno.EIO,
          Outbox.fill(
              "{} was taken to have SCSI persistent reservations, and says now that it has none"
                  + " ({}): mount it again",
              situation.settings().device(),
              reason));
      return;
    }
    out.note(
        Action.Level.WARN,
        "{} has no SCSI persistent reservations ({}): the volume is mounted on this node alone and"
            + " must not be mounted on another",
        situation.settings().device(),
        reason);
    rules.alone();
    pulse.stop();
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
