// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.disk;

import java.io.IOException;
import java.util.UUID;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.edge.CommandThread;

/**
 * Where disk commands are executed, one after the other, on a thread of its own. Until one has
 * opened the disk, the others fail.
 */
public final class DiskThread {
  /** Opens the device of the volume. */
  public interface Opener {
    /**
     * @param bufferBytes memory that requests need
     */
    BlockDevice open(long bufferBytes) throws IOException;
  }

  private final Opener opener;
  private final UUID volume;
  private final CommandThread<Action.Disk, DiskAnswer> commands;
  private @Nullable LockstateDisk disk;

  /** {@code answers} is called on the thread. */
  public DiskThread(Opener opener, UUID volume, BiConsumer<Action.Disk, DiskAnswer> answers) {
    this.opener = opener;
    this.volume = volume;
    commands = new CommandThread<>("disk", asked -> perform(asked.command()), answers);
  }

  public void start() {
    commands.start();
  }

  /** Queues a command; its answer comes later. */
  public void execute(Action.Disk asked) {
    commands.execute(asked);
  }

  /** See {@link CommandThread#quiesce}. */
  public boolean quiesce(long millis) {
    return commands.quiesce(millis);
  }

  private DiskAnswer perform(DiskCommand command) {
    LockstateDisk opened = disk;
    if (opened != null) {
      return opened.perform(command);
    }
    if (!(command instanceof DiskCommand.Open open)) {
      return new DiskAnswer.Failed("it is not open");
    }
    try {
      BlockDevice device = opener.open(LockstateDisk.bufferBytes(open.map()));
      try {
        disk = new LockstateDisk(device, open.map(), volume);
      } catch (IOException e) {
        device.close();
        throw e;
      }
      return new DiskAnswer.Opened();
    } catch (IOException e) {
      return new DiskAnswer.Failed(String.valueOf(e.getMessage()));
    }
  }
}
