// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Role;
import org.mxfs.daemon.core.Waiter;

/** Getting the volume: as a member, ask the holder, take what is granted, prove that it is ours. */
final class Claim {
  private static final int TAKE_ATTEMPTS_MAX = 5;

  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final HolderView view;
  private final Neighbours neighbours;
  private final WaitQueue queue;
  private final ArrayDialogue array;
  private final Departure departure;
  private final LeaseKeeper lease;

  /** Our own wish for the volume. */
  private boolean want;

  private long wantSince;
  private long requestId;
  private long nextRequestId;
  private long requestDue;
  private boolean unreachableNoted;

  /** It is our turn to attach, before the next waiter's. */
  private boolean ownTurn;

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
      LeaseKeeper lease) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.view = view;
    this.neighbours = neighbours;
    this.queue = queue;
    this.array = array;
    this.departure = departure;
    this.lease = lease;
    this.nextRequestId = situation.settings().firstRequestId();
  }

  // ---- the wish ----

  boolean isWanted() {
    return want;
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

  void onPeerUp(ReservationKey peer) {
    if (peer.nodeId() == view.holder().nodeId()) {
      requestDue = out.now();
    }
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

  void onGrant(ReservationKey from, PeerMessage.OwnGrant grant, long knownEpoch) {
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
    if (grant.newEpoch() <= knownEpoch) {
      out.note(
          Action.Level.WARN,
          "grant of epoch {} from {} refused: epoch {} is known already",
          grant.newEpoch(),
          from,
          knownEpoch);
      return;
    }
    rules.heardOf(grant.newEpoch() - 1);
    for (Waiter waiter : grant.waiters()) {
      if (waiter.nodeId() != situation.settings().nodeId()) {
        queue.add(waiter);
      }
    }
    grantedAt = out.now();
    fromDetachMillis = grant.detachMillis();
    if (!lease.isAsking()) {
      array.dropAnswer();
    }
    situation.become(new Phase.Taking(from, requestId, Phase.TakeStep.CHECK, 0));
  }

  /** The request by which we came to hold the reservation: its grant may still be repeated. */
  private boolean tenureOf(long id) {
    return id != 0
        && id == rules.tenureRequest()
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
    requestId = 0;
  }

  // ---- Member, Reserving ----

  void goOnAsMember() {
    ReservationKey holder = view.holder();
    if (holder.equals(rules.key())) {
      requestId = 0;
      rules.holds(0);
      situation.become(new Phase.Confirming());
      return;
    }
    if (situation.isReady() && !want && !view.mustReread()) {
      return;
    }
    if (out.now() >= view.readDue() || view.mustReread()) {
      array.issueWhenDue(new ArrayCommand.ReadReservation());
      return;
    }
    out.wakeAt(view.readDue());
    if (holder.isNone()) {
      if (want || !situation.isReady()) {
        situation.become(new Phase.Reserving());
      }
      return;
    }
    OwnershipSettings settings = situation.settings();
    if (view.type() != HolderView.WRITE_EXCLUSIVE_REGISTRANTS_ONLY) {
      String text =
          Outbox.fill(
              "{} is reserved by key {} with type {}, which is not mxfs's (5, Write Exclusive,"
                  + " Registrants Only)",
              settings.device(),
              holder,
              view.type());
      if (!situation.isReady()) {
        departure.fail(Errno.EBUSY, text);
      }
      return;
    }
    if (holder.nodeId() == settings.nodeId()) {
      takeFromOldSelf();
      return;
    }
    if (!situation.isReady()) {
      lookForHolder();
    } else if (want) {
      request();
    }
  }

  /**
   * The reservation is held by an earlier incarnation of this node. The kernel mounts a device
   * once, so that incarnation is dead, unless another machine runs under our id: listen for one
   * first.
   */
  private void takeFromOldSelf() {
    long listenedAt = situation.startedAt() + OwnershipSettings.LISTEN_MILLIS;
    if (out.now() < listenedAt) {
      out.wakeAt(listenedAt);
      return;
    }
    out.note(
        Action.Level.WARN,
        "the reservation is held by {}, an earlier incarnation of this node, which is dead: taking"
            + " it over as {}",
        view.holder(),
        rules.key());
    situation.become(new Phase.Taking(view.holder(), 0, Phase.TakeStep.CHECK, 0));
  }

  private void lookForHolder() {
    ReservationKey holder = view.holder();
    if (neighbours.isConnected(holder)) {
      situation.becomeReady(Role.MEMBER, true);
      return;
    }
    long deadline = situation.startedAt() + OwnershipSettings.PEER_WAIT_MILLIS;
    if (out.now() < deadline) {
      out.wakeAt(deadline);
      return;
    }
    String device = situation.settings().device();
    String host = neighbours.hostOf(holder.nodeId());
    String who = Outbox.fill("node {} (key {})", holder.nodeName(), holder);
    departure.fail(
        Errno.EHOSTUNREACH,
        Outbox.fill(
            "{} owns the volume and {}. Is the network blocked (firewall; iface=, broadcast=)?"
                + " Crash takeover is not in this version: if that node is off for certain, shut"
                + " its key out: sg_persist -o -G -S 1 {}; sg_persist -o -P -T 5 -K 1 -S {} {};"
                + " sg_persist -o -G -K 1 -S 0 {}; mount again",
            who,
            (host == null
                ? "is not heard on the network"
                : "(" + host + ") is heard on the network but does not accept our connection"),
            device,
            holder,
            device,
            device));
  }

  private void request() {
    if (requestId == 0) {
      requestId = nextRequestId++;
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

  void onMemberRead(ArrayAnswer answer) {
    switch (answer) {
      case ArrayAnswer.Reservation reservation -> {
        array.succeeded();
        view.mustReread(false);
        if (!view.holder().equals(reservation.holder())) {
          requestDue = Math.min(requestDue, out.now());
          unreachableNoted = false;
        }
        view.read(reservation);
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
    array.issueWhenDue(new ArrayCommand.Reserve(rules.key()));
  }

  void onReserved(ArrayAnswer answer) {
    switch (answer) {
      case ArrayAnswer.Done _ -> {}
      case ArrayAnswer.Conflict _ -> lease.lookNow(); // another's reservation, or our key is gone
      case ArrayAnswer other -> departure.trouble("RESERVE", other.toString());
    }
    // Whatever RESERVE said, READ RESERVATION says who holds it.
    situation.become(new Phase.Member());
    view.readAt(out.now());
    view.mustReread(true);
  }

  // ---- Taking ----

  void goOnTaking(Phase.Taking taking) {
    switch (taking.step()) {
      case CHECK, VERIFY -> array.issueWhenDue(new ArrayCommand.ReadReservation());
      case PREEMPT -> {
        if (array.isDue()) {
          array.issue(rules.preempt(taking.victim()));
        }
      }
    }
  }

  void onTaking(Phase.Taking taking, ArrayAnswer answer) {
    if (taking.step() == Phase.TakeStep.PREEMPT) {
      if (!(answer instanceof ArrayAnswer.Done)) {
        out.note(
            Action.Level.WARN,
            "PREEMPT of {}: {}; asking the array who holds it",
            taking.victim(),
            answer);
        lease.lookNow();
      }
      situation.become(taking.at(Phase.TakeStep.VERIFY, taking.attempts() + 1));
      return;
    }
    switch (answer) {
      case ArrayAnswer.Reservation reservation -> {
        array.succeeded();
        if (!reservation.holder().equals(taking.victim())) {
          afterTaking(taking, reservation);
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
  private void afterTaking(Phase.Taking taking, ArrayAnswer.Reservation reservation) {
    view.read(reservation);
    if (view.holder().equals(rules.key())) {
      preemptedAt = out.now();
      takenFrom = taking.requestId() == 0 ? ReservationKey.NONE : taking.victim();
      rules.holds(taking.requestId());
      requestId = 0;
      situation.become(new Phase.Confirming());
      return;
    }
    out.note(
        Action.Level.INFO,
        "the reservation is held by {}, not by {}: asking there",
        view.holder(),
        taking.victim());
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
    if (taking.requestId() != 0) {
      dropRequest("taking failed");
    } else if (!situation.isReady()) {
      departure.fail(Errno.EIO, text);
    }
  }

  // ---- Confirming ----

  void goOnConfirming() {
    array.issueWhenDue(new ArrayCommand.ReadKeys());
  }

  void onConfirming(ArrayAnswer answer) {
    switch (answer) {
      case ArrayAnswer.Keys keys -> {
        array.succeeded();
        if (!keys.keys().contains(rules.key())) {
          departure.fenced(
              Outbox.fill(
                  "key {} is not registered on {} any more",
                  rules.key(),
                  situation.settings().device()));
          return;
        }
        lease.extend(array.askedAt());
        rules.beginTenure(keys.generation());
        ownTurn = true;
        situation.become(new Phase.Holding());
        out.note(
            Action.Level.DEBUG,
            "holder: key={} epoch={} generation={}",
            rules.key(),
            rules.tenure(),
            keys.generation());
        out.add(new Action.Broadcast(new PeerMessage.OwnTaken(rules.tenure())));
      }
      case ArrayAnswer other -> departure.trouble("READ KEYS", other.toString());
    }
  }
}
