// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.LockstateMap;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;

/**
 * When to read the heartbeat slots, and when to write one: a pure machine. Every beat it reads all,
 * then writes its own; as the holder it gives slots to who has none. It says what it has to say in
 * {@link #takeNotes}, and decides nothing beyond the slots: whether the lease may be extended, XFS
 * attached, the volume given away, who joins it with ownership asks.
 *
 * <p><b>After a write whose outcome is not known,</b> and after an earlier daemon, something of
 * ours may still land later. For {@link SlotTable#REST_MILLIS} a record counts as on disk only once
 * it was read back; and every beat goes over whatever has landed.
 */
public final class Heartbeat {
  /**
   * What does not change.
   *
   * @param beatMillis from one beat to the next
   * @param firstSequence below every sequence that this daemon uses, above those of earlier ones
   * @param patienceMillis how long a tenure waits for its epoch to be on disk
   */
  public record Settings(
      long beatMillis, long leaseMillis, String host, long firstSequence, long patienceMillis) {}

  /** What this node is to do with its slot now. */
  public enum Wish {
    /** Leave it alone. */
    NOTHING,
    BEAT,
    /** One last record: it will be silent for a while. */
    PAUSE,
    /** One last record: the slot is nobody's. */
    LEAVE,
    /** One last record: it has left, and stays registered so that the disk stays reserved. */
    STAY
  }

  /**
   * Who is not accounted for, as the slots say.
   *
   * @param fenced who was shut out
   * @param alive other nodes that said they were alive and have not left
   */
  public record Roll(List<Beat> fenced, List<Beat> alive) {
    /** Without heartbeats nobody is ever shut out. */
    public static final Roll NOBODY = new Roll(List.of(), List.of());
  }

  /**
   * How this node stands with the array.
   *
   * @param epoch the highest one this node has had; in a tenure its own
   * @param holder the reservation is ours, and no grant is out
   */
  public record Standing(ReservationKey key, long epoch, boolean holder, Wish wish) {
    static final Standing NOBODY = new Standing(ReservationKey.NONE, 0, false, Wish.NOTHING);
  }

  /** Whether something that is waited for is so. */
  public enum Verdict {
    YES,
    NOT_YET,
    /** It is not, and waiting has come to an end. */
    NO
  }

  private enum Place {
    /** The kernel has not said yet. */
    UNKNOWN,
    /** There is no lock state. */
    NONE,
    /** It is to be opened. */
    TOLD,
    OPEN
  }

  /** A slot whose writes have failed for this part of a lease is given up for another. */
  private static final int GIVE_UP_PART = 4;

  /** A reading is written on for this part of a lease: a slow array needs it, from its question. */
  private static final int FRESH_PART = 4;

  /** For this part of a lease a slot of another that has taken no write is left alone. */
  private static final int REST_PART = 4;

  /** Others' slots are written for this part of a lease after the keys were asked for. */
  private static final int KEYS_PART = 2;

  /** Pause after a write that failed. */
  private static final long RETRY_MILLIS = 200;

  /** A key that has a slot and does not write it for so long gets another. */
  static final long GIVE_AGAIN_MILLIS = 10_000;

  private final Settings settings;
  private final SlotTable table = new SlotTable();
  private final Suspicion suspicion;
  private final SlotRules rules;
  private final List<Action.Note> notes = new ArrayList<>();

  private Standing standing = Standing.NOBODY;
  private Place place = Place.UNKNOWN;
  private @Nullable LockstateMap map;
  private boolean resuming;

  /** There is no lock state, for nobody. */
  private boolean nobodys;

  /** Whether the slots have been read, or are known not to be there. */
  private boolean looked;

  /** Whether it is known if an earlier daemon had beaten. */
  private boolean certain;

  // The command under way.
  private @Nullable DiskCommand pending;
  private long askedAt;

  /** Counts questions to the disk, and what is waited for. */
  private long ticks;

  private long askedTick;

  /** When the last good reading was asked for, and since when one is waited for. */
  private long readTick;

  /** When it came, by the clock. */
  private long readAt = Long.MIN_VALUE / 2;

  private long readWantedSince;

  private long cycleDue;
  private long retryDue;
  private boolean beatOwed;

  /** What this node has written last that is known to be on disk; null: nothing under its key. */
  private @Nullable Beat onDisk;

  /** The same record was read after it was written. */
  private boolean readBack;

  private boolean begun;
  private long beatenAt = Long.MIN_VALUE / 2;
  private long doubtUntil = Long.MIN_VALUE;
  private long failingSince = Long.MAX_VALUE;
  private boolean gone;

