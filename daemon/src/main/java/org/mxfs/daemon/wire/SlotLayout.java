// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.wire;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.mxfs.Mxfs;
import org.mxfs.bindings.mxfs.MxfsLockstate;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.membership.Beat;
import org.mxfs.daemon.core.membership.Slot;
import org.mxfs.daemon.wire.Layout.Kind;

/**
 * A heartbeat record of {@code .mxfs/lockstate}: a slot holds one, and takes a logical block of the
 * device where that is larger. The kernel module knows it as {@code struct mxfs_heartbeat}.
 */
public final class SlotLayout {
  /** Heartbeat slots of a volume; they are the beginning of the file. */
  public static final int HEARTBEATS = Mxfs.MXFS_LOCKSTATE_HEARTBEATS;

  /** Bytes of a record. */
  public static final int SIZE = Mxfs.MXFS_LOCKSTATE_RECORD;

  public static final int HOST_MAX = Mxfs.MXFS_LOCKSTATE_HOST_MAX;

  private static final int MXLS = Mxfs.MXFS_LOCKSTATE_MAGIC;
  private static final int CURRENT = Mxfs.MXFS_LOCKSTATE_VERSION;
  private static final int HEARTBEAT = MxfsLockstate.MXFS_LOCKSTATE_HEARTBEAT;

  private static final int FREE = MxfsLockstate.MXFS_HEARTBEAT_FREE;
  private static final int RESERVED = MxfsLockstate.MXFS_HEARTBEAT_GIVEN;
  private static final int ALIVE = MxfsLockstate.MXFS_HEARTBEAT_ALIVE;
  private static final int PAUSED = MxfsLockstate.MXFS_HEARTBEAT_PAUSED;
  private static final int FENCED = MxfsLockstate.MXFS_HEARTBEAT_FENCED;
  private static final int LEFT = MxfsLockstate.MXFS_HEARTBEAT_LEFT;

  public static final Layout LAYOUT = new Layout("Heartbeat slot (disk)");
  public static final Layout.Field MAGIC = LAYOUT.add(Kind.U32, "magic", "the bytes `MXLS`");
  public static final Layout.Field VERSION = LAYOUT.add(Kind.U16, "version", "1");
  public static final Layout.Field KIND = LAYOUT.add(Kind.U16, "kind", "1: heartbeat, 2: lock");
  public static final Layout.Field INDEX = LAYOUT.add(Kind.U32, "index", "in the file, from 0");
  public static final Layout.Field SLOT_BYTES =
      LAYOUT.add(Kind.U32, "slot bytes", "from one slot to the next");
  public static final Layout.Field VOLUME = LAYOUT.add(Kind.UUID, "volume UUID", "");
  public static final Layout.Field KEY =
      LAYOUT.add(Kind.U64, "key", "who has the slot: node id and incarnation; 0: nobody");
  public static final Layout.Field EPOCH =
      LAYOUT.add(Kind.U64, "epoch", "the highest one the writer knew");
  public static final Layout.Field SEQUENCE =
      LAYOUT.add(Kind.U64, "sequence", "larger with every write of the slot");
  public static final Layout.Field STATE =
      LAYOUT.add(
          Kind.U32,
          "state",
          "0: free; 1: given to the key by the owner; 2: written by the node; 3: the same, and it"
              + " will be silent for a while; 4: by the owner, which has shut the key out; 5: by"
              + " the node, which has left and stays registered to keep the reservation");
  public static final Layout.Field RESERVED_FIELD = LAYOUT.add(Kind.U32, "reserved", "0");
  public static final Layout.Field LEASE =
      LAYOUT.add(Kind.U32, "lease ms", "how long after a beat the node may start operations");
  public static final Layout.Field HOST_LENGTH = LAYOUT.add(Kind.U32, "host length", "at most 64");
  public static final Layout.Field HOST = LAYOUT.pad("host name", HOST_MAX, "UTF-8, then zeros");
  public static final Layout.Field REST = LAYOUT.pad("reserved", SIZE - 4 - LAYOUT.size(), "zeros");
  public static final Layout.Field CRC =
      LAYOUT.add(Kind.U32, "CRC-32C", "of all before it (Castagnoli, as iSCSI and XFS have it)");

  private SlotLayout() {}

  private static int crc(ByteBuffer buffer, int base) {
    CRC32C crc = new CRC32C();
    crc.update(buffer.slice(base, CRC.offset()));
    return (int) crc.getValue();
  }

