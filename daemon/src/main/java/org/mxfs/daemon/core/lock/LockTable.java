// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * This node as the master of resources: grants, calls back, keeps records on disk.
 *
 * <p><b>Disk record before grant.</b> A grant in any mode above NL has a slot, and its owner is
 * told when the record is on disk. In memory it counts from when it is decided. A record may say
 * more than is held (a conversion down, a release that is still to be written), never less. When
 * masters change, the record of the one before stays until the new one has its own; see {@link
 * SlotPool}.
 *
 * <p><b>Grace.</b> Under a new view the table begins empty and is filled by the holders. Until
 * every node of the view has stated all it has or is cleared, every suspect is cleared, and the
 * records of what was stated are on disk, requests wait and nothing is granted; releases and
 * conversions down are taken. Locks that the slots here do not suffice for go without a record
 * until others are given back: better than to wait, for their holders may be waiting themselves.
 *
 * <p><b>Slots run out:</b> the locks that were granted longest ago are called back, more at a time
 * the longer it takes, over and over, and requests wait. When all have been called and nothing
 * comes back for some seconds, all are in use, perhaps by owners who wait for just these requests:
 * those are refused.
 *
 * <p><b>Death.</b> What a dead node asked for goes at once; what it holds goes when the proof is
 * there that it can write no more, and after this table's records of it are tombstones on disk. If
 * it could have written a value block, that is not valid any more.
 */
final class LockTable {
  private static final long RECLAIM_MILLIS = 1_000;
  private static final long POSTPONED_MILLIS = 50;
  private static final int RECLAIM_AT_ONCE = 4;
  private static final int RECLAIM_DOUBLINGS = 8;
  private static final int ROUNDS_IN_VAIN_MAX = 5;

  /** A request that waits long looks for a circle less and less often, to this many times. */
  private static final int PROBE_LATER_MAX = 8;

  private final LockSettings settings;
  private final LockOutbox out;
  private final Links links;
  private final SlotPool slots;
  private final GrantBatch batch;

  private Map<ResourceId, Resource> resources = new LinkedHashMap<>();
  private Map<LockId, Lock> locks = new LinkedHashMap<>();

  /** Values of resources that were forgotten had versions up to this one. */
  private long forgottenVersion;

  /** Locks with a slot, the one that was granted, or called back for it, longest ago first. */
  private final Map<LockId, Lock> aged = new LinkedHashMap<>();

  /** Resources whose next grant needs a slot, first come first served. */
  private final Set<Resource> needSlot = new LinkedHashSet<>();

  private final Set<Resource> contended = new LinkedHashSet<>();

  /** Holders that are in the way and whose node hears nothing. */
  private final Map<LockId, Lock> postponed = new LinkedHashMap<>();

  private long postponedUntil;
  private long reclaimAt = Long.MAX_VALUE;

  /** Which time all locks are called back for their slots. */
  private long pass = 1;

  /** Rounds since a slot came back. */
  private int rounds;

  /** Of these, rounds since all had been called. */
  private int roundsInVain;

  private boolean allCalled;

  /** When the next request looks for a circle. */
  private record Due(long at, long order, Lock lock, Lock.Request request)
      implements Comparable<Due> {
    @Override
    public int compareTo(Due other) {
      return at != other.at ? Long.compare(at, other.at) : Long.compare(order, other.order);
    }
  }

  private final PriorityQueue<Due> toProbe = new PriorityQueue<>();
  private long probes;

  private @Nullable View view;
  private boolean grace = true;
  private final Set<ReservationKey> toRestate = new HashSet<>();
  private final Set<ReservationKey> suspects = new HashSet<>();

  /** What the masters before say of value blocks: not if a node died of which nothing is known. */
  private boolean mastersAreBelieved = true;

  /** Locks that were stated and have no record, for want of a slot. */
  private final Map<LockId, Lock> unrecorded = new LinkedHashMap<>();

  /** The other masters know that all that was stated here is recorded. */
  private boolean recordedTold;

  /** All that was stated here is recorded when this write is done; 0: not all has a slot yet. */
  private long recordedBy;

  /** Dead nodes, and the last of the tombstones that have to be on disk before their locks go. */
  private final Map<ReservationKey, Long> clearing = new LinkedHashMap<>();

  private long strange;