  private boolean attachWaits;
  private long waitedFor = -1;
  private long waitedSince;
  private long lastRecordSince = Long.MAX_VALUE;

  private boolean lookedSinceWrite;

  /** What was said of reading, and of writing, and is still so. */
  private String readTrouble = "";

  private String writeTrouble = "";

  /** As the holder: since when; and how silent a node is that may be taken for gone. */
  private long holderSince = Long.MAX_VALUE;

  private long silenceMillis;

  private boolean shutOut;

  /** Whose slots a person wants freed, and the one of them that is being freed; -1: none. */
  private final Set<ReservationKey> clearing = new HashSet<>();

  private int freeing = -1;
  private ReservationKey freeingFor = ReservationKey.NONE;

  /** Whose slots are neither marked nor freed before, since that has failed. */
  private final Map<ReservationKey, Long> restUntil = new HashMap<>();

  /** Of all that was written last, our own record was what failed. */
  private boolean ownFailed;

  /** The kernel's word, that no node has ever had a slot. */
  private boolean neverUsed;

  /** Who was shut out is still to be found and marked; until then no slot of theirs is given. */
  private boolean settling;

  private Set<ReservationKey> registered = Set.of();
  private final Set<ReservationKey> silent = new HashSet<>();

  public Heartbeat(Settings settings) {
    this.settings = settings;
    suspicion = new Suspicion(settings.beatMillis());
    rules =
        new SlotRules(
            table,
            settings.firstSequence(),
            Math.max(2 * settings.beatMillis(), settings.leaseMillis() / FRESH_PART),
            settings.leaseMillis() / KEYS_PART);
  }

  // ---- what comes in ----

  /**
   * Once, first.
   *
   * @param earlier an earlier daemon of this mount had told mount(2) to return
   */
  public void start(boolean earlier, long now) {
    resuming = earlier;
    if (earlier) {
      doubtUntil = now + SlotTable.REST_MILLIS;
      rules.giveNothingBefore(now + SlotTable.REST_MILLIS);
    }
  }

  /** The kernel says where the lock state is. */
  public void told(Lockstate lockstate, long now) {
    LockstateMap said = lockstate.map();
    if (map != null) {
      if (!map.equals(said)) {
        end(
            "the lock state is not where it was"
                + (said == null ? ": " + lockstate.reason() : " (" + map + ", now " + said + ")"));
      }
      return;
    }
    if (said == null) {
      place = Place.NONE;
      nobodys = lockstate.isNobodys();
      certain = certain || lockstate.isCertain();
      neverUsed = lockstate.wasNeverUsed();
      boolean usual = lockstate.errno() != Lockstate.NOT_UNDERSTOOD && lockstate.isCertain();
      readTrouble(
          usual ? Action.Level.INFO : Action.Level.WARN,
          "no heartbeats on disk: " + lockstate.reason());
      return;
    }
    map = said;
    place = Place.TOLD;
    readTrouble = "";
    retryDue = now;
  }

  /** How this node stands now: in every step. */
  public void stand(Standing now, long millis) {
    if (!now.key().equals(standing.key())) {
      onDisk = null;
      readBack = false;
      begun = false;
      failingSince = Long.MAX_VALUE;
      beatenAt = Long.MIN_VALUE / 2;
      rules.key(now.key());
    }
    rules.holder(now.holder(), now.epoch());
    holderSince = !now.holder() ? Long.MAX_VALUE : Math.min(holderSince, millis);
    settle(settling && now.holder());
    if (!now.holder()) {
      clearing.clear();
      restUntil.clear();
    }
    if (!isLast(now.wish())) {
      lastRecordSince = Long.MAX_VALUE;
    } else if (lastRecordSince == Long.MAX_VALUE || now.wish() != standing.wish()) {
      lastRecordSince = millis;
    }
    standing = now;
  }

  private static boolean isLast(Wish wish) {
    return wish == Wish.PAUSE || wish == Wish.LEAVE || wish == Wish.STAY;
  }

  /** Who is registered, as the array has just shown, and when it was asked. */
  public void sawKeys(Collection<ReservationKey> keys, long askedMillis, long now) {
    registered = Set.copyOf(keys);
    silent.retainAll(registered);
    clearing.removeIf(this::mayWrite); // it was said that it is off
    rules.sawKeys(keys, askedMillis, now);
  }

  /**
   * See {@link SlotRules#isOvertaken}: the array is to be asked at once whether this node holds.
   */
  public boolean isOvertaken() {
    return rules.isOvertaken();
  }

