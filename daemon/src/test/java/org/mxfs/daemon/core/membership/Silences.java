// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.List;
import java.util.Objects;
import org.mxfs.daemon.core.ReservationKey;

/** There is no other way to a {@link Silence} than a {@link Suspicion} that has watched. */
public final class Silences {
  private Silences() {}

  /** Of so many seconds. */
  public static Silence of(ReservationKey key, int seconds) {
    Suspicion suspicion = new Suspicion(1_000);
    Slot slot = new Slot.Taken(new Beat(key, 1, 1, Beat.State.ALIVE, 0, ""));
    for (int i = 0; i <= seconds; i++) {
      suspicion.read(List.of(slot), i * 1_000L, i * 1_000L);
    }
    return Objects.requireNonNull(suspicion.proof(key, seconds * 1_000L, seconds * 1_000L));
  }
}
