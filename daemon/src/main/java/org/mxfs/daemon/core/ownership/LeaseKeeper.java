// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Asks the array again and again whether we are still registered (and, as the owner, still hold the
 * reservation), and extends the kernel's lease by that proof; where this node beats on disk, by the
 * older of that and of its last beat.
 */
final class LeaseKeeper {
  /** Where others may shut it out, a holder acts on no proof older than this part of a lease. */
  private static final int RECENT_PART = 2;

  /**
   * What READ KEYS has shown, when it was asked for, and how many PREEMPTs of ours were carried out
   * before.
   */
  record Shown(long generation, long askedAt, long preempts) {}

  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final ArrayDialogue array;
  private final Departure departure;
  private final KeyTidier tidier;
  private final Pulse pulse;
  private final Guard guard;

  /** READ KEYS has shown us, as the holder; READ RESERVATION is next. */
  private boolean halfway;

  private List<ReservationKey> checkedKeys = List.of();
  private @Nullable Shown checked;
  private @Nullable Shown shown;

  private boolean checkNow;
  private long checkDue;

  /**
   * A proof that came by the way (of a hand-over) puts the check off, but not the look at who else
   * is registered: else a busy node would never tidy up.
   */
  private long lookDue = Long.MAX_VALUE;

  /** When the first of the two questions was asked: the lease counts from there. */
  private long askedAt;

  /** A tenure of this epoch was read of on disk, and is above ours: the array is asked since. */
  private long overtakenBy;

  /** When the last proof of the array was asked for. */
  private long proven = Long.MIN_VALUE / 2;

  private long told = Long.MIN_VALUE / 2;

