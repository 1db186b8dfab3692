// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import org.mxfs.daemon.core.ReservationKey;

/**
 * Proof that an incarnation is dead for the disk: its key was PREEMPTed, READ KEYS showed that it
 * is gone, what it had under way has ended, and the lock slots that it alone wrote are void.
 *
 * <p>Only the fencing step may make one: it is the first two steps of F4 (PREEMPT, its disk
 * records) as a value, so that the third, clearing its locks in memory, cannot be taken without
 * them.
 */
public record Cleared(ReservationKey victim) {
  public Cleared {
    if (victim.isNone()) {
      throw new IllegalArgumentException("nobody is cleared");
    }
  }
}
