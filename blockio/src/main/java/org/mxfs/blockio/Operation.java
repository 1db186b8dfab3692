// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

/** What a request does. */
public enum Operation {
  READ,
  WRITE,
  WRITE_THROUGH,
  WRITE_THEN_FLUSH,
  FLUSH,
  DISCARD,
  ZERO;

  /** Whether it moves data between the device and memory. */
  public boolean transfers() {
    return this == READ || writes();
  }

  /** Whether it changes a range of the device. */
  public boolean changes() {
    return writes() || this == DISCARD || this == ZERO;
  }

  /** Whether it moves data from memory to the device. */
  public boolean writes() {
    return this == WRITE || this == WRITE_THROUGH || this == WRITE_THEN_FLUSH;
  }
}
