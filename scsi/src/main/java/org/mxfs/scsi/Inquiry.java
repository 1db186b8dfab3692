// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/**
 * Standard INQUIRY data.
 *
 * @param peripheralType 0 is a direct-access block device, a disk
 * @param qualifier 0 when the logical unit is there
 * @param version of SPC that the device claims: 5 SPC-3, 6 SPC-4
 */
public record Inquiry(
    int peripheralType,
    int qualifier,
    int version,
    String vendor,
    String product,
    String revision) {}
