// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.List;
import java.util.Objects;
import org.mxfs.daemon.core.ReservationKey;

/** There is no other way to an {@link Outcast} than a slot that says so. */
public final class Outcasts {
  private Outcasts() {}

  public static Outcast of(ReservationKey key) {
    SlotTable table = new SlotTable();
    table.read(List.of(new Slot.Taken(new Beat(key, 1, 1, Beat.State.FENCED, 0, ""))));
    return Objects.requireNonNull(table.outcast(key));
  }
}
