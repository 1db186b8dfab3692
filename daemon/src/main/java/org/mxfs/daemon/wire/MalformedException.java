// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.wire;

/** Bytes from the network that do not keep their format. */
public final class MalformedException extends Exception {
  private static final long serialVersionUID = 1L;

  public MalformedException(String message) {
    super(message);
  }
}