  LockTable(LockSettings settings, LockOutbox out, Links links) {
    this.settings = settings;
    this.out = out;
    this.links = links;
    slots = new SlotPool(settings.self(), settings.firstSlot(), settings.slots());
    batch = new GrantBatch(settings.batchMax(), out);
  }

  // ---- a new view ----

  /** What the masters under {@code next} should know of the value blocks that are kept here. */
  List<LockMessage.RestateValue> values(View next) {
    List<LockMessage.RestateValue> values = new ArrayList<>();
    for (Resource resource : resources.values()) {
      LockId writer = null;
      for (Lock lock : resource.granted.values()) {
        writer = couldWrite(lock) ? lock.id : writer;
      }
      ValueBlock value = resource.value;
      if (writer != null && !next.nodes().contains(writer.node())) {
        value = value.invalidated();
        writer = null;
      }
      LockMessage.Source source = grace ? LockMessage.Source.HEARSAY : LockMessage.Source.MASTER;
      values.add(new LockMessage.RestateValue(resource.id, value, source, writer));
    }
    return values;
  }

  /** A record of an earlier daemon. */
  void found(int slot, long number, SlotWrite.@Nullable Entry entry) {
    if (view != null || !clearing.isEmpty()) {
      throw new IllegalStateException("what is on disk is known before anything happens");
    }
    batch.found(number);
    if (entry != null) {
      slots.leave(slot, entry);
    }
  }

  void begin(View next) {
    for (Lock lock : locks.values()) {
      if (lock.slot != Lock.NO_SLOT && lock.mode != null) {
        slots.leave(lock.slot, entry(lock, lock.mode));
      }
    }
    slots.begin(next);
    resources = new LinkedHashMap<>();
    locks = new LinkedHashMap<>();
    aged.clear();
    needSlot.clear();
    contended.clear();
    postponed.clear();
    unrecorded.clear();
    recordedTold = false;
    recordedBy = 0;
    toProbe.clear();
    toRestate.clear();
    toRestate.addAll(next.nodes());
    suspects.clear();
    suspects.addAll(next.suspects());
    mastersAreBelieved = true;
    view = next;
    grace = true;
  }

  void take(ReservationKey from, LockMessage.Restate m) {
    LockId id = new LockId(from, m.lock());
    if (!toRestate.contains(from) || locks.containsKey(id)) {
      strange++;
      return;
    }
    Resource resource = resource(m.resource());
    Lock lock = new Lock(id, resource);
    locks.put(id, lock);
    resource.stated.add(id);
    Mode held = m.held();
    if (held != null) {
      resource.restated = true;
      resource.hold(lock, held);
      lock.sequence = m.heldSequence();
      lock.told = true;
      lock.toldMode = held;
      resource.value = ValueBlock.later(resource.value, m.value());
      resource.heldFast |= held.keepsValue() && m.value().isValid();
      resource.forgotten |= held.mayWriteValue() && !m.value().isValid();
      if (held != Mode.NL) {
        record(lock, held);
      }
    }
    LockMessage.Pending pending = m.pending();
    if (pending != null) {
      resource.restated |= pending.ticket() != LockMessage.Pending.NO_TICKET;
      ask(
          lock,
          pending.sequence(),
          pending.mode(),
          pending.noQueue(),
          pending.priority(),
          pending.ticket());
    }
  }

  /** One that was there before is made by who states it; else its value is nobody's yet. */
  private Resource resource(ResourceId id) {
    Resource resource = resources.get(id);
    if (resource == null) {
      // What an earlier resource of this name had may still be stated under a later view.
      boolean anew = !grace && forgottenVersion > 0;
      ValueBlock value =
          anew
              ? new ValueBlock(forgottenVersion + 1, true, new byte[ValueBlock.SIZE])
              : ValueBlock.NONE;
      resource = new Resource(id, value);
      resources.put(id, resource);
    }
    return resource;
  }

  /**
   * Gives a lock that was stated its record. One that it has here already is written over, in
   * place, where it says another mode.
   */
  private void record(Lock lock, Mode held) {
    SlotWrite.Entry entry = entry(lock, held);
    SlotPool.Left before = slots.reuse(lock.id);
    if (before != null) {
      lock.slot = before.slot();
    } else if (slots.hasFree()) {
      lock.slot = slots.take();
    } else {
      unrecorded.put(lock.id, lock);
      wantSlot();
      return;
    }
    if (before == null || !before.entry().equals(entry)) {
      batch.write(lock.slot, entry, null);
    }
    aged.put(lock.id, lock);
  }

