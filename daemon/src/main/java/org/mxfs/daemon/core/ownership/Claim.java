// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.Collections;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Role;
import org.mxfs.daemon.core.Waiter;
import org.mxfs.daemon.core.membership.Departed;
import org.mxfs.daemon.core.membership.Outcast;
import org.mxfs.daemon.core.membership.Silence;

/** Getting the volume: as a member, ask the holder, take what is granted, prove that it is ours. */
final class Claim {
  private static final int TAKE_ATTEMPTS_MAX = 5;

  /** A grant may claim to be so far ahead of the array's own count and no more. */
  private static final long EPOCH_LEAP_MAX = 1 << 20;

  /** Epochs are like PRGENERATION in so many of their last bits. */
  private static final int EPOCH_BITS = 14;

  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final HolderView view;
  private final Neighbours neighbours;
  private final WaitQueue queue;
  private final ArrayDialogue array;
  private final Departure departure;
  private final LeaseKeeper lease;
  private final Pulse pulse;
  private final Guard guard;

  /** Our own wish for the volume. */
  private boolean want;

  private long wantSince;
  private long requestId;
  private long nextRequestId;
  private long requestDue;
  private boolean unreachableNoted;
  private boolean foreignNoted;

  /** The request by which we came to hold the reservation; 0: by none. */
  private long tenureRequest;

  private long reserveDue;

  /** Whom a PREEMPT had no effect on, again and again, and when it is tried anew. */
  private ReservationKey resisting = ReservationKey.NONE;

  private long takeDue;

  private int reserveConflicts;

  /** It is our turn to attach, before the next waiter's. */
  private boolean ownTurn;

  /** Since when the epochs on disk are waited for, as {@link Pulse#mark} numbers it. */
  private long epochsSince;

  private long epochsAskedAt;
  private boolean epochsNeeded;

  /** When the keys were asked for with which the tenure has begun. */
  private long confirmedAt;

  /** Keys that show ours, while READ RESERVATION is asked once more. */
  private ArrayDialogue.@Nullable Reply keysSeen;

  /** Who was shut out for its silence, so that a tenure of ours can begin; none: nobody. */
  private ReservationKey shutOut = ReservationKey.NONE;

  /** That nobody may be shut out is said once of each. */
  private ReservationKey mixedNoted = ReservationKey.NONE;

  /** For the hand-over's log line. */
  private ReservationKey takenFrom = ReservationKey.NONE;

  private long grantedAt;
  private long preemptedAt;
  private int fromDetachMillis;

