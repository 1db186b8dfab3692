// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Who is thought to hold the reservation: the last reading, or what a peer said. It tells where to
 * ask and what to log; it is never evidence.
 */
final class HolderView {
  static final int WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5;

  private ReservationKey holder = ReservationKey.NONE;
  private int type;

  /** When READ RESERVATION is to be asked again, and whether it must be, wanted or not. */
  private long readDue;

  private boolean reread;

  ReservationKey holder() {
    return holder;
  }

  /** Whether the reservation is of a kind that is not mxfs's, whoever holds it. */
  boolean isForeign() {
    return type != 0 && type != WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
  }

  /** SPC-4 table 60. */
  String typeName() {
    return switch (type) {
      case 1 -> "1, Write Exclusive";
      case 3 -> "3, Exclusive Access";
      case 5 -> "5, Write Exclusive, Registrants Only";
      case 6 -> "6, Exclusive Access, Registrants Only";
      case 7 -> "7, Write Exclusive, All Registrants";
      case 8 -> "8, Exclusive Access, All Registrants";
      default -> Integer.toString(type);
    };
  }

  void read(ArrayAnswer.Reservation reservation) {
    holder = reservation.holder();
    type = reservation.type();
  }

  /** Hearsay: to be looked at, not to be believed. */
  void told(ReservationKey said) {
    holder = said;
    type = WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
  }

  long readDue() {
    return readDue;
  }

  void readAt(long time) {
    readDue = time;
  }

  boolean mustReread() {
    return reread;
  }

  void mustReread(boolean value) {
    reread = value;
  }
}
