// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/**
 * How long something that was sent to a disk may still take effect, where nothing is known of the
 * disk: of the victim of a fence as of a heartbeat slot whose writer is gone.
 */
public final class CommandLife {
  /**
   * After so long a node's kernel gives a command up or sends it again: {@code
   * /sys/block/sdX/device/timeout} (drivers/scsi/sd.h, SD_TIMEOUT).
   */
  public static final long TIMEOUT_MILLIS = 30_000;

  /** How often a kernel sends it again (sd.h, SD_MAX_RETRIES). */
  public static final int RETRIES = 5;

  /** What a target may take beyond that whose initiator is silent: LIO was seen to wait so long. */
  public static final long TARGET_MILLIS = 120_000;

  /** Nothing that was sent before is carried out later than that. */
  public static final long MILLIS = millis(TIMEOUT_MILLIS, RETRIES, TARGET_MILLIS);

  private CommandLife() {}

  /**
   * The life of a command is {@code timeout * (retries + 1)} (scsi_lib.c,
   * scsi_cmd_runtime_exceeced). One in a hundred more, because the clocks are of different
   * machines.
   */
  public static long millis(long timeoutMillis, int retries, long targetMillis) {
    long life = timeoutMillis * (retries + 1) + targetMillis;
    return life + (life + 99) / 100;
  }
}
