// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

/** What a request does. */
public enum Operation {
  READ,
  WRITE,
  WRITE_THROUGH,
  FLUSH,
  DISCARD,
  ZERO;

  /** Whether it moves data between the device and memory. */
  boolean transfers() {
    return this == READ || this == WRITE || this == WRITE_THROUGH;
  }
}
