// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.List;

/**
 * What READ FULL STATUS returns.
 *
 * @param generation as in {@link Keys}
 * @param registrants one for each registered path
 */
public record FullStatus(long generation, List<Registrant> registrants) {
  /** Copies the list. */
  public FullStatus {
    registrants = List.copyOf(registrants);
  }
}
