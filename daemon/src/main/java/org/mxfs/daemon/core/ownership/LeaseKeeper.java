// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.List;
import java.util.Locale;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Asks the array again and again whether we are still registered (and, as the owner, still hold the
 * reservation), and extends the kernel's lease by that proof alone.
 */
final class LeaseKeeper {
  private enum Check {
    NONE,
    KEYS,
    RESERVATION,
    TIDY
  }

  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final ArrayDialogue array;
  private final Departure departure;
  private final KeyTidier tidier;

  private Check check = Check.NONE;
  private List<ReservationKey> checkedKeys = List.of();
  private boolean checkNow;
  private long checkDue;

  /**
   * A proof that came by the way (of a hand-over) puts the check off, but not the look at who else
   * is registered: else a busy node would never tidy up.
   */
  private long lookDue = Long.MAX_VALUE;

  /** When the first of the two questions was asked: the lease counts from there. */
  private long askedAt;

  LeaseKeeper(
      Outbox out,
      TenureRules rules,
      Situation situation,
      ArrayDialogue array,
      Departure departure,
      KeyTidier tidier) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.array = array;
    this.departure = departure;
    this.tidier = tidier;
  }

  private OwnershipSettings settings() {
    return situation.settings();
  }

  /** Something happened to reservations: look at once. */
  void lookNow() {
    checkNow = true;
  }

  void lookedJustNow() {
    checkNow = false;
  }

  boolean isAsking() {
    return check != Check.NONE;
  }

  void forget() {
    check = Check.NONE;
  }

  long due() {
    return checkDue;
  }

  private boolean applies() {
    return !situation.isLeaving()
        && (situation.phase() instanceof Phase.Member
            || situation.phase() instanceof Phase.Holding);
  }

  /** Returns whether a question was issued. */
  boolean askIfDue() {
    if (!applies()) {
      return false;
    }
    long due = Math.min(checkDue, lookDue);
    if (!checkNow && out.now() < due) {
      out.wakeAt(due);
      return false;
    }
    checkNow = false;
    checkDue = out.now() + settings().leaseMillis() / 4;
    lookDue = checkDue;
    check = Check.KEYS;
    askedAt = out.now();
    array.issue(new ArrayCommand.ReadKeys());
    return true;
  }

  void onAnswer(ArrayAnswer answer) {
    Check done = check;
    check = Check.NONE;
    if (!applies()) {
      // The phase went on meanwhile and does its own reading.
      return;
    }
    if (done == Check.TIDY) {
      tidier.onAnswer(answer);
      return;
    }
    switch (answer) {
      case ArrayAnswer.Keys keys -> onKeys(keys);
      case ArrayAnswer.Reservation reservation -> {
        if (situation.phase() instanceof Phase.Holding
            && !reservation.holder().equals(rules.key())) {
          departure.fenced(
              Outbox.fill(
                  "the reservation of {} is held by {} and not by our {}, without our consent",
                  settings().device(),
                  reservation.holder(),
                  rules.key()));
        } else {
          extend(askedAt);
          tidy(checkedKeys);
        }
      }
      case ArrayAnswer other -> {
        out.note(
            Action.Level.WARN,
            "no new lease: checking our {} on {}: {}",
            done.name().toLowerCase(Locale.ROOT),
            settings().device(),
            other);
        checkDue =
            out.now() + Math.min(OwnershipSettings.BUSY_MILLIS, settings().leaseMillis() / 4);
      }
    }
  }

  private void onKeys(ArrayAnswer.Keys keys) {
    if (!keys.keys().contains(rules.key())) {
      departure.fenced(
          Outbox.fill(
              "key {} is not registered on {} any more (generation {}, {} keys left): this node"
                  + " was shut out",
              rules.key(),
              settings().device(),
              keys.generation(),
              keys.keys().size()));
    } else if (situation.phase() instanceof Phase.Holding) {
      checkedKeys = keys.keys();
      check = Check.RESERVATION;
      array.issue(new ArrayCommand.ReadReservation());
    } else {
      extend(askedAt);
      tidy(keys.keys());
    }
  }

  private void tidy(List<ReservationKey> keys) {
    tidier.noteForeign(keys);
    if (tidier.tidy(keys)) {
      check = Check.TIDY;
    }
  }

  /**
   * Extends the kernel's lease, counted from when the proof was asked for, not from when it came.
   */
  void extend(long proofAskedAt) {
    checkDue = out.now() + settings().leaseMillis() / 4;
    lookDue = Math.min(lookDue, checkDue);
    long until = proofAskedAt + settings().leaseMillis();
    if (until > out.now()) {
      out.add(new Action.Lease(until));
    }
  }
}
