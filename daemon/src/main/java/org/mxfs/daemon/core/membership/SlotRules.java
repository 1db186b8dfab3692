// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;

/**
 * What may be written to heartbeat slots: whatever writes one is made here, and nowhere else; a
 * call that the rules forbid throws, which halts the mount.
 *
 * <p>Nothing is written but on a reading that was good, is not old, and is the last one: so a file
 * that was moved, or a volume that was made anew elsewhere, is noticed before the next write. A
 * node writes the slot in which it reads its key. Who holds the reservation gives slots out, on a
 * reading that was asked for after the array had shown who is registered, one on each reading; with
 * the proof that a node was shut out it marks that node's slot.
 *
 * <p><b>Epochs.</b> A record that says "alive" with an epoch, of a node that does not hold the
 * reservation by a tenure of just that epoch, says that its node has no XFS attached from an
 * earlier tenure, nor will have. So who holds the reservation, in its own eyes, and reads a higher
 * epoch than that of its tenure writes nothing: it may have been shut out, and another may be the
 * holder. Once the array has shown that it is not so ({@link #isStillOurs}) it goes on, with its
 * own epoch. That lets a holder know who is a member and who is not, without a clock ({@link
 * #unsettled}).
 */
final class SlotRules {
  /** So long after it was asked for a reading is too old to write on. */
  private final long freshMillis;

  /** So long after they were asked for the keys are too old to write another's slot on. */
  private final long keysMillis;

  private final SlotTable table;

  private ReservationKey key = ReservationKey.NONE;
  private int slot = -1;

  /** The last sequence this node has used, or one below all it may use. */
  private long sequence;

  /** Counts questions and answers. */
  private long ticks;

  private boolean good;
  private boolean used;
  private long readAskedAt;
  private long askedMillis;
  private boolean writing;
  private @Nullable String over;

  private boolean holder;

  /** The epoch of the tenure, as the holder. */
  private long tenure;

  /** A higher one that was read, when the array showed after that that the tenure goes on. */
  private long passedOver;

  private List<ReservationKey> registered = List.of();
  private long keysAt;
  private long keysAskedMillis;

  /** Who has just given the volume away is not registered for a moment, and comes back. */
  private long aloneSince = Long.MAX_VALUE;

  private long giveAfter = Long.MIN_VALUE;

  /** Of victims of this tenure: in which slots each was when it became one. */
  private final Map<ReservationKey, List<Integer>> victimSlots = new HashMap<>();

  /** Proofs of this tenure, and when each came. */
  private final Map<Fenced, Long> fenced = new LinkedHashMap<>();

  /** Whom this tenure shuts out, and when that was said. */
  private final Map<ReservationKey, Long> victims = new LinkedHashMap<>();

  /** When the last good reading was asked for. */
  private long goodAskedAt;

  SlotRules(SlotTable table, long firstSequence, long freshMillis, long keysMillis) {
    this.table = table;
    this.sequence = firstSequence;
    this.freshMillis = freshMillis;
    this.keysMillis = keysMillis;
  }

  int slot() {
    return slot;
  }

  /** Nothing is written any more, for good. */
  void end(String why) {
    if (over == null) {
      over = why;
    }
  }

  @Nullable String over() {
    return over;
  }

  // ---- what is known ----

  void key(ReservationKey now) {
    if (!now.equals(key)) {
      key = now;
      slot = -1;
      look();
    }
  }

  /**
   * Whether the reservation is ours, and no grant is out.
   *
   * @param epoch that of the tenure
   */
  void holder(boolean now, long epoch) {
    tenure = now ? epoch : 0;
    if (holder && !now) {
      passedOver = 0;
      table.forgetRest();
      registered = List.of();
      keysAt = 0;
      aloneSince = Long.MAX_VALUE;
      fenced.clear(); // what was proven holds in this tenure
      victims.clear();
      victimSlots.clear();
    }
    holder = now;
  }

  /**
   * As the holder: a higher epoch was read than that of our tenure. Either the array was not asked
   * since, or it was and the tenure goes on.
   */
  boolean isOvertaken() {
    return holder && table.maxEpoch() > Math.max(tenure, passedOver);
  }

  /** As the holder: a higher epoch was read, so that the next tenure has to have another. */
  boolean isBelowOthers() {
    return holder && table.maxEpoch() > tenure;
  }

  /**
   * The array has shown, asked after the last reading, that the reservation is ours all the same.
   */
  void isStillOurs() {
    if (holder) {
      passedOver = Math.max(passedOver, table.maxEpoch());
    }
  }

