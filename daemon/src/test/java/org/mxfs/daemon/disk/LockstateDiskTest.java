// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.disk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.mxfs.mxfs_heartbeat;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.blockio.BlockDevices;
import org.mxfs.blockio.FaultyBlockDevice;
import org.mxfs.blockio.FaultyBlockDevice.Fault;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.LockstateMap;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.membership.Beat;
import org.mxfs.daemon.core.membership.Slot;
import org.mxfs.daemon.wire.Layout;
import org.mxfs.daemon.wire.SlotLayout;

/** On a real file, in two pieces of which the second lies before the first. */
final class LockstateDiskTest {
  private static final UUID VOLUME = UUID.fromString("00112233-4455-6677-8899-aabbccddeeff");
  private static final int SLOT = 512;
  private static final long FIRST = 512 << 10;
  private static final LockstateMap MAP =
      new LockstateMap(
          SLOT,
          List.of(
              new LockstateMap.Extent(0, FIRST, 3 * SLOT),
              new LockstateMap.Extent(3 * SLOT, 4096, 61 * SLOT)));
  private static final Beat BEAT =
      new Beat(ReservationKey.of(0xabcd, 9), 5, 17, Beat.State.ALIVE, 20_000, "hôte");

  @TempDir Path directory;

  private final LinkedBlockingQueue<DiskAnswer> answers = new LinkedBlockingQueue<>();

