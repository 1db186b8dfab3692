// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import org.mxfs.daemon.core.ReservationKey;

/** What a fencing asks of the array: one at a time, each answered once. */
public sealed interface FenceCommand {
  /** READ KEYS. */
  record ReadKeys() implements FenceCommand {}

  /** READ RESERVATION. */
  record ReadReservation() implements FenceCommand {}

  /**
   * PREEMPT, or PREEMPT AND ABORT, type 5; sent once. A wish: the rules of ownership make the
   * command.
   */
  record Preempt(ReservationKey key, ReservationKey victim, boolean abort)
      implements FenceCommand {}

  /**
   * LOGICAL UNIT RESET, and of nothing larger. Answered with {@code Done} only when its success is
   * known, with {@code Rejected} when nothing was sent, else with {@code Unclear}.
   */
  record Reset() implements FenceCommand {}
}
