// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/**
 * What a device says about a CHECK CONDITION (SPC-4 4.5), from the fixed or the descriptor format.
 *
 * @param key the kind of condition
 * @param asc additional sense code
 * @param ascq its qualifier
 * @param deferred whether it is about an earlier command; the one it came with was not carried out
 */
public record Sense(SenseKey key, int asc, int ascq, boolean deferred) {
  /** Reservations preempted: another initiator removed this one's reservation. */
  public static final int RESERVATIONS_PREEMPTED = 0x2a03;

  /** Reservations released: the reservation under which this registrant worked is gone. */
  public static final int RESERVATIONS_RELEASED = 0x2a04;

  /** Registrations preempted: another initiator removed this one's registration. */
  public static final int REGISTRATIONS_PREEMPTED = 0x2a05;

  private static final int CURRENT_FIXED = 0x70;
  private static final int DEFERRED_FIXED = 0x71;
  private static final int CURRENT_DESCRIPTOR = 0x72;
  private static final int DEFERRED_DESCRIPTOR = 0x73;

  /**
   * Decodes sense data. Fields that lie past its end are zero, as SPC-4 has it.
   *
   * @throws ScsiFormatException if it is in no format known
   */
  public static Sense decode(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("sense data", data);
    int format = p.u8(0) & 0x7f;
    return switch (format) {
      case CURRENT_FIXED, DEFERRED_FIXED ->
          new Sense(
              SenseKey.of(p.u8OrZero(2)), fixed(p, 12), fixed(p, 13), format == DEFERRED_FIXED);
      case CURRENT_DESCRIPTOR, DEFERRED_DESCRIPTOR ->
          new Sense(
              SenseKey.of(p.u8OrZero(1)),
              p.u8OrZero(2),
              p.u8OrZero(3),
              format == DEFERRED_DESCRIPTOR);
      default ->
          throw new ScsiFormatException("sense data of unknown format 0x%02x".formatted(format));
    };
  }

  /** A byte of the fixed format that the additional sense length (byte 7) may exclude. */
  private static int fixed(Parameters p, int at) {
    return at < 8 + p.u8OrZero(7) ? p.u8OrZero(at) : 0;
  }

  /** Both additional codes as one number, {@code asc << 8 | ascq}; see the constants. */
  public int code() {
    return asc << 8 | ascq;
  }

  /**
   * Whether the device reports that something happened since this initiator's last command, and did
   * not start this one.
   */
  public boolean isUnitAttention() {
    return key == SenseKey.UNIT_ATTENTION && !deferred;
  }

  /**
   * Whether it is a unit attention that says that another initiator changed reservations or
   * registrations (2A/03 to 2A/05).
   */
  public boolean isReservationLost() {
    return isUnitAttention()
        && (code() == RESERVATIONS_PREEMPTED
            || code() == RESERVATIONS_RELEASED
            || code() == REGISTRATIONS_PREEMPTED);
  }

  /**
   * The standard's words for the additional codes; for codes not listed here, a general
   * description.
   */
  public String text() {
    return switch (code()) {
      case 0x0000 -> "no additional sense information";
      case 0x0400 -> "not ready, cause not reportable";
      case 0x0401 -> "becoming ready";
      case 0x0402 -> "not ready, initializing command required";
      case 0x0403 -> "not ready, manual intervention required";
      case 0x0404 -> "not ready, format in progress";
      case 0x0409 -> "not ready, self-test in progress";
      case 0x040a -> "not accessible, asymmetric access state transition";
      case 0x040b -> "not accessible, target port in standby state";
      case 0x040c -> "not accessible, target port in unavailable state";
      case 0x0c02 -> "write error, auto reallocation failed";
      case 0x1100 -> "unrecovered read error";
      case 0x1400 -> "recorded entity not found";
      case 0x1a00 -> "parameter list length error";
      case 0x1d00 -> "miscompare during verify operation";
      case 0x2000 -> "invalid command operation code";
      case 0x2100 -> "logical block address out of range";
      case 0x2400 -> "invalid field in CDB";
      case 0x2500 -> "logical unit not supported";
      case 0x2600 -> "invalid field in parameter list";
      case 0x2601 -> "parameter not supported";
      case 0x2602 -> "parameter value invalid";
      case 0x2604 -> "invalid release of persistent reservation";
      case 0x2700 -> "write protected";
      case 0x2707 -> "space allocation failed, write protect";
      case 0x2800 -> "medium may have changed";
      case 0x2900 -> "power on, reset, or bus device reset occurred";
      case 0x2901 -> "power on occurred";
      case 0x2902 -> "SCSI bus reset occurred";
      case 0x2903 -> "bus device reset function occurred";
      case 0x2904 -> "device internal reset";
      case 0x2907 -> "I_T nexus loss occurred";
      case 0x2a00 -> "parameters changed";
      case 0x2a01 -> "mode parameters changed";
      case RESERVATIONS_PREEMPTED -> "reservations preempted";
      case RESERVATIONS_RELEASED -> "reservations released";
      case REGISTRATIONS_PREEMPTED -> "registrations preempted";
      case 0x2a06 -> "asymmetric access state changed";
      case 0x2a09 -> "capacity data has changed";
      case 0x2c00 -> "command sequence error";
      case 0x2f00 -> "commands cleared by another initiator";
      case 0x3a00 -> "medium not present";
      case 0x3d00 -> "invalid bits in identify message";
      case 0x3e01 -> "logical unit failure";
      case 0x3f03 -> "INQUIRY data has changed";
      case 0x3f0e -> "REPORTED LUNS data has changed";
      case 0x4400 -> "internal target failure";
      case 0x4700 -> "SCSI parity error";
      case 0x4b00 -> "data phase error";
      case 0x4e00 -> "overlapped commands attempted";
      case 0x5504 -> "insufficient registration resources";
      default ->
          asc == 0x29
              ? "power on or reset"
              : asc == 0x2a ? "parameters changed" : "additional sense";
    };
  }

  @Override
  public String toString() {
    return "%s %02X/%02X (%s)%s"
        .formatted(key, asc, ascq, text(), deferred ? ", about an earlier command" : "");
  }
}