  /** Writes a heartbeat record at {@code base}. */
  public static void put(
      ByteBuffer buffer, int base, UUID volume, int index, int slotBytes, Beat beat) {
    byte[] host = beat.host().getBytes(StandardCharsets.UTF_8);
    int length = Math.min(host.length, HOST_MAX);
    begin(buffer, base, volume, index, slotBytes);
    KEY.put(buffer, base, beat.key().value());
    EPOCH.put(buffer, base, beat.epoch());
    SEQUENCE.put(buffer, base, beat.sequence());
    STATE.put(
        buffer,
        base,
        switch (beat.state()) {
          case RESERVED -> RESERVED;
          case ALIVE -> ALIVE;
          case PAUSED -> PAUSED;
          case FENCED -> FENCED;
          case LEFT -> LEFT;
        });
    LEASE.put(buffer, base, beat.leaseMillis());
    HOST_LENGTH.put(buffer, base, length);
    buffer.put(base + HOST.offset(), host, 0, length);
    CRC.put(buffer, base, crc(buffer, base));
  }

  /** Writes at {@code base} that the slot is nobody's. */
  public static void putFree(
      ByteBuffer buffer, int base, UUID volume, int index, int slotBytes, Slot.Free free) {
    begin(buffer, base, volume, index, slotBytes);
    EPOCH.put(buffer, base, free.epoch());
    SEQUENCE.put(buffer, base, free.sequence());
    CRC.put(buffer, base, crc(buffer, base));
  }

  private static void begin(ByteBuffer buffer, int base, UUID volume, int index, int slotBytes) {
    for (int i = 0; i < SIZE; i++) {
      buffer.put(base + i, (byte) 0);
    }
    MAGIC.put(buffer, base, MXLS);
    VERSION.put(buffer, base, CURRENT);
    KIND.put(buffer, base, HEARTBEAT);
    INDEX.put(buffer, base, index);
    SLOT_BYTES.put(buffer, base, slotBytes);
    VOLUME.putUuid(buffer, base, volume);
  }

  private static Beat.@Nullable State stateOf(long state) {
    return switch ((int) state) {
      case RESERVED -> Beat.State.RESERVED;
      case ALIVE -> Beat.State.ALIVE;
      case PAUSED -> Beat.State.PAUSED;
      case FENCED -> Beat.State.FENCED;
      case LEFT -> Beat.State.LEFT;
      default -> null;
    };
  }

  /** What the heartbeat slot at {@code base} is. */
  public static Slot get(ByteBuffer buffer, int base, UUID volume, int index, int slotBytes) {
    if (MAGIC.get(buffer, base) != MXLS) {
      return new Slot.Damaged(Slot.Kind.FOREIGN, "no record: other data is there");
    }
    if (CRC.get(buffer, base) != Integer.toUnsignedLong(crc(buffer, base))) {
      return new Slot.Damaged(Slot.Kind.TORN, "wrong checksum: torn or corrupt");
    }
    if (VERSION.get(buffer, base) != CURRENT) {
      return new Slot.Damaged(Slot.Kind.FOREIGN, "version " + VERSION.get(buffer, base));
    }
    if (!VOLUME.getUuid(buffer, base).equals(volume)) {
      return new Slot.Damaged(Slot.Kind.FOREIGN, "of volume " + VOLUME.getUuid(buffer, base));
    }
    if (INDEX.get(buffer, base) != index
        || SLOT_BYTES.get(buffer, base) != slotBytes
        || KIND.get(buffer, base) != HEARTBEAT) {
      return new Slot.Damaged(
          Slot.Kind.FOREIGN, "of another place: index " + INDEX.get(buffer, base));
    }
    long state = STATE.get(buffer, base);
    ReservationKey key = new ReservationKey(KEY.get(buffer, base));
    if (state == FREE && key.isNone()) {
      return new Slot.Free(EPOCH.get(buffer, base), SEQUENCE.get(buffer, base));
    }
    long length = HOST_LENGTH.get(buffer, base);
    Beat.@Nullable State said = stateOf(state);
    if (key.nodeId() == 0 || said == null || length > HOST_MAX) {
      return new Slot.Damaged(Slot.Kind.FOREIGN, "state " + state + " of key " + key);
    }
    byte[] host = new byte[(int) length];
    buffer.get(base + HOST.offset(), host);
    return new Slot.Taken(
        new Beat(
            key,
            EPOCH.get(buffer, base),
            SEQUENCE.get(buffer, base),
            said,
            LEASE.get(buffer, base),
            new String(host, StandardCharsets.UTF_8)));
  }
}
