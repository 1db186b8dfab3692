// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/**
 * A command to the storage array (SPC-4 6.15, 6.16: PERSISTENT RESERVE IN and OUT). The machine has
 * at most one under way; each is answered by one {@link ArrayAnswer}.
 */
public sealed interface ArrayCommand {
  record ReportCapabilities() implements ArrayCommand {}

  record ReadKeys() implements ArrayCommand {}

  record ReadReservation() implements ArrayCommand {}

  /** READ FULL STATUS: who is registered by which initiator port. */
  record ReadFullStatus() implements ArrayCommand {}

  /**
   * REGISTER: this path's key becomes {@code key} if it was {@code old} ({@link
   * ReservationKey#NONE}: none). A conflict says that it was not, and nothing has changed. So a
   * command of an earlier life that arrives late changes nothing either.
   */
  record Register(ReservationKey old, ReservationKey key, boolean aptpl) implements ArrayCommand {}

  /** REGISTER from {@code key} to 0: also releases the reservation when this path holds it. */
  record Unregister(ReservationKey key, boolean aptpl) implements ArrayCommand {}

  /** RESERVE, type 5 (Write Exclusive, Registrants Only). */
  record Reserve(ReservationKey key) implements ArrayCommand {}

  /**
   * PREEMPT, type 5: removes the victim's registration and, when it held the reservation, moves
   * that here.
   */
  record Preempt(ReservationKey key, ReservationKey victim) implements ArrayCommand {}
}
