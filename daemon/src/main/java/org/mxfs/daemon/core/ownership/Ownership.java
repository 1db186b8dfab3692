// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.List;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;

/**
 * Who has the XFS of the volume mounted: this node's side of it, as a pure state machine.
 *
 * <p><b>The rule.</b> At any instant at most one node has the XFS of a volume attached. The storage
 * array decides which: the holder of the reservation. So this machine asks the kernel to attach
 * only while it knows that its own key holds the reservation and that nobody may take it away
 * without asking.
 *
 * <p><b>Failure model.</b> The network may lose, delay, repeat and reorder messages, or be cut. A
 * node may stop at any point, or lose its daemon and get a new one. A command to the array may end
 * without saying whether it took effect, and an answer may come late; within one daemon a command
 * is over when it is answered or has failed (the kernel's error handler aborts it before SG_IO
 * returns), while a command of an earlier daemon may arrive at any time. The array itself is atomic
 * and remembers.
 *
 * <p><b>Consent.</b> The reservation moves by PREEMPT, which needs the victim's key and no
 * cooperation; so all safety lies in who PREEMPTs when. A node PREEMPTs another node's key only
 * with a grant from that key, for a request of its own that is still open. The granter has detached
 * XFS before it grants and attaches again only after one of:
 *
 * <ul>
 *   <li>it registered a <em>new</em> key and the array shows that one as the holder: a PREEMPT that
 *       names the old key now meets RESERVATION CONFLICT (SPC-4 5.13.11.2.3), so the grant is void
 *       wherever it is;
 *   <li>it took the reservation anew, with a grant from its holder.
 * </ul>
 *
 * That the grantee declined, or left, only makes the granter take the first way at once. A
 * restarted daemon does not know what its predecessor granted, nor what it left under way: if XFS
 * is detached, it takes a new key before anything else.
 *
 * <p><b>Takeover</b>, where it is on: a node also PREEMPTs the key of an owner whose heartbeat has
 * stood still for longer than its lease and a margin. Before it attaches, or lets others, it proves
 * of everybody who was shut out that nothing of theirs is under way: see {@link Takeover}.
 *
 * <p><b>Registering</b> is always REGISTER from the key that is thought to be there, never REGISTER
 * AND IGNORE EXISTING KEY: see {@link Registrar}.
 *
 * <p><b>Epochs.</b> Every tenure of the reservation has an epoch, larger than every earlier one. It
 * is the largest of the last one of this node plus one, that of the grant, one more than any that
 * was read on disk, and the array's PRGENERATION read while holding the reservation: between two
 * tenures lies at least one PREEMPT or unregistration, and each of those counts it up. With
 * takeover it is the next one above those that is like PRGENERATION in its last bits: {@link
 * Claim}. Epochs in headers of messages raise nothing: anybody can send them. An array that loses
 * power may count from 0 again, with or without its registrations: docs/takeover.md, danger 28.
 *
 * <p><b>The lease.</b> The kernel lets operations start only for so long after READ KEYS has shown
 * our key (and, for the owner, READ RESERVATION our reservation), and, where this node beats, after
 * its last beat on disk: see {@link Pulse}.
 */
public final class Ownership {
  private static final int TRANSITIONS_MAX = 16;

  private final OwnershipSettings settings;
  private final Outbox out = new Outbox();
  private final TenureRules rules;
  private final Situation situation;
  private final HolderView view = new HolderView();
  private final Neighbours neighbours = new Neighbours();
  private final WaitQueue queue = new WaitQueue(neighbours);
  private final ArrayDialogue array;
  private final Attachment attachment;
  private final Pulse pulse;
  private final Guard guard;
  private final Departure departure;
  private final KeyTidier tidier;
  private final LeaseKeeper lease;
  private final Claim claim;
  private final Handover handover;
  private final Joining joining;
  private final Takeover takeover;
  private final Overview overview;

  public Ownership(OwnershipSettings settings) {
    this.settings = settings;
    rules = new TenureRules(settings.nodeId(), settings.silenceMillis());
    situation = new Situation(settings, out, rules);
    array = new ArrayDialogue(out, rules, situation);
    attachment = new Attachment(settings, out, rules);
    pulse = new Pulse(out, rules, situation);
    guard = new Guard(out, rules, situation, pulse);
    departure = new Departure(out, rules, situation, array, attachment, pulse, guard);
    Registrar registrar = new Registrar(out, rules, situation, array, departure, pulse);
    tidier = new KeyTidier(out, rules, situation, view, neighbours, array);
    lease = new LeaseKeeper(out, rules, situation, array, departure, tidier, pulse, guard);
    takeover = new Takeover(out, rules, situation, array, lease, pulse, guard);
    claim =
        new Claim(
            out, rules, situation, view, neighbours, queue, array, departure, lease, pulse, guard);
    handover =
        new Handover(
            out,
            rules,
            situation,
            view,
            neighbours,
            queue,
            array,
            attachment,
            departure,
            lease,
            claim,
            registrar,
            pulse,
            takeover);
    joining =
        new Joining(
            out,
            rules,
            situation,
            view,
            neighbours,
            array,
            attachment,
            departure,
            lease,
            registrar,
            pulse);
    overview =
        new Overview(
            out, rules, situation, view, neighbours, queue, attachment, lease, claim, guard);
  }

