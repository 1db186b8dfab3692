// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.disk;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.LockstateMap;
import org.mxfs.daemon.core.membership.Slot;
import org.mxfs.daemon.wire.SlotLayout;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Executes disk commands, one at a time, on a thread of its own. The next one begins when the last
 * has ended or was given up. What was given up may still be carried out, even when this process is
 * gone; while its memory may be in use, commands that need that memory fail.
 *
 * <p>A slot that cannot be read is damaged, and hides no other: whoever cannot read one sector has
 * to see who is alive all the same. Where nothing can be read the reading fails.
 */
public final class LockstateDisk {
  private static final Logger LOG = LoggerFactory.getLogger(LockstateDisk.class);
  private static final long QUIET_NANOS = TimeUnit.MILLISECONDS.toNanos(1);

  private final BlockDevice device;
  private final LockstateMap map;
  private final UUID volume;
  private final Consumer<DiskAnswer> answers;
  private final MemorySegment readBuffer;
  private final MemorySegment writeBuffer;
  private final ByteBuffer read;
  private final ByteBuffer write;
  private final LinkedBlockingQueue<DiskCommand> queue = new LinkedBlockingQueue<>();
  private final AtomicInteger underWay = new AtomicInteger();
  private final Thread thread;

  /** How much memory for requests the device must have. */
  public static long bufferBytes(LockstateMap map) {
    return (SlotLayout.HEARTBEATS + 1L) * map.slotBytes();
  }

  /**
   * Takes over {@code device}.
   *
   * @throws IOException if the map cannot be one of this device
   */
  public LockstateDisk(
      BlockDevice device, LockstateMap map, UUID volume, Consumer<DiskAnswer> answers)
      throws IOException {
    this.device = device;
    this.map = map;
    this.volume = volume;
    this.answers = answers;
    check();
    long beats = (long) SlotLayout.HEARTBEATS * map.slotBytes();
    readBuffer = device.buffers().asSlice(0, beats);
    writeBuffer = device.buffers().asSlice(beats, map.slotBytes());
    read = readBuffer.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    write = writeBuffer.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    thread = Thread.ofPlatform().name("disk").daemon().unstarted(this::run);
  }

  private void check() throws IOException {
    int slot = map.slotBytes();
    if (slot < SlotLayout.SIZE || slot % device.blockSize() != 0) {
      throw new IOException(
          "slots of " + slot + " bytes on a device with blocks of " + device.blockSize());
    }
    long next = 0;
    for (LockstateMap.Extent extent : map.extents()) {
      boolean fits =
          extent.file() == next
              && extent.length() > 0
              && extent.length() % slot == 0
              && extent.device() >= 0
              && extent.device() % slot == 0
              && extent.device() <= device.size() - extent.length();
      if (!fits) {
        throw new IOException("the lock state cannot be at " + extent);
      }
      next += extent.length();
    }
    if (next < (long) SlotLayout.HEARTBEATS * slot) {
      throw new IOException("the lock state has only " + next + " bytes");
    }
  }

  public void start() {
    thread.start();
  }

  /** Queues a command; its answer comes later. */
  public void execute(DiskCommand command) {
    underWay.incrementAndGet();
    queue.add(command);
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
        DiskCommand command = queue.take();
        DiskAnswer answer;
        try {
          answer = perform(command);
        } finally {
          underWay.decrementAndGet();
        }
        answers.accept(answer);
      }
    } catch (InterruptedException e) {
      throw new IllegalStateException("nobody interrupts the disk's thread", e);
    }
  }

  /** Executes one command now, on the calling thread. */
  public DiskAnswer perform(DiskCommand command) {
    long start = System.nanoTime();
    DiskAnswer answer;
    try {
      answer =
          switch (command) {
            case DiskCommand.ReadBeats _ -> readBeats();
            case DiskCommand.WriteBeat beat -> {
              expectFree(writeBuffer);
              SlotLayout.put(write, 0, volume, beat.slot(), map.slotBytes(), beat.beat());
              device.writeThrough(place(beat.slot()), writeBuffer);
              yield new DiskAnswer.Written();
            }
          };
    } catch (ErrnoException e) {
      answer =
          e.errno() == Errnos.EBADE
              ? new DiskAnswer.Refused(String.valueOf(e.getMessage()))
              : new DiskAnswer.Failed(String.valueOf(e.getMessage()));
    } catch (IOException e) {
      answer = new DiskAnswer.Failed(e.toString());
    }
    if (LOG.isDebugEnabled() && command instanceof DiskCommand.WriteBeat) {
      LOG.debug("{} -> {} us={}", command, answer, (System.nanoTime() - start) / 1_000);
    }
    return answer;
  }

  /** What the kernel may still write into, or send, must not change what a later command says. */
  private void expectFree(MemorySegment buffer) throws IOException {
    if (device.mayStillUse(buffer)) {
      throw new IOException("a request that was given up has not ended: its memory is in use");
    }
  }

  private DiskAnswer readBeats() throws IOException {
    expectFree(readBuffer);
    @Nullable String[] unreadable = new @Nullable String[SlotLayout.HEARTBEATS];
    long bytes = readBuffer.byteSize();
    for (long done = 0; done < bytes; ) {
      LockstateMap.Extent extent = extentOf(done);
      long length = Math.min(bytes - done, extent.file() + extent.length() - done);
      try {
        device.read(extent.device() + done - extent.file(), readBuffer.asSlice(done, length));
      } catch (ErrnoException e) {
        if (!isOfTheMedium(e)) {
          throw e;
        }
        readOneByOne(done, done + length, unreadable);
      }
      done += length;
    }
    List<Slot> slots = new ArrayList<>();
    int lost = 0;
    for (int i = 0; i < SlotLayout.HEARTBEATS; i++) {
      String why = unreadable[i];
      if (why != null) {
        slots.add(new Slot.Damaged("cannot be read: " + why));
        lost++;
      } else {
        slots.add(SlotLayout.get(read, i * map.slotBytes(), volume, i, map.slotBytes()));
      }
    }
    return lost == SlotLayout.HEARTBEATS
        ? new DiskAnswer.Failed("no slot can be read: " + unreadable[0])
        : new DiskAnswer.Beats(slots);
  }

  private void readOneByOne(long from, long end, @Nullable String[] unreadable) throws IOException {
    for (long at = from; at < end; at += map.slotBytes()) {
      int slot = (int) (at / map.slotBytes());
      try {
        device.read(place(slot), readBuffer.asSlice(at, map.slotBytes()));
      } catch (ErrnoException e) {
        if (!isOfTheMedium(e)) {
          throw e;
        }
        unreadable[slot] = String.valueOf(e.getMessage());
      }
    }
  }

  /** What the block layer makes of a sector that cannot be read ({@code block/blk-core.c}). */
  private static boolean isOfTheMedium(ErrnoException e) {
    return e.errno() == Errnos.EIO || e.errno() == Errnos.ENODATA || e.errno() == Errnos.EILSEQ;
  }

  private LockstateMap.Extent extentOf(long offset) {
    for (LockstateMap.Extent extent : map.extents()) {
      if (offset < extent.file() + extent.length()) {
        return extent;
      }
    }
    throw new IllegalArgumentException("nothing of the lock state is at " + offset);
  }

  private long place(int slot) {
    long offset = (long) slot * map.slotBytes();
    LockstateMap.Extent extent = extentOf(offset);
    return extent.device() + offset - extent.file();
  }
}
