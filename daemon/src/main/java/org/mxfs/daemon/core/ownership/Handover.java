// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.List;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Role;
import org.mxfs.daemon.core.Waiter;
import org.mxfs.daemon.core.membership.Heartbeat;

/** Having the volume: attach for ourselves, grant it to who waits, take a grant back, come back. */
final class Handover {
  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final HolderView view;
  private final Neighbours neighbours;
  private final WaitQueue queue;
  private final ArrayDialogue array;
  private final Attachment attachment;
  private final Departure departure;
  private final LeaseKeeper lease;
  private final Claim claim;
  private final Registrar registrar;
  private final Pulse pulse;
  private final Takeover takeover;

  private long grantDue;
  private boolean diskNoted;
  private long tellDue;

  Handover(
      Outbox out,
      TenureRules rules,
      Situation situation,
      HolderView view,
      Neighbours neighbours,
      WaitQueue queue,
      ArrayDialogue array,
      Attachment attachment,
      Departure departure,
      LeaseKeeper lease,
      Claim claim,
      Registrar registrar,
      Pulse pulse,
      Takeover takeover) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.view = view;
    this.neighbours = neighbours;
    this.queue = queue;
    this.array = array;
    this.attachment = attachment;
    this.departure = departure;
    this.lease = lease;
    this.claim = claim;
    this.registrar = registrar;
    this.pulse = pulse;
    this.takeover = takeover;
  }

  // ---- what peers say ----

  void onPeerDown(int nodeId) {
    queue.removeIf(w -> w.nodeId() == nodeId);
  }

  void onRequest(ReservationKey from, long id) {
    if (situation.isLeaving()
        && !(situation.phase() instanceof Phase.Holding)
        && !(situation.phase() instanceof Phase.Consented)) {
      return; // it reads the array and sees soon who holds the reservation, or that nobody does
    }
    switch (situation.phase()) {
      case Phase.Consented consented when consented.grantee().nodeId() == from.nodeId() -> {
        if (consented.grantee().requestId() == id) {
          grantDue = out.now();
        } else if (consented.grantee().key().equals(from) && id > consented.grantee().requestId()) {
          // The same incarnation asks with a newer request: the one we granted is closed. Whether
          // it was used before it was closed only the array can say.
          situation.become(consented.asDeclined());
          queue.add(new Waiter(from, id));
        } else {
          queue.add(new Waiter(from, id));
        }
      }
      case Phase.Holding _,
          Phase.Consented _,
          Phase.Withdrawing _,
          Phase.Confirming _,
          Phase.Taking _,
          Phase.Reserving _ ->
          queue.add(new Waiter(from, id));
      case Phase.Member _, Phase.Rejoining _ -> {
        ReservationKey holder = view.holder();
        ReservationKey known =
            holder.nodeId() == situation.settings().nodeId() ? ReservationKey.NONE : holder;
        out.send(from.nodeId(), new PeerMessage.OwnRedirect(id, known));
        // The requester asks the node that the array shows as the holder. If that is us, we want to
        // know.
        view.mustReread(true);
      }
      case Phase.New _, Phase.Starting _, Phase.Solo _, Phase.Departing _, Phase.Gone _ -> {}
    }
  }

  void onTaken() {
    if (situation.phase() instanceof Phase.Consented) {
      view.readAt(out.now());
    }
  }

  void onDecline(ReservationKey from, long id) {
    queue.removeIf(w -> w.nodeId() == from.nodeId() && w.requestId() == id);
    if (situation.phase() instanceof Phase.Consented consented
        && consented.grantee().key().equals(from)
        && consented.grantee().requestId() == id) {
      situation.become(consented.asDeclined());
    }
  }

  void onPeerLeave(ReservationKey from) {
    neighbours.left(from);
    claim.onPeerLeave(from);
    queue.removeIf(w -> w.key().equals(from));
    if (situation.phase() instanceof Phase.Consented consented
        && consented.grantee().key().equals(from)) {
      situation.become(consented.asDeclined());
    }
    if (view.holder().equals(from)) {
      view.readAt(out.now());
    }
  }

  void onUnitAttention() {
    if (situation.phase() instanceof Phase.Consented) {
      view.readAt(out.now());
    }
  }

  /** XFS could not be detached: who waits is told why. */
  void cannotGiveUp(String text) {
    List<Waiter> waiting = queue.all();
    out.note(Action.Level.WARN, "{}; {} waiting", text, waiting.size());
    for (Waiter waiter : waiting) {
      out.send(waiter.nodeId(), new PeerMessage.OwnBusy(waiter.requestId(), text));
    }
    queue.clear();
  }

  // ---- Holding ----

  /**
   * A higher epoch than that of our tenure is on disk, and the array has shown that the tenure goes
   * on all the same. The next attach, or grant, has to be above it.
   */
  boolean beginsAnew() {
    if (!pulse.isBelowOthers() || pulse.isOvertaken() || !attachment.isDetached()) {
      return false;
    }
    rules.beginAnew();
    situation.become(new Phase.Member());
    view.mustReread(true);
    return true;
  }

  /** As the holder: attach for ourselves, or let the next waiter have it. */
  void serve() {
    switch (attachment.state()) {
      case DETACHED -> serveDetached();
      case ATTACHED -> {
        situation.becomeReady(Role.OWNER, true);
        if (queue.first() != null) {
          attachment.detachWhenDue(situation.settings().quantumMillis());
        }
      }
      case ATTACHING, DETACHING, DEAD -> {}
    }
  }

  private void serveDetached() {
    boolean own = !situation.isLeaving() && (claim.isWanted() || !situation.isReady());
    Waiter next = situation.isReady() ? queue.first() : null;
    if (pulse.isOvertaken() || !lease.isRecent()) {
      return; // the array is being asked
    }
    boolean turn = own && (claim.isOwnTurn() || next == null);
    boolean due = turn && lease.isLive() && attachment.attachIsDue();
    if (!rules.isSettled()) {
      tellWhoWaits();
      boolean waits = !takeover.waitsFor().isEmpty();
      if (!situation.isReady() && waits && claim.mayHaveSlot()) {
        situation.becomeReady(Role.MEMBER, true); // mount(2) does not wait for so long
      }
      return; // see Takeover
    }
    Heartbeat.Verdict disk = due ? pulse.mayAttach() : Heartbeat.Verdict.YES;
    if (due && disk == Heartbeat.Verdict.YES && (situation.isReady() || claim.mayHaveSlot())) {
      diskNoted = false;
      claim.forgetWhatIsOld();
      attachment.attach();
      return;
    }
    if (disk == Heartbeat.Verdict.NO) {
      cannotBeat();
    }
    boolean ownFirst = due && claim.isOwnTurn() && disk != Heartbeat.Verdict.NO;
    if (next != null && rules.mayGrant() && !ownFirst && pulse.mayConsent()) {
      consent(next);
    }
  }

  /** A tenure that is not settled can take as long as a command can live. */
  private void tellWhoWaits() {
    String why = takeover.waitsFor();
    if (why.isEmpty() || out.now() < tellDue) {
      return;
    }
    for (Waiter waiter : queue.all()) {
      tellDue = out.now() + OwnershipSettings.TELL_MILLIS;
      out.send(
          waiter.nodeId(),
          new PeerMessage.OwnBusy(
              waiter.requestId(),
              Outbox.fill(
                  "node {} has the reservation and waits before it attaches XFS: {}",
                  rules.key().nodeName(),
                  why)));
    }
  }

  /** Without its epoch on disk this node must not attach: whoever waits may have the volume. */
  private void cannotBeat() {
    String text =
        Outbox.fill(
            "the epoch of this tenure cannot be written to the heartbeat slot on {} within {} ms:"
                + " {}",
            situation.settings().device(),
            OwnershipSettings.DISK_MILLIS,
            pulse.trouble());
    if (!situation.isReady() && !situation.isResuming()) {
      departure.fail(Errno.EIO, text);
    } else if (!diskNoted) {
      diskNoted = true;
      out.note(Action.Level.ERROR, "operations wait: {}", text);
    }
  }

  private void consent(Waiter waiter) {
    rules.grant();
    queue.remove(waiter);
    situation.become(new Phase.Consented(waiter, out.now(), false));
    grantDue = out.now();
    view.readAt(out.now() + OwnershipSettings.GRANT_MILLIS);
    claim.turnIsOver();
  }

  /**
   * A leaving owner lets the first waiter take the volume before it goes: that saves the waiter the
   * race.
   */
  boolean holdsUpLeaving() {
    boolean early = out.now() < situation.leaveSince() + OwnershipSettings.LEAVE_GRANT_MILLIS;
    return switch (situation.phase()) {
      case Phase.Departing _ -> true;
      case Phase.Consented consented -> !consented.declined() && early;
      case Phase.Holding _ -> situation.isReady() && queue.first() != null && early;
      default -> false;
    };
  }

  // ---- Consented ----

  void goOnConsented(Phase.Consented consented) {
    if (situation.isLeaving()) {
      out.wakeAt(situation.leaveSince() + OwnershipSettings.LEAVE_GRANT_MILLIS);
    }
    if (consented.declined() && !situation.isLeaving()) {
      // What a peer says is no proof that its PREEMPT will not come: make the grant void.
      out.note(
          Action.Level.DEBUG,
          "node {} will not take the volume: withdrawing the grant by a new key",
          consented.grantee().key().nodeName());
      withdraw();
      return;
    }
    if (out.now() >= grantDue && !consented.declined()) {
      grantDue = out.now() + OwnershipSettings.GRANT_MILLIS;
      out.send(
          consented.grantee().nodeId(),
          new PeerMessage.OwnGrant(
              consented.grantee().requestId(),
              rules.tenure() + 1,
              attachment.detachMillis(),
              queue.all()));
    }
    if (out.now() >= view.readDue()) {
      array.wantForPhase(
          ArrayCommand.ReadReservation::new, reply -> onConsentedRead(consented, reply));
      return;
    }
    out.wakeAt(grantDue);
    out.wakeAt(view.readDue());
  }

  private void onConsentedRead(Phase.Consented consented, ArrayDialogue.Reply reply) {
    switch (reply.answer()) {
      case ArrayAnswer.Reservation reservation -> {
        array.succeeded();
        view.readAt(out.now() + OwnershipSettings.GRANT_MILLIS);
        if (!reservation.holder().equals(rules.key())) {
          view.read(reservation);
          rules.lost(reply.askedAt());
          queue.clear(); // went along with the grant
          out.note(
              Action.Level.DEBUG,
              "the reservation moved to {} after {} ms",
              view.holder(),
              out.now() - consented.since());
          if (!view.holder().equals(consented.grantee().key())) {
            // Not seen with the grantee, so whether the grant was used is not known.
            rules.replaceKey(situation.freshKey(List.of()));
            keyIsReplaced();
          }
          rejoin();
        } else if (out.now() - consented.since() >= OwnershipSettings.CONSENT_MILLIS
            && !situation.isLeaving()) {
          out.note(
              Action.Level.WARN,
              "node {} did not take the volume within {} ms: withdrawing the grant by a new key",
              consented.grantee().key().nodeName(),
              OwnershipSettings.CONSENT_MILLIS);
          withdraw();
        }
      }
      case ArrayAnswer other -> departure.trouble("READ RESERVATION", other.toString());
    }
  }

  // ---- Withdrawing ----

  void withdraw() {
    rules.replaceKey(situation.freshKey(List.of()));
    situation.become(new Phase.Withdrawing(Phase.WithdrawStep.REGISTER));
  }

  void goOnWithdrawing(Phase.Withdrawing withdrawing) {
    array.wantForPhase(
        () ->
            switch (withdrawing.step()) {
              case REGISTER -> rules.register(rules.key(), rules.next(), situation.aptpl());
              case DONE, REFUSED, UNCLEAR -> new ArrayCommand.ReadReservation();
            },
        reply -> onWithdrawing(withdrawing, reply.answer()));
  }

  private void onWithdrawing(Phase.Withdrawing withdrawing, ArrayAnswer answer) {
    if (withdrawing.step() == Phase.WithdrawStep.REGISTER) {
      if (situation.isAptplRefused(answer)) {
        return;
      }
      Phase.WithdrawStep next =
          switch (answer) {
            case ArrayAnswer.Done _ -> Phase.WithdrawStep.DONE;
            case ArrayAnswer.Conflict _ -> Phase.WithdrawStep.REFUSED;
            case ArrayAnswer other -> {
              departure.trouble(Outbox.fill("REGISTER of {}", rules.next()), other.toString());
              yield Phase.WithdrawStep.UNCLEAR;
            }
          };
      if (situation.phase().equals(withdrawing)) {
        // READ RESERVATION shows the new key if it took effect while we held the reservation.
        situation.become(new Phase.Withdrawing(next));
      }
      return;
    }
    switch (answer) {
      case ArrayAnswer.Reservation reservation -> {
        view.read(reservation);
        if (view.holder().equals(rules.key()) && withdrawing.step() == Phase.WithdrawStep.UNCLEAR) {
          situation.become(new Phase.Withdrawing(Phase.WithdrawStep.REGISTER));
          array.pause(OwnershipSettings.RETRY_MILLIS);
          return;
        }
        array.succeeded();
        keyIsReplaced();
        if (withdrawing.step() != Phase.WithdrawStep.REFUSED
            && (view.holder().equals(rules.key())
                || withdrawing.step() == Phase.WithdrawStep.DONE)) {
          // The next reading is the first that was asked for after the old key was given up. Where
          // the old key still holds, another machine has had the same.
          situation.become(new Phase.Member());
          view.mustReread(true);
        } else {
          // The grantee was faster.
          queue.clear();
          rejoin();
        }
      }
      case ArrayAnswer other -> departure.trouble("READ RESERVATION", other.toString());
    }
  }

  private void keyIsReplaced() {
    rules.keyIsReplaced();
    out.add(new Action.TellKey(rules.key()));
  }

  // ---- Rejoining ----

  private void rejoin() {
    registrar.begin(ReservationKey.NONE, rules.key());
    situation.become(new Phase.Rejoining());
  }

  void goOnRejoining() {
    if (pulse.keepsFromRegistering()) {
      return; // where this node is not registered it has no effect, whosever slot it is by then
    }
    registrar.goOn(this::onRejoining);
  }

  private void onRejoining(Registrar.Result result, ArrayDialogue.Reply reply) {
    switch (result) {
      case Registrar.Result.GoingOn _ -> {}
      case Registrar.Result.Registered _ -> {
        if (situation.settings().takeover() != null && pulse.isOverdue()) {
          out.note(
              Action.Level.WARN,
              "{} was silent for longer than its lease, and others may have begun to shut it out:"
                  + " taking a new key",
              rules.key());
          withdraw();
          return;
        }
        lease.extend(reply.askedAtMillis());
        lease.lookedJustNow();
        situation.become(new Phase.Member());
        view.readAt(out.now());
        out.note(Action.Level.DEBUG, "registered again: key={}", rules.key());
      }
      case Registrar.Result.InUse inUse -> departure.fenced(inUse.text());
      case Registrar.Result.Twin twin -> departure.fenced(twin.text());
    }
  }
}
