// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Removes registrations that dead incarnations of this node left behind.
 *
 * <p>An incarnation of this node that lost power while it was a member is still registered. It is
 * dead, or it would be us; PREEMPT of a key that does not hold the reservation only removes that
 * registration (SPC-4 5.13.11.2.4). Each is tried a few times: it does no harm where it is.
 */
final class KeyTidier {
  private static final int TRIES_MAX = 5;

  private final Outbox out;
  private final TenureRules rules;
  private final ArrayDialogue array;
  private final HolderView view;
  private final Situation situation;
  private final Neighbours neighbours;

  private final Set<ReservationKey> foreign = new HashSet<>();
  private final Map<ReservationKey, Integer> tried = new HashMap<>();

  /** What was registered at the last look, and is not dealt with yet. */
  private final Set<ReservationKey> registered = new LinkedHashSet<>();

  KeyTidier(
      Outbox out,
      TenureRules rules,
      Situation situation,
      HolderView view,
      Neighbours neighbours,
      ArrayDialogue array) {
    this.situation = situation;
    this.neighbours = neighbours;
    this.out = out;
    this.rules = rules;
    this.array = array;
    this.view = view;
  }

  void looked(List<ReservationKey> keys) {
    registered.clear();
    registered.addAll(keys);
    noteForeign(keys);
  }

  /** Wants a PREEMPT where there is something to remove. */
  void goOn() {
    if (!situation.isSettled() || !situation.isReady()) {
      return; // another machine under our id may yet be heard
    }
    for (ReservationKey other : registered) {
      if (rules.isDeadSelf(other)
          && !other.equals(view.holder())
          && tried.getOrDefault(other, 0) < TRIES_MAX) {
        array.want(ArrayDialogue.Priority.TIDY, () -> preempt(other), reply -> note(other, reply));
        return;
      }
    }
  }

  private ArrayCommand preempt(ReservationKey leftover) {
    registered.remove(leftover);
    tried.merge(leftover, 1, Integer::sum);
    return rules.tidy(new Permit.DeadLife(leftover));
  }

  private void note(ReservationKey leftover, ArrayDialogue.Reply reply) {
    out.note(
        Action.Level.INFO,
        "preempted {}, left by a dead incarnation: {}",
        leftover,
        reply.answer());
  }

  /** Who is registered may write, under the type that mxfs reserves with. */
  private void noteForeign(List<ReservationKey> registered) {
    if (!situation.isReady()) {
      return;
    }
    for (ReservationKey other : registered) {
      int node = other.nodeId();
      if (node != rules.key().nodeId()
          && !neighbours.isConnected(node)
          && neighbours.hostOf(node) == null
          && foreign.add(other)) {
        out.note(
            Action.Level.WARN,
            "key {} is registered on {} by nobody that is heard here: a node that is off, or"
                + " something that is not mxfs and may write beside it (the reservation, type 5,"
                + " lets every registrant write)",
            other,
            situation.settings().device());
      }
    }
  }
}
