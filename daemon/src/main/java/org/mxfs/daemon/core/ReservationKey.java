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

  /** A disk of Linux has no more (linux/blkdev.h, DISK_MAX_PARTS: 256 with the whole disk). */
  public static final int PARTITIONS_MAX = 0xff;

  private static final int PARTITION_MASK = 0xff;

  public static ReservationKey of(int nodeId, long incarnation) {
    if (nodeId == 0) {
      throw new IllegalArgumentException("node id 0 means no node");
    }
    if (incarnation < 0 || incarnation > 0xffff_ffffL) {
      throw new IllegalArgumentException("incarnation " + incarnation + " does not fit 32 bits");
    }
    return new ReservationKey((long) nodeId << 32 | incarnation);
  }

  /**
   * The id that a node has for a volume on a partition: that of the node, with the partition's
   * number in its last byte. Registrations and the reservation are of the whole disk, and a key
   * says by this which partition's it is, so that no node takes another volume's for one of its
   * own, not even its own key.
   *
   * @param number as in the partition table, from 1
   */
  public static int ofPartition(int nodeId, int number) {
    if (number < 1 || number > PARTITIONS_MAX) {
      throw new IllegalArgumentException("a partition with the number " + number);
    }
    return (nodeId & ~PARTITION_MASK) | number;
  }

  /** Whether both are ids of one node, whichever partition's. */
  public static boolean isSameNode(int one, int other) {
    return ((one ^ other) & ~PARTITION_MASK) == 0;
  }

  /**
   * The number of the partition, where this is the key of a volume on one; else it means nothing.
   */
  public int partition() {
    return nodeId() & PARTITION_MASK;
  }

  public int nodeId() {
    return (int) (value >>> 32);
  }

  public long incarnation() {
    return value & 0xffff_ffffL;
  }

  /** Whether it is that key, or one of an earlier life of its node: one machine writes by both. */
  public boolean isOfLifeUpTo(ReservationKey last) {
    return nodeId() == last.nodeId() && incarnation() <= last.incarnation();
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
