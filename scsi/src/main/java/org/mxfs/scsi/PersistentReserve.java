// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Encodings of PERSISTENT RESERVE IN and OUT, SPC-4 6.15 and 6.16. */
final class PersistentReserve {
  static final int READ_KEYS = 0x00;
  static final int READ_RESERVATION = 0x01;
  static final int REPORT_CAPABILITIES = 0x02;
  static final int READ_FULL_STATUS = 0x03;

  static final int REGISTER = 0x00;
  static final int RESERVE = 0x01;
  static final int RELEASE = 0x02;
  static final int CLEAR = 0x03;
  static final int PREEMPT = 0x04;
  static final int PREEMPT_AND_ABORT = 0x05;
  static final int REGISTER_AND_IGNORE_EXISTING_KEY = 0x06;
  static final int REGISTER_AND_MOVE = 0x07;

  private static final int OUT_LENGTH = 24;

  private static final int HEADER = 8;
  private static final int FULL_STATUS_DESCRIPTOR = 24;
  private static final int ALL_TG_PT = 1 << 2;
  private static final int APTPL = 1;
  private static final int UNREG = 1 << 1;

  /** Before the transport id of REGISTER AND MOVE. */
  private static final int MOVE_HEADER = 24;

  /** TransportIDs are padded to a multiple of 4 bytes, and none is shorter (SPC-4 7.6.4). */
  private static final int SHORTEST_TRANSPORT_ID = 24;

  private PersistentReserve() {}

  static byte[] inCdb(int action, int allocation) {
    return ByteBuffer.allocate(10)
        .put(0, (byte) 0x5e)
        .put(1, (byte) action)
        .putShort(7, (short) allocation)
        .array();
  }

  /** Scope is always the logical unit (0): SPC-4 has no other. */
  static byte[] outCdb(int action, int type, int length) {
    return ByteBuffer.allocate(10)
        .put(0, (byte) 0x5f)
        .put(1, (byte) action)
        .put(2, (byte) type)
        .putInt(5, length)
        .array();
  }

  static byte[] outParameters(long key, long serviceActionKey, RegisterOptions options) {
    int flags =
        (options.allTargetPorts() ? ALL_TG_PT : 0)
            | (options.persistThroughPowerLoss() ? APTPL : 0);
    return ByteBuffer.allocate(OUT_LENGTH)
        .putLong(0, key)
        .putLong(8, serviceActionKey)
        .put(20, (byte) flags)
        .array();
  }

  /** The parameter list of REGISTER AND MOVE, SPC-4 6.16.4. */
  static byte[] moveParameters(
      long key, long newKey, Move move, boolean unregister, boolean persistThroughPowerLoss) {
    byte[] id = move.transportId();
    if (id.length < SHORTEST_TRANSPORT_ID || id.length % 4 != 0 || id.length > 0xffff) {
      throw new IllegalArgumentException("a transport id of " + id.length + " bytes");
    }
    int flags = (unregister ? UNREG : 0) | (persistThroughPowerLoss ? APTPL : 0);
    return ByteBuffer.allocate(MOVE_HEADER + id.length)
        .putLong(0, key)
        .putLong(8, newKey)
        .put(17, (byte) flags)
        .putShort(18, (short) move.relativeTargetPort())
        .putInt(20, id.length)
        .put(MOVE_HEADER, id)
        .array();
  }

  /** Bytes that the answer has in full, which may be more than what was received. */
  static long fullLength(byte[] data) throws ScsiFormatException {
    return HEADER + new Parameters("PERSISTENT RESERVE IN data", data).u32(4);
  }

  static Keys keys(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("READ KEYS data", data);
    int length = listLength(p);
    if (length % Long.BYTES != 0) {
      throw new ScsiFormatException(
          "READ KEYS data: " + length + " bytes are no whole number of keys");
    }
    List<Long> keys = new ArrayList<>();
    for (int at = HEADER; at < HEADER + length; at += Long.BYTES) {
      keys.add(p.u64(at));
    }
    return new Keys(p.u32(0), keys);
  }

  private static int listLength(Parameters p) throws ScsiFormatException {
    long length = p.u32(4);
    if (length > p.length() - HEADER) {
      throw new ScsiFormatException(
          "PERSISTENT RESERVE IN data: a list of " + length + " bytes in " + p.length());
    }
    return (int) length;
  }

  static Reservation reservation(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("READ RESERVATION data", data);
    int length = listLength(p);
    if (length == 0) {
      return new Reservation(p.u32(0), Optional.empty());
    }
    if (length < 16) {
      throw new ScsiFormatException("READ RESERVATION data: a reservation of " + length + " bytes");
    }
    return new Reservation(
        p.u32(0),
        Optional.of(new Reservation.Holder(p.u64(8), ReservationType.require(p.u8(21) & 0xf))));
  }

  static Capabilities capabilities(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("REPORT CAPABILITIES data", data);
    if (p.u16(0) < 8) {
      throw new ScsiFormatException("REPORT CAPABILITIES data: length " + p.u16(0));
    }
    Set<ReservationType> types = EnumSet.noneOf(ReservationType.class);
    if (p.bit(3, 7)) { // TMV: the type mask is valid
      add(types, p.bit(4, 7), ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS);
      add(types, p.bit(4, 6), ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY);
      add(types, p.bit(4, 5), ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
      add(types, p.bit(4, 3), ReservationType.EXCLUSIVE_ACCESS);
      add(types, p.bit(4, 1), ReservationType.WRITE_EXCLUSIVE);
      add(types, p.bit(5, 0), ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS);
    }
    return new Capabilities(
        p.bit(2, 7), p.bit(2, 4), p.bit(2, 3), p.bit(2, 2), p.bit(2, 0), p.bit(3, 0), types);
  }

  private static void add(Set<ReservationType> types, boolean has, ReservationType type) {
    if (has) {
      types.add(type);
    }
  }

  static FullStatus fullStatus(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("READ FULL STATUS data", data);
    int end = HEADER + listLength(p);
    List<Registrant> registrants = new ArrayList<>();
    int at = HEADER;
    while (at < end) {
      if (end - at < FULL_STATUS_DESCRIPTOR) {
        throw new ScsiFormatException(
            "READ FULL STATUS data: " + (end - at) + " bytes are no descriptor");
      }
      long id = p.u32(at + 20);
      if (id > end - at - FULL_STATUS_DESCRIPTOR) {
        throw new ScsiFormatException("READ FULL STATUS data: a transport id of " + id + " bytes");
      }
      registrants.add(
          new Registrant(
              p.u64(at),
              p.bit(at + 12, 0)
                  ? Optional.of(ReservationType.require(p.u8(at + 13) & 0xf))
                  : Optional.empty(),
              p.bit(at + 12, 1),
              p.u16(at + 18),
              p.bytes(at + FULL_STATUS_DESCRIPTOR, (int) id)));
      at += FULL_STATUS_DESCRIPTOR + (int) id;
    }
    return new FullStatus(p.u32(0), registrants);
  }
}