  LeaseKeeper(
      Outbox out,
      TenureRules rules,
      Situation situation,
      ArrayDialogue array,
      Departure departure,
      KeyTidier tidier,
      Pulse pulse,
      Guard guard) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.array = array;
    this.departure = departure;
    this.tidier = tidier;
    this.pulse = pulse;
    this.guard = guard;
  }

  private OwnershipSettings settings() {
    return situation.settings();
  }

  /** Something happened to reservations: look at once. */
  void lookNow() {
    checkNow = true;
  }

  /** What was read is older than something that was proven since: it is asked for again. */
  void lookAnew() {
    halfway = false;
    checkNow = true;
  }

  void lookedJustNow() {
    checkNow = false;
  }

  long due() {
    return checkDue;
  }

  /** As the holder, of the last time when the reservation was shown to be ours after that. */
  @Nullable Shown shown() {
    return shown;
  }

  /**
   * As the holder: whether the keys, and the reservation after them, were shown to be ours on a
   * question of within half a lease. Who has stood still for longer may have been shut out
   * meanwhile; what is too old is asked for again.
   */
  boolean isRecent() {
    return settings().takeover() == null || out.now() <= recentEnds(proven);
  }

  /**
   * Whether an attach finds a lease when it comes to the kernel, which attaches nothing past it.
   */
  boolean isLive() {
    return out.now() + OwnershipSettings.ATTACH_MARGIN_MILLIS < told;
  }

  private long recentEnds(long proofAskedAt) {
    return proofAskedAt + settings().leaseMillis() / RECENT_PART;
  }

  /** Until when the kernel was told; {@link Long#MIN_VALUE}: nothing was. */
  long until() {
    return told < 0 ? Long.MIN_VALUE : told;
  }

  /** Wants what is due. */
  void goOn() {
    tell();
    if (!situation.isSettled()) {
      halfway = false; // the phase does its own reading
      return;
    }
    if (pulse.isOvertaken() && pulse.maxEpoch() > overtakenBy) {
      overtakenBy = pulse.maxEpoch();
      out.note(
          Action.Level.WARN,
          "the disk tells of epoch {}, and this node holds the volume at epoch {}: asking the"
              + " array",
          overtakenBy,
          rules.tenure());
      lookAnew();
    }
    long due = Math.min(checkDue, lookDue);
    if (halfway) {
      array.want(priority(askedAt), ArrayCommand.ReadReservation::new, this::onReservation);
    } else if (checkNow || out.now() >= due) {
      array.want(priority(due), this::readKeys, this::onKeys);
    } else {
      out.wakeAt(due);
    }
  }

  private ArrayDialogue.Priority priority(long due) {
    return out.now() < due + settings().leaseMillis() / 4
        ? ArrayDialogue.Priority.LEASE
        : ArrayDialogue.Priority.LEASE_OVERDUE;
  }

  private ArrayCommand readKeys() {
    checkNow = false;
    checkDue = out.now() + settings().leaseMillis() / 4;
    lookDue = checkDue;
    askedAt = out.now();
    return new ArrayCommand.ReadKeys();
  }

  private void onKeys(ArrayDialogue.Reply reply) {
    if (!situation.isSettled()) {
      return;
    }
    if (!(reply.answer() instanceof ArrayAnswer.Keys keys)) {
      noLease("keys", reply.answer());
    } else if (!keys.keys().contains(rules.key())) {
      departure.fenced(
          Outbox.fill(
              "key {} is not registered on {} any more (generation {}, {} keys left): this node"
                  + " was shut out",
              rules.key(),
              settings().device(),
              keys.generation(),
              keys.keys().size()));
    } else if (situation.phase() instanceof Phase.Holding) {
      rules.sawKeys(keys.keys());
      checkedKeys = keys.keys();
      checked = new Shown(keys.generation(), reply.askedAt(), array.preempts());
      halfway = true;
    } else {
      rules.sawKeys(keys.keys());
      pulse.sawKeys(keys.keys(), reply.askedAtMillis());
      guard.look(keys.keys());
      extend(askedAt);
      tidier.looked(keys.keys());
    }
  }

  private void onReservation(ArrayDialogue.Reply reply) {
    if (!halfway || !situation.isSettled()) {
      return;
    }
    halfway = false;
    if (!(reply.answer() instanceof ArrayAnswer.Reservation reservation)) {
      noLease("reservation", reply.answer());
    } else if (situation.phase() instanceof Phase.Holding
        && !reservation.holder().equals(rules.key())) {
      departure.fenced(
          Outbox.fill(
              "the reservation of {} is held by {} and not by our {}, without our consent",
              settings().device(),
              reservation.holder(),
              rules.key()));
    } else {
      if (pulse.isOvertaken() && pulse.maxEpoch() == overtakenBy) {
        pulse.isStillOurs();
      }
      shown = checked;
      pulse.sawKeys(checkedKeys, askedAt);
      guard.look(checkedKeys);
      extend(askedAt);
      tidier.looked(checkedKeys);
    }
  }

  private void noLease(String what, ArrayAnswer answer) {
    if (!situation.isReady() && !situation.isResuming() && !isLive()) {
      departure.trouble("READ " + what.toUpperCase(Locale.ROOT), answer.toString());
      checkDue = out.now() + OwnershipSettings.RETRY_MILLIS;
      return;
    }
    out.note(
        Action.Level.WARN,
        "no new lease: checking our {} on {}: {}",
        what,
        settings().device(),
        answer);
    checkDue = out.now() + Math.min(OwnershipSettings.BUSY_MILLIS, settings().leaseMillis() / 4);
  }

  /**
   * Extends the kernel's lease, counted from when the proof was asked for, not from when it came.
   */
  void extend(long proofAskedAt) {
    checkDue = out.now() + settings().leaseMillis() / 4;
    if (settings().takeover() != null) {
      checkDue = Math.min(checkDue, recentEnds(proofAskedAt)); // it has taken long to be answered
    }
    lookDue = Math.min(lookDue, checkDue);
    proven = Math.max(proven, proofAskedAt);
    tell();
    if (out.now() + OwnershipSettings.ATTACH_MARGIN_MILLIS
        >= proofAskedAt + settings().leaseMillis()) {
      out.note(
          Action.Level.WARN,
          "{} has answered after {} ms, and the lease is {} ms (lease_ms=): that proves nothing,"
              + " and programs wait; asking again",
          settings().device(),
          out.now() - proofAskedAt,
          settings().leaseMillis());
      checkDue = out.now();
      lookDue = checkDue;
    }
  }

  /** A beat that has come to be on disk since may be what was wanting. */
  private void tell() {
    long until = pulse.knownSince(proven) + settings().leaseMillis();
    if (until > out.now() && until > told) {
      told = until;
      out.add(new Action.Lease(until));
    }
  }
}
