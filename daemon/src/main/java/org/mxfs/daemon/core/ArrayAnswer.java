// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import java.util.List;

/** What came of an {@link ArrayCommand}. */
public sealed interface ArrayAnswer {
  /** To REPORT CAPABILITIES. */
  record Supported(boolean aptpl) implements ArrayAnswer {}

  /** The device has no persistent reservations at all, for the stated reason. */
  record Unsupported(String reason) implements ArrayAnswer {}

  /**
   * To READ KEYS.
   *
   * @param generation PRGENERATION: the array's count of registrations, clears and preemptions
   */
  record Keys(long generation, List<ReservationKey> keys) implements ArrayAnswer {
    public Keys {
      keys = List.copyOf(keys);
    }
  }

  /** To READ FULL STATUS: one for each registered path. */
  record Registrations(List<Registration> list) implements ArrayAnswer {
    public Registrations {
      list = List.copyOf(list);
    }
  }

  /**
   * A registration.
   *
   * @param port the initiator port, for messages; "" where the device does not say
   */
  record Registration(ReservationKey key, String port) {
    @Override
    public String toString() {
      return port.isEmpty() ? key.toString() : key + " (" + port + ")";
    }
  }

  /**
   * To READ RESERVATION; {@code holder} is {@link ReservationKey#NONE} and {@code type} 0 when
   * there is none. An all-registrants type (7, 8) has no holder either: everybody holds it.
   */
  record Reservation(ReservationKey holder, int type) implements ArrayAnswer {}

  /** GOOD, to a command that returns no data. */
  record Done() implements ArrayAnswer {}

  /** RESERVATION CONFLICT: the command had no effect. */
  record Conflict() implements ArrayAnswer {}

  /** Refused with a sense that says so (ILLEGAL REQUEST): the command had no effect. */
  record Rejected(String reason) implements ArrayAnswer {}

  /** No answer that tells whether the command took effect: only reading can. */
  record Unclear(String reason) implements ArrayAnswer {}
}