  /** See {@link SlotRules#isBelowOthers}: without XFS attached the tenure is to begin anew. */
  public boolean isBelowOthers() {
    return rules.isBelowOthers();
  }

  /** The array has shown that it does, asked after all that was read. */
  public void isStillOurs() {
    rules.isStillOurs();
  }

  /** Who was shut out, as its slot says, and is registered: as the holder, seen last. */
  public List<Outcast> outcasts() {
    return rules.outcasts();
  }

  /** That this incarnation was shut out, as its slot says; null: none does. */
  public @Nullable Outcast outcast(ReservationKey key) {
    return table.outcast(key);
  }

  /** Who was shut out, as its slot says, and could write by this key; null: nobody. */
  public @Nullable Outcast outcastBy(ReservationKey path) {
    return table.beats().stream()
        .map(beat -> table.outcast(beat.key()))
        .filter(outcast -> outcast != null && outcast.writesBy(path))
        .findFirst()
        .orElse(null);
  }

  /** The keys by which it could write, of those that were registered when that was seen last. */
  public List<ReservationKey> pathsOf(Outcast outcast) {
    return registered.stream().filter(outcast::writesBy).toList();
  }

  /**
   * What came of the command under way.
   *
   * @return false when the array has refused a write of ours: the registration is to be looked at
   */
  public boolean answered(DiskAnswer answer, long now) {
    DiskCommand asked = pending;
    pending = null;
    if (asked == null) {
      throw new IllegalStateException("an answer to no question: " + answer);
    }
    switch (asked) {
      case DiskCommand.Open _ -> opened(answer, now);
      case DiskCommand.ReadBeats _ -> read(answer, now);
      case DiskCommand.WriteBeat write -> {
        return wrote(write, answer, now);
      }
      case DiskCommand.FreeSlot free -> {
        rules.written(answer instanceof DiskAnswer.Written);
        if (free.slot() != freeing) {
          gone = true;
        } else if (!(answer instanceof DiskAnswer.Written)) {
          rest(freeingFor, now);
          ownFailed = false;
          retryDue = now + Math.min(RETRY_MILLIS, settings.beatMillis());
          rules.giveNothingBefore(now + SlotTable.REST_MILLIS);
        }
        freeing = -1;
        return !(answer instanceof DiskAnswer.Refused);
      }
    }
    return true;
  }

  private void opened(DiskAnswer answer, long now) {
    if (answer instanceof DiskAnswer.Opened) {
      place = Place.OPEN;
      cycleDue = now;
    } else {
      retryDue = now + settings.beatMillis();
      readTrouble(Action.Level.WARN, "the lock state cannot be opened: " + answer);
    }
  }

  private void read(DiskAnswer answer, long now) {
    switch (answer) {
      case DiskAnswer.Beats beats -> {
        suspicion.read(beats.slots(), askedAt, now);
        int before = rules.slot();
        rules.read(beats.slots());
        readTick = askedTick;
        readAt = now;
        afterReading(before, now);
      }
      case DiskAnswer.Foreign foreign -> end(foreign.why());
      case DiskAnswer other -> {
        suspicion.readFailed();
        rules.readFailed();
        retryDue = now + settings.beatMillis();
        readTrouble(Action.Level.WARN, "the heartbeats cannot be read: " + other);
      }
    }
  }

  private void afterReading(int before, long now) {
    looked = true;
    lookedSinceWrite = true;
    int slot = rules.slot();
    if (before >= 0 && before != slot) {
      onDisk = null; // what was written there says nothing of another slot
    }
    if (before >= 0 && slot < 0) {
      readTrouble(
          Action.Level.WARN,
          "heartbeat slot " + before + " is not ours any more: " + table.slots().get(before));
    } else if (!table.isCredible()) {
      readTrouble(Action.Level.WARN, "most heartbeat slots are no records: " + table.damage());
    } else if (!table.damage().isEmpty()) {
      readTrouble(Action.Level.WARN, "heartbeat slots that are no records: " + table.damage());
    } else {
      readTrouble(Action.Level.INFO, "");
    }
    if (slot >= 0 && table.slots().get(slot) instanceof Slot.Taken taken) {
      Beat shown = taken.beat();
      if (resuming && !certain && shown.state() != Beat.State.RESERVED) {
        begun = true;
      }
      if (onDisk != null) {
        readBack = shown.sequence() >= onDisk.sequence();
        if (!readBack) {
          // Something from before has landed: the next beat goes over it.
          doubtUntil = now + SlotTable.REST_MILLIS;
          retryDue = now + Math.min(RETRY_MILLIS, settings.beatMillis());
          beatOwed = true;
        }
      }
    } else {
      readBack = false;
    }
    certain = certain || begun || !table.hidesOne();
    if (table.isFenced(standing.key())) {
      shutOut = true;
      end("another node has shut this incarnation out, and says so in its slot");
    }
    noteSilence();
  }

