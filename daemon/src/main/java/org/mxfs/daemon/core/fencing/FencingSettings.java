// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import org.mxfs.daemon.core.CommandLife;

/**
 * What is known of the disk and of the way to it.
 *
 * @param abortEndsAll PREEMPT AND ABORT is known to end every command that came by the victim's
 *     registrations (SPC-4 5.13), to answer after that, and to answer RESERVATION CONFLICT where
 *     the victim is not registered. Not so on tgt, which refuses it, nor on LIO, which ends only
 *     commands that came while the victim held the reservation
 * @param resetEndsAll a logical unit reset from here reaches the unit and ends the commands of
 *     every initiator before it is answered; {@link FencingChoice} says where. Not so through
 *     QEMU's virtio-scsi, nor through other adapters that are not the initiator themselves
 * @param timeoutMillis after which a node's kernel gives a command up or sends it again; see {@link
 *     CommandLife}. A target whose own disks are Linux' has the same limit below it
 * @param retries how often a kernel sends it again
 * @param targetMillis what a target may take beyond that before it has let go of a command whose
 *     initiator is silent
 */
public record FencingSettings(
    boolean abortEndsAll,
    boolean resetEndsAll,
    long timeoutMillis,
    int retries,
    long targetMillis) {
  /** Nothing is known of the disk: only waiting counts. */
  public static final FencingSettings UNKNOWN_DISK =
      new FencingSettings(
          false, false, CommandLife.TIMEOUT_MILLIS, CommandLife.RETRIES, CommandLife.TARGET_MILLIS);

  /** A logical unit reset ends all. */
  public static final FencingSettings RESET_ENDS_ALL =
      new FencingSettings(
          false, true, CommandLife.TIMEOUT_MILLIS, CommandLife.RETRIES, CommandLife.TARGET_MILLIS);

  /** Pause before something that had no effect is tried again. */
  public static final long RETRY_MILLIS = 200;

  /** How often the array is looked at while nothing is left but waiting. */
  public static final long LOOK_MILLIS = 2_000;

  /** After which an answer that has not come is told, and again. */
  public static final long OPEN_MILLIS = 60_000;

  /** How many resets of unknown outcome before waiting is all that is left. */
  public static final int RESETS_MAX = 3;

  public FencingSettings {
    if (timeoutMillis <= 0 || retries < 0 || targetMillis <= 0) {
      throw new IllegalArgumentException("a command of no life: " + timeoutMillis + " ms");
    }
  }

  /** No command that the array has accepted is carried out later than that. */
  public long commandLifeMillis() {
    return CommandLife.millis(timeoutMillis, retries, targetMillis);
  }
}
