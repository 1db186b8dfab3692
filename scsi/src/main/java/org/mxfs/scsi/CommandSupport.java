// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/** What a unit says of one command: SUPPORT of REPORT SUPPORTED OPERATION CODES (SPC-4). */
public enum CommandSupport {
  /** It does not know at this moment. */
  NOT_KNOWN,
  NOT_SUPPORTED,
  /** As a standard has it. */
  STANDARD,
  /** In a way of its own. */
  VENDOR
}
