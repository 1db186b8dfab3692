// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.HexFormat;
import java.util.Optional;

/**
 * One registration as READ FULL STATUS describes it.
 *
 * @param key its key
 * @param holder the reservation it holds, if it holds one
 * @param allTargetPorts whether it is for all target ports
 * @param relativeTargetPort the target port it is for, if not for all
 * @param transportId the initiator port, in the form of its transport (SPC-4 7.6.4)
 */
public record Registrant(
    long key,
    Optional<ReservationType> holder,
    boolean allTargetPorts,
    int relativeTargetPort,
    byte[] transportId) {
  @Override
  public String toString() {
    return "key %016x%s, target port %s, transport id %s"
        .formatted(
            key,
            holder.map(t -> ", holds " + t).orElse(""),
            allTargetPorts ? "all" : Integer.toString(relativeTargetPort),
            HexFormat.of().formatHex(transportId));
  }
}
