// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.Closeable;
import java.io.IOException;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.edge.CommandThread;
import org.mxfs.scsi.LogicalUnitReset;
import org.mxfs.scsi.ScsiDevice;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Executes LOGICAL UNIT RESET, on a device and a thread of its own: it may wait in the driver for
 * as long as 30 s (open-iscsi, {@code lu_reset_timeout}), and the lease's READ KEYS must not stand
 * behind it in {@link ScsiArray}.
 *
 * <p>What this cannot help: while a reset that the ioctl asked for is under way, the kernel sends
 * nothing to the whole host adapter, which for iSCSI is the session (drivers/scsi/scsi_error.c,
 * scsi_ioctl_reset: tmf_in_progress; scsi_lib.c, scsi_queue_rq).
 */
public final class UnitReset implements Closeable {
  private static final Logger LOG = LoggerFactory.getLogger(UnitReset.class);

  /** How to come to the device. */
  @FunctionalInterface
  public interface Opener {
    ScsiDevice open() throws IOException;
  }

  private final Opener opener;
  private final CommandThread<Long, ArrayAnswer> commands;

  /** The thread's own. */
  private @Nullable ScsiDevice device;

  /**
   * {@code opener} and {@code answers} are called on its thread; it opens when it is first asked.
   */
  public UnitReset(Opener opener, BiConsumer<Long, ArrayAnswer> answers) {
    this.opener = opener;
    commands = new CommandThread<>("reset", _ -> perform(), answers);
  }

  public void start() {
    commands.start();
  }

  /** Queues one; its answer comes later, with this number. */
  public void execute(long question) {
    commands.execute(question);
  }

  /** As {@link ScsiArray#quiesce}. */
  public boolean quiesce(long millis) {
    return commands.quiesce(millis);
  }

  /** One that is under way is not waited for: its thread ends with the process. */
  @Override
  public void close() {
    commands.close(
        () -> {
          if (device != null) {
            device.close();
          }
        });
  }

  /**
   * Resets now, on the calling thread: {@code Done} only when the driver says so, {@code Rejected}
   * when nothing was sent, else {@code Unclear}.
   */
  ArrayAnswer perform() {
    long start = System.nanoTime();
    ArrayAnswer answer = run();
    LOG.info("LOGICAL UNIT RESET -> {} ms={}", answer, (System.nanoTime() - start) / 1_000_000);
    return answer;
  }

  private ArrayAnswer run() {
    try {
      if (device == null) {
        device = opener.open();
      }
    } catch (IOException e) {
      return new ArrayAnswer.Rejected("the device cannot be opened: " + e.getMessage());
    }
    LogicalUnitReset result = device.resetLogicalUnit();
    return switch (result) {
      case LogicalUnitReset.Done _ -> new ArrayAnswer.Done();
      case LogicalUnitReset.Refused _ -> new ArrayAnswer.Rejected(result.toString());
      case LogicalUnitReset.Unknown _ -> new ArrayAnswer.Unclear(result.toString());
    };
  }
}