  void take(ReservationKey from, LockMessage.RestateValue m) {
    if (!toRestate.contains(from)) {
      strange++;
      return;
    }
    Resource resource = resource(m.resource());
    resource.restated = true;
    resource.value = ValueBlock.later(resource.value, m.value());
    switch (m.source()) {
      case MASTER -> {
        resource.certain = true;
        resource.writer = m.writer();
      }
      case HEARSAY -> {}
      case WRITER -> resource.toldBy.add(from);
    }
  }

  void restated(ReservationKey from) {
    if (toRestate.remove(from)) {
      slots.heard(from);
    }
  }

  boolean isGrace() {
    return grace;
  }

  private void endGraceIfComplete() {
    if (!grace || view == null || !toRestate.isEmpty() || !suspects.isEmpty()) {
      return;
    }
    if (!clearing.isEmpty() || !batch.isIdle()) {
      return;
    }
    grace = false;
    for (Resource resource : List.copyOf(resources.values())) {
      rebuilt(resource);
    }
    out.add(new LockAction.GraceEnded(view.id()));
  }

  private void rebuilt(Resource resource) {
    for (Lock lock : resource.granted.values()) {
      if (lock.mode != null && !resource.fits(lock, lock.mode)) {
        throw new IllegalStateException(
            resource.id + " is held by nodes that exclude each other: " + resource.granted);
      }
    }
    boolean certain = resource.heldFast || (resource.certain && mastersAreBelieved);
    if (resource.restated && (!certain || resource.forgotten || isWriteLost(resource))) {
      resource.value = resource.value.doubted();
    }
    resource.stated.clear();
    resource.sort();
    List<Lock> queue = new ArrayList<>(resource.converting);
    queue.addAll(resource.waiting);
    // Those who have a place keep its number: some may not hear of another one before the next
    // view, and would be taken for earlier, or later, than they are.
    for (Lock lock : queue) {
      long ticket = lock.wanted().ticket;
      if (ticket != LockMessage.Pending.NO_TICKET) {
        resource.nextTicket = Math.max(resource.nextTicket, ticket + 1);
      }
    }
    for (Lock lock : queue) {
      if (lock.wanted().ticket == LockMessage.Pending.NO_TICKET) {
        lock.wanted().ticket = resource.nextTicket++;
      }
    }
    resource.askAnew();
    grantWhatFits(resource);
    for (Lock lock : queue.reversed()) {
      if (lock.request != null) {
        settle(lock);
      }
    }
    grantWhatFits(resource);
    callBack(resource);
    forgetIfUnused(resource);
  }

  /**
   * Somebody could write, has given the lock up, and has not told what he wrote. Who states the
   * lock has not: what he wrote by converting it down he has told, or his last master knew; and a
   * grant that did not reach him he states as a request.
   */
  private static boolean isWriteLost(Resource resource) {
    LockId writer = resource.writer;
    return writer != null
        && !resource.toldBy.contains(writer.node())
        && !resource.stated.contains(writer);
  }

  // ---- requests ----

  void take(ReservationKey from, LockMessage.Acquire m) {
    LockId id = new LockId(from, m.lock());
    if (locks.containsKey(id)) {
      strange++;
      return;
    }
    if (locks.size() >= settings.locksMax()) {
      links.send(from, new LockMessage.Refused(m.lock(), m.sequence(), Refusal.TOO_MANY));
      return;
    }
    Resource resource = resource(m.resource());
    Lock lock = new Lock(id, resource);
    locks.put(id, lock);
    long ticket = LockMessage.Pending.NO_TICKET;
    ask(lock, m.sequence(), m.mode(), m.noQueue(), m.priority(), ticket);
    decide(lock);
  }

