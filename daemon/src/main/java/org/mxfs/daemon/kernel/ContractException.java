// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.kernel;

import java.io.IOException;

/**
 * The kernel said something that {@code linux/mxfs.h} does not allow for: module and daemon do not
 * fit.
 */
public final class ContractException extends IOException {
  private static final long serialVersionUID = 1L;

  ContractException(String message) {
    super(message + " (do the mxfs module and the mxfs daemon have the same version?)");
  }
}
