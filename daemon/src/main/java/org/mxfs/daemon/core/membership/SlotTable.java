// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.CommandLife;
import org.mxfs.daemon.core.ReservationKey;

/**
 * The heartbeat slots, and who gets which.
 *
 * <p><b>One writer a slot.</b> A slot belongs to the key that is written in it, and only that node
 * writes it. Who holds the reservation, and nobody else, gives slots out: it writes the key into a
 * slot that nobody has, or whose key is not registered on the array any more. A node that is not
 * registered cannot write (type 5: Write Exclusive, Registrants Only), so that slot has no writer;
 * what such a node had sent before may still be on its way, so its slot rests for {@link
 * #REST_MILLIS} first. A node uses a slot once it has read its own key there. That takes no
 * message: the holder sees who is registered, and the others see the disk.
 *
 * <p>A slot that says {@link Beat.State#FENCED} remembers who was shut out: it is given to nobody
 * but a later life of the same node, however long it rests. Its key, which may still be there when
 * it wakes up, has no slot. What it had under way may land over that: whoever has read it once goes
 * on as if the slot said so still, until it is free or another incarnation's.
 *
 * <p>A slot that is damaged keeps what was last read in it: a node that died while it wrote is not
 * forgotten, and its slot is not another's.
 */
public final class SlotTable {
  /**
   * How long a slot of a key that is gone from the array stays unused: as long as a command can
   * live. Only strangers wait for it; a node that boots again has the slot of its earlier life at
   * once.
   */
  public static final long REST_MILLIS = CommandLife.MILLIS;

  private static final Slot NOTHING = new Slot.Free();

  private List<Slot> slots = List.of();

  /** Which of them cannot be trusted, in words. */
  private List<String> damage = List.of();

  /** The last record of each slot. */
  private Slot[] known = new Slot[0];

  /** Whose key said in it that it was shut out, once; {@link ReservationKey#NONE}: none did. */
  private ReservationKey[] shutOut = new ReservationKey[0];

  private long[] restingSince = new long[0];
  private int avoided = -1;

  /**
   * Who was to beat and is not registered is still to be found there: no stranger gets its slot.
   */
  private boolean keepsTheMissing;

  /** What was read. */
  public void read(List<Slot> read) {
    if (read.size() != restingSince.length) {
      restingSince = new long[read.size()];
      known = new Slot[read.size()];
      shutOut = new ReservationKey[read.size()];
      Arrays.fill(known, NOTHING);
      Arrays.fill(shutOut, ReservationKey.NONE);
      forgetRest();
    }
    for (int i = 0; i < read.size(); i++) {
      // Another key, or one that beats: its registration was away for a moment only.
      if (slots.size() <= i || !slots.get(i).equals(read.get(i))) {
        restingSince[i] = Long.MAX_VALUE;
      }
      if (!(read.get(i) instanceof Slot.Damaged)) {
        known[i] = read.get(i);
        if (says(i, Beat.State.FENCED)) {
          shutOut[i] = keyOf(i);
        } else if (!keyOf(i).equals(shutOut[i])) {
          shutOut[i] = ReservationKey.NONE;
        }
      }
    }
    slots = List.copyOf(read);
    damage = damageOf(slots);
  }