  void take(ReservationKey from, LockMessage.Convert m) {
    Lock lock = held(from, m.lock());
    if (lock == null || lock.mode == null) {
      return;
    }
    Mode held = lock.mode;
    write(lock, m.value());
    if (!m.mode().isWithin(held)) {
      if (!held.isWithin(m.mode())) {
        strange++; // its owner still holds something that this would take away
        return;
      }
      long ticket = LockMessage.Pending.NO_TICKET;
      ask(lock, m.sequence(), m.mode(), m.noQueue(), m.priority(), ticket);
      decide(lock);
      return;
    }
    lock.resource.hold(lock, m.mode());
    lock.toldMode = m.mode();
    lock.sequence = m.sequence();
    lock.called = 0;
    if (m.mode() == Mode.NL) {
      freeSlot(lock);
    } else if (lock.slot != Lock.NO_SLOT) {
      batch.write(lock.slot, entry(lock, m.mode()), null);
    }
    callBack(lock);
    settle(lock.resource);
  }

  void take(ReservationKey from, LockMessage.Release m) {
    Lock lock = held(from, m.lock());
    if (lock == null) {
      return;
    }
    write(lock, m.value());
    forget(lock);
    settle(lock.resource);
  }

  void take(ReservationKey from, LockMessage.Cancel m) {
    Lock lock = locks.get(new LockId(from, m.lock()));
    if (lock == null || lock.request == null || lock.request.sequence != m.sequence()) {
      return; // answered already, and the answer is on its way
    }
    refuse(lock, Refusal.CANCELLED);
  }

  /** Ends a request that waits, for all that wait behind it as well. */
  void refuse(Lock lock, Refusal reason) {
    tellRefused(lock, reason);
    withdraw(lock);
    settle(lock.resource);
  }

  private void tellRefused(Lock lock, Refusal reason) {
    long sequence = lock.wanted().sequence;
    links.send(lock.id.node(), new LockMessage.Refused(lock.id.number(), sequence, reason));
  }

  private void withdraw(Lock lock) {
    lock.resource.dequeue(lock);
    lock.request = null;
    if (lock.mode == null) {
      locks.remove(lock.id);
    }
  }

  /** A lock that is held, and for which nothing is asked: only about such may an owner state. */
  private @Nullable Lock held(ReservationKey from, long number) {
    Lock lock = locks.get(new LockId(from, number));
    if (lock == null || !lock.told || lock.request != null) {
      strange++;
      return null;
    }
    return lock;
  }

  private void ask(
      Lock lock, long sequence, Mode mode, boolean noQueue, int priority, long ticket) {
    long probe = settings.probeMillis();
    Lock.Request request =
        new Lock.Request(sequence, mode, noQueue, priority, ticket, out.now(), probe);
    lock.request = request;
    lock.resource.enqueue(lock);
    contended.add(lock.resource);
    toProbe.add(new Due(request.probeAt, probes++, lock, request));
  }

  /** The last one in its queue has just come. */
  private void decide(Lock lock) {
    if (grace) {
      if (lock.resource.waiters() > settings.waitersMax()) {
        refuse(lock, Refusal.TOO_MANY);
      }
      return;
    }
    grantWhatFits(lock.resource);
    if (lock.request != null) {
      lock.request.ticket = lock.resource.nextTicket++;
      settle(lock);
    }
    settle(lock.resource);
  }

  /** It cannot be granted now: does it wait? */
  private void settle(Lock lock) {
    Lock.Request request = lock.wanted();
    Resource resource = lock.resource;
    if (request.noQueue && !resource.isNext(lock)) {
      refuse(lock, Refusal.WOULD_WAIT);
    } else if (resource.waiters() > settings.waitersMax()) {
      refuse(lock, Refusal.TOO_MANY);
    } else {
      links.send(
          lock.id.node(),
          new LockMessage.Queued(lock.id.number(), request.sequence, request.ticket));
    }
  }

  private void settle(Resource resource) {
    if (!grace) {
      grantWhatFits(resource);
      for (Lock lock = resource.notToWait(); lock != null; lock = resource.notToWait()) {
        tellRefused(lock, Refusal.WOULD_WAIT);
        withdraw(lock);
        grantWhatFits(resource);
      }
    }
    callBack(resource);
    forgetIfUnused(resource);
  }

  private void write(Lock lock, @Nullable ValueBlock value) {
    if (value != null && mayWrite(lock)) {
      lock.resource.value = ValueBlock.later(lock.resource.value, value);
    }
  }

