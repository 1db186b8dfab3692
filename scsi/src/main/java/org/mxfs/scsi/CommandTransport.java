// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.io.Closeable;
import java.time.Duration;
import org.mxfs.bindings.linux.Errnos;

/**
 * Carries one command at a time to a logical unit and brings back what came of it, without judging
 * it. {@link ScsiDevice} uses the kernel's SG_IO; another transport can stand in for it.
 */
public interface CommandTransport extends Closeable {
  /**
   * What came back.
   *
   * @param errno 0, or the positive error of the system call; then nothing else counts
   * @param status SCSI status byte
   * @param hostStatus of the host adapter
   * @param driverStatus of the driver
   * @param sense sense data, may be empty
   * @param data what was received
   */
  record Completion(
      int errno, int status, int hostStatus, int driverStatus, byte[] sense, byte[] data) {}

  /**
   * Sends a command and waits for its end. Exactly one of {@code out.length} and {@code inLength}
   * may be positive.
   *
   * @param cdb the command descriptor block, 6 to 16 bytes
   * @param out data to send
   * @param inLength bytes to receive at most
   * @param timeout after which the kernel aborts the command
   */
  Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout);

  /**
   * Has the logical unit reset, and waits for the end of that.
   *
   * @return 0, or the positive error of the system call; a transport that cannot says ENOTTY
   */
  default int resetLogicalUnit() {
    return Errnos.ENOTTY;
  }

  @Override
  void close();
}