  private Path file() throws IOException {
    Path path = directory.resolve("disk");
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(1 << 20);
      file.write("XFSB".getBytes(StandardCharsets.US_ASCII));
      file.seek(32);
      file.writeLong(VOLUME.getMostSignificantBits());
      file.writeLong(VOLUME.getLeastSignificantBits());
      for (int i = 0; i < 64; i++) {
        file.seek(place(i));
        file.write(free(i));
      }
    }
    return path;
  }

  private static long place(int slot) {
    return slot < 3 ? FIRST + (long) slot * SLOT : 4096 + (slot - 3L) * SLOT;
  }

  /** As the kernel module makes it, written down once more. */
  private static byte[] free(int index) {
    ByteBuffer buffer = ByteBuffer.allocate(SLOT).order(ByteOrder.LITTLE_ENDIAN);
    buffer.put("MXLS".getBytes(StandardCharsets.US_ASCII));
    buffer.putShort((short) 1).putShort((short) 1).putInt(index).putInt(SLOT);
    buffer.order(ByteOrder.BIG_ENDIAN);
    buffer.putLong(VOLUME.getMostSignificantBits()).putLong(VOLUME.getLeastSignificantBits());
    CRC32C crc = new CRC32C();
    crc.update(buffer.array(), 0, SLOT - 4);
    buffer.order(ByteOrder.LITTLE_ENDIAN).putInt(SLOT - 4, (int) crc.getValue());
    return buffer.array();
  }

  private static BlockDevice open(Path path) throws IOException {
    return BlockDevices.open(
        path,
        BlockDevices.Options.DEFAULT
            .withBackend(BlockDevices.Backend.SYSTEM_CALLS)
            .asBuffered()
            .withBufferBytes(66 << 9)
            .withUnregisteredBuffers());
  }

  private LockstateDisk disk(BlockDevice device) throws IOException {
    return new LockstateDisk(device, MAP, VOLUME);
  }

  private static List<Slot> slots(DiskAnswer answer) {
    return ((DiskAnswer.Beats) answer).slots();
  }

  @Test
  void aSlotIsWhatTheKernelModuleTakesItFor() {
    assertThat(SlotLayout.LAYOUT.size()).isEqualTo(mxfs_heartbeat.SIZE);
    assertThat(
            List.of(
                SlotLayout.MAGIC,
                SlotLayout.VERSION,
                SlotLayout.KIND,
                SlotLayout.INDEX,
                SlotLayout.SLOT_BYTES,
                SlotLayout.VOLUME,
                SlotLayout.KEY,
                SlotLayout.EPOCH,
                SlotLayout.SEQUENCE,
                SlotLayout.STATE,
                SlotLayout.RESERVED_FIELD,
                SlotLayout.LEASE,
                SlotLayout.HOST_LENGTH,
                SlotLayout.HOST,
                SlotLayout.REST,
                SlotLayout.CRC))
        .extracting(Layout.Field::offset)
        .containsExactly(
            mxfs_heartbeat.OFFSET_magic,
            mxfs_heartbeat.OFFSET_version,
            mxfs_heartbeat.OFFSET_kind,
            mxfs_heartbeat.OFFSET_index,
            mxfs_heartbeat.OFFSET_slot_bytes,
            mxfs_heartbeat.OFFSET_volume,
            mxfs_heartbeat.OFFSET_key,
            mxfs_heartbeat.OFFSET_epoch,
            mxfs_heartbeat.OFFSET_sequence,
            mxfs_heartbeat.OFFSET_state,
            mxfs_heartbeat.OFFSET_reserved,
            mxfs_heartbeat.OFFSET_lease_ms,
            mxfs_heartbeat.OFFSET_host_length,
            mxfs_heartbeat.OFFSET_host,
            mxfs_heartbeat.OFFSET_rest,
            mxfs_heartbeat.OFFSET_crc);
  }

  @Test
  void whatWasWrittenIsReadInItsPlaceAndNothingElseIsTouched() throws IOException {
    try (BlockDevice device = open(file())) {
      LockstateDisk disk = disk(device);
      assertThat(slots(disk.perform(new DiskCommand.ReadBeats())))
          .hasSize(64)
          .allMatch(Slot.Free.class::isInstance);
      for (int slot : new int[] {0, 2, 3, 63}) {
        assertThat(disk.perform(new DiskCommand.WriteBeat(slot, BEAT)))
            .isEqualTo(new DiskAnswer.Written());
      }
      List<Slot> slots = slots(disk.perform(new DiskCommand.ReadBeats()));
      for (int i = 0; i < 64; i++) {
        boolean written = i == 0 || i == 2 || i == 3 || i == 63;
        assertThat(slots.get(i)).isEqualTo(written ? new Slot.Taken(BEAT) : new Slot.Free());
      }
    }
  }

  @Test
  void aRecordThatIsTornForeignOrMisplacedIsNotTrusted() throws IOException {
    Path path = file();
    try (BlockDevice device = open(path)) {
      LockstateDisk disk = disk(device);
      for (int slot = 0; slot < 6; slot++) {
        disk.perform(new DiskCommand.WriteBeat(slot, BEAT));
      }
      try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
        file.seek(place(0) + 300); // torn: the end is another's
        file.write(new byte[] {1, 2, 3});
        file.seek(place(1));
        file.write(new byte[SLOT]);
        byte[] record = new byte[SLOT];
        file.seek(place(4));
        file.readFully(record);
        file.seek(place(2));
        file.write(record);
        new LockstateDisk(device, MAP, new UUID(1, 2)).perform(new DiskCommand.WriteBeat(3, BEAT));
      }
      List<Slot> slots = slots(disk.perform(new DiskCommand.ReadBeats()));
      assertThat(slots.get(0))
          .isEqualTo(new Slot.Damaged(Slot.Kind.TORN, "wrong checksum: torn or corrupt"));
      assertThat(slots.get(1))
          .isEqualTo(new Slot.Damaged(Slot.Kind.FOREIGN, "no record: other data is there"));
      assertThat(slots.get(2))
          .isEqualTo(new Slot.Damaged(Slot.Kind.FOREIGN, "of another place: index 4"));
      assertThat(slots.get(3))
          .isEqualTo(
              new Slot.Damaged(
                  Slot.Kind.FOREIGN, "of volume 00000000-0000-0001-0000-000000000002"));
      assertThat(slots.get(5)).isEqualTo(new Slot.Taken(BEAT));
    }
  }

  @Test
  void aLongHostNameIsCutAndAnyByteThatChangesIsNoticed() throws IOException {
    Path path = file();
    try (BlockDevice device = open(path)) {
      LockstateDisk disk = disk(device);
      Beat longer = new Beat(BEAT.key(), 1, 1, Beat.State.RESERVED, 1, "x".repeat(100));
      disk.perform(new DiskCommand.WriteBeat(7, longer));
      Slot read = slots(disk.perform(new DiskCommand.ReadBeats())).get(7);
      assertThat(((Slot.Taken) read).beat().host()).isEqualTo("x".repeat(64));
      try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
        for (int at = 0; at < SLOT; at += 17) {
          file.seek(place(7) + at);
          int before = file.read();
          file.seek(place(7) + at);
          file.write(before ^ 0x40);
          assertThat(slots(disk.perform(new DiskCommand.ReadBeats())).get(7))
              .as("byte %d", at)
              .isInstanceOf(Slot.Damaged.class);
          file.seek(place(7) + at);
          file.write(before);
        }
      }
    }
  }

  @Test
  void aMapThatIsNotOneOfTheDeviceIsRefused() throws IOException {
    try (BlockDevice device = open(file())) {
      for (LockstateMap.Extent bad :
          List.of(
              new LockstateMap.Extent(0, (1 << 20) - 64 * SLOT + 512, 64 * SLOT),
              new LockstateMap.Extent(0, 100, 64 * SLOT),
              new LockstateMap.Extent(512, 0, 64 * SLOT),
              new LockstateMap.Extent(0, 0, 63 * SLOT),
              new LockstateMap.Extent(0, -512, 64 * SLOT))) {
        assertThatThrownBy(
                () -> new LockstateDisk(device, new LockstateMap(SLOT, List.of(bad)), VOLUME))
            .as("%s", bad)
            .isInstanceOf(IOException.class);
      }
    }
  }

  @Test
  void commandsAreDoneInOrderOnAThreadOfTheirOwn() throws IOException, InterruptedException {
    Path path = file();
    DiskThread disk = new DiskThread(_ -> open(path), VOLUME, (_, answer) -> answers.add(answer));
    disk.start();
    long number = 0;
    disk.execute(new Action.Disk(++number, new DiskCommand.ReadBeats()));
    assertThat(answers.poll(10, TimeUnit.SECONDS))
        .as("before it is open")
        .isInstanceOf(DiskAnswer.Failed.class);
    disk.execute(
        new Action.Disk(
            ++number,
            new DiskCommand.Open(
                new LockstateMap(SLOT, List.of(new LockstateMap.Extent(0, 0, SLOT))))));
    assertThat(answers.poll(10, TimeUnit.SECONDS))
        .as("a map that cannot be")
        .isInstanceOf(DiskAnswer.Failed.class);
    disk.execute(new Action.Disk(++number, new DiskCommand.Open(MAP)));
    assertThat(answers.poll(10, TimeUnit.SECONDS)).isEqualTo(new DiskAnswer.Opened());
    for (int i = 1; i <= 20; i++) {
      Beat beat = new Beat(BEAT.key(), 1, i, Beat.State.ALIVE, 1, "");
      disk.execute(new Action.Disk(++number, new DiskCommand.WriteBeat(5, beat)));
    }
    disk.execute(new Action.Disk(++number, new DiskCommand.ReadBeats()));
    for (int i = 1; i <= 20; i++) {
      assertThat(answers.poll(10, TimeUnit.SECONDS)).isEqualTo(new DiskAnswer.Written());
    }
    Slot last = slots(Objects.requireNonNull(answers.poll(10, TimeUnit.SECONDS))).get(5);
    assertThat(((Slot.Taken) last).beat().sequence()).isEqualTo(20);
    assertThat(disk.quiesce(1_000)).isTrue();
  }

  @Test
  void aSlotThatIsGivenBackKeepsItsEpochAndItsSequence() throws IOException {
    try (BlockDevice device = open(file())) {
      LockstateDisk disk = disk(device);
      disk.perform(new DiskCommand.WriteBeat(9, BEAT));
      for (Beat.State state : Beat.State.values()) {
        Beat beat = new Beat(BEAT.key(), 6, 18, state, 1, "");
        disk.perform(new DiskCommand.WriteBeat(9, beat));
        assertThat(slots(disk.perform(new DiskCommand.ReadBeats())).get(9))
            .isEqualTo(new Slot.Taken(beat));
      }
      assertThat(disk.perform(new DiskCommand.FreeSlot(9, 7, 19)))
          .isEqualTo(new DiskAnswer.Written());
      assertThat(slots(disk.perform(new DiskCommand.ReadBeats())).get(9))
          .isEqualTo(new Slot.Free(7, 19));
    }
  }

  /** The volume was made anew elsewhere, or the disk is something else's now. */
  @Test
  void aDeviceThatHasAnotherVolumeNowHasNoSlotsOfOurs() throws IOException {
    Path path = file();
    try (BlockDevice device = open(path);
        RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      LockstateDisk disk = disk(device);
      file.seek(32);
      file.write(new byte[16]);
      assertThat(disk.perform(new DiskCommand.ReadBeats())).isInstanceOf(DiskAnswer.Foreign.class);
      file.seek(32);
      file.writeLong(VOLUME.getMostSignificantBits());
      file.writeLong(VOLUME.getLeastSignificantBits());
      assertThat(disk.perform(new DiskCommand.ReadBeats())).isInstanceOf(DiskAnswer.Beats.class);
      file.seek(0);
      file.write(0);
      assertThat(disk.perform(new DiskCommand.ReadBeats())).isInstanceOf(DiskAnswer.Foreign.class);
    }
  }

  @Test
  void aReadingThatGoesSlotBySlotHasAnEnd() throws IOException {
    Path path = file();
    long[] all = IntStream.range(1, 64).mapToLong(LockstateDiskTest::place).toArray();
    AtomicLong clock = new AtomicLong();
    // Each reading that fails takes a second.
    BlockDevice slow =
        FaultyBlockDevice.over(
            open(path),
            (_, _, offset, length) -> {
              boolean bad = LongStream.of(all).anyMatch(at -> offset <= at && at < offset + length);
              if (bad) {
                clock.addAndGet(1_000_000_000L);
              }
              return bad ? new Fault.Fails(Errnos.EIO) : new Fault.None();
            });
    try (slow) {
      LockstateDisk disk = new LockstateDisk(slow, MAP, VOLUME, clock::get);
      List<Slot> slots = slots(disk.perform(new DiskCommand.ReadBeats()));
      assertThat(slots.get(0)).isEqualTo(new Slot.Free());
      assertThat(slots.subList(1, 64)).allMatch(Slot.Damaged.class::isInstance);
      assertThat(((Slot.Damaged) slots.get(63)).why()).contains("took too long");
      assertThat(clock.get()).isLessThan(10_000_000_000L);
    }
  }

  /** Reads that touch one of these places fail; nothing else does. */
  private static FaultyBlockDevice unreadable(BlockDevice inner, int errno, long... places) {
    return FaultyBlockDevice.over(
        inner,
        (_, _, offset, length) ->
            LongStream.of(places).anyMatch(at -> offset <= at && at < offset + length)
                ? new Fault.Fails(errno)
                : new Fault.None());
  }

  @Test
  void aSlotThatCannotBeReadHidesNoOther() throws IOException {
    Path path = file();
    for (int errno : new int[] {Errnos.EIO, Errnos.ENODATA, Errnos.EILSEQ}) {
      try (BlockDevice device = unreadable(open(path), errno, place(1), place(40))) {
        LockstateDisk disk = disk(device);
        disk.perform(new DiskCommand.WriteBeat(41, BEAT));
        List<Slot> slots = slots(disk.perform(new DiskCommand.ReadBeats()));
        for (int i = 0; i < 64; i++) {
          switch (i) {
            case 1, 40 ->
                assertThat(((Slot.Damaged) slots.get(i)).why()).startsWith("cannot be read: ");
            case 41 -> assertThat(slots.get(i)).isEqualTo(new Slot.Taken(BEAT));
            default -> assertThat(slots.get(i)).as("slot %d", i).isEqualTo(new Slot.Free());
          }
        }
      }
    }
  }

  @Test
  void whereNothingCanBeReadOrTheWayIsGoneTheReadingFails() throws IOException {
    Path path = file();
    long[] all = IntStream.range(0, 64).mapToLong(LockstateDiskTest::place).toArray();
    try (BlockDevice device = unreadable(open(path), Errnos.EIO, all)) {
      assertThat(disk(device).perform(new DiskCommand.ReadBeats()))
          .isInstanceOf(DiskAnswer.Failed.class);
    }
    try (BlockDevice device = unreadable(open(path), Errnos.ENODEV, place(1))) {
      assertThat(disk(device).perform(new DiskCommand.ReadBeats()))
          .isInstanceOf(DiskAnswer.Failed.class);
    }
  }

  @Test
  void whatWasGivenUpKeepsItsMemoryUntilItHasEnded() throws IOException {
    try (FaultyBlockDevice device =
        FaultyBlockDevice.over(
            open(file()),
            (number, _, _, _) ->
                number == 0 || number == 1 ? new Fault.TimesOut() : new Fault.None())) {
      LockstateDisk disk = disk(device);
      assertThat(disk.perform(new DiskCommand.WriteBeat(5, BEAT)))
          .isInstanceOf(DiskAnswer.Failed.class);
      assertThat(disk.perform(new DiskCommand.ReadBeats())).isInstanceOf(DiskAnswer.Failed.class);
      Beat next = new Beat(BEAT.key(), 6, 18, Beat.State.ALIVE, 1, "");
      assertThat(disk.perform(new DiskCommand.WriteBeat(6, next)))
          .isInstanceOf(DiskAnswer.Failed.class);
      assertThat(disk.perform(new DiskCommand.ReadBeats())).isInstanceOf(DiskAnswer.Failed.class);
      device.release();
      List<Slot> slots = slots(disk.perform(new DiskCommand.ReadBeats()));
      assertThat(slots.get(5)).as("what was given up").isEqualTo(new Slot.Taken(BEAT));
      assertThat(slots.get(6)).isEqualTo(new Slot.Free());
      assertThat(disk.perform(new DiskCommand.WriteBeat(6, next)))
          .isEqualTo(new DiskAnswer.Written());
    }
  }
}
