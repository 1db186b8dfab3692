// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/**
 * What the block limits page says (VPD 0xB0, SBC-3 6.6.3). All counts are of logical blocks, unless
 * said otherwise; 0 means that the device states no limit, or does not have the command.
 *
 * @param compareAndWriteBlocks most blocks of one COMPARE AND WRITE; 0 where there is no such
 *     command
 * @param optimalGranularity transfers are best a multiple of this
 * @param maximumTransfer most blocks of one READ or WRITE
 * @param optimalTransfer more than this may be slower
 * @param maximumUnmap most blocks of one UNMAP; 0 where there is no such command, 0xffffffff for no
 *     limit
 * @param maximumUnmapDescriptors most ranges of one UNMAP
 * @param optimalUnmapGranularity unmapped ranges are best a multiple of this
 * @param maximumWriteSame most blocks of one WRITE SAME, unsigned
 * @param writeSameNonZero WSNZ: WRITE SAME of 0 blocks ("to the end") is refused
 */
public record BlockLimits(
    int compareAndWriteBlocks,
    int optimalGranularity,
    long maximumTransfer,
    long optimalTransfer,
    long maximumUnmap,
    long maximumUnmapDescriptors,
    long optimalUnmapGranularity,
    long maximumWriteSame,
    boolean writeSameNonZero) {}
