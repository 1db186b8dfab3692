// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Removes registrations that dead incarnations of this node left behind.
 *
 * <p>An incarnation of this node that lost power while it was a member is still registered. It is
 * dead, or it would be us; PREEMPT of a key that does not hold the reservation only removes that
 * registration (SPC-4 5.13.11.2.4). Each is tried once: it does no harm where it is.
 */
final class KeyTidier {
  private final Outbox out;
  private final TenureRules rules;
  private final ArrayDialogue array;
  private final HolderView view;

  private final Set<ReservationKey> tried = new HashSet<>();
  private ReservationKey leftover = ReservationKey.NONE;

  KeyTidier(Outbox out, TenureRules rules, ArrayDialogue array, HolderView view) {
    this.out = out;
    this.rules = rules;
    this.array = array;
    this.view = view;
  }

  /** Issues a PREEMPT where there is something to remove; returns whether it did. */
  boolean tidy(List<ReservationKey> registered) {
    ReservationKey key = rules.key();
    for (ReservationKey other : registered) {
      if (other.nodeId() == key.nodeId()
          && !other.equals(key)
          && !other.equals(view.holder())
          && tried.add(other)) {
        leftover = other;
        array.issue(rules.tidy(other));
        return true;
      }
    }
    return false;
  }

  void onAnswer(ArrayAnswer answer) {
    out.note(Action.Level.INFO, "preempted {}, left by a dead incarnation: {}", leftover, answer);
  }
}
