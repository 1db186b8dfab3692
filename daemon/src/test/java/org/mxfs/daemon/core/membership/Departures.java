// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.List;
import java.util.Objects;
import org.mxfs.daemon.core.ReservationKey;

/** There is no other way to a {@link Departed} than a slot that says so. */
public final class Departures {
  private Departures() {}

  public static Departed of(ReservationKey key) {
    SlotTable table = new SlotTable();
    table.read(List.of(new Slot.Taken(new Beat(key, 1, 1, Beat.State.LEFT, 0, ""))));
    return Objects.requireNonNull(table.departed(key));
  }
}