  /** The key this node registers, {@link ReservationKey#NONE} before it has one. */
  public ReservationKey key() {
    return rules.key();
  }

  /** The highest epoch this node has had: goes with every message. */
  public long epoch() {
    return rules.epoch();
  }

  /** Where it stands, in words for people; to be asked after a step. */
  public VolumeStatus status() {
    return overview.look();
  }

  /** When to send {@link Event.Tick} at the latest; {@link Long#MAX_VALUE} for never. */
  public long deadline() {
    return out.wake();
  }

  /** True once the daemon's work is done. */
  public boolean isGone() {
    return situation.isGone();
  }

  /**
   * Takes one event and says what to do.
   *
   * @param now milliseconds on any clock that never runs backwards
   */
  public List<Action> step(Event event, long now) {
    out.begin(now);
    if (!isGone()) {
      try {
        take(event);
        advance();
        rules.invariants();
      } catch (RuntimeException mistake) {
        return halt(event, mistake);
      }
    }
    return out.end();
  }

  /**
   * This program has made a mistake: nothing of what the step wanted is done. The kernel shuts XFS
   * down, nothing is released on the array, and this daemon ends.
   */
  private List<Action> halt(Event event, RuntimeException mistake) {
    out.abandon();
    departure.halt(
        Outbox.fill(
            "mistake in mxfsd, which stops this mount rather than go on with it: {} (in phase {},"
                + " {}, at event {})",
            mistake,
            situation.phase(),
            rules,
            event));
    return out.end();
  }

  private void take(Event event) {
    switch (event) {
      case Event.Start start -> onStart(start.predecessor());
      case Event.Tick _ -> {}
      case Event.Answered answered -> array.onAnswer(answered.question(), answered.answer());
      case Event.UnitAttention attention -> {
        out.note(Action.Level.INFO, "unit attention: {}", attention.name());
        lease.lookNow();
        handover.onUnitAttention();
      }
      case Event.DiskAnswered answered -> {
        if (!pulse.onAnswer(answered.question(), answered.answer())) {
          lease.lookNow(); // the array let a write not pass
        }
        if (pulse.isShutOut()) {
          departure.fenced(
              Outbox.fill(
                  "another node has shut {} out, and says so in its heartbeat slot", rules.key()));
        }
      }
      case Event.UnitReset reset -> takeover.onReset(reset.question(), reset.answer());
      case Event.FenceCleared cleared -> guard.clear(cleared.key());
      case Event.LockstateTold told -> pulse.told(told.lockstate());
      case Event.Want _ -> onWant();
      case Event.Attached attached -> {
        takeover.onAttached(attached);
        onResult(attachment.on(attached));
      }
      case Event.Detached detached -> onResult(attachment.on(detached));
      case Event.Status status -> onStatus(status);
      case Event.Leave _ -> onLeave();
      case Event.Heard heard -> {
        if (neighbours.heard(heard.key(), heard.host())) {
          out.note(
              Action.Level.INFO,
              "node {} ({}) announces this volume",
              heard.key().nodeName(),
              heard.host());
        }
      }
      case Event.Collision collision -> joining.onCollision(collision.text());
      case Event.PeerUp up -> {
        neighbours.up(up);
        claim.onPeerUp(up);
      }
      case Event.OtherVersion other -> {
        if (neighbours.otherVersion(other.nodeId(), other.text())) {
          out.note(
              Action.Level.WARN,
              "node {} {}: all nodes need the same version of mxfs",
              ReservationKey.nodeName(other.nodeId()),
              other.text());
        }
      }
      case Event.PeerDown down -> {
        neighbours.down(down.nodeId());
        handover.onPeerDown(down.nodeId());
      }
      case Event.Received received -> onMessage(received);
    }
  }

  private void onStart(Predecessor before) {
    if (!(situation.phase() instanceof Phase.New)) {
      throw new IllegalStateException("started twice");
    }
    situation.start(before);
    rules.resume(before.key(), before.epoch(), before.kernel() != KernelState.DETACHED);
    attachment.resume(before.kernel());
    pulse.start();
    if (before.ready() && before.wanting()) {
      onWant();
    }
    if (before.kernel() == KernelState.DEAD) {
      out.note(
          Action.Level.ERROR, "this mount is dead already: nothing to resume, only umount is left");
      departure.gone();
      return;
    }
    situation.become(new Phase.Starting(Phase.StartStep.CAPABILITIES));
    if (before.leaving()) {
      onLeave();
    }
  }

  // ---- the kernel ----

  private void onWant() {
    if (attachment.state() != KernelState.ATTACHED) {
      claim.want();
    }
  }

  private void onStatus(Event.Status status) {
    onResult(attachment.on(status));
    if (status.leaving() && attachment.isDetached() && !isGone()) {
      onLeave();
    }
  }

