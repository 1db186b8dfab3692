// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/** The value of a command that returns none. */
public enum Done {
  DONE
}
