// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/**
 * What became of a PREEMPT. The command is sent once; then the device is asked, because a PREEMPT
 * whose answer was lost may have taken effect, and a second one of the same key would only meet a
 * conflict.
 *
 * @param verdict what the device's own lists say
 * @param command how the PREEMPT itself ended
 * @param keys the registrations afterwards
 * @param reservation the reservation afterwards
 */
public record Preemption(
    Verdict verdict,
    ScsiResult<Done> command,
    ScsiResult<Keys> keys,
    ScsiResult<Reservation> reservation) {
  /** What the device's own lists say. */
  public enum Verdict {
    /** The victim is not registered, this initiator is and holds the reservation. */
    GONE_AND_HELD,
    /**
     * The victim is not registered, this initiator is; another holds the reservation, or none does.
     */
    GONE,
    /** The victim is registered still: nothing happened. */
    STILL_REGISTERED,
    /**
     * This initiator's own key is not registered: it was preempted itself, or the device forgot.
     * Stop.
     */
    OWN_KEY_GONE,
    /** The device could not be asked. Ask again before anything else. */
    UNKNOWN
  }

  /** Preempting nobody, or oneself, is a mistake of the caller. */
  static void check(String command, long key, long victim) {
    if (victim == 0 || victim == key) {
      throw new IllegalArgumentException(
          "%s of key %016x by key %016x".formatted(command, victim, key));
    }
  }

  static Preemption judge(
      long key,
      long victim,
      ScsiResult<Done> command,
      ScsiResult<Keys> keys,
      ScsiResult<Reservation> reservation) {
    return new Preemption(verdict(key, victim, keys, reservation), command, keys, reservation);
  }

  private static Verdict verdict(
      long key, long victim, ScsiResult<Keys> keys, ScsiResult<Reservation> reservation) {
    if (!(keys instanceof ScsiResult.Good<Keys> k)
        || !(reservation instanceof ScsiResult.Good<Reservation> r)) {
      return Verdict.UNKNOWN;
    }
    if (!k.value().contains(key)) {
      return Verdict.OWN_KEY_GONE;
    }
    if (k.value().contains(victim)) {
      return Verdict.STILL_REGISTERED;
    }
    return r.value().heldBy(key) ? Verdict.GONE_AND_HELD : Verdict.GONE;
  }

  /** Whether it is known that the victim can no longer write. */
  public boolean victimGone() {
    return verdict == Verdict.GONE_AND_HELD || verdict == Verdict.GONE;
  }
}