  private boolean wrote(DiskCommand.WriteBeat write, DiskAnswer answer, long now) {
    rules.written(answer instanceof DiskAnswer.Written);
    boolean own = write.beat().key().equals(standing.key());
    ownFailed = own && !(answer instanceof DiskAnswer.Written);
    if (!own && !(answer instanceof DiskAnswer.Written)) {
      rest(write.beat().key(), now);
    }
    switch (answer) {
      case DiskAnswer.Written _ -> {
        if (own) {
          failingSince = Long.MAX_VALUE;
          onDisk = write.beat();
          beatOwed = false;
          readBack = false;
          lookedSinceWrite = false;
          writeTrouble("");
          if (write.beat().state() == Beat.State.ALIVE) {
            begun = true;
            beatenAt = Math.max(beatenAt, askedAt);
          }
          gone |= write.beat().state() == Beat.State.LEFT;
        }
      }
      case DiskAnswer.Refused _ -> {
        retryDue = now + settings.beatMillis();
        return false;
      }
      case DiskAnswer other -> {
        retryDue = now + Math.min(RETRY_MILLIS, settings.beatMillis());
        doubtUntil = now + SlotTable.REST_MILLIS;
        writeTrouble("heartbeat slot " + write.slot() + " cannot be written: " + other);
        if (own) {
          readBack = false;
          beatOwed = true;
          giveUpSlot(write.slot(), now);
        } else {
          rules.giveNothingBefore(now + SlotTable.REST_MILLIS);
        }
      }
    }
    return true;
  }

  private void giveUpSlot(int slot, long now) {
    failingSince = Math.min(failingSince, askedAt);
    if (now - failingSince >= settings.leaseMillis() / GIVE_UP_PART) {
      failingSince = Long.MAX_VALUE;
      rules.giveUp(slot);
      notes.add(
          new Action.Note(
              Action.Level.WARN, "heartbeat slot " + slot + " is given up for another"));
    }
  }

  private void end(String why) {
    if (rules.over() == null) {
      rules.end(why);
      notes.add(
          new Action.Note(
              Action.Level.ERROR,
              "no more heartbeats: "
                  + why
                  + (isRequired() ? "; this node stops when its lease ends" : "")));
    }
  }

  /** Said once, until something else is so. */
  private void readTrouble(Action.Level level, String text) {
    if (!text.equals(readTrouble)) {
      readTrouble = text;
      notes.add(
          new Action.Note(
              level, text.isEmpty() ? "all heartbeat slots can be read, and are records" : text));
    }
  }

  /** Said once, until a write of ours is on disk again. */
  private void writeTrouble(String text) {
    if (!text.equals(writeTrouble)) {
      writeTrouble = text;
      notes.add(
          new Action.Note(
              text.isEmpty() ? Action.Level.INFO : Action.Level.WARN,
              text.isEmpty() ? "the heartbeat is written again" : text));
    }
  }

  private void noteSilence() {
    long limit = settings.leaseMillis();
    for (Beat beat : table.beats()) {
      ReservationKey key = beat.key();
      if (registered.contains(key)) {
        long silence = key.equals(standing.key()) ? -1 : suspicion.silentFor(key);
        if (silence >= limit && silent.add(key)) {
          notes.add(
              new Action.Note(
                  Action.Level.WARN,
                  "node "
                      + key.nodeName()
                      + " ("
                      + beat.host()
                      + ") has not written its heartbeat for "
                      + silence
                      + " ms"));
        } else if (silence < limit && silent.remove(key)) {
          notes.add(
              new Action.Note(
                  Action.Level.INFO, "node " + key.nodeName() + " writes its heartbeat again"));
        }
      }
    }
  }

  // ---- what goes out ----

  public List<Action.Note> takeNotes() {
    List<Action.Note> taken = List.copyOf(notes);
    notes.clear();
    return taken;
  }

  /** The next command, if there is one now and none is under way. */
  public @Nullable DiskCommand next(long now) {
    if (pending != null) {
      return null;
    }
    DiskCommand next = choose(now);
    if (next != null) {
      pending = next;
      askedAt = now;
      askedTick = ++ticks;
      if (next instanceof DiskCommand.ReadBeats) {
        rules.ask(now);
        if (now >= cycleDue) {
          cycleDue = now + settings.beatMillis();
          beatOwed = true;
        }
      }
    }
    return next;
  }