  private static boolean mayWrite(Lock lock) {
    return lock.mode != null && lock.mode.mayWriteValue();
  }

  /** A grant that was not told lets nobody write. */
  private static boolean couldWrite(Lock lock) {
    return lock.toldMode != null && lock.toldMode.mayWriteValue();
  }

  // ---- granting ----

  private void grantWhatFits(Resource resource) {
    for (Lock lock = resource.first(); lock != null; lock = resource.first()) {
      Mode mode = lock.wanted().mode;
      if (!resource.fits(lock, mode)) {
        break;
      }
      if (mode != Mode.NL && lock.slot == Lock.NO_SLOT && !hasSlotFor(resource)) {
        if (needSlot.add(resource)) {
          wantSlot();
        }
        return;
      }
      grant(lock, mode);
    }
    needSlot.remove(resource); // whoever is next, if anybody, waits for something else
  }

  /** Nor does anybody get a slot before those who have waited for one. */
  private boolean hasSlotFor(Resource resource) {
    return slots.hasFree()
        && unrecorded.isEmpty()
        && (needSlot.isEmpty() || needSlot.iterator().next() == resource);
  }

  private void grant(Lock lock, Mode mode) {
    lock.resource.dequeue(lock);
    lock.sequence = lock.wanted().sequence;
    lock.request = null;
    lock.resource.hold(lock, mode);
    lock.called = 0;
    lock.told = false;
    if (mode == Mode.NL) {
      freeSlot(lock);
      tell(lock, mode);
      return;
    }
    if (lock.slot == Lock.NO_SLOT) {
      lock.slot = slots.take();
    }
    aged.remove(lock.id);
    aged.put(lock.id, lock);
    batch.write(lock.slot, entry(lock, mode), new GrantBatch.Grant(lock, lock.sequence));
  }

  private void tell(Lock lock, Mode mode) {
    lock.told = true;
    lock.toldMode = mode;
    links.send(
        lock.id.node(),
        new LockMessage.Granted(lock.id.number(), lock.sequence, mode, lock.resource.value));
  }

  /** Tells every holder in the way, once for each conflict and mode. */
  private void callBack(Resource resource) {
    if (resource.waiters() == 0) {
      contended.remove(resource);
    }
    if (resource.isAskedAnew()) {
      resource.granted.values().forEach(this::callBack);
    }
  }

  private void callBack(Lock holder) {
    int wanted = holder.resource.wantedOf(holder);
    int called = holder.called & wanted; // for others it is over; the next one is another conflict
    holder.called = called;
    if (!holder.told) {
      return; // when it is
    }
    if ((wanted & ~called) != 0 && isBehind(holder)) {
      postponed.put(holder.id, holder);
      return;
    }
    for (Mode mode : Mode.values()) {
      int bit = mode.bit();
      if ((wanted & bit & ~called) != 0) {
        holder.called |= bit;
        links.send(
            holder.id.node(),
            new LockMessage.Blocking(holder.id.number(), holder.sequence, mode, false));
      }
    }
  }

  /** The owner's node has not heard so much that more must not be kept for it. */
  private boolean isBehind(Lock holder) {
    return links.backlog(holder.id.node()) >= settings.unsentMax();
  }

  private static SlotWrite.Entry entry(Lock lock, Mode mode) {
    return new SlotWrite.Entry(lock.id, lock.resource.id, mode);
  }

  /** Forgets a lock that is granted. */
  private void forget(Lock lock) {
    lock.resource.release(lock);
    locks.remove(lock.id);
    postponed.remove(lock.id);
    freeSlot(lock);
  }

  private void forgetIfUnused(Resource resource) {
    if (!grace && resource.isUnused() && resources.remove(resource.id) != null) {
      if (resource.value.version() != resource.firstVersion) {
        forgottenVersion = Math.max(forgottenVersion, resource.value.version());
      }
      contended.remove(resource);
      needSlot.remove(resource);
    }
  }

  // ---- the disk ----

  private void freeSlot(Lock lock) {
    if (unrecorded.remove(lock.id) != null) {
      cameBack();
    }
    if (lock.slot != Lock.NO_SLOT) {
      batch.write(lock.slot, null, null); // it is free when that is on disk
      lock.slot = Lock.NO_SLOT;
      aged.remove(lock.id);
      cameBack();
    }
  }

