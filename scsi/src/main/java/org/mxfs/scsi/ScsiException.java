// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.io.IOException;

/** A command had another result than GOOD; made by {@link ScsiResult#orThrow}. */
public final class ScsiException extends IOException {
  private final ScsiResult<?> result;

  ScsiException(ScsiResult<?> result) {
    super(result.toString());
    this.result = result;
  }

  /** The result in full. */
  public ScsiResult<?> result() {
    return result;
  }
}