  private @Nullable DiskCommand choose(long now) {
    LockstateMap where = map;
    if (where == null || rules.over() != null || gone || now < retryDue) {
      return null;
    }
    if (place == Place.TOLD) {
      return new DiskCommand.Open(where);
    }
    if (attachWaits
        && standing.holder()
        && onDisk != null
        && !lookedSinceWrite
        && now < doubtUntil) {
      return new DiskCommand.ReadBeats();
    }
    if (readWantedSince > readTick) {
      return new DiskCommand.ReadBeats();
    }
    DiskCommand better = table.isAvoided(rules.slot()) ? gift(now) : null;
    if (better != null) {
      return better;
    }
    boolean owed = isOwnRecordUrgent() || (beatOwed && standing.wish() == Wish.BEAT);
    boolean own = rules.slot() >= 0 && owed && !isHeldBack();
    // Our own first: the lease needs it. If it was that what failed last, it is another's turn.
    DiskCommand others = own && !ownFailed ? null : forOthers(now);
    if (others != null) {
      return others;
    }
    if (own) {
      return rules.mayWriteOwn(now) ? ownRecord(now) : new DiskCommand.ReadBeats();
    }
    return now >= cycleDue ? new DiskCommand.ReadBeats() : null;
  }

  /** As the holder: into slots of others. */
  private @Nullable DiskCommand forOthers(long now) {
    DiskCommand mark = mark(now);
    if (mark != null) {
      return mark;
    }
    DiskCommand clear = clearing(now);
    return clear != null ? clear : gift(now);
  }

  /** It would say that this node is alive, or would be, and another may be the holder. */
  private boolean isHeldBack() {
    return rules.isOvertaken() && (standing.wish() == Wish.BEAT || standing.wish() == Wish.PAUSE);
  }

  /** Whether what is on disk of ours says something else than it should, so that others wait. */
  private boolean isOwnRecordUrgent() {
    Beat last = onDisk;
    return switch (standing.wish()) {
      case NOTHING -> false;
      case BEAT ->
          last == null
              || last.state() != Beat.State.ALIVE
              || (standing.holder() && last.epoch() < standing.epoch());
      case PAUSE -> begun && (last == null || last.state() != Beat.State.PAUSED);
      case LEAVE -> true;
      case STAY -> last == null || last.state() != Beat.State.LEFT;
    };
  }

  private DiskCommand ownRecord(long now) {
    long epoch = Math.max(standing.epoch(), table.maxEpoch());
    if (standing.wish() == Wish.LEAVE) {
      return rules.free(epoch, now);
    }
    if (standing.wish() == Wish.STAY) {
      return rules.left(epoch, settings.host(), now);
    }
    beatOwed = false;
    Beat.State state = standing.wish() == Wish.PAUSE ? Beat.State.PAUSED : Beat.State.ALIVE;
    return rules.beat(state, epoch, settings.leaseMillis(), settings.host(), now);
  }

  /** Marks a slot of who was shut out; a reading, where one is needed for it. */
  private @Nullable DiskCommand mark(long now) {
    if (standing.wish() != Wish.BEAT) {
      return null;
    }
    for (Fenced proof : rules.fenced()) {
      if (rests(proof.victim(), now)) {
        continue;
      }
      Silence silence = suspicion.proof(proof.victim(), silenceMillis, now);
      for (int slot : table.slotsOf(proof.victim())) {
        if (silence != null && rules.mayMark(slot, proof, silence, now)) {
          long epoch = Math.max(standing.epoch(), table.maxEpoch());
          return rules.mark(slot, proof, silence, epoch, now);
        }
        if (silence != null
            && !rules.isBasis(now)
            && rules.isBasisAfterReading(now)
            && table.canMark(slot, proof.victim())) {
          return new DiskCommand.ReadBeats();
        }
      }
    }
    return null;
  }

  /** Frees a slot of who was shut out and is off; a reading, where one is needed for it. */
  private @Nullable DiskCommand clearing(long now) {
    clearing.removeIf(key -> !table.isFenced(key));
    if (standing.wish() != Wish.BEAT) {
      return null;
    }
    for (ReservationKey key : clearing) {
      if (rests(key, now)) {
        continue;
      }
      for (int slot : table.slotsOf(key)) {
        if (rules.mayClear(slot, key, now)) {
          freeing = slot;
          freeingFor = key;
          return rules.clear(slot, key, Math.max(standing.epoch(), table.maxEpoch()), now);
        }
        if (!rules.isBasis(now) && rules.mayGiveAfterReading(now) && table.saysFenced(slot, key)) {
          return new DiskCommand.ReadBeats();
        }
      }
    }
    return null;
  }

