// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.OptionalLong;

/**
 * What a device says about a CHECK CONDITION (SPC-4 4.5), from the fixed or the descriptor format.
 *
 * @param key the kind of condition
 * @param asc additional sense code
 * @param ascq its qualifier
 * @param deferred whether it is about an earlier command; the one it came with was not carried out
 * @param information what the command defines: the first bad logical block, or after COMPARE AND
 *     WRITE the offset in bytes of the first difference; unsigned, empty where the device does not
 *     say
 */
public record Sense(SenseKey key, int asc, int ascq, boolean deferred, OptionalLong information) {
  /** Reservations preempted: another initiator removed this one's reservation. */
  public static final int RESERVATIONS_PREEMPTED = 0x2a03;

  /** Reservations released: the reservation under which this registrant worked is gone. */
  public static final int RESERVATIONS_RELEASED = 0x2a04;

  /** Registrations preempted: another initiator removed this one's registration. */
  public static final int REGISTRATIONS_PREEMPTED = 0x2a05;

  private static final int INVALID_OPERATION_CODE = 0x2000;
  private static final int INVALID_FIELD_IN_CDB = 0x2400;
  private static final int INVALID_FIELD_IN_PARAMETERS = 0x2600;
  private static final int PARAMETER_NOT_SUPPORTED = 0x2601;
  private static final int PARAMETER_VALUE_INVALID = 0x2602;

  /** Type of the information descriptor. */
  private static final int INFORMATION = 0x00;

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
              SenseKey.of(p.u8OrZero(2)),
              fixed(p, 12),
              fixed(p, 13),
              format == DEFERRED_FIXED,
              fixedInformation(p));
      case CURRENT_DESCRIPTOR, DEFERRED_DESCRIPTOR ->
          new Sense(
              SenseKey.of(p.u8OrZero(1)),
              p.u8OrZero(2),
              p.u8OrZero(3),
              format == DEFERRED_DESCRIPTOR,
              descriptorInformation(p));
      default ->
          throw new ScsiFormatException("sense data of unknown format 0x%02x".formatted(format));
    };
  }

  /** A byte of the fixed format that the additional sense length (byte 7) may exclude. */
  private static int fixed(Parameters p, int at) {
    return at < 8 + p.u8OrZero(7) ? p.u8OrZero(at) : 0;
  }

  /** Bytes 3 to 6, where the VALID bit says that they count (SPC-4 4.5.3). */
  private static OptionalLong fixedInformation(Parameters p) throws ScsiFormatException {
    return p.bit(0, 7) && p.length() >= 7 ? OptionalLong.of(p.u32(3)) : OptionalLong.empty();
  }

  /** The information descriptor (SPC-4 4.5.2.2); a list that ends early ends the search. */
  private static OptionalLong descriptorInformation(Parameters p) throws ScsiFormatException {
    int end = Math.min(p.length(), 8 + p.u8OrZero(7));
    int at = 8;
    while (end - at >= 2) {
      int length = 2 + p.u8(at + 1);
      if (p.u8(at) == INFORMATION && length == 12 && end - at >= length) {
        return p.bit(at + 2, 7) ? OptionalLong.of(p.u64(at + 4)) : OptionalLong.empty();
      }
      at += length;
    }
    return OptionalLong.empty();
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
   * Whether the device does not have this command, or this form of it. ILLEGAL REQUEST alone does
   * not say so: it is the key of a unit that is away (25/00), full (55/04), or that this initiator
   * may not use (20/02), too.
   */
  public boolean isCommandUnknown() {
    return key == SenseKey.ILLEGAL_REQUEST
        && (code() == INVALID_OPERATION_CODE || code() == INVALID_FIELD_IN_CDB);
  }

  /** Whether the device refuses what a field of the command, or of its parameters, asks for. */
  public boolean isFieldRefused() {
    return key == SenseKey.ILLEGAL_REQUEST
        && (code() == INVALID_FIELD_IN_CDB
            || code() == INVALID_FIELD_IN_PARAMETERS
            || code() == PARAMETER_NOT_SUPPORTED
            || code() == PARAMETER_VALUE_INVALID);
  }

  /** Whether COMPARE AND WRITE (or a verify) found other data than expected. */
  public boolean isMiscompare() {
    return key == SenseKey.MISCOMPARE;
  }

  /** The meaning of the additional codes, in the words of {@link AdditionalSense}. */
  public String text() {
    return AdditionalSense.text(asc, ascq);
  }

  @Override
  public String toString() {
    return "%s %02X/%02X (%s)%s%s"
        .formatted(
            key,
            asc,
            ascq,
            text(),
            information.isPresent()
                ? ", information " + Long.toUnsignedString(information.getAsLong())
                : "",
            deferred ? ", about an earlier command" : "");
  }
}
