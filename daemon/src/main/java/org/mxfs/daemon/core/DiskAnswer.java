// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import java.util.List;
import org.mxfs.daemon.core.membership.Slot;

/** What came of a {@link DiskCommand}. */
public sealed interface DiskAnswer {
  record Opened() implements DiskAnswer {}

  record Beats(List<Slot> slots) implements DiskAnswer {
    public Beats {
      slots = List.copyOf(slots);
    }
  }

  /** On disk. */
  record Written() implements DiskAnswer {}

  /** The device does not have the volume any more: nothing here may be written, ever. */
  record Foreign(String why) implements DiskAnswer {}

  /** The array let this node not write: its registration is gone, at least for now. */
  record Refused(String why) implements DiskAnswer {}

  /** Whether a write took effect is not known. */
  record Failed(String why) implements DiskAnswer {}
}
