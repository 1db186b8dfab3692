// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/**
 * Where the XFS of the volume is on this node ({@code enum mxfs_state}, as far as the daemon sees
 * it).
 */
public enum KernelState {
  DETACHED,
  ATTACHING,
  ATTACHED,
  DETACHING,
  /** Fenced or shut down: only umount is left. */
  DEAD
}
