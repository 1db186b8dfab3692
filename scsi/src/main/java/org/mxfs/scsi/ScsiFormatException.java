// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/** A device's answer is not what the standard promises. */
public final class ScsiFormatException extends Exception {
  ScsiFormatException(String message) {
    super(message);
  }
}
