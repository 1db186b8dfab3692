// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import org.mxfs.daemon.core.membership.Beat;

/**
 * Something to be done with the lock state on disk ({@code .mxfs/lockstate}). At most one is under
 * way; each is answered by one {@link DiskAnswer}.
 */
public sealed interface DiskCommand {
  /** The first one: where it is from now on. */
  record Open(LockstateMap map) implements DiskCommand {}

  /** All heartbeat slots, past every cache; and whether the device still has the volume. */
  record ReadBeats() implements DiskCommand {}

  /** Durable when it is answered. */
  record WriteBeat(int slot, Beat beat) implements DiskCommand {}

  /** Makes the slot nobody's; durable when it is answered. */
  record FreeSlot(int slot, long epoch, long sequence) implements DiskCommand {}
}
