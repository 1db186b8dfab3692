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

  int type() {
    return type;
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