  /** A slot for who has none; a reading, where one is needed for it. */
  private @Nullable DiskCommand gift(long now) {
    if (standing.wish() == Wish.STAY && canGiveItself(now)) {
      return rules.isBasis(now)
          ? rules.giveLeft(Math.max(standing.epoch(), table.maxEpoch()), settings.host(), now)
          : new DiskCommand.ReadBeats();
    }
    if (standing.wish() != Wish.BEAT) {
      return null;
    }
    for (ReservationKey key : rules.registered()) {
      if (needsSlot(key) && rules.mayGiveAfterReading(key, now) && rules.slotFor(key, now) >= 0) {
        return rules.mayGive(key, now)
            ? rules.give(
                key,
                Math.max(standing.epoch(), table.maxEpoch()),
                settings.leaseMillis(),
                settings.host(),
                now)
            : new DiskCommand.ReadBeats();
      }
    }
    return null;
  }

  /** It holds the reservation, has no slot, and can have one. */
  private boolean canGiveItself(long now) {
    return rules.slot() < 0
        && !hasLeft()
        && !table.isFenced(standing.key())
        && rules.registered().contains(standing.key())
        && rules.mayGiveLeftAfterReading(now);
  }

  private boolean needsSlot(ReservationKey key) {
    if (table.isFenced(key)) {
      return false; // it was shut out: only a later life of its node has one again
    }
    int count = table.countOf(key);
    if (key.equals(standing.key())) {
      // Of its own earlier lives nothing is waited for, and members tell of what its slot says.
      return (rules.slot() < 0 || table.isAvoided(rules.slot())) && count < 2;
    }
    if (settling && table.beats().stream().anyMatch(beat -> isUnsettledLife(beat, key))) {
      return false; // the slot is what is left to know of that life
    }
    return count < 2
        && suspicion.pausedFor(key) < 0
        && table.slotsOf(key).stream().allMatch(i -> suspicion.stillFor(i) >= GIVE_AGAIN_MILLIS);
  }

  /** A slot that does not take what it should say is left alone for a while. */
  private void rest(ReservationKey key, long now) {
    restUntil.put(key, now + settings.leaseMillis() / REST_PART);
  }

  private boolean rests(ReservationKey key, long now) {
    return restUntil.getOrDefault(key, Long.MIN_VALUE) > now;
  }

  /** When there may be something to do that no answer brings. */
  public long due(long now) {
    if (pending != null || map == null || rules.over() != null || gone) {
      return Long.MAX_VALUE;
    }
    return now < retryDue ? retryDue : cycleDue;
  }

  private static boolean isUnsettledLife(Beat beat, ReservationKey key) {
    return SlotTable.wasToBeat(beat)
        && beat.key().nodeId() == key.nodeId()
        && !beat.key().equals(key);
  }

  // ---- what others ask ----

  /** Whether its slot says that this node was shut out: it never registers or attaches again. */
  public boolean isShutOut() {
    return shutOut;
  }

  /** That this node has been silent for so long, as the last reading shows; null: not known. */
  public @Nullable Silence silence(ReservationKey key, long atLeastMillis, long now) {
    return suspicion.proof(key, atLeastMillis, now);
  }

  /**
   * As the holder, before XFS is attached: who was shut out and is not marked yet, also where it is
   * registered again; null: that is not known yet. Where it can never be known it is waited for as
   * long as a command can live: a slot that was damaged before it was ever read may hide one; where
   * the look for the lock state failed, or the slots are not read any more, any may.
   */
  public @Nullable List<ReservationKey> unsettled(long now) {
    if (place == Place.NONE && nobodys) {
      return List.of();
    }
    settle(true);
    boolean over = holderSince <= now && now - holderSince >= SlotTable.REST_MILLIS;
    if (table.hidesOne() && !over) {
      return null;
    }
    boolean blind =
        place == Place.NONE || rules.over() != null || now - readAt >= SlotTable.REST_MILLIS;
    return blind
        ? over ? rules.victimsThatAreRegistered() : null
        : rules.unsettled(key -> over && !isTold() && suspicion.isBeating(key));
  }

  /**
   * Whether others can read of our tenure. Where this node has no slot they cannot, and say nothing
   * of it: then it is waited as long as a command can live, and who is seen to beat is a member.
   */
  private boolean isTold() {
    Beat last = onDisk;
    return last != null && rules.slot() >= 0 && last.epoch() >= standing.epoch();
  }