  /** An earlier daemon of this mount may have left a gift under way. */
  void giveNothingBefore(long millis) {
    giveAfter = Math.max(giveAfter, millis);
  }

  /** As the holder: who is registered. */
  void sawKeys(Collection<ReservationKey> keys, long askedMillis, long now) {
    if (holder) {
      registered = List.copyOf(keys);
      keysAt = ++ticks;
      keysAskedMillis = askedMillis;
      // Who is in again may have written since, whoever has let it in.
      fenced.keySet().removeIf(proof -> keys.stream().anyMatch(proof::isOfVictim));
      boolean alone = registered.size() == 1 && registered.getFirst().equals(key);
      aloneSince = alone ? Math.min(aloneSince, now) : Long.MAX_VALUE;
      table.sawRegistered(registered, now);
    }
  }

  List<ReservationKey> registered() {
    return registered;
  }

  void ask(long now) {
    readAskedAt = ++ticks;
    askedMillis = now;
    good = false; // what was read before is not the last reading any more
  }

  void read(List<Slot> slots) {
    table.read(slots);
    good = true;
    goodAskedAt = readAskedAt;
    used = false;
    look();
  }

  void readFailed() {
    good = false;
  }

  /** What a write became, is known now; or is not: then only reading tells. */
  void written(boolean known) {
    writing = false;
    if (!known) {
      good = false;
    }
  }

  /** Our writes of this slot fail: it is given up for another. */
  void giveUp(int which) {
    table.avoid(which);
    if (slot == which) {
      slot = -1;
    }
    look();
  }

  private void look() {
    if (!table.shows(slot, key) || table.isAvoided(slot)) {
      slot = table.slotOf(key).orElse(-1);
    }
    if (slot >= 0) {
      sequence = Math.max(sequence, table.sequenceOf(slot));
    }
  }

  // ---- what may be done ----

  private boolean isFresh(long now) {
    return over == null && good && !writing && now - askedMillis <= freshMillis;
  }

  boolean mayWriteOwn(long now) {
    return isFresh(now) && slot >= 0 && table.shows(slot, key);
  }

  /** The holder may write a slot that is not its own on this reading. */
  boolean isBasis(long now) {
    return isFresh(now) && isBasisAfterReading(now) && !used && readAskedAt > keysAt;
  }

  /**
   * Whether it may once there is a reading for it: the array has shown who is registered, not so
   * long ago that others may have shut this node out since.
   */
  boolean isBasisAfterReading(long now) {
    return over == null
        && holder
        && keysAt != 0
        && now - keysAskedMillis <= keysMillis
        && !isOvertaken();
  }

  /** Whether a slot may be given once there is a reading for it. */
  boolean mayGiveAfterReading(long now) {
    return isBasisAfterReading(now) && now >= giveAfter;
  }

  /** The same, to this key. */
  boolean mayGiveAfterReading(ReservationKey whom, long now) {
    return isBasisAfterReading(now) && isNoGiftUnderWay(whom, now);
  }

  /** Whether the last reading was asked for after the array had shown who is registered. */
  boolean mayGive(ReservationKey whom, long now) {
    return isBasis(now) && isNoGiftUnderWay(whom, now);
  }

  private boolean isNoGiftUnderWay(ReservationKey whom, long now) {
    return now >= giveAfter || (whom.equals(key) && slotFor(key, now) >= 0);
  }

  /** Our record. */
  DiskCommand.WriteBeat beat(
      Beat.State state, long epoch, long leaseMillis, String host, long now) {
    require(mayWriteOwn(now), "a beat into slot " + slot + ", which is not known to be ours");
    require(state == Beat.State.ALIVE || state == Beat.State.PAUSED, "a slot is given, not taken");
    require(
        !isOvertaken(), "a beat of a tenure of epoch " + tenure + ", and a higher one was read");
    writing = true;
    return new DiskCommand.WriteBeat(
        slot, new Beat(key, holder ? tenure : epoch, ++sequence, state, leaseMillis, host));
  }

  /** Gives our slot back. */
  DiskCommand.FreeSlot free(long epoch, long now) {
    require(mayWriteOwn(now), "slot " + slot + " is given back, which is not known to be ours");
    writing = true;
    return new DiskCommand.FreeSlot(slot, epoch, ++sequence);
  }

