// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.Set;

/**
 * What REPORT CAPABILITIES returns, SPC-4 6.15.4.
 *
 * @param replaceLostReservation RLR_C
 * @param compatibleReservationHandling CRH
 * @param specifyInitiatorPorts SIP_C
 * @param allTargetPorts ATP_C: REGISTER may name all target ports
 * @param persistThroughPowerLoss PTPL_C: REGISTER may set APTPL
 * @param persistThroughPowerLossActive PTPL_A: registrations are kept through power loss now
 * @param types the reservation types it says it has; empty if it does not say
 */
public record Capabilities(
    boolean replaceLostReservation,
    boolean compatibleReservationHandling,
    boolean specifyInitiatorPorts,
    boolean allTargetPorts,
    boolean persistThroughPowerLoss,
    boolean persistThroughPowerLossActive,
    Set<ReservationType> types) {
  /** Copies the types. */
  public Capabilities {
    types = Set.copyOf(types);
  }
}