  /**
   * For how long this node's record is known to stand still, though it said that it would beat, or
   * would be silent for a while; -1: it did not.
   */
  public long stillFor(ReservationKey key) {
    return Math.max(suspicion.silentFor(key), suspicion.pausedFor(key));
  }

  /** That this incarnation has left, as its slot says; null: none does. */
  public @Nullable Departed departed(ReservationKey key) {
    return table.departed(key);
  }

  /** Whether our own slot says so. */
  public boolean hasLeft() {
    Beat last = onDisk;
    return (last != null && last.state() == Beat.State.LEFT)
        || table.departed(standing.key()) != null;
  }

  private boolean isUnsettled(Beat beat) {
    return beat.state() == Beat.State.ALIVE
        && beat.key().nodeId() != standing.key().nodeId()
        && table.departed(beat.key()) == null;
  }

  /**
   * A person says that this incarnation, which was shut out, is off for certain: as the holder its
   * slot is freed, and with that it is forgotten. That is so no more when its key is seen
   * registered.
   */
  public void clear(ReservationKey key) {
    if (standing.holder() && !mayWrite(key)) {
      clearing.add(key);
    }
  }

  /** By its own key, or by one of an earlier life of its node. */
  private boolean mayWrite(ReservationKey key) {
    return registered.stream().anyMatch(other -> other.isOfLifeUpTo(key));
  }

  /** Who is to be accounted for, as far as it was ever read. */
  public Roll roll() {
    return new Roll(
        table.beats().stream().filter(beat -> table.isFenced(beat.key())).toList(),
        table.beats().stream().filter(this::isUnsettled).toList());
  }

  /**
   * Whether {@link #roll} names everybody: all slots but our own were read on a question of after
   * that; or nobody has ever had one. What was read before says nothing of who was shut out since.
   */
  public boolean knowsAll(long mark) {
    return place == Place.NONE ? neverUsed : readTick > mark && table.isWhole(rules.slot());
  }

  /** The sequence of the record that says that this key was to beat; -1: none does. */
  public long sequenceOf(ReservationKey key) {
    return table.beats().stream()
        .filter(beat -> beat.key().equals(key) && SlotTable.wasToBeat(beat))
        .mapToLong(Beat::sequence)
        .max()
        .orElse(-1);
  }

  /** Nobody is unsettled any more. */
  public void settled() {
    settle(false);
  }

  private void settle(boolean now) {
    settling = now;
    table.keepTheMissing(now);
  }

  /**
   * This was shut out, and nothing of it is under way: its slot is marked, once it is seen to be
   * silent for so long after that.
   */
  public void shutOut(Fenced proof, long silence) {
    silenceMillis = silence;
    rules.shutOut(proof);
  }

  /**
   * As the holder: who is registered, has not told of this tenure and has been silent for so long.
   * It may be a member that is dead, or one that was shut out, whom a REGISTER of its own has let
   * in again, and a beat that landed over what its slot said.
   */
  public List<ReservationKey> silentStrangers(long atLeastMillis, long now) {
    return rules.strangers().stream()
        .filter(key -> suspicion.proof(key, atLeastMillis, now) != null)
        .toList();
  }

  /** Who of these was to beat, and has not told of a tenure of this epoch, as was read last. */
  public List<ReservationKey> strangers(Collection<ReservationKey> among, long epoch) {
    return table.unsettled(among, standing.key(), key -> table.isMemberOf(key, epoch)).stream()
        .filter(among::contains)
        .toList();
  }

  /** See {@link SlotRules#isOverwritten}. */
  public boolean isOverwritten(ReservationKey key) {
    return rules.isOverwritten(key);
  }

  /** Whether that was proven of this key in this tenure, and still holds. */
  public boolean isProven(ReservationKey key) {
    return rules.fenced().stream().anyMatch(proof -> proof.victim().equals(key));
  }

  /** What was proven of this key may be so no more. */
  public void forgetProof(ReservationKey key) {
    rules.forgetProof(key);
  }

  /** As the holder: this is shut out; see {@link #unsettled}. */
  public void victim(ReservationKey key) {
    rules.victim(key);
  }

  /** Numbers of readings: the last one that was asked for, and the last good one. */
  public long askedReading() {
    return rules.askedReading();
  }

  public long goodReading() {
    return rules.goodReading();
  }

  /**
   * Whether the lease needs a beat: this key has beaten, or may have before this daemon began. A
   * key that never had a slot is held to nothing.
   */
  public boolean isRequired() {
    return begun || (resuming && !certain);
  }

  /** Whether beats have ended for good, and the lease needs them: this node is to stop. */
  public boolean isDoomed() {
    return rules.over() != null && isRequired();
  }

