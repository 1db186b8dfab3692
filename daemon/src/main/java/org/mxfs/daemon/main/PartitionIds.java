// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.array.BlockDevice;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.Predecessor;

/** Of which partition the node id of a mount tells. */
final class PartitionIds {
  private PartitionIds() {}

  /**
   * The number that is in the node id, or 0 for the id that the node has anywhere: that one where
   * there are no reservations, and so no keys to tell from another's. For mxfs 0.2.0 drops an
   * announcement with any other id, and where nothing but announcements keeps a second node from
   * mounting, that one has to hear them.
   *
   * @param capabilities what the disk said to REPORT CAPABILITIES; null: it takes no SCSI commands
   */
  static int number(
      BlockDevice block, Predecessor predecessor, @Nullable ArrayAnswer capabilities) {
    if (block.partition().isEmpty()) {
      return 0;
    }
    int number = block.partition().get().number();
    if (!predecessor.key().isNone()) {
      return number; // registered by it
    }
    boolean alone =
        predecessor.ready() // without a key
            || capabilities == null
            || capabilities instanceof ArrayAnswer.Unsupported;
    return alone ? 0 : number;
  }
}