  /**
   * Our last record: this node has let go of XFS, and stays registered so that the disk stays
   * reserved.
   */
  DiskCommand.WriteBeat left(long epoch, String host, long now) {
    require(mayWriteOwn(now), "a last record into slot " + slot + ", not known to be ours");
    writing = true;
    return new DiskCommand.WriteBeat(
        slot, new Beat(key, epoch, ++sequence, Beat.State.LEFT, 0, host));
  }

  /** As the holder: this was shut out, and has ended. */
  void shutOut(Fenced proof) {
    if (holder) {
      fenced.put(proof, ++ticks);
    }
  }

  /** Who is registered has changed since: that was not all. */
  void forgetProof(ReservationKey victim) {
    fenced.keySet().removeIf(proof -> proof.victim().equals(victim));
  }

  Collection<Fenced> fenced() {
    return List.copyOf(fenced.keySet());
  }

  /**
   * As the holder: this was seen to be silent, and then not to be registered. It stays a victim
   * until its slot says that it is none, whether it is registered again or beats: what it had under
   * way is not over for that.
   */
  void victim(ReservationKey whom) {
    if (holder) {
      victims.putIfAbsent(whom, ++ticks);
      victimSlots.putIfAbsent(whom, table.slotsOf(whom));
    }
  }

  private List<ReservationKey> openVictims(Predicate<ReservationKey> isMember) {
    return victims.entrySet().stream()
        .filter(one -> readAskedAt <= one.getValue() || isOpen(one.getKey(), isMember))
        .map(Map.Entry::getKey)
        .toList();
  }

  /** Who has written that it knows of this tenure has nothing under way from one before. */
  private boolean isOpen(ReservationKey victim, Predicate<ReservationKey> isMember) {
    boolean isIn = registered.contains(victim) && isMember.test(victim);
    return isOverwritten(victim) ? !isProven(victim) : table.wasToBeat(victim) && !isIn;
  }

  /**
   * A victim's slot says neither that it was shut out nor that it has let go of XFS, but that it is
   * another node's: nothing tells what became of the victim but the proof itself.
   */
  boolean isOverwritten(ReservationKey victim) {
    return table.slotsOf(victim).isEmpty()
        && victimSlots.getOrDefault(victim, List.of()).stream()
            .anyMatch(slot -> table.isOfAnotherNode(slot, victim.nodeId()));
  }

  private boolean isProven(ReservationKey victim) {
    return fenced.keySet().stream().anyMatch(proof -> proof.victim().equals(victim));
  }

  /**
   * As the holder: other nodes that are registered, were to beat, and have not told of this tenure.
   */
  List<ReservationKey> strangers() {
    return !holder
        ? List.of()
        : table.unsettled(registered, key, whom -> table.isMemberOf(whom, tenure)).stream()
            .filter(registered::contains)
            .toList();
  }

  /** The number of the last reading that was asked for, and of the last good one. */
  long askedReading() {
    return readAskedAt;
  }

  long goodReading() {
    return goodAskedAt;
  }

  /** The slots cannot be read any more: of these it is known that they may write. */
  List<ReservationKey> victimsThatAreRegistered() {
    return victims.keySet().stream().filter(this::mayWrite).toList();
  }

  /** By its own key, or by one of an earlier life of its node. */
  private boolean mayWrite(ReservationKey victim) {
    return registered.stream().anyMatch(key -> key.isOfLifeUpTo(victim));
  }

  /**
   * Who is registered, though a slot says that it was shut out; see {@link SlotTable#unsettled};
   * and whose end has not been seen since it was shut out. Null: there is no reading yet that
   * tells.
   *
   * @param counts who is a member though its record does not tell
   */
  @Nullable List<ReservationKey> unsettled(Predicate<ReservationKey> counts) {
    boolean tells = over == null && good && holder && keysAt != 0 && readAskedAt > keysAt;
    if (!tells || isBelowOthers()) {
      return null;
    }
    Predicate<ReservationKey> isMember =
        whom -> table.isMemberOf(whom, tenure) || counts.test(whom);
    return Stream.of(
            outcasts().stream().map(Outcast::key),
            table.unsettled(registered, key, isMember).stream(),
            openVictims(isMember).stream())
        .flatMap(Function.identity())
        .distinct()
        .toList();
  }

  /**
   * As the holder: see {@link SlotTable#outcasts}. Of this node's own lives the earlier ones alone:
   * its clock may have gone back.
   */
  List<Outcast> outcasts() {
    return table.outcasts(registered).stream()
        .filter(
            outcast ->
                outcast.key().nodeId() != key.nodeId()
                    || outcast.key().incarnation() < key.incarnation())
        .toList();
  }