  /** When the last beat was asked for that is on disk. */
  public long beatenAt() {
    return beatenAt;
  }

  /** The highest epoch on disk, as far as it was read. */
  public long maxEpoch() {
    return table.maxEpoch();
  }

  /** Now, for {@link #hasReadSince}. */
  public long mark() {
    return ++ticks;
  }

  /** Whether the slots were read on a question of after that, or never will be; else they are. */
  public boolean hasReadSince(long mark) {
    if (place == Place.NONE || rules.over() != null || gone || readTick > mark) {
      return true;
    }
    readWantedSince = Math.max(readWantedSince, mark);
    return false;
  }

  /** Whether a tenure's epoch is on disk, so that XFS may be attached. */
  public Verdict mayAttach(long epoch, long now) {
    Verdict verdict = judgeAttach(epoch, now);
    attachWaits = verdict != Verdict.YES;
    return verdict;
  }

  private Verdict judgeAttach(long epoch, long now) {
    if (rules.isBelowOthers()) {
      return Verdict.NOT_YET; // the array is asked, and then there is another tenure, or none
    }
    if (isOnDisk(epoch, now)) {
      return Verdict.YES;
    }
    if (rules.over() != null) {
      return isRequired() ? Verdict.NO : Verdict.YES; // nothing will ever be written
    }
    if (!isRequired() && place == Place.NONE) {
      return Verdict.YES;
    }
    if (waitedFor != epoch) {
      waitedFor = epoch;
      waitedSince = now;
    }
    if (!isRequired() && place == Place.OPEN && looked && hasNoSlotToGet(now)) {
      return Verdict.YES;
    }
    if (now - waitedSince < settings.patienceMillis()) {
      return Verdict.NOT_YET;
    }
    return isRequired() ? Verdict.NO : Verdict.YES;
  }

  /** Until when {@link #mayAttach} may still say "not yet". */
  public long patienceEnds() {
    return waitedSince + settings.patienceMillis();
  }

  private boolean hasNoSlotToGet(long now) {
    return rules.slot() < 0
        && pending == null
        && (!table.isCredible()
            || !rules.mayGiveAfterReading(standing.key(), now)
            || rules.slotFor(standing.key(), now) < 0);
  }

  private boolean isOnDisk(long epoch, long now) {
    Beat last = onDisk;
    return last != null
        && rules.slot() >= 0
        && last.state() == Beat.State.ALIVE
        && last.epoch() >= epoch
        && (now >= doubtUntil || readBack);
  }

  /**
   * Whether the last record before a silence, or before leaving, is written, or there is none to
   * write; it is waited for so long and no longer.
   */
  public boolean isLastRecordWritten(long patienceMillis, long now) {
    if (map == null || rules.over() != null || gone) {
      return true;
    }
    if (isLast(standing.wish()) && now - lastRecordSince >= patienceMillis) {
      return true;
    }
    if (isWriting()) {
      return false;
    }
    if (rules.slot() < 0) {
      return standing.wish() != Wish.STAY || !canGiveItself(now);
    }
    Beat last = onDisk;
    boolean pausing = last != null && last.state() == Beat.State.PAUSED;
    return standing.wish() == Wish.PAUSE && (pausing || !begun);
  }

  /** Until when {@link #isLastRecordWritten} may still say no. */
  public long lastRecordEnds(long patienceMillis) {
    return lastRecordSince == Long.MAX_VALUE ? Long.MAX_VALUE : lastRecordSince + patienceMillis;
  }

  /**
   * Whether a write is under way: who is not registered waits for its end before it registers, for
   * by then another may have given the slot anew.
   */
  public boolean isWriting() {
    return pending instanceof DiskCommand.WriteBeat || pending instanceof DiskCommand.FreeSlot;
  }

  /** Whether this node has a slot, or can get one, if only when one has rested. */
  public Verdict hasRoom() {
    if (place == Place.NONE || rules.over() != null || rules.slot() >= 0) {
      return Verdict.YES;
    }
    if (!looked || place != Place.OPEN) {
      return Verdict.NOT_YET;
    }
    if (registered.isEmpty()) {
      return Verdict.NOT_YET;
    }
    boolean room = !table.isCredible() || table.hasRoomFor(standing.key(), registered);
    return room ? Verdict.YES : Verdict.NO;
  }

  /** Why it is not as it should be; empty when it is. */
  public String trouble() {
    String over = rules.over();
    return over != null ? over : writeTrouble.isEmpty() ? readTrouble : writeTrouble;
  }
}
