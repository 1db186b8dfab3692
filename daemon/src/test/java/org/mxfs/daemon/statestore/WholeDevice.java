// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import org.mxfs.blockio.BlockDevice;

/** A store has all of a device to itself. */
final class WholeDevice {
  private WholeDevice() {}

  static StoreArea area(BlockDevice device) {
    return StoreArea.of(
        device, device.size(), device.buffers().asSlice(0, StateStore.MEMORY_BYTES));
  }
}
