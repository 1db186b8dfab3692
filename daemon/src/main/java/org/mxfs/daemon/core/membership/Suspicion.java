// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.mxfs.daemon.core.ReservationKey;

/**
 * How long each slot has stood still, by the reader's own clock; clocks of two nodes are never
 * compared.
 *
 * <p>Silence is counted between two readings that show the same record, from the end of the one to
 * the beginning of the other, and only while readings come back within a beat and follow each
 * other: an array that stalls for everybody, or a reader that was itself stopped, counts nothing.
 * So what is counted is at most how long the record really stood still since it was written.
 */
public final class Suspicion {
  private record Seen(ReservationKey key, long sequence, long silence) {}

  private final long beatMillis;
  private Map<Integer, Seen> seen = new HashMap<>();
  private long lastAnsweredAt;
  private boolean lastTimely;

  public Suspicion(long beatMillis) {
    this.beatMillis = beatMillis;
  }

  /** What was read, when it was asked for and when it came. */
  public void read(List<Slot> slots, long askedAt, long answeredAt) {
    boolean timely = answeredAt - askedAt <= beatMillis;
    long counted =
        timely && lastTimely && askedAt - lastAnsweredAt <= 2 * beatMillis
            ? Math.max(0, askedAt - lastAnsweredAt)
            : 0;
    Map<Integer, Seen> now = new HashMap<>();
    for (int i = 0; i < slots.size(); i++) {
      if (slots.get(i) instanceof Slot.Taken taken && taken.beat().state() == Beat.State.ALIVE) {
        Beat beat = taken.beat();
        Seen before = seen.get(i);
        long silence =
            before != null && before.key.equals(beat.key()) && before.sequence == beat.sequence()
                ? before.silence + counted
                : 0;
        now.put(i, new Seen(beat.key(), beat.sequence(), silence));
      }
    }
    seen = now;
    lastAnsweredAt = answeredAt;
    lastTimely = timely;
  }

  /** A reading failed: what comes next begins anew. */
  public void readFailed() {
    lastTimely = false;
  }

  /** For how long it is known to be silent; -1 when it has no slot. */
  public long silentFor(ReservationKey key) {
    for (Seen one : seen.values()) {
      if (one.key.equals(key)) {
        return one.silence;
      }
    }
    return -1;
  }
}
