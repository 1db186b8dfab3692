// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/**
 * How to register.
 *
 * @param persistThroughPowerLoss APTPL: keep registrations and the reservation through power loss.
 *     Some targets refuse it and some drop it when a later REGISTER omits it: take {@link
 *     Capabilities#persistThroughPowerLoss} and give the same on every REGISTER.
 * @param allTargetPorts ALL_TG_PT: register on all target ports at once, where {@link
 *     Capabilities#allTargetPorts}
 */
public record RegisterOptions(boolean persistThroughPowerLoss, boolean allTargetPorts) {
  /** Neither: what every target takes. */
  public static final RegisterOptions PLAIN = new RegisterOptions(false, false);
}