  private void onResult(Attachment.Result result) {
    switch (result) {
      case Attachment.Result.Nothing _ -> {}
      case Attachment.Result.Attached attached -> {
        pulse.askWhere();
        claim.turnIsOver();
        claim.wantNoMore();
        claim.noteTaken(attached.millis());
      }
      case Attachment.Result.AttachFailed failed -> {
        // Where it is another one than this daemon knows, the kernel attaches nothing before that.
        pulse.askWhere();
        claim.turnIsOver();
        out.note(failed.late() ? Action.Level.WARN : Action.Level.ERROR, failed.why());
        if (failed.late()) {
          lease.lookNow();
        }
        if (failed.inherited() && situation.phase() instanceof Phase.Holding) {
          rules.beginAnew();
          situation.become(new Phase.Member());
          view.mustReread(true);
        }
        if (!failed.late() && !situation.isReady() && !situation.isResuming()) {
          departure.fail(Errno.EIO, failed.why());
        }
      }
      case Attachment.Result.Detached _ -> {}
      case Attachment.Result.DetachFailed failed -> {
        claim.wantNoMore();
        handover.cannotGiveUp(failed.why());
      }
      case Attachment.Result.Unexpected unexpected -> onUnexpected(unexpected.epoch());
      case Attachment.Result.Dead _ -> {
        out.note(Action.Level.ERROR, "the kernel has shut this mount down: only umount is left");
        departure.gone();
      }
    }
  }

  /**
   * XFS was attached without our asking: a command of an earlier daemon that began after HELLO had
   * told us the state. Harmless while we hold the reservation and no grant is out.
   */
  private void onUnexpected(long epoch) {
    if (!(situation.phase() instanceof Phase.Solo || situation.phase() instanceof Phase.Holding)) {
      departure.fenced(
          Outbox.fill(
              "XFS was attached at epoch {} when this node was not sure to own the volume ({})",
              epoch,
              situation.phase()));
    }
  }

  private void onLeave() {
    if (situation.isLeaving()) {
      return;
    }
    situation.leave();
    attachment.left();
    claim.wantNoMore();
    out.note(Action.Level.INFO, "umount: leaving");
    claim.dropRequest("leaving");
  }

  // ---- the peers ----

  private void onMessage(Event.Received event) {
    ReservationKey from = event.from();
    if (from.isNone() || from.nodeId() == settings.nodeId()) {
      out.note(Action.Level.WARN, "message from key {} refused: not another node's key", from);
      return;
    }
    // The epoch in the header is anybody's word: nothing here rests on it.
    switch (event.message()) {
      case PeerMessage.OwnRequest request -> handover.onRequest(from, request.requestId());
      case PeerMessage.OwnGrant grant -> claim.onGrant(from, grant);
      case PeerMessage.OwnTaken _ -> {
        handover.onTaken();
        claim.onTaken(from);
      }
      case PeerMessage.OwnDecline decline -> handover.onDecline(from, decline.requestId());
      case PeerMessage.OwnRedirect redirect -> claim.onRedirect(redirect);
      case PeerMessage.OwnBusy busy -> claim.onBusy(busy);
      case PeerMessage.Leave _ -> handover.onPeerLeave(from);
    }
  }

  // ---- what to do next ----

  private void advance() {
    out.neverWake();
    departure.endWhatIsOverdue();
    if (!isGone()) {
      attachment.askIfOverdue();
    }
    for (int i = 0; i <= TRANSITIONS_MAX; i++) {
      Phase before = situation.phase();
      if (isGone()) {
        return;
      }
      departure.wakeForDeadlines();
      array.forgetWishes();
      pulse.forgetWishes();
      lease.goOn();
      tidier.goOn();
      goOn();
      if (situation.phase().equals(before)) {
        array.issueNext();
        pulse.goOn();
        return;
      }
    }
    throw new IllegalStateException(
        "no rest after " + TRANSITIONS_MAX + " steps: " + situation.phase());
  }

  private void goOn() {
    if (situation.isLeaving() && !handover.holdsUpLeaving()) {
      departure.forUmount();
      return;
    }
    switch (situation.phase()) {
      case Phase.Starting starting -> joining.goOn(starting);
      case Phase.Solo _ -> joining.goOnSolo();
      case Phase.Member _ -> claim.goOnAsMember();
      case Phase.Reserving _ -> claim.goOnReserving();
      case Phase.Taking taking -> claim.goOnTaking(taking);
      case Phase.Confirming _ -> claim.goOnConfirming();
      case Phase.Holding _ -> {
        if (!handover.beginsAnew()) {
          takeover.goOn();
          handover.serve();
        }
      }
      case Phase.Consented consented -> handover.goOnConsented(consented);
      case Phase.Withdrawing withdrawing -> handover.goOnWithdrawing(withdrawing);
      case Phase.Rejoining _ -> handover.goOnRejoining();
      case Phase.Departing departing -> departure.goOn(departing);
      case Phase.New _, Phase.Gone _ -> {}
    }
  }
}
