// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.disk;

import java.io.IOException;
import java.util.UUID;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;

/**
 * Where disk commands are executed, one after the other: a thread of its own, for a disk may take
 * as long as it likes, and nobody else waits for it.
 */
public final class DiskThread {
  /** Opens the device of the volume. */
  public interface Opener {
    /**
     * @param bufferBytes memory that requests need
     */
    BlockDevice open(long bufferBytes) throws IOException;
  }

  private static final long QUIET_NANOS = TimeUnit.MILLISECONDS.toNanos(1);

  private final Opener opener;
  private final UUID volume;
  private final BiConsumer<Action.Disk, DiskAnswer> answers;
  private final LinkedBlockingQueue<Action.Disk> queue = new LinkedBlockingQueue<>();
  private final AtomicInteger underWay = new AtomicInteger();
  private final Thread thread;
  private @Nullable LockstateDisk disk;

  /** {@code answers} is called on the thread. */
  public DiskThread(Opener opener, UUID volume, BiConsumer<Action.Disk, DiskAnswer> answers) {
    this.opener = opener;
    this.volume = volume;
    this.answers = answers;
    thread = Thread.ofPlatform().name("disk").daemon().unstarted(this::run);
  }

  public void start() {
    thread.start();
  }

  /** Queues a command; its answer comes later. */
  public void execute(Action.Disk asked) {
    underWay.incrementAndGet();
    queue.add(asked);
  }

  /**
   * Waits until no command is under way.
   *
   * @return false if one still is after so long
   */
  public boolean quiesce(long millis) {
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    while (underWay.get() > 0) {
      if (System.nanoTime() - end >= 0) {
        return false;
      }
      LockSupport.parkNanos(this, QUIET_NANOS);
    }
    return true;
  }

  private void run() {
    try {
      while (true) {
        Action.Disk asked = queue.take();
        DiskAnswer answer;
        try {
          answer = perform(asked.command());
        } finally {
          underWay.decrementAndGet();
        }
        answers.accept(asked, answer);
      }
    } catch (InterruptedException e) {
      throw new IllegalStateException("nobody interrupts the disk's thread", e);
    }
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