  private void cameBack() {
    rounds = 0;
    roundsInVain = 0;
    allCalled = false;
  }

  /** Slots have run out. */
  private void wantSlot() {
    if (reclaimAt == Long.MAX_VALUE) {
      reclaim();
    }
  }

  /** Calls back the locks that were granted longest ago; when all have been, from the beginning. */
  private void reclaim() {
    reclaimAt = out.now() + RECLAIM_MILLIS;
    int most = RECLAIM_AT_ONCE << Math.min(rounds++, RECLAIM_DOUBLINGS);
    int called = reclaim(aged, most);
    called += reclaim(unrecorded, most - called);
    if (called == 0) {
      allCalled = true;
      pass++;
    }
  }

  private int reclaim(Map<LockId, Lock> order, int most) {
    int called = 0;
    while (called < most && !order.isEmpty()) {
      Lock lock = order.values().iterator().next();
      if (lock.reclaimedIn == pass) {
        return called;
      }
      lock.reclaimedIn = pass;
      order.remove(lock.id);
      order.put(lock.id, lock);
      if (lock.told && lock.request == null && !isBehind(lock)) {
        called++;
        links.send(
            lock.id.node(),
            new LockMessage.Blocking(lock.id.number(), lock.sequence, Mode.NL, true));
      }
    }
    return called;
  }

  /** Slots are still wanted. */
  private void reclaimAgain() {
    reclaim();
    if (allCalled && ++roundsInVain >= ROUNDS_IN_VAIN_MAX && !grace) {
      for (Resource resource : List.copyOf(needSlot)) {
        Lock first = resource.first();
        if (first != null && needSlot.contains(resource)) {
          refuse(first, Refusal.TOO_MANY);
        }
      }
    }
  }

  /** The batch is on disk. */
  void persisted(long number) {
    GrantBatch.Done done = batch.done(number);
    done.tombstones().forEach(slots::free);
    for (GrantBatch.Grant grant : done.grants()) {
      Lock lock = grant.lock();
      boolean stands = locks.get(lock.id) == lock && lock.sequence == grant.sequence();
      if (stands && lock.mode != null && !lock.told && !clearing.containsKey(lock.id.node())) {
        tell(lock, lock.mode);
        callBack(lock);
      }
    }
  }

  // ---- death ----

  void clear(ReservationKey victim) {
    suspects.remove(victim);
    if (toRestate.remove(victim)) {
      mastersAreBelieved = false; // what it held was known to the master before, if to anybody
    }
    for (SlotPool.Left left : slots.pollLeftOf(victim)) {
      batch.write(left.slot(), null, null);
    }
    // All that it asked for goes before anybody is granted anything: or one request of the dead
    // would be granted when the one before it goes.
    Set<Resource> touched = new LinkedHashSet<>();
    for (Lock lock : List.copyOf(locks.values())) {
      if (lock.id.node().equals(victim)) {
        if (lock.request != null) {
          withdraw(lock);
        }
        freeSlot(lock); // and nothing is recorded for it any more
        touched.add(lock.resource);
      }
    }
    clearing.put(victim, batch.written()); // others may have been on their way already
    touched.forEach(this::settle);
  }

  private void finishClearing() {
    for (Map.Entry<ReservationKey, Long> entry : List.copyOf(clearing.entrySet())) {
      if (batch.doneThrough() < entry.getValue()) {
        continue;
      }
      ReservationKey victim = entry.getKey();
      clearing.remove(victim);
      for (Lock lock : List.copyOf(locks.values())) {
        if (lock.id.node().equals(victim)) {
          if (couldWrite(lock)) {
            lock.resource.value = lock.resource.value.invalidated();
          }
          forget(lock);
          settle(lock.resource);
        }
      }
      out.add(new LockAction.LocksCleared(victim));
    }
  }

  // ---- at the end of each step ----

