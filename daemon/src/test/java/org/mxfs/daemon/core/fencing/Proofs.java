// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import java.util.List;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ReservationKey;

/** There is no other way to a {@link Fenced} than a fencing that comes to its end. */
public final class Proofs {
  private Proofs() {}

  /** One whose end is a reset; the holder is registered, too. */
  public static Fenced of(ReservationKey own, ReservationKey victim, ReservationKey holder) {
    FencingSettings settings = FencingSettings.RESET_ENDS_ALL;
    Fencing fencing = new Fencing(own, victim, settings);
    List<FenceAction> actions = fencing.step(new FenceEvent.Start(), 0);
    while (true) {
      if (actions.getLast() instanceof FenceAction.Done done) {
        return done.proof();
      }
      FenceAction.Ask ask =
          actions.stream()
              .filter(FenceAction.Ask.class::isInstance)
              .map(FenceAction.Ask.class::cast)
              .findFirst()
              .orElseThrow();
      ArrayAnswer answer =
          switch (ask.command()) {
            case FenceCommand.ReadKeys _ -> new ArrayAnswer.Keys(4, List.of(own, holder));
            case FenceCommand.ReadReservation _ -> new ArrayAnswer.Reservation(holder, 5);
            case FenceCommand.Preempt _, FenceCommand.Reset _ -> new ArrayAnswer.Done();
          };
      actions = fencing.step(new FenceEvent.Answered(ask.question(), answer), 1);
    }
  }
}