  private static List<String> damageOf(List<Slot> slots) {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < slots.size(); i++) {
      if (slots.get(i) instanceof Slot.Damaged damaged) {
        texts.add("slot " + i + ": " + damaged.why());
      }
    }
    return List.copyOf(texts);
  }

  public List<Slot> slots() {
    return slots;
  }

  /** A tenure ends: what was seen of registrations in it says nothing in another. */
  public void forgetRest() {
    Arrays.fill(restingSince, Long.MAX_VALUE);
  }

  /**
   * Whether a slot whose key was to beat is kept for that key, however long it has rested: what it
   * says is all that is known of who was shut out and is not marked.
   */
  void keepTheMissing(boolean now) {
    keepsTheMissing = now;
  }

  /** Writes of it fail: another is better, if only the one that was avoided before. */
  public void avoid(int slot) {
    avoided = slot;
  }

  boolean isAvoided(int slot) {
    return slot >= 0 && slot == avoided;
  }

  /** The record of each slot that somebody has, also of those that are damaged now. */
  public List<Beat> beats() {
    List<Beat> beats = new ArrayList<>();
    for (Slot slot : known) {
      if (slot instanceof Slot.Taken taken) {
        beats.add(taken.beat());
      }
    }
    return beats;
  }

  /** Whether a slot was damaged before it was first read: whose it is nobody knows. */
  public boolean hidesOne() {
    for (int i = 0; i < slots.size(); i++) {
      if (slots.get(i) instanceof Slot.Damaged && known[i].equals(NOTHING)) {
        return true;
      }
    }
    return false;
  }

  /** Whether every slot but this one could be read, as it was read last. */
  boolean isWhole(int but) {
    for (int i = 0; i < slots.size(); i++) {
      if (i != but && slots.get(i) instanceof Slot.Damaged) {
        return false;
      }
    }
    return !slots.isEmpty();
  }

  private ReservationKey keyOf(int slot) {
    return known[slot] instanceof Slot.Taken taken ? taken.beat().key() : ReservationKey.NONE;
  }

  /** The slots with this key. */
  public List<Integer> slotsOf(ReservationKey key) {
    List<Integer> found = new ArrayList<>();
    for (int i = 0; i < slots.size(); i++) {
      if (!key.isNone() && keyOf(i).equals(key)) {
        found.add(i);
      }
    }
    return found;
  }

  /** The slot with this key that may be written: better one whose writes have not failed. */
  public OptionalInt slotOf(ReservationKey key) {
    return slotsOf(key).stream()
        .filter(i -> shows(i, key))
        .sorted(Comparator.comparing(i -> i == avoided))
        .mapToInt(Integer::intValue)
        .findFirst();
  }

  /** How many slots show this key now. */
  public int countOf(ReservationKey key) {
    return (int) slotsOf(key).stream().filter(i -> slots.get(i) instanceof Slot.Taken).count();
  }

  /** The last record of this slot, or one before all. */
  public long sequenceOf(int slot) {
    return switch (known[slot]) {
      case Slot.Taken taken -> taken.beat().sequence();
      case Slot.Free free -> free.sequence();
      case Slot.Damaged _ -> 0;
    };
  }

  /** The highest epoch that any record tells. */
  public long maxEpoch() {
    long max = 0;
    for (Slot slot : known) {
      switch (slot) {
        case Slot.Taken taken -> max = Math.max(max, taken.beat().epoch());
        case Slot.Free free -> max = Math.max(max, free.epoch());
        case Slot.Damaged _ -> {}
      }
    }
    return max;
  }

  /** What cannot be trusted, for the log: "slot 3: why". */
  public List<String> damage() {
    return damage;
  }

  /** Most slots are records of this volume: the place is the right one. */
  public boolean isCredible() {
    return damage.size() <= slots.size() / 2 && !slots.isEmpty();
  }

  /**
   * Whether this slot is the key's, as it was read last: its record says so, or it is the only one
   * that is damaged, by a write that was cut off, and was the key's before.
   */
  public boolean shows(int slot, ReservationKey key) {
    if (!isCredible() || slot < 0 || slot >= slots.size() || key.isNone()) {
      return false;
    }
    return switch (slots.get(slot)) {
      case Slot.Taken taken -> taken.beat().key().equals(key) && !isOver(slot);
      case Slot.Free _ -> false;
      case Slot.Damaged damaged ->
          damaged.kind() == Slot.Kind.TORN
              && damage.size() == 1
              && keyOf(slot).equals(key)
              && !isOver(slot);
    };
  }

  private boolean says(int slot, Beat.State state) {
    return known[slot] instanceof Slot.Taken taken && taken.beat().state() == state;
  }

  /** It says, or has said of the key that it has, that this was shut out. */
  private boolean isShutOut(int slot) {
    return !shutOut[slot].isNone();
  }

  boolean isOfNode(int slot, int nodeId) {
    return keyOf(slot).nodeId() == nodeId;
  }

  /** Whether another node has this slot; what nobody has is not another's. */
  boolean isOfAnotherNode(int slot, int nodeId) {
    return slot < known.length && !keyOf(slot).isNone() && !isOfNode(slot, nodeId);
  }

  /** Its last record was written: its key writes it no more. */
  private boolean isOver(int slot) {
    return isShutOut(slot) || says(slot, Beat.State.LEFT);
  }

  /**
   * Keys of other nodes that said they were alive, or would be silent for a while, and are not
   * registered: each was shut out, by a node that has not lived to mark its slot, or by a person.
   * "For a while" may have landed late, over a record of an owner. Or they are registered and not
   * known to be members: a REGISTER that came late may have let in again who was shut out.
   */
  List<ReservationKey> unsettled(
      Collection<ReservationKey> registered,
      ReservationKey own,
      Predicate<ReservationKey> isMember) {
    return beats().stream()
        .filter(SlotTable::wasToBeat)
        .map(Beat::key)
        .filter(key -> key.nodeId() != own.nodeId())
        .filter(key -> !registered.contains(key) || !isMember.test(key))
        .filter(key -> departed(key) == null) // in the other one of its two slots
        .distinct()
        .toList();
  }

  /** Who wrote this may have had XFS attached since. */
  static boolean wasToBeat(Beat beat) {
    return beat.state() == Beat.State.ALIVE || beat.state() == Beat.State.PAUSED;
  }

  /** Whether a slot says that this incarnation was to beat, as it was read last. */
  boolean wasToBeat(ReservationKey key) {
    return beats().stream().anyMatch(beat -> beat.key().equals(key) && wasToBeat(beat));
  }

  /**
   * Whether this incarnation has written, as one that is alive, that it has read of a tenure of
   * this epoch: see {@link SlotRules}.
   */
  boolean isMemberOf(ReservationKey key, long epoch) {
    return beats().stream()
        .anyMatch(
            beat ->
                beat.key().equals(key)
                    && beat.state() == Beat.State.ALIVE
                    && beat.epoch() >= epoch);
  }

  /** That this incarnation was shut out; null: no slot says so. */
  @Nullable Outcast outcast(ReservationKey key) {
    return isFenced(key) ? new Outcast(key) : null;
  }

  /**
   * Who was shut out, as a slot says, and is registered all the same, by its own key or by one of
   * an earlier life: a REGISTER of it has come late.
   */
  List<Outcast> outcasts(Collection<ReservationKey> registered) {
    return beats().stream()
        .map(beat -> outcast(beat.key()))
        .filter(Objects::nonNull)
        .filter(outcast -> registered.stream().anyMatch(outcast::writesBy))
        .distinct()
        .toList();
  }

  /** Whether a slot says that this incarnation was shut out, or has said so. */
  public boolean isFenced(ReservationKey key) {
    return slotsOf(key).stream().anyMatch(this::isShutOut);
  }

  /** That this incarnation has left; null: no slot says so. */
  @Nullable Departed departed(ReservationKey key) {
    boolean left = slotsOf(key).stream().anyMatch(i -> says(i, Beat.State.LEFT));
    return left ? new Departed(key) : null;
  }

  /** Whether this slot, as it was read last, is of this incarnation, which was shut out. */
  boolean saysFenced(int slot, ReservationKey key) {
    return isCredible()
        && slots.get(slot) instanceof Slot.Taken taken
        && taken.beat().key().equals(key)
        && isShutOut(slot);
  }

  /**
   * Whether this slot can be marked: it shows this key, or is torn and was this key's, and does not
   * say already that it was shut out.
   */
  boolean canMark(int slot, ReservationKey key) {
    boolean legible =
        switch (slots.get(slot)) {
          case Slot.Taken _ -> true;
          case Slot.Free _ -> false;
          case Slot.Damaged damaged -> damaged.kind() == Slot.Kind.TORN;
        };
    return isCredible() && legible && keyOf(slot).equals(key) && !says(slot, Beat.State.FENCED);
  }

  /** Whether it can be read, as it is now. */
  boolean isRecord(int slot) {
    return !(slots.get(slot) instanceof Slot.Damaged);
  }

  /** Its host, for messages; "" where no slot names one. */
  String hostOf(ReservationKey key) {
    return slotsOf(key).stream()
        .map(i -> known[i] instanceof Slot.Taken taken ? taken.beat().host() : "")
        .filter(host -> !host.isEmpty())
        .findFirst()
        .orElse("");
  }

  /**
   * The holder has seen who is registered: slots of others begin to rest.
   *
   * @param registered as the array has shown it to the holder
   */
  public void sawRegistered(Collection<ReservationKey> registered, long now) {
    for (int i = 0; i < slots.size(); i++) {
      ReservationKey key = keyOf(i);
      if (key.isNone() || registered.contains(key)) {
        restingSince[i] = Long.MAX_VALUE;
      } else if (restingSince[i] == Long.MAX_VALUE) {
        restingSince[i] = now;
      }
    }
  }

  /**
   * Whether a slot is nobody's, an earlier life's of the key's node, or of a key that is not
   * registered any more and was not shut out, so that it comes free.
   */
  public boolean hasRoomFor(ReservationKey key, Collection<ReservationKey> registered) {
    for (int i = 0; i < slots.size(); i++) {
      boolean nobodys =
          switch (slots.get(i)) {
            case Slot.Free _ -> true;
            case Slot.Taken _ -> !registered.contains(keyOf(i));
            case Slot.Damaged _ -> !keyOf(i).isNone() && !registered.contains(keyOf(i));
          };
      boolean comesFree = nobodys && !isShutOut(i);
      if (i != avoided && (comesFree || keyOf(i).nodeId() == key.nodeId())) {
        return true;
      }
    }
    return false;
  }

  private boolean hasRested(int slot, long now) {
    return restingSince[slot] != Long.MAX_VALUE && now - restingSince[slot] >= REST_MILLIS;
  }

  /** Of an earlier life of the key's node; one that was shut out gives way to a later one only. */
  private boolean isEarlier(int slot, ReservationKey key) {
    ReservationKey before = keyOf(slot);
    return before.isOfLifeUpTo(key) && !(isShutOut(slot) && before.equals(key));
  }

  /**
   * A slot that an earlier life of the key's node had; -1: none. It is taken over at once: that
   * life is over, by the kernel's word or by a start of the machine.
   */
  int earlierSlot(ReservationKey key, long now) {
    for (int i = 0; i < slots.size() && isCredible(); i++) {
      // Where it cannot be read now, it may have been given to another since it was read.
      boolean legible = slots.get(i) instanceof Slot.Taken || hasRested(i, now);
      if (restingSince[i] != Long.MAX_VALUE && legible && isEarlier(i, key) && i != avoided) {
        return i;
      }
    }
    return -1;
  }

  /**
   * A free slot, for a key that is registered and has none; -1: there is none. What an earlier life
   * of the same node had comes first; then what nobody has, and then what has rested.
   *
   * @param alone only our own key has been registered for as long as a slot rests: a damaged slot
   *     has no other writer
   */
  public int freeSlot(ReservationKey key, boolean alone, long now) {
    int earlier = earlierSlot(key, now);
    if (!isCredible() || earlier >= 0) {
      return earlier;
    }
    int rested = -1;
    for (int i = 0; i < slots.size(); i++) {
      boolean free =
          switch (slots.get(i)) {
            case Slot.Free _ -> true;
            case Slot.Taken _ -> hasRested(i, now);
            case Slot.Damaged _ -> alone || hasRested(i, now);
          };
      if (free && i != avoided && !isShutOut(i) && !isKept(i)) {
        if (!(slots.get(i) instanceof Slot.Taken)) {
          return i;
        }
        rested = rested < 0 ? i : rested;
      }
    }
    return rested;
  }

  private boolean isKept(int slot) {
    return keepsTheMissing && known[slot] instanceof Slot.Taken taken && wasToBeat(taken.beat());
  }
}
