// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.Locale;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Role;

/** Where this mount is in its life. */
final class Situation {
  private final OwnershipSettings settings;
  private final Outbox out;
  private final TenureRules rules;

  private Phase phase = new Phase.New();
  private Predecessor predecessor = Predecessor.NOBODY;
  private boolean ready;
  private boolean leaving;
  private long leaveSince;
  private long startedAt;
  private boolean aptpl;
  private boolean aptplKnown;

  Situation(OwnershipSettings settings, Outbox out, TenureRules rules) {
    this.settings = settings;
    this.out = out;
    this.rules = rules;
  }

  OwnershipSettings settings() {
    return settings;
  }

  Phase phase() {
    return phase;
  }

  void become(Phase next) {
    phase = next;
  }

  /** Whether what was begun in that phase still means something. */
  boolean isStillIn(Phase asked) {
    return phase.getClass().equals(asked.getClass())
        // Whatever it was, unregistering comes next.
        && (!leaving || phase instanceof Phase.Departing || phase instanceof Phase.Consented);
  }

  /** Member or holder, and nothing under way that would change it. */
  boolean isSettled() {
    return !leaving && (phase instanceof Phase.Member || phase instanceof Phase.Holding);
  }

  boolean isGone() {
    return phase instanceof Phase.Gone;
  }

  void start(Predecessor before) {
    startedAt = out.now();
    predecessor = before;
  }

  long startedAt() {
    return startedAt;
  }

  /** An earlier daemon had told mount(2) to return. */
  boolean isResuming() {
    return predecessor.ready();
  }

  /** mount(2) may return, or has returned. */
  boolean isReady() {
    return ready;
  }

  void becomeReady(Role role, boolean clustered) {
    if (ready) {
      return;
    }
    ready = true;
    out.add(new Action.Ready(role, clustered));
    out.note(
        Action.Level.INFO,
        "ready role={} epoch={} key={} ms={}",
        clustered ? role.name().toLowerCase(Locale.ROOT) : "solo",
        rules.epoch(),
        rules.key(),
        out.now() - startedAt);
  }

  boolean isLeaving() {
    return leaving;
  }

  long leaveSince() {
    return leaveSince;
  }

  void leave() {
    leaving = true;
    leaveSince = out.now();
  }

  /** A key that no earlier incarnation of this node had, as far as the array and we remember. */
  ReservationKey freshKey(Iterable<ReservationKey> registered) {
    int nodeId = settings.nodeId();
    long incarnation = settings.unixSeconds() + (out.now() - startedAt) / 1_000;
    if (rules.key().nodeId() == nodeId) {
      incarnation = Math.max(incarnation, rules.key().incarnation() + 1);
    }
    for (ReservationKey other : registered) {
      if (other.nodeId() == nodeId) {
        incarnation = Math.max(incarnation, other.incarnation() + 1);
      }
    }
    return ReservationKey.of(nodeId, incarnation & 0xffff_ffffL);
  }

  boolean aptpl() {
    return aptpl;
  }

  boolean knowsAptpl() {
    return aptplKnown;
  }

  void aptpl(boolean supported) {
    aptpl = supported;
    aptplKnown = true;
  }

  /**
   * Whether what came of a registration is that the device refuses APTPL, though it says that it
   * supports it, or did not say. The next one goes without.
   */
  boolean isAptplRefused(ArrayAnswer answer) {
    if (!aptpl || !(answer instanceof ArrayAnswer.Rejected rejected)) {
      return false;
    }
    out.note(
        Action.Level.WARN, "the device refuses APTPL: registering without ({})", rejected.reason());
    aptpl(false);
    return true;
  }
}