  Claim(
      Outbox out,
      TenureRules rules,
      Situation situation,
      HolderView view,
      Neighbours neighbours,
      WaitQueue queue,
      ArrayDialogue array,
      Departure departure,
      LeaseKeeper lease,
      Pulse pulse,
      Guard guard) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.view = view;
    this.neighbours = neighbours;
    this.queue = queue;
    this.array = array;
    this.departure = departure;
    this.lease = lease;
    this.pulse = pulse;
    this.guard = guard;
    this.nextRequestId = situation.settings().firstRequestId();
  }

  // ---- the wish ----

  /** It is of no use to who can never attach: others would wait for each turn of ours. */
  boolean isWanted() {
    return want && !pulse.isDoomed();
  }

  long wantSince() {
    return wantSince;
  }

  boolean isOwnTurn() {
    return ownTurn;
  }

  void turnIsOver() {
    ownTurn = false;
  }

  void want() {
    if (!want) {
      want = true;
      wantSince = out.now();
      if (situation.phase() instanceof Phase.Member) {
        view.readAt(out.now());
      }
    }
  }

  void wantNoMore() {
    want = false;
  }

  void noteTaken(long attachMillis) {
    if (takenFrom.isNone()) {
      return;
    }
    out.note(
        Action.Level.INFO,
        "handover from={} to={} epoch={} wait_ms={} detach_ms={} preempt_ms={} attach_ms={}"
            + " total_ms={}",
        takenFrom.nodeName(),
        rules.key().nodeName(),
        rules.tenure(),
        grantedAt - wantSince,
        fromDetachMillis,
        preemptedAt - grantedAt,
        attachMillis,
        out.now() - wantSince);
    takenFrom = ReservationKey.NONE;
  }

  // ---- what peers say ----

  void onPeerUp(Event.PeerUp peer) {
    if (peer.key().nodeId() == view.holder().nodeId()) {
      requestDue = out.now();
    }
    if (peer.mounted()) {
      compareOptions(peer);
    }
  }

  /**
   * Whoever owns the volume mounts XFS with the options of its own mount, so all nodes need the
   * same: a mount that comes with others than a node that has the volume mounted fails. Each mount
   * has compared them with the holder of its time, so all are the same.
   */
  private void compareOptions(Event.PeerUp peer) {
    OwnershipSettings settings = situation.settings();
    boolean there = OwnershipSettings.takesOver(peer.options());
    boolean here = settings.takeover() != null;
    guard.mixed().saw(peer, there != here);
    if (peer.options().equals(settings.options())) {
      return;
    }
    String text =
        there != here
            ? Outbox.fill(
                "node {} ({}) has volume {} mounted {} takeover, and this mount is {}: all nodes"
                    + " need the same (-Dmxfs.takeover and -Dmxfs.beats in /usr/lib/mxfs/options;"
                    + " a mount that only reads has none, nor has one by an older mxfs.ko)",
                peer.key().nodeName(),
                peer.host(),
                settings.volume(),
                there ? "with" : "without",
                here ? "with it" : "without")
            : Outbox.fill(
                "node {} ({}) has volume {} mounted with other options of XFS: {} there, {} here;"
                    + " all nodes need the same",
                peer.key().nodeName(),
                peer.host(),
                settings.volume(),
                peer.options().isEmpty() ? "none" : peer.options(),
                settings.options().isEmpty() ? "none" : settings.options());
    String nobody = here ? guard.whyNobody() : null;
    String then = nobody == null ? "" : "; " + nobody;
    if (situation.isResuming()) {
      out.note(Action.Level.WARN, "{}; this mount goes on{}", text, then);
    } else if (situation.isReady()) {
      out.note(
          Action.Level.WARN, "{}; both were mounting when nobody owned the volume{}", text, then);
    } else if (!situation.isLeaving()) {
      departure.fail(Errno.EINVAL, text);
    }
  }

  void onPeerLeave(ReservationKey from) {
    guard.mixed().left(from);
  }

  void onRedirect(PeerMessage.OwnRedirect redirect) {
    if (redirect.requestId() == requestId && requestId != 0) {
      // The array knows better than the peer; the request goes where the array points.
      view.readAt(out.now());
      requestDue = out.now() + OwnershipSettings.RETRY_MILLIS / 4;
    }
  }

  void onBusy(PeerMessage.OwnBusy busy) {
    if (busy.requestId() == requestId && requestId != 0) {
      out.note(
          Action.Level.WARN,
          "still waiting for the volume after {} ms: {}",
          out.now() - wantSince,
          busy.message());
      requestDue = out.now() + OwnershipSettings.BUSY_MILLIS;
    }
  }

  void onGrant(ReservationKey from, PeerMessage.OwnGrant grant) {
    boolean open = requestId != 0 && grant.requestId() == requestId && !situation.isLeaving();
    if (situation.phase() instanceof Phase.Taking taking
        && taking.requestId() == grant.requestId()) {
      return; // the same grant again, while we act on it
    }
    if (!open) {
      if (!tenureOf(grant.requestId())) {
        out.send(from.nodeId(), new PeerMessage.OwnDecline(grant.requestId()));
      }
      return;
    }
    if (!(situation.phase() instanceof Phase.Member)) {
      return; // an open request is never declined and kept; the grant is repeated or withdrawn
    }
    Permit.Granted granted = rules.accept(from, requestId, grant.newEpoch());
    if (granted == null) {
      out.note(
          Action.Level.WARN,
          "grant of epoch {} from {} refused: this node has had epoch {}",
          grant.newEpoch(),
          from,
          rules.epoch());
      return;
    }
    for (Waiter waiter : grant.waiters()) {
      if (waiter.nodeId() != situation.settings().nodeId()) {
        queue.add(waiter);
      }
    }
    grantedAt = out.now();
    fromDetachMillis = grant.detachMillis();
    situation.become(new Phase.Taking(granted, Phase.TakeStep.CHECK, 0));
  }

  /** The request by which we came to hold the reservation: its grant may still be repeated. */
  private boolean tenureOf(long id) {
    return id != 0
        && id == tenureRequest
        && (situation.phase() instanceof Phase.Confirming
            || situation.phase() instanceof Phase.Holding);
  }

  /** A peer says that it holds the reservation now. */
  void onTaken(ReservationKey from) {
    if (situation.phase() instanceof Phase.Member && !view.holder().equals(from)) {
      // Not believed, only looked at: the next read of the reservation decides.
      view.readAt(out.now());
      requestDue = out.now();
      view.told(from);
    }
  }

  /** Closes the open request for ever. */
  void dropRequest(String why) {
    if (requestId == 0 || situation.phase() instanceof Phase.Taking) {
      return;
    }
    ReservationKey holder = view.holder();
    if (!holder.isNone() && holder.nodeId() != situation.settings().nodeId()) {
      out.send(holder.nodeId(), new PeerMessage.OwnDecline(requestId));
    }
    out.note(Action.Level.DEBUG, "request {} given up: {}", requestId, why);
    close();
  }

  private void close() {
    requestId = 0;
    rules.close();
  }

  // ---- Member, Reserving ----

  void goOnAsMember() {
    ReservationKey holder = view.holder();
    if (holder.equals(rules.key()) && rules.isOurs()) {
      close();
      tenureRequest = 0;
      confirm();
      return;
    }
    if (situation.isReady() && !isWanted() && !view.mustReread()) {
      return;
    }
    if (out.now() >= view.readDue() || view.mustReread()) {
      array.wantForPhase(ArrayCommand.ReadReservation::new, this::onMemberRead);
      return;
    }
    out.wakeAt(view.readDue());
    OwnershipSettings settings = situation.settings();
    if (view.isForeign()) {
      refuseForeign();
      return;
    }
    if (holder.isNone()) {
      if (isWanted() || !situation.isReady()) {
        reserve();
      }
      return;
    }
    if (holder.equals(resisting) && out.now() < takeDue) {
      out.wakeAt(takeDue);
      return;
    }
    if (holder.nodeId() == settings.nodeId()) {
      takeFromOldSelf();
      return;
    }
    if ((isWanted() || !situation.isReady()) && takeFromDeparted(holder)) {
      return;
    }
    // Who is not ready may have to give up, and leave behind what it had begun.
    if (isWanted() && situation.isReady() && (takeFromOutcast(holder) || takeFromSilent(holder))) {
      return;
    }
    if (!situation.isReady()) {
      lookForHolder();
    } else if (isWanted()) {
      request();
    }
  }

  /**
   * The owner is silent for longer than its lease: it is shut out. That alone lets nobody attach;
   * see {@link Takeover}.
   */
  private boolean takeFromSilent(ReservationKey holder) {
    Silence silence = pulse.silence(holder);
    if (silence == null) {
      return false;
    }
    String nobody = guard.whyNobody();
    if (nobody != null) {
      if (!holder.equals(mixedNoted)) {
        mixedNoted = holder;
        out.note(
            Action.Level.ERROR,
            "operations wait: node {} (key {}), which owns the volume, has not written its"
                + " heartbeat for {} ms, and {}",
            holder.nodeName(),
            holder,
            silence.millis(),
            nobody);
      }
      return false;
    }
    out.note(
        Action.Level.WARN,
        "node {} (key {}), which owns the volume, has not written its heartbeat for {} ms: it is"
            + " shut out by {}",
        holder.nodeName(),
        holder,
        silence.millis(),
        rules.key());
    close();
    Permit permit = new Permit.Silent(silence, holder);
    situation.become(new Phase.Taking(permit, Phase.TakeStep.CHECK, 0));
    return true;
  }

  /** The holder has left, and is registered only to keep the disk reserved. */
  private boolean takeFromDeparted(ReservationKey holder) {
    Departed departed = guard.isOn() ? pulse.departed(holder) : null;
    if (departed == null) {
      return false;
    }
    out.note(
        Action.Level.INFO,
        "node {} (key {}) has left and kept the disk reserved: taking the volume over",
        holder.nodeName(),
        holder);
    close();
    situation.become(new Phase.Taking(new Permit.Left(departed), Phase.TakeStep.CHECK, 0));
    return true;
  }

  /**
   * The holder was shut out, as its slot says, and a REGISTER and a RESERVE of it came late, or of
   * an earlier life of its node: its lease was over before its slot could say so.
   */
  private boolean takeFromOutcast(ReservationKey holder) {
    Outcast outcast = guard.isOn() ? pulse.outcastBy(holder) : null;
    if (outcast == null || guard.whyNobody() != null) {
      return false;
    }
    out.note(
        Action.Level.WARN,
        "node {} (key {}) was shut out as {}, and holds the reservation: it is taken from it",
        holder.nodeName(),
        holder,
        outcast.key());
    close();
    Permit permit = new Permit.ShutOut(outcast, holder);
    situation.become(new Phase.Taking(permit, Phase.TakeStep.CHECK, 0));
    return true;
  }

  private void reserve() {
    if (reserveConflicts >= OwnershipSettings.START_ERRORS_MAX && !situation.isReady()) {
      departure.fail(
          Errno.EBUSY,
          Outbox.fill(
              "RESERVE on {} was refused {} times, though READ RESERVATION shows no reservation",
              situation.settings().device(),
              reserveConflicts));
    } else if (out.now() < reserveDue) {
      out.wakeAt(reserveDue);
    } else {
      situation.become(new Phase.Reserving());
    }
  }

  private void refuseForeign() {
    String text =
        Outbox.fill(
            "{} is reserved by {} with type {}, which is not mxfs's (5, Write Exclusive,"
                + " Registrants Only): something else uses this disk, or did; if it does no more:"
                + " D={}; sg_persist -o -G -S 1 $D; sg_persist -o -C -K 1 $D (removes every"
                + " registration and the reservation)",
            situation.settings().device(),
            view.holder().isNone() ? "all registrants" : "key " + view.holder(),
            view.typeName(),
            situation.settings().device());
    if (!situation.isReady()) {
      departure.fail(Errno.EBUSY, text);
    } else if (!foreignNoted) {
      foreignNoted = true;
      out.note(Action.Level.ERROR, "operations wait: {}", text);
    }
  }

  /**
   * The reservation is held by an earlier incarnation of this node. The kernel mounts a device
   * once, so that incarnation is dead, unless another machine runs under our id: listen for one
   * first.
   */
  private void takeFromOldSelf() {
    if (!rules.isDeadSelf(view.holder())) {
      String text =
          Outbox.fill(
              "the reservation of {} is held by {}, which has this node's id and is not known to"
                  + " be dead: another machine has the same id (was /etc/mxfs/node.uuid copied?)",
              situation.settings().device(),
              view.holder());
      if (!situation.isReady()) {
        departure.fail(Errno.ENOTUNIQ, text);
      } else if (!foreignNoted) {
        foreignNoted = true;
        out.note(Action.Level.ERROR, "operations wait: {}", text);
      }
      return;
    }
    long due = situation.startedAt() + OwnershipSettings.LISTEN_MILLIS;
    if (out.now() < due) {
      out.wakeAt(due);
      return;
    }
    out.note(
        Action.Level.WARN,
        "the reservation is held by {}, an earlier incarnation of this node, which is dead: taking"
            + " it over as {}",
        view.holder(),
        rules.key());
    Permit permit = new Permit.DeadLife(view.holder());
    situation.become(new Phase.Taking(permit, Phase.TakeStep.CHECK, 0));
  }

  /** Nobody connects it in time, and it has not written some heartbeats. */
  private boolean isMissed(ReservationKey holder) {
    return out.now() >= situation.startedAt() + OwnershipSettings.PEER_WAIT_MILLIS
        && pulse.isMissed(holder);
  }

  private void lookForHolder() {
    ReservationKey holder = view.holder();
    Event.PeerUp owner = neighbours.peer(holder.nodeId());
    if (owner != null && owner.key().equals(holder)) {
      // It may not have been mounted yet when it was connected: then it was faster than we are.
      compareOptions(owner);
      if (situation.phase() instanceof Phase.Member && mayHaveSlot()) {
        situation.becomeReady(Role.MEMBER, true);
      }
      return;
    }
    boolean isOutcast = guard.isOn() && pulse.outcastBy(holder) != null;
    if ((isMissed(holder) || isOutcast) && mayHaveSlot()) {
      // That it is silent takes longer to know than mount(2) waits for: operations wait instead.
      out.note(
          Action.Level.WARN,
          "node {} (key {}), which owns the volume, is not connected and does not write its"
              + " heartbeat: operations wait for it, and the volume is taken over when it stays"
              + " silent",
          holder.nodeName(),
          holder);
      situation.becomeReady(Role.MEMBER, true);
      return;
    }
    long deadline =
        situation.startedAt() + OwnershipSettings.PEER_WAIT_MILLIS + pulse.missedAfterMillis();
    if (out.now() < deadline || !(situation.phase() instanceof Phase.Member)) {
      out.wakeAt(deadline);
      return;
    }
    String device = situation.settings().device();
    String host = neighbours.hostOf(holder.nodeId());
    String who = Outbox.fill("node {} (key {})", holder.nodeName(), holder);
    String other = neighbours.otherVersionOf(holder.nodeId());
    if (other != null) {
      departure.fail(
          Errno.EHOSTUNREACH,
          Outbox.fill(
              "{} owns the volume and {}: all nodes need the same version of mxfs", who, other));
      return;
    }
    departure.fail(
        Errno.EHOSTUNREACH,
        Outbox.fill(
            "{} owns the volume and {}. Is the network blocked (firewall; iface=, broadcast=)?"
                + " Crash takeover is not in this version: if that node is off for certain, shut"
                + " its key out: D={}; sg_persist -o -G -S 1 $D; sg_persist -o -P -T 5 -K 1 -S {}"
                + " $D; sg_persist -o -G -K 1 -S 0 $D; mount again",
            who,
            (host == null
                ? "is not heard on the network"
                : "(" + host + ") is heard on the network but does not accept our connection"),
            device,
            holder));
  }

  /** A mount that can have no heartbeat slot fails before it wants the volume. */
  boolean mayHaveSlot() {
    return switch (pulse.hasRoom()) {
      case YES -> true;
      case NOT_YET -> false;
      case NO -> {
        departure.fail(
            Errno.EBUSY,
            Outbox.fill(
                "all heartbeat slots of volume {} are taken by nodes that are registered on {}: so"
                    + " many have it mounted, or crashed and were not shut out",
                situation.settings().volume(),
                situation.settings().device()));
        yield false;
      }
    };
  }

  private void request() {
    if (requestId == 0) {
      requestId = nextRequestId++;
      rules.open(requestId);
      requestDue = out.now();
    }
    if (out.now() < requestDue) {
      out.wakeAt(requestDue);
      return;
    }
    requestDue = out.now() + OwnershipSettings.REQUEST_MILLIS;
    out.wakeAt(requestDue);
    ReservationKey holder = view.holder();
    if (neighbours.isConnected(holder.nodeId())) {
      out.send(holder.nodeId(), new PeerMessage.OwnRequest(requestId));
    } else if (!unreachableNoted && out.now() - wantSince >= OwnershipSettings.WAIT_READ_MILLIS) {
      unreachableNoted = true;
      out.note(
          Action.Level.WARN,
          "operations wait for the volume: its owner, node {} (key {}), is not connected",
          holder.nodeName(),
          holder);
    }
  }

  private void onMemberRead(ArrayDialogue.Reply reply) {
    switch (reply.answer()) {
      case ArrayAnswer.Reservation reservation -> {
        array.succeeded();
        view.mustReread(false);
        if (!view.holder().equals(reservation.holder())) {
          requestDue = Math.min(requestDue, out.now());
          unreachableNoted = false;
        }
        view.read(reservation);
        if (view.holder().equals(rules.key())) {
          rules.sawOurs(reply.askedAt());
        }
        if (!view.holder().isNone()) {
          reserveConflicts = 0;
        }
        view.readAt(
            out.now()
                + (situation.isReady()
                    ? OwnershipSettings.WAIT_READ_MILLIS
                    : OwnershipSettings.REQUEST_MILLIS));
      }
      case ArrayAnswer other -> departure.trouble("READ RESERVATION", other.toString());
    }
  }

  void goOnReserving() {
    array.wantForPhase(rules::reserve, this::onReserved);
  }

  private void onReserved(ArrayDialogue.Reply reply) {
    switch (reply.answer()) {
      case ArrayAnswer.Done _ -> {}
      case ArrayAnswer.Conflict _ -> {
        lease.lookNow(); // another's reservation, or our key is gone
        reserveConflicts++;
        reserveDue = out.now() + OwnershipSettings.RETRY_MILLIS;
      }
      case ArrayAnswer other -> departure.trouble("RESERVE", other.toString());
    }
    // Whatever RESERVE said, READ RESERVATION says who holds it.
    situation.become(new Phase.Member());
    view.readAt(out.now());
    view.mustReread(true);
  }

  // ---- Taking ----

  void goOnTaking(Phase.Taking taking) {
    @Nullable Permit permit = taking.permit();
    if (permit instanceof Permit.Silent && taking.step() == Phase.TakeStep.PREEMPT) {
      Silence now = pulse.silence(taking.victim());
      permit = now == null ? null : new Permit.Silent(now, taking.victim());
    }
    if (permit == null) {
      out.note(Action.Level.INFO, "{} is not known to be silent any more", taking.victim());
      situation.become(new Phase.Member());
      view.readAt(out.now());
      return;
    }
    Permit holds = permit;
    array.wantForPhase(
        () ->
            switch (taking.step()) {
              case CHECK, VERIFY -> new ArrayCommand.ReadReservation();
              case PREEMPT -> preempt(holds);
            },
        reply -> onTaking(taking, reply));
  }

  private ArrayCommand preempt(Permit permit) {
    if (permit instanceof Permit.Silent silent) {
      guard.shuttingOut(silent.victim());
    } else if (permit instanceof Permit.ShutOut shutOut) {
      guard.owesAnEnd(shutOut.proof());
    }
    return rules.preempt(permit);
  }

  private void onTaking(Phase.Taking taking, ArrayDialogue.Reply reply) {
    if (taking.step() == Phase.TakeStep.PREEMPT) {
      if (!(reply.answer() instanceof ArrayAnswer.Done)) {
        out.note(
            Action.Level.WARN,
            "PREEMPT of {}: {}; asking the array who holds it",
            taking.victim(),
            reply.answer());
        lease.lookNow();
      }
      situation.become(taking.at(Phase.TakeStep.VERIFY, taking.attempts() + 1));
      return;
    }
    switch (reply.answer()) {
      case ArrayAnswer.Reservation reservation -> {
        array.succeeded();
        if (!reservation.holder().equals(taking.victim())) {
          afterTaking(taking, reservation, reply.askedAt());
        } else if (taking.step() == Phase.TakeStep.CHECK) {
          situation.become(taking.at(Phase.TakeStep.PREEMPT, taking.attempts()));
        } else {
          stillNotTaken(taking);
        }
      }
      case ArrayAnswer other -> departure.trouble("READ RESERVATION", other.toString());
    }
  }

  /** The reservation is not (or no longer) the victim's: ours or somebody else's. */
  private void afterTaking(Phase.Taking taking, ArrayAnswer.Reservation reservation, long askedAt) {
    view.read(reservation);
    if (view.holder().equals(rules.key())) {
      preemptedAt = out.now();
      takenFrom = taking.requestId() == 0 ? ReservationKey.NONE : taking.victim();
      rules.sawOurs(askedAt);
      tenureRequest = taking.requestId();
      requestId = 0;
      confirm();
      if (taking.permit() instanceof Permit.Silent silent) {
        shutOut = silent.victim();
      }
      return;
    }
    out.note(
        Action.Level.INFO,
        "the reservation is held by {}, not by {}: asking there",
        view.holder(),
        taking.victim());
    rules.open(requestId); // still open, and the grant was no good
    situation.become(new Phase.Member());
    view.readAt(out.now());
    requestDue = out.now();
  }

  /**
   * READ RESERVATION has shown the victim after a PREEMPT, so that PREEMPT is known to have had no
   * effect.
   */
  private void stillNotTaken(Phase.Taking taking) {
    if (taking.attempts() < TAKE_ATTEMPTS_MAX) {
      array.pause(OwnershipSettings.RETRY_MILLIS);
      situation.become(taking.at(Phase.TakeStep.CHECK, taking.attempts()));
      return;
    }
    String text =
        Outbox.fill(
            "PREEMPT of {} on {} had no effect {} times",
            taking.victim(),
            situation.settings().device(),
            taking.attempts());
    out.note(Action.Level.ERROR, text);
    situation.become(new Phase.Member());
    view.readAt(out.now() + OwnershipSettings.BUSY_MILLIS);
    resisting = taking.victim();
    takeDue = out.now() + OwnershipSettings.TAKE_AGAIN_MILLIS;
    if (taking.requestId() != 0) {
      dropRequest("taking failed");
    } else if (!situation.isReady()) {
      departure.fail(Errno.EIO, text);
    }
  }

  // ---- Confirming ----

  private void confirm() {
    shutOut = ReservationKey.NONE;
    epochsNeeded = false;
    keysSeen = null;
    epochsSince = pulse.mark();
    epochsAskedAt = out.now();
    situation.become(new Phase.Confirming());
  }

  void goOnConfirming() {
    // A grant tells its epoch, which is above all before.
    if ((epochsNeeded || rules.granted() == null) && !hasReadEpochs()) {
      return;
    }
    if (keysSeen == null) {
      array.wantForPhase(ArrayCommand.ReadKeys::new, this::onConfirming);
    } else {
      array.wantForPhase(ArrayCommand.ReadReservation::new, this::onConfirmedAgain);
    }
  }

  /** It stays so from the first look to the second: who takes it has shut this node out. */
  private void onConfirmedAgain(ArrayDialogue.Reply reply) {
    ArrayDialogue.Reply seen = keysSeen;
    if (!(reply.answer() instanceof ArrayAnswer.Reservation reservation)) {
      departure.trouble("READ RESERVATION", reply.answer().toString());
      return;
    }
    array.succeeded();
    view.read(reservation);
    if (!view.holder().equals(rules.key())) {
      departure.fenced(
          Outbox.fill(
              "the reservation of {} is held by {} and not by our {}, without our consent",
              situation.settings().device(),
              view.holder(),
              rules.key()));
    } else if (seen != null && seen.answer() instanceof ArrayAnswer.Keys keys) {
      keysSeen = null;
      rules.sawOurs(reply.askedAt());
      begin(keys, seen);
    }
  }

  /**
   * Whether the epochs on disk were read since the reservation was seen to be ours, when nobody
   * else began a tenure any more; a disk that cannot be read is waited for so long and no longer.
   * An array that was without power counts from 0 again, and may keep registrations.
   */
  private boolean hasReadEpochs() {
    long patience = epochsAskedAt + OwnershipSettings.DISK_MILLIS;
    if (pulse.hasReadSince(epochsSince) || out.now() >= patience) {
      return true;
    }
    out.wakeAt(patience);
    return false;
  }

  /** Before an attach: what was seen at the beginning of the tenure may be so no more. */
  void forgetWhatIsOld() {
    if (out.now() - confirmedAt > situation.settings().leaseMillis() / 4) {
      rules.forgetAlone();
    }
  }

  private void onConfirming(ArrayDialogue.Reply reply) {
    switch (reply.answer()) {
      case ArrayAnswer.Keys keys -> {
        array.succeeded();
        int paths = Collections.frequency(keys.keys(), rules.key());
        if (paths == 0) {
          departure.fenced(
              Outbox.fill(
                  "key {} is not registered on {} any more",
                  rules.key(),
                  situation.settings().device()));
          return;
        }
        if (paths > 1) {
          // Which of them holds the reservation the key does not say: a key of our own will.
          out.note(
              Action.Level.ERROR,
              "{} paths to {} have our key {}: two machines have one node id (was"
                  + " /etc/mxfs/node.uuid copied?); taking a new key",
              paths,
              situation.settings().device(),
              rules.key());
          rules.replaceKey(situation.freshKey(keys.keys()));
          situation.become(new Phase.Withdrawing(Phase.WithdrawStep.REGISTER));
          return;
        }
        lease.extend(reply.askedAtMillis());
        if (rules.looksTwice()) {
          keysSeen = reply;
        } else {
          begin(keys, reply);
        }
      }
      case ArrayAnswer other -> departure.trouble("READ KEYS", other.toString());
    }
  }

  private void begin(ArrayAnswer.Keys keys, ArrayDialogue.Reply reply) {
    long next = nextEpoch(keys.generation());
    if (next == 0) {
      epochsNeeded = true; // the grant's is not to be believed: the disk's is wanted first
      return;
    }
    confirmedAt = reply.askedAtMillis();
    rules.sawKeys(keys.keys());
    rules.beginTenure(reply.askedAt(), next, keys.keys().size() == 1);
    ownTurn = true;
    situation.become(new Phase.Holding());
    pulse.beginTenure(keys.keys(), reply.askedAtMillis());
    if (!shutOut.isNone()) {
      pulse.victim(shutOut); // it may be registered again by now
    }
    out.note(
        Action.Level.DEBUG,
        "holder: key={} epoch={} generation={}",
        rules.key(),
        rules.tenure(),
        keys.generation());
    out.add(new Action.Broadcast(new PeerMessage.OwnTaken(rules.tenure())));
  }

  /**
   * The epoch of the tenure that begins now: see {@link Ownership}. A grant that claims to be far
   * ahead of the array's own count, and of the disk, is not believed. Where others may be shut out
   * it is like PRGENERATION in its last bits: no two tenures begin on the same one, so none has the
   * epoch of another whose record is still under way to the disk, though both are above all that is
   * there (an array that was without power counts from 0 again).
   *
   * @return 0: the disk is to be read first
   */
  private long nextEpoch(long generation) {
    Permit.Granted granted = rules.granted();
    long said = granted == null ? 0 : granted.newEpoch();
    boolean credible = said <= Math.max(generation, pulse.maxEpoch()) + EPOCH_LEAP_MAX;
    if (!credible && !epochsNeeded) {
      return 0;
    }
    long next = Math.max(rules.epoch() + 1, Math.max(generation, credible ? said : 0));
    next = Math.max(next, pulse.maxEpoch() + 1);
    return rules.looksTwice() ? next + (generation - next & (1L << EPOCH_BITS) - 1) : next;
  }
}
