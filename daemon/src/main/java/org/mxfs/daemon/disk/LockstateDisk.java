// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.disk;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
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
 * Executes disk commands, one at a time; {@link DiskThread} is where.
 *
 * <p>Where the device is one on system calls, as the daemon opens it, a command has ended when it
 * is answered; and since a process is not dead before its last thread has left the kernel, the
 * kernel module takes no daemon for dead whose write is under way. On another device what was given
 * up may still be carried out; while its memory may be in use, commands that need that memory fail.
 *
 * <p>With each reading goes one of XFS's superblock: a device that has another volume now, or none,
 * has no slots of ours, whatever is in their place. A slot that cannot be read is damaged, and
 * hides no other: whoever cannot read one sector has to see who is alive all the same. Where
 * nothing can be read the reading fails.
 */
public final class LockstateDisk {
  private static final Logger LOG = LoggerFactory.getLogger(LockstateDisk.class);

  /** What is not read after so long is damaged, in a reading that goes slot by slot. */
  static final long READING_NANOS = TimeUnit.SECONDS.toNanos(5);

  /** XFS's superblock, at the beginning of the device, big-endian ({@code struct xfs_dsb}). */
  private static final int XFSB = 0x58465342;

  private static final int SB_UUID = 32;

  private final BlockDevice device;
  private final LockstateMap map;
  private final UUID volume;
  private final LongSupplier nanos;
  private final MemorySegment readBuffer;
  private final MemorySegment writeBuffer;
  private final ByteBuffer read;
  private final ByteBuffer write;
  private final MemorySegment headBuffer;
  private final ByteBuffer head;

  /** How much memory for requests the device must have. */
  public static long bufferBytes(LockstateMap map) {
    return (SlotLayout.HEARTBEATS + 2L) * map.slotBytes();
  }

  /**
   * Takes over {@code device}.
   *
   * @throws IOException if the map cannot be one of this device
   */
  public LockstateDisk(BlockDevice device, LockstateMap map, UUID volume) throws IOException {
    this(device, map, volume, System::nanoTime);
  }

  LockstateDisk(BlockDevice device, LockstateMap map, UUID volume, LongSupplier nanos)
      throws IOException {
    this.device = device;
    this.map = map;
    this.volume = volume;
    this.nanos = nanos;
    check();
    long beats = (long) SlotLayout.HEARTBEATS * map.slotBytes();
    readBuffer = device.buffers().asSlice(0, beats);
    writeBuffer = device.buffers().asSlice(beats, map.slotBytes());
    read = readBuffer.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    write = writeBuffer.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    headBuffer = device.buffers().asSlice(beats + map.slotBytes(), device.blockSize());
    head = headBuffer.asByteBuffer().order(ByteOrder.BIG_ENDIAN);
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

  /** Executes one command now, on the calling thread. */
  public DiskAnswer perform(DiskCommand command) {
    long start = System.nanoTime();
    DiskAnswer answer;
    try {
      answer =
          switch (command) {
            case DiskCommand.Open _ -> new DiskAnswer.Failed("it is open already");
            case DiskCommand.ReadBeats _ -> readBeats();
            case DiskCommand.WriteBeat beat -> {
              expectFree(writeBuffer);
              SlotLayout.put(write, 0, volume, beat.slot(), map.slotBytes(), beat.beat());
              device.writeThrough(place(beat.slot()), writeBuffer);
              yield new DiskAnswer.Written();
            }
            case DiskCommand.FreeSlot free -> {
              expectFree(writeBuffer);
              SlotLayout.putFree(
                  write,
                  0,
                  volume,
                  free.slot(),
                  map.slotBytes(),
                  new Slot.Free(free.epoch(), free.sequence()));
              device.writeThrough(place(free.slot()), writeBuffer);
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
    if (LOG.isDebugEnabled() && !(command instanceof DiskCommand.ReadBeats)) {
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
    expectFree(headBuffer);
    device.read(0, headBuffer);
    if (head.getInt(0) != XFSB) {
      return new DiskAnswer.Foreign("the device has no XFS any more");
    }
    UUID found = new UUID(head.getLong(SB_UUID), head.getLong(SB_UUID + Long.BYTES));
    if (!found.equals(volume)) {
      return new DiskAnswer.Foreign("the device has another volume now, " + found);
    }
    long endNanos = nanos.getAsLong() + READING_NANOS;
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
        readOneByOne(done, done + length, unreadable, endNanos);
      }
      done += length;
    }
    List<Slot> slots = new ArrayList<>();
    int lost = 0;
    for (int i = 0; i < SlotLayout.HEARTBEATS; i++) {
      String why = unreadable[i];
      if (why != null) {
        slots.add(new Slot.Damaged(Slot.Kind.UNREADABLE, "cannot be read: " + why));
        lost++;
      } else {
        slots.add(SlotLayout.get(read, i * map.slotBytes(), volume, i, map.slotBytes()));
      }
    }
    return lost == SlotLayout.HEARTBEATS
        ? new DiskAnswer.Failed("no slot can be read: " + unreadable[0])
        : new DiskAnswer.Beats(slots);
  }

  /** Each slot that fails may take its time: what is left then is not waited for. */
  private void readOneByOne(long from, long to, @Nullable String[] unreadable, long endNanos)
      throws IOException {
    for (long at = from; at < to; at += map.slotBytes()) {
      int slot = (int) (at / map.slotBytes());
      if (nanos.getAsLong() - endNanos >= 0) {
        unreadable[slot] = "the reading took too long";
        continue;
      }
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