  void endOfStep() {
    finishClearing();
    if (out.now() >= reclaimAt) {
      reclaimAt = Long.MAX_VALUE;
      if (!needSlot.isEmpty() || !unrecorded.isEmpty()) {
        reclaimAgain();
      }
    }
    while (slots.hasFree() && !unrecorded.isEmpty()) {
      Lock lock = unrecorded.values().iterator().next();
      unrecorded.remove(lock.id);
      if (lock.mode != null) {
        record(lock, lock.mode);
      }
    }
    endGraceIfComplete();
    if (!grace) {
      for (SlotPool.Left left = slots.pollLeft(); left != null; left = slots.pollLeft()) {
        batch.write(left.slot(), null, null);
      }
      tellRecorded();
      callBackPostponed();
      while (slots.hasFree() && unrecorded.isEmpty() && !needSlot.isEmpty()) {
        settle(needSlot.iterator().next());
      }
    }
    batch.flush();
  }

  private void callBackPostponed() {
    if (!postponed.isEmpty() && out.now() >= postponedUntil) {
      postponedUntil = out.now() + POSTPONED_MILLIS;
      List<Lock> again = List.copyOf(postponed.values());
      postponed.clear();
      again.forEach(this::callBack); // or it is postponed again
    }
  }

  /** From then on the masters before need not keep their records of what was stated here. */
  private void tellRecorded() {
    if (recordedTold || view == null || !unrecorded.isEmpty()) {
      return;
    }
    if (recordedBy == 0) {
      recordedBy = batch.written() + 1;
    }
    if (batch.doneThrough() >= recordedBy - 1) {
      recordedTold = true;
      view.nodes().forEach(node -> links.send(node, new LockMessage.Recorded()));
    }
  }

  void recorded(ReservationKey master) {
    slots.recorded(master);
  }

  boolean hasWork() {
    return grace
        || !contended.isEmpty()
        || !needSlot.isEmpty()
        || !unrecorded.isEmpty()
        || !batch.isIdle();
  }

  // ---- for Deadlock ----

  @Nullable Lock lock(LockId id) {
    return locks.get(id);
  }

  /** A request that has waited long enough to look for a circle. */
  @Nullable Lock nextToProbe() {
    while (!grace && !toProbe.isEmpty() && toProbe.element().at() <= out.now()) {
      Due due = toProbe.remove();
      Lock.Request request = due.request();
      if (due.lock().request == request) {
        request.round++;
        request.probeAt =
            out.now() + settings.probeMillis() * Math.min(request.round, PROBE_LATER_MAX);
        toProbe.add(new Due(request.probeAt, probes++, due.lock(), request));
        return due.lock();
      }
    }
    return null;
  }

  // ---- for checks ----

  @Override
  public String toString() {
    return (grace ? "grace, to restate " + toRestate + ", suspects " + suspects : "open")
        + ", clearing "
        + clearing.keySet()
        + (batch.isIdle() ? "" : ", writing");
  }

  /** Messages that a peer which keeps the rules does not send. */
  long strange() {
    return strange;
  }

  Map<ResourceId, Resource> resources() {
    return resources;
  }

  int size() {
    return locks.size();
  }

  /** Granted locks that have no record for want of slots. */
  int unrecorded() {
    return unrecorded.size();
  }

  /** What must be true between two steps. */
  void invariants() {
    int slotted = 0;
    for (Resource resource : resources.values()) {
      for (Lock lock : resource.granted.values()) {
        if (lock.mode == null || (!grace && !resource.fits(lock, lock.mode))) {
          throw new IllegalStateException(resource.id + " is granted to " + resource.granted);
        }
        boolean needs =
            lock.mode != Mode.NL
                && !unrecorded.containsKey(lock.id)
                && !clearing.containsKey(lock.id.node());
        if (needs != (lock.slot != Lock.NO_SLOT)) {
          throw new IllegalStateException(lock + " has slot " + lock.slot);
        }
        slotted += lock.slot != Lock.NO_SLOT ? 1 : 0;
      }
      Lock first = resource.first();
      if (!grace && first != null && !needSlot.contains(resource)) {
        if (resource.fits(first, first.wanted().mode)) {
          throw new IllegalStateException(first + " could be granted on " + resource.id);
        }
      }
      if (needSlot.contains(resource) && (first == null || !resource.isNext(first))) {
        throw new IllegalStateException(first + " waits for more than a slot on " + resource.id);
      }
      if (!grace && resource.notToWait() != null) {
        throw new IllegalStateException(resource.notToWait() + " was not to wait");
      }
    }
    if (slotted != aged.size()) {
      throw new IllegalStateException(slotted + " locks have slots, " + aged.size() + " are known");
    }
  }
}
