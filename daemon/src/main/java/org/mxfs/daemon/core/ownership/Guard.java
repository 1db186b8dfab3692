// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.fencing.Fenced;
import org.mxfs.daemon.core.fencing.Unaccounted;
import org.mxfs.daemon.core.membership.Beat;
import org.mxfs.daemon.core.membership.Heartbeat;
import org.mxfs.daemon.core.membership.Outcast;

/**
 * Where takeover is on: who was shut out and is not accounted for. Such a node may wake up with
 * writes in its queues, which fail only as long as the disk is reserved. So who holds the
 * reservation does not give its registration up while there is one: see {@link Departure}.
 */
final class Guard {
  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final Pulse pulse;
  private final Unaccounted unaccounted = new Unaccounted();
  private final MixedNodes mixed;

  /** As the array has shown last. */
  private List<ReservationKey> registered = List.of();

  private final Set<ReservationKey> owed = new LinkedHashSet<>();

  /** As this node leaves, the epoch of its tenure that was not settled; 0: there is none. */
  private long unsettled;

  /** Since when this daemon has known each. */
  private final Map<ReservationKey, Long> since = new HashMap<>();

  Guard(Outbox out, TenureRules rules, Situation situation, Pulse pulse) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.pulse = pulse;
    mixed = new MixedNodes(out);
  }

  boolean isOn() {
    return situation.settings().takeover() != null;
  }

  MixedNodes mixed() {
    return mixed;
  }

  /** Why nobody may be shut out; null: one may. */
  @Nullable String whyNobody() {
    return mixed.isEmpty()
        ? null
        : Outbox.fill("nobody is shut out before {} has left, or has the same", mixed.names());
  }

  /**
   * Who was shut out has held the reservation, and has written: before an attach that has to end.
   */
  void owesAnEnd(Outcast outcast) {
    owed.add(outcast.key());
  }

  /** Of whom that was said since this was asked last. */
  List<ReservationKey> takeOwed() {
    List<ReservationKey> taken = List.copyOf(owed);
    owed.clear();
    return taken;
  }

  /** A PREEMPT goes out now. */
  void shuttingOut(ReservationKey victim) {
    unaccounted.shuttingOut(victim);
  }

  void fenced(Fenced proof) {
    unaccounted.fenced(proof);
  }

  /**
   * This node leaves. In a tenure that is not settled who is registered, and has not told of it,
   * may have been shut out by one before, and let in again by a REGISTER of its own.
   */
  void leaving() {
    boolean holds = isOn() && rules.hold() == TenureRules.Hold.PROVEN;
    unsettled = holds && !rules.isSettled() ? rules.tenure() : 0;
  }

  /** The reservation is seen to be ours only as this node leaves: nothing was settled in it. */
  void leavingUnsettled(long epoch) {
    unsettled = epoch;
  }

  private List<ReservationKey> strangers() {
    return unsettled == 0 ? List.of() : pulse.strangers(registered, unsettled);
  }

  /** READ KEYS has shown these. */
  void look(Collection<ReservationKey> nowRegistered) {
    registered = List.copyOf(nowRegistered);
    mixed.look(registered);
    Heartbeat.Roll roll = pulse.roll();
    unaccounted.compared(keys(roll.fenced()), keys(roll.alive()), registered);
  }

  private static List<ReservationKey> keys(List<Beat> beats) {
    return beats.stream().map(Beat::key).toList();
  }

  /** By a reading that was asked for since; what is not known may be somebody. */
  boolean mayLeaveUnguarded(long mark) {
    return pulse.knowsAll(mark) && unaccounted.mayLeaveUnguarded() && strangers().isEmpty();
  }

  /**
   * A person says that this incarnation is off for certain. Nothing is done but where its slot says
   * that it was shut out, by who holds the reservation.
   */
  void clear(ReservationKey key) {
    String refusal =
        rules.hold() == TenureRules.Hold.PROVEN && situation.isSettled()
            ? VolumeStatus.whyNotCleared(shut(unaccounted.list().get(key)), mayWrite(key))
            : "this node does not hold the reservation";
    if (refusal != null) {
      out.note(Action.Level.WARN, "mxfsctl fence clear {}: refused: {}", key, refusal);
      return;
    }
    out.note(
        Action.Level.WARN,
        "mxfsctl fence clear {}: a person says that node {} is off for certain; it is forgotten",
        key,
        key.nodeName());
    look(registered);
    if (keys(pulse.roll().fenced()).contains(key)) {
      pulse.clear(key); // it is listed until its slot is free
    } else {
      unaccounted.cleared(key);
    }
  }

  /** By its own key, or by one of an earlier life of its node. */
  private boolean mayWrite(ReservationKey key) {
    return registered.stream().anyMatch(other -> other.isOfLifeUpTo(key));
  }

  private static VolumeStatus.@Nullable Shut shut(Unaccounted.@Nullable State state) {
    return switch (state) {
      case null -> null;
      case MISSING -> VolumeStatus.Shut.MISSING;
      case SHUT_OUT -> VolumeStatus.Shut.SHUT_OUT;
      case FENCED -> VolumeStatus.Shut.FENCED;
    };
  }

  /** For people; null: takeover is off. */
  @Nullable List<VolumeStatus.Missing> list() {
    if (!isOn()) {
      return null;
    }
    Heartbeat.Roll roll = pulse.roll();
    Map<ReservationKey, Unaccounted.State> all = unaccounted.list();
    since.keySet().retainAll(all.keySet());
    List<VolumeStatus.Missing> told = new ArrayList<>();
    all.forEach(
        (key, state) -> {
          Beat beat =
              Stream.concat(roll.fenced().stream(), roll.alive().stream())
                  .filter(each -> each.key().equals(key))
                  .findFirst()
                  .orElse(null);
          told.add(
              new VolumeStatus.Missing(
                  key,
                  beat == null ? "" : beat.host(),
                  Objects.requireNonNull(shut(state)),
                  beat == null ? 0 : beat.epoch(),
                  since.computeIfAbsent(key, _ -> out.now()),
                  mayWrite(key)));
        });
    return told;
  }

  /** For messages: who is not accounted for, as of a reading that was asked for since. */
  String names(long mark) {
    String names =
        Stream.concat(unaccounted.list().keySet().stream(), strangers().stream())
            .distinct()
            .map(key -> Outbox.fill("node {} (key {})", key.nodeName(), key))
            .collect(Collectors.joining(", "));
    if (pulse.knowsAll(mark)) {
      return names;
    }
    return (names.isEmpty() ? "" : names + ", and ") + "whom a slot that cannot be read may name";
  }
}
