// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.io.Closeable;

/**
 * Persistent reservations of one logical unit or namespace (SPC-4 5.13), whichever way the commands
 * go: {@link ScsiDevice} by SG_IO, {@link BlockReservations} by the kernel's block layer, which
 * also knows NVMe and device mapper.
 *
 * <p>Nothing here is ever sent twice after it may have taken effect. {@link #preempt} and {@link
 * #preemptAndAbort} are verified by reading instead, whatever they returned.
 */
public interface PersistentReservations extends Closeable {
  /** READ KEYS: who is registered, and PRGENERATION. */
  ScsiResult<Keys> readKeys();

  /** READ RESERVATION: who holds the reservation. */
  ScsiResult<Reservation> readReservation();

  /**
   * REGISTER: replaces this initiator's key.
   *
   * @param oldKey the key it has; 0 if it has none. Another than it has ends in a conflict.
   * @param newKey the key to have; 0 unregisters, and releases the reservation if this initiator
   *     holds it
   */
  ScsiResult<Done> register(long oldKey, long newKey, RegisterOptions options);

  /**
   * REGISTER AND IGNORE EXISTING KEY: as {@link #register}, whatever key there was. Safe to do
   * again.
   */
  ScsiResult<Done> registerAndIgnoreExistingKey(long newKey, RegisterOptions options);

  /**
   * RESERVE. A conflict means that another holds the reservation, or that {@code key} is not this
   * initiator's.
   */
  ScsiResult<Done> reserve(long key, ReservationType type);

  /** RELEASE. Good also when this initiator is registered and holds nothing. */
  ScsiResult<Done> release(long key, ReservationType type);

  /** CLEAR: removes the reservation and every registration of everybody. */
  ScsiResult<Done> clear(long key);

  /**
   * PREEMPT: removes the victim's registrations and, where it held the reservation, takes that
   * over, in one step. Sent once and then verified with READ KEYS and READ RESERVATION, whatever it
   * returned.
   *
   * @param key this initiator's own
   * @param victim the key to remove; another than {@code key}, not 0
   * @param type that of the reservation there is
   */
  Preemption preempt(long key, long victim, ReservationType type);

  /**
   * PREEMPT AND ABORT: as {@link #preempt}, and aborts the commands that the victim had under way.
   * Where a target does not know it (ILLEGAL REQUEST), the victim's commands sent earlier may still
   * take effect after a plain PREEMPT.
   */
  Preemption preemptAndAbort(long key, long victim, ReservationType type);

  /** Waits for the command under way and closes the device. Registrations stay. */
  @Override
  void close();
}
