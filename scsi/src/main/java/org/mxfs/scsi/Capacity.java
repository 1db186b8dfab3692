// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/**
 * What READ CAPACITY(16) returns.
 *
 * @param lastBlock number of the last logical block; unsigned
 * @param blockSize bytes of a logical block
 * @param physicalBlockSize bytes of a physical block
 * @param thinProvisioned LBPME: unused blocks can be unmapped
 * @param unmappedReadsZero LBPRZ: unmapped blocks read as zeros
 */
public record Capacity(
    long lastBlock,
    long blockSize,
    long physicalBlockSize,
    boolean thinProvisioned,
    boolean unmappedReadsZero) {
  /** Bytes of the whole device. */
  public long size() {
    return Math.multiplyExact(Math.addExact(lastBlock, 1), blockSize);
  }
}
