// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

/** Why a lock is not granted. */
public enum Refusal {
  /** Not to be had at once, and the request was not to wait. */
  WOULD_WAIT,
  /** The one who asked does not want it any more. */
  CANCELLED,
  /** It waited as long as it was to wait at most. */
  TIMED_OUT,
  /** Waits in a circle; this request was chosen to end it. */
  DEADLOCK,
  /** A limit of {@link LockSettings} is reached. */
  TOO_MANY
}
