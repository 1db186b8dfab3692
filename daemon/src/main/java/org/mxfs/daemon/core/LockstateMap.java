// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import java.util.List;

/**
 * Where {@code .mxfs/lockstate} is on the device.
 *
 * @param slotBytes from one slot to the next
 * @param extents the pieces of the file, from its beginning, without gaps
 */
public record LockstateMap(int slotBytes, List<Extent> extents) {
  /** A piece of the file, in bytes. */
  public record Extent(long file, long device, long length) {}

  public LockstateMap {
    extents = List.copyOf(extents);
  }
}
