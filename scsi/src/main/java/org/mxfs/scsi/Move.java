// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/**
 * Where REGISTER AND MOVE moves a reservation to: the I_T nexus of this initiator port with this
 * target port.
 *
 * @param relativeTargetPort relative target port identifier, 1 to 65535
 * @param transportId the initiator port as {@link Registrant#transportId} has it (SPC-4 7.6.4): at
 *     least 24 bytes, a multiple of 4
 */
public record Move(int relativeTargetPort, byte[] transportId) {
  /** The nexus of a registrant that READ FULL STATUS listed. */
  public static Move to(Registrant registrant) {
    return new Move(registrant.relativeTargetPort(), registrant.transportId());
  }
}
