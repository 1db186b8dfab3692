// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/**
 * One command: what is sent, what may come back, and how that is read.
 *
 * @param name as the standard calls it
 * @param cdb command descriptor block
 * @param out data to send, may be empty
 * @param inLength bytes to receive at most
 * @param dependsOnReservations whether it was decided on a state of the reservations, so that it
 *     must not be sent again when that state turns out to be gone
 * @param decoder turns received data into a value
 */
record Command<T>(
    String name,
    byte[] cdb,
    byte[] out,
    int inLength,
    boolean dependsOnReservations,
    Decoder<T> decoder) {
  private static final byte[] NONE = new byte[0];

  /** Turns received data into a value. */
  interface Decoder<T> {
    T decode(byte[] data) throws ScsiFormatException;
  }

  /** A command without data that changes nothing. */
  static Command<Done> plain(String name, byte[] cdb) {
    return new Command<>(name, cdb, NONE, 0, false, _ -> Done.DONE);
  }

  /** A command that only asks. */
  static <T> Command<T> in(String name, byte[] cdb, int length, Decoder<T> decoder) {
    return new Command<>(name, cdb, NONE, length, false, decoder);
  }

  /** A command that changes something which reservations may guard. */
  static Command<Done> out(String name, byte[] cdb, byte[] data) {
    return new Command<>(name, cdb, data, 0, true, _ -> Done.DONE);
  }
}