  /**
   * Whether this slot may be marked now as that of who was shut out. What it had under way includes
   * a beat, from which its lease may count anew: so that it is silent has to be seen after the
   * proof that it was shut out. A gift that was under way may go over it: that is to a later life
   * of the same node, which accounts for it.
   */
  boolean mayMark(int which, Fenced proof, Silence silence, long now) {
    Long since = fenced.get(proof);
    return since != null
        && isBasis(now)
        && readAskedAt > since
        && silence.key().equals(proof.victim())
        && registered.stream().noneMatch(proof::isOfVictim)
        && (table.isRecord(which) || !isBack(proof.victim()))
        && table.canMark(which, proof.victim());
  }

  /** A slot that cannot be read may have been given to a later life of the node meanwhile. */
  private boolean isBack(ReservationKey victim) {
    return registered.stream().anyMatch(other -> other.nodeId() == victim.nodeId());
  }

  /** The slot of who was shut out says so from now on: it has no other writer any more. */
  DiskCommand.WriteBeat mark(int which, Fenced proof, Silence silence, long epoch, long now) {
    require(
        mayMark(which, proof, silence, now), "slot " + which + " is not known to be the victim's");
    writing = true;
    used = true;
    return new DiskCommand.WriteBeat(
        which,
        new Beat(
            proof.victim(),
            epoch,
            table.sequenceOf(which) + 1,
            Beat.State.FENCED,
            0,
            table.hostOf(proof.victim())));
  }

  /**
   * Whether the slot of who was shut out may be freed by the word of a person that it is off: it is
   * not registered, and has no other writer any more.
   */
  boolean mayClear(int which, ReservationKey victim, long now) {
    return isBasis(now) && !mayWrite(victim) && table.saysFenced(which, victim);
  }

  DiskCommand.FreeSlot clear(int which, ReservationKey victim, long epoch, long now) {
    require(mayClear(which, victim, now), "slot " + which + " is not known to be " + victim + "'s");
    writing = true;
    used = true;
    return new DiskCommand.FreeSlot(which, epoch, table.sequenceOf(which) + 1);
  }

  /**
   * Which slot the key gets; -1: none is free. A gift of an earlier daemon that is under way is
   * none into a slot of this node's own: that one had it itself.
   */
  int slotFor(ReservationKey whom, long now) {
    if (whom.equals(key) && now < giveAfter) {
      return table.earlierSlot(key, now);
    }
    boolean alone = aloneSince != Long.MAX_VALUE && now - aloneSince >= SlotTable.REST_MILLIS;
    return table.freeSlot(whom, alone, now);
  }

  /** Gives a slot to a key that is registered; to our own key by its first beat. */
  DiskCommand.WriteBeat give(
      ReservationKey whom, long epoch, long leaseMillis, String host, long now) {
    require(mayGive(whom, now), "a slot is given on a reading that is too old");
    return whom.equals(key)
        ? give(whom, new Beat(whom, tenure, 0, Beat.State.ALIVE, leaseMillis, host), now)
        : give(whom, new Beat(whom, epoch, 0, Beat.State.RESERVED, 0, ""), now);
  }

  /** As {@link #left}, where this node holds the reservation and has no slot. */
  DiskCommand.WriteBeat giveLeft(long epoch, String host, long now) {
    require(mayGiveLeft(now), "a last record on a reading that is too old");
    return give(key, new Beat(key, epoch, 0, Beat.State.LEFT, 0, host), now);
  }

  private boolean mayGiveLeft(long now) {
    return isBasis(now) && mayGiveLeftAfterReading(now);
  }

  /** Whether it may once there is a reading for it. */
  boolean mayGiveLeftAfterReading(long now) {
    return over == null
        && holder
        && keysAt != 0
        && slotFor(key, now) >= 0
        && isNoGiftUnderWay(key, now);
  }

  private DiskCommand.WriteBeat give(ReservationKey whom, Beat beat, long now) {
    int free = slotFor(whom, now);
    require(registered.contains(whom) && free >= 0 && !table.isFenced(whom), "no slot for " + whom);
    writing = true;
    used = true;
    long next = table.sequenceOf(free) + 1;
    if (whom.equals(key)) {
      next = Math.max(next, sequence + 1);
      sequence = next;
    }
    return new DiskCommand.WriteBeat(
        free, new Beat(whom, beat.epoch(), next, beat.state(), beat.leaseMillis(), beat.host()));
  }

  private static void require(boolean so, String otherwise) {
    if (!so) {
      throw new IllegalStateException(otherwise);
    }
  }
}
