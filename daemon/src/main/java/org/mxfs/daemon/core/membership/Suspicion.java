// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * How long each slot has stood still, by the reader's own clock; clocks of two nodes are never
 * compared.
 *
 * <p>It is counted between two readings that show the same record, from the end of the one to the
 * beginning of the other, and only while readings come back within a beat and follow each other: an
 * array that stalls for everybody, or a reader that was itself stopped, counts nothing. So what is
 * counted is at most how long the record really stood still since it was written. A slot that is
 * damaged is as still as one that shows the record of before: who wrote it may have died of it.
 */
public final class Suspicion {
  /** So many beats may be missing of a node that beats: a slow disk needs them. */
  private static final int MISSED = 3;

  /**
   * Of a slot.
   *
   * @param moves how often its key was seen to write it
   * @param legible it shows a record, or one that was cut off in the middle
   */
  private record Seen(Beat beat, long still, int moves, boolean legible) {}

  private final long beatMillis;
  private Map<Integer, Seen> seen = new HashMap<>();
  private long lastAskedAt;
  private long lastAnsweredAt;
  private boolean lastTimely;

  /** A slot is damaged, and whose it is nobody knows. */
  private boolean hidesOne;

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
    hidesOne = false;
    for (int i = 0; i < slots.size(); i++) {
      Seen before = seen.get(i);
      Beat beat =
          switch (slots.get(i)) {
            case Slot.Taken taken -> taken.beat();
            case Slot.Damaged _ -> before == null ? null : before.beat;
            case Slot.Free _ -> null;
          };
      hidesOne |= beat == null && slots.get(i) instanceof Slot.Damaged;
      if (beat != null) {
        boolean known = before != null && before.beat.key().equals(beat.key());
        boolean same = before != null && isSame(before.beat, beat);
        long still = before != null && same ? before.still + counted : 0;
        int moves = before == null || !known ? 0 : same ? before.moves : before.moves + 1;
        // Who stood still is looked at anew: one write of before may yet land.
        now.put(i, new Seen(beat, still, isMissed(still) ? 0 : moves, isLegible(slots.get(i))));
      }
    }
    seen = now;
    lastAskedAt = askedAt;
    lastAnsweredAt = answeredAt;
    lastTimely = timely;
  }

  /** What this node alone cannot read its writer may write, again and again. */
  private static boolean isLegible(Slot slot) {
    return !(slot instanceof Slot.Damaged damaged) || damaged.kind() == Slot.Kind.TORN;
  }

  private boolean isMissed(long still) {
    return still >= MISSED * beatMillis;
  }

  /**
   * Whether this node is seen to write its heartbeat: twice at least, for one write may have been
   * under way since before it died.
   */
  public boolean isBeating(ReservationKey key) {
    return lastTimely
        && seen.values().stream()
            .anyMatch(one -> one.beat.key().equals(key) && one.moves >= 2 && !isMissed(one.still));
  }

  private static boolean isSame(Beat one, Beat other) {
    return one.key().equals(other.key()) && one.sequence() == other.sequence();
  }

  /** A reading failed: what comes next begins anew. */
  public void readFailed() {
    lastTimely = false;
  }

  /** For how long this slot's record is known to stand still; 0 when it has none. */
  public long stillFor(int slot) {
    Seen one = seen.get(slot);
    return one == null ? 0 : one.still;
  }

  /** For how long it is known to be silent, though it said that it would beat; -1: it did not. */
  public long silentFor(ReservationKey key) {
    return longest(key, Beat.State.ALIVE);
  }

  /** For how long it has been pausing; -1 when it does not. */
  public long pausedFor(ReservationKey key) {
    return longest(key, Beat.State.PAUSED);
  }

  /**
   * That a node, which said that it would beat or would be silent for a while, has been silent for
   * at least so long, and for longer than its own lease, which its mount has set; null: that is not
   * known. It is as old as the question of the last reading, and known for two beats after that:
   * who comes to life again while a reading hangs is not silent. A damaged slot of nobody known may
   * be the second one of just this node.
   */
  public @Nullable Silence proof(ReservationKey key, long atLeastMillis, long now) {
    long least = Long.MAX_VALUE;
    long wanted = atLeastMillis;
    for (Seen one : seen.values()) {
      Beat beat = one.beat;
      if (beat.key().equals(key)
          && (beat.state() == Beat.State.ALIVE || beat.state() == Beat.State.PAUSED)) {
        least = Math.min(least, one.legible ? one.still : 0);
        wanted = Math.max(wanted, Silence.least(beat.leaseMillis(), beatMillis));
      }
    }
    boolean isKnown =
        lastTimely
            && !hidesOne
            && now - lastAskedAt <= 2 * beatMillis
            && least != Long.MAX_VALUE
            && atLeastMillis > 0;
    return isKnown && least >= wanted ? new Silence(key, least) : null;
  }

  /**
   * A node has a second slot where writes of its first one fail: it is as alive as the livelier.
   */
  private long longest(ReservationKey key, Beat.State state) {
    return seen.values().stream()
        .filter(one -> one.beat.key().equals(key) && one.beat.state() == state)
        .mapToLong(Seen::still)
        .min()
        .orElse(-1);
  }
}
