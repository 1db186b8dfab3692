// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.Waiter;

/**
 * Puts in words for people where the machine stands. Reads the other rooms and changes nothing in
 * them; what it remembers is since when things have been as they are.
 */
final class Overview {
  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final HolderView view;
  private final Neighbours neighbours;
  private final WaitQueue queue;
  private final Attachment attachment;
  private final LeaseKeeper lease;
  private final Claim claim;
  private final Guard guard;

  private VolumeStatus.@Nullable State state;
  private long stateSince;
  private Map<ReservationKey, Long> waitingSince = Map.of();

  Overview(
      Outbox out,
      TenureRules rules,
      Situation situation,
      HolderView view,
      Neighbours neighbours,
      WaitQueue queue,
      Attachment attachment,
      LeaseKeeper lease,
      Claim claim,
      Guard guard) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.view = view;
    this.neighbours = neighbours;
    this.queue = queue;
    this.attachment = attachment;
    this.lease = lease;
    this.claim = claim;
    this.guard = guard;
  }

  /** After each step: what lasts less than one is not seen. */
  VolumeStatus look() {
    VolumeStatus.State now = word();
    if (now != state) {
      state = now;
      stateSince = out.now();
    }
    return new VolumeStatus(
        out.now(),
        now,
        stateSince,
        attachment.state(),
        situation.isReady(),
        rules.key(),
        rules.epoch(),
        holder(),
        lease.until(),
        wish(now),
        waiters(),
        neighbours.all(),
        guard.list());
  }

  private VolumeStatus.State word() {
    if (situation.isGone()) {
      return VolumeStatus.State.ENDED;
    }
    if (situation.isLeaving()) {
      return VolumeStatus.State.LEAVING;
    }
    if (!situation.isReady() && !situation.isResuming()) {
      return VolumeStatus.State.MOUNTING;
    }
    return switch (situation.phase()) {
      case Phase.New _, Phase.Starting _ -> VolumeStatus.State.MOUNTING;
      case Phase.Solo _ -> VolumeStatus.State.ALONE;
      case Phase.Member _ -> VolumeStatus.State.MEMBER;
      case Phase.Reserving _, Phase.Taking _, Phase.Confirming _ -> VolumeStatus.State.TAKING;
      case Phase.Holding _ -> VolumeStatus.State.OWNER;
      case Phase.Consented _, Phase.Withdrawing _, Phase.Rejoining _ -> VolumeStatus.State.GIVING;
      case Phase.Departing _ -> VolumeStatus.State.LEAVING;
      case Phase.Gone _ -> VolumeStatus.State.ENDED;
    };
  }

  /** In a tenure it is us, whatever was read before. */
  private ReservationKey holder() {
    return rules.hold() == TenureRules.Hold.NO ? view.holder() : rules.key();
  }

  private VolumeStatus.@Nullable Wish wish(VolumeStatus.State now) {
    if (!claim.isWanted()) {
      return null;
    }
    ReservationKey owner = view.holder();
    VolumeStatus.Reason reason;
    if (now != VolumeStatus.State.MEMBER || owner.isNone()) {
      reason = VolumeStatus.Reason.COMING;
    } else if (view.isForeign()) {
      reason = VolumeStatus.Reason.FOREIGN_RESERVATION;
    } else if (owner.nodeId() == situation.settings().nodeId()) {
      reason =
          owner.equals(rules.key()) || rules.isDeadSelf(owner)
              ? VolumeStatus.Reason.COMING
              : VolumeStatus.Reason.FOREIGN_RESERVATION;
    } else {
      reason =
          neighbours.isConnected(owner.nodeId())
              ? VolumeStatus.Reason.OWNER_HAS_IT
              : VolumeStatus.Reason.OWNER_NOT_CONNECTED;
    }
    boolean ours = reason == VolumeStatus.Reason.COMING;
    return new VolumeStatus.Wish(claim.wantSince(), reason, ours ? ReservationKey.NONE : owner);
  }

  private List<VolumeStatus.Waiting> waiters() {
    List<Waiter> all = queue.all();
    if (all.isEmpty()) {
      waitingSince = Map.of();
      return List.of();
    }
    Map<ReservationKey, Long> since = new HashMap<>();
    List<VolumeStatus.Waiting> told = new ArrayList<>();
    for (Waiter waiter : all) {
      long first = waitingSince.getOrDefault(waiter.key(), out.now());
      since.put(waiter.key(), first);
      told.add(new VolumeStatus.Waiting(waiter.key(), first));
    }
    waitingSince = since;
    return told;
  }
}
