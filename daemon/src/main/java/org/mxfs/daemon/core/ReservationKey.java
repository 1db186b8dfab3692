// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import java.util.HexFormat;

/**
 * A registration key of SCSI-3 persistent reservations as mxfs uses it: node id in the high half,
 * incarnation in the low half. An incarnation that was fenced never registers again, so a key names
 * one life of one node.
 */
public record ReservationKey(long value) {
  /** No key: SPC-4 gives the value 0 the meaning "not registered". */
  public static final ReservationKey NONE = new ReservationKey(0);

  public static ReservationKey of(int nodeId, long incarnation) {
    if (nodeId == 0) {
      throw new IllegalArgumentException("node id 0 means no node");
    }
    if (incarnation < 0 || incarnation > 0xffff_ffffL) {
      throw new IllegalArgumentException("incarnation " + incarnation + " does not fit 32 bits");
    }
    return new ReservationKey((long) nodeId << 32 | incarnation);
  }

  public int nodeId() {
    return (int) (value >>> 32);
  }

  public long incarnation() {
    return value & 0xffff_ffffL;
  }

  public boolean isNone() {
    return value == 0;
  }

  /** The node id as every log line shows it. */
  public static String nodeName(int nodeId) {
    return String.format("%08x", nodeId);
  }

  public String nodeName() {
    return nodeName(nodeId());
  }

  /** As {@code sg_persist} shows and takes it. */
  @Override
  public String toString() {
    return isNone() ? "none" : "0x" + HexFormat.of().toHexDigits(value);
  }
}
