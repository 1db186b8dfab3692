// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * This node as the master of resources: grants, calls back, keeps records on disk.
 *
 * <p><b>Disk record before grant.</b> A grant in any mode above NL has a slot, and its owner is
 * told when the record is on disk. In memory it counts from when it is decided. A record may say
 * more than is held (a conversion down, a release that is still to be written), never less.
 *
 * <p><b>Grace.</b> Under a new view the table begins empty and is filled by the holders. Until
 * every node of the view has stated all it has or is cleared, every suspect is cleared, and the
 * records of what was stated are on disk, requests wait and nothing is granted; releases and
 * conversions down are taken. Locks that the slots here do not suffice for go without a record
 * until others are given back: better than to wait, for their holders may be waiting themselves.
 *
 * <p><b>Slots run out:</b> the locks that were granted longest ago are called back, a few at a
 * time, and requests wait. When all have been called and nothing comes back for some seconds, all
 * are in use, perhaps by owners who wait for just these requests: those are refused.
 *
 * <p><b>Death.</b> What a dead node asked for goes at once; what it holds goes when the proof is
 * there that it can write no more, and after this table's records of it are tombstones on disk. If
 * it could have written a value block, that is not valid any more.
 */
final class LockTable {
  private static final long RECLAIM_MILLIS = 1_000;
  private static final int RECLAIM_AT_ONCE = 4;
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

  /** Locks with a slot, the one that was granted longest ago first. */
  private final Map<LockId, Lock> aged = new LinkedHashMap<>();

  /** Resources whose next grant needs a slot, first come first served. */
  private final Set<Resource> needSlot = new LinkedHashSet<>();

  private final Set<Resource> contended = new LinkedHashSet<>();
  private long reclaimAt = Long.MAX_VALUE;
  private int roundsInVain;

  private @Nullable View view;
  private boolean grace = true;
  private final Set<ReservationKey> toRestate = new HashSet<>();
  private final Set<ReservationKey> suspects = new HashSet<>();

  /** What the masters before say of value blocks: not if a node died of which nothing is known. */
  private boolean mastersAreBelieved = true;

  /** Locks that were stated and have no record, for want of a slot. */
  private final Set<Lock> unrecorded = new LinkedHashSet<>();

  /** Dead nodes, and the last of the tombstones that have to be on disk before their locks go. */
  private final Map<ReservationKey, Long> clearing = new LinkedHashMap<>();

  private long strange;

  LockTable(LockSettings settings, LockOutbox out, Links links) {
    this.settings = settings;
    this.out = out;
    this.links = links;
    slots = new SlotPool(settings.firstSlot(), settings.slots());
    batch = new GrantBatch(settings.batchMax(), out);
  }

  // ---- a new view ----

  /** What the masters under {@code next} should know of the value blocks that are kept here. */
  List<LockMessage.RestateValue> values(View next) {
    List<LockMessage.RestateValue> values = new ArrayList<>();
    for (Resource resource : resources.values()) {
      LockId writer = null;
      for (Lock lock : resource.granted.values()) {
        writer = mayWrite(lock) ? lock.id : writer;
      }
      ValueBlock value = resource.value;
      if (writer != null && !next.nodes().contains(writer.node())) {
        value = value.invalidated();
        writer = null;
      }
      values.add(new LockMessage.RestateValue(resource.id, value, !grace, writer));
    }
    return values;
  }

  /** A record of an earlier daemon. */
  void found(int slot, SlotWrite.Entry entry) {
    if (view != null || !clearing.isEmpty()) {
      throw new IllegalStateException("what is on disk is known before anything happens");
    }
    slots.leave(slot, entry);
  }

  void begin(View next) {
    for (Lock lock : locks.values()) {
      if (lock.slot != Lock.NO_SLOT && lock.mode != null) {
        slots.leave(lock.slot, entry(lock, lock.mode));
      }
    }
    slots.await(next.nodes());
    resources = new LinkedHashMap<>();
    locks = new LinkedHashMap<>();
    aged.clear();
    needSlot.clear();
    contended.clear();
    unrecorded.clear();
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
    Resource resource = resources.computeIfAbsent(m.resource(), Resource::new);
    Lock lock = new Lock(id, resource);
    locks.put(id, lock);
    Mode held = m.held();
    if (held != null) {
      resource.restated = true;
      lock.mode = held;
      lock.sequence = m.heldSequence();
      lock.told = true;
      resource.granted.put(id, lock);
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

  /** Gives a lock that was stated its record. */
  private void record(Lock lock, Mode held) {
    SlotWrite.Entry entry = entry(lock, held);
    lock.slot = slots.reuse(entry);
    if (lock.slot == Lock.NO_SLOT) {
      if (!slots.hasFree()) {
        unrecorded.add(lock);
        reclaim();
        return;
      }
      lock.slot = slots.take();
      batch.write(lock.slot, entry, null);
    }
    aged.put(lock.id, lock);
  }

  void take(ReservationKey from, LockMessage.RestateValue m) {
    if (!toRestate.contains(from)) {
      strange++;
      return;
    }
    Resource resource = resources.computeIfAbsent(m.resource(), Resource::new);
    resource.restated = true;
    resource.value = ValueBlock.later(resource.value, m.value());
    resource.certain |= m.certain();
    if (m.certain()) {
      resource.writer = m.writer();
    } else {
      resource.toldBy.add(from);
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
    for (SlotPool.Left left = slots.pollLeft(); left != null; left = slots.pollLeft()) {
      batch.write(left.slot(), null, null);
      slots.free(left.slot());
    }
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
    Comparator<Lock> order = Comparator.comparingLong(lock -> lock.wanted().ticket);
    resource.converting.sort(order);
    resource.waiting.sort(order);
    grantWhatFits(resource);
    for (List<Lock> queue : List.of(resource.converting, resource.waiting)) {
      for (Lock lock : List.copyOf(queue)) {
        if (lock.request != null) {
          lock.request.ticket = resource.nextTicket++;
          settle(lock);
        }
      }
    }
    grantWhatFits(resource);
    callBack(resource);
    forgetIfUnused(resource);
  }

  /** Somebody could write, does not hold that any more, and has not told what he wrote. */
  private static boolean isWriteLost(Resource resource) {
    LockId writer = resource.writer;
    if (writer == null || resource.toldBy.contains(writer.node())) {
      return false;
    }
    Lock lock = resource.granted.get(writer);
    return lock == null || !mayWrite(lock);
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
    Resource resource = resources.computeIfAbsent(m.resource(), Resource::new);
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
    lock.mode = m.mode();
    lock.sequence = m.sequence();
    lock.called = 0;
    lock.reclaimed = false;
    if (m.mode() == Mode.NL) {
      freeSlot(lock);
    } else if (lock.slot != Lock.NO_SLOT) {
      batch.write(lock.slot, entry(lock, m.mode()), null);
    }
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
    Lock.Request request = lock.wanted();
    links.send(lock.id.node(), new LockMessage.Refused(lock.id.number(), request.sequence, reason));
    withdraw(lock);
    settle(lock.resource);
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
    lock.request = new Lock.Request(sequence, mode, noQueue, priority, ticket, out.now(), probe);
    lock.resource.enqueue(lock);
    contended.add(lock.resource);
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
    callBack(lock.resource);
    forgetIfUnused(lock.resource);
  }

  /** It cannot be granted now: does it wait? */
  private void settle(Lock lock) {
    Lock.Request request = lock.wanted();
    Resource resource = lock.resource;
    boolean onlyNoSlot = resource.first() == lock && resource.fits(lock, request.mode);
    if (request.noQueue && !onlyNoSlot) {
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

  // ---- granting ----

  private void grantWhatFits(Resource resource) {
    for (Lock lock = resource.first(); lock != null; lock = resource.first()) {
      Mode mode = lock.wanted().mode;
      if (!resource.fits(lock, mode)) {
        return;
      }
      if (mode != Mode.NL && lock.slot == Lock.NO_SLOT && !hasSlotFor(resource)) {
        if (needSlot.add(resource)) {
          reclaim();
        }
        return;
      }
      grant(lock, mode);
    }
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
    lock.mode = mode;
    lock.called = 0;
    lock.reclaimed = false;
    lock.told = false;
    lock.resource.granted.put(lock.id, lock);
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
    links.send(
        lock.id.node(),
        new LockMessage.Granted(lock.id.number(), lock.sequence, mode, lock.resource.value));
  }

  /** Tells every holder in the way, once for each conflict and mode. */
  private void callBack(Resource resource) {
    if (resource.waiters() == 0) {
      contended.remove(resource);
      needSlot.remove(resource);
      resource.granted.values().forEach(holder -> holder.called = 0);
      return;
    }
    for (Lock holder : resource.granted.values()) {
      int wanted = resource.wantedOf(holder);
      int called =
          holder.called & wanted; // for others it is over; the next one is another conflict
      holder.called = called;
      if (!holder.told) {
        continue; // when it is
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
  }

  private static SlotWrite.Entry entry(Lock lock, Mode mode) {
    return new SlotWrite.Entry(lock.id, lock.resource.id, mode);
  }

  /** Forgets a lock that is granted. */
  private void forget(Lock lock) {
    lock.resource.granted.remove(lock.id);
    locks.remove(lock.id);
    unrecorded.remove(lock);
    freeSlot(lock);
  }

  private void forgetIfUnused(Resource resource) {
    if (!grace && resource.isUnused()) {
      resources.remove(resource.id);
      contended.remove(resource);
      needSlot.remove(resource);
    }
  }

  // ---- the disk ----

  private void freeSlot(Lock lock) {
    unrecorded.remove(lock);
    if (lock.slot != Lock.NO_SLOT) {
      batch.write(lock.slot, null, null);
      slots.free(lock.slot);
      lock.slot = Lock.NO_SLOT;
      aged.remove(lock.id);
      roundsInVain = 0;
    }
  }

  /** Slots have run out: calls back the locks that were granted longest ago. */
  private int reclaim() {
    reclaimAt = out.now() + RECLAIM_MILLIS;
    int called = 0;
    for (Lock lock : aged.values()) {
      if (called == RECLAIM_AT_ONCE) {
        break;
      }
      if (lock.told && !lock.reclaimed && lock.request == null) {
        lock.reclaimed = true;
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
    if (reclaim() > 0) {
      roundsInVain = 0;
    } else if (++roundsInVain >= ROUNDS_IN_VAIN_MAX && !grace) {
      for (Resource resource : List.copyOf(needSlot)) {
        Lock first = resource.first();
        if (first != null && first.slot == Lock.NO_SLOT) {
          refuse(first, Refusal.TOO_MANY);
        }
      }
    }
  }

  /** The batch is on disk. */
  void persisted(long number) {
    for (GrantBatch.Grant grant : batch.done(number)) {
      Lock lock = grant.lock();
      boolean stands = locks.get(lock.id) == lock && lock.sequence == grant.sequence();
      if (stands && lock.mode != null && !lock.told && !clearing.containsKey(lock.id.node())) {
        tell(lock, lock.mode);
        callBack(lock.resource);
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
      slots.free(left.slot());
    }
    for (Lock lock : List.copyOf(locks.values())) {
      if (!lock.id.node().equals(victim)) {
        continue;
      }
      if (lock.request != null) {
        withdraw(lock);
      }
      if (lock.slot != Lock.NO_SLOT) {
        batch.write(lock.slot, null, null);
      }
      settle(lock.resource);
    }
    clearing.put(victim, batch.written()); // others may have been on their way already
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
          if (mayWrite(lock)) {
            lock.resource.value = lock.resource.value.invalidated();
          }
          if (lock.slot != Lock.NO_SLOT) {
            slots.free(lock.slot); // the tombstone is there
            aged.remove(lock.id);
            lock.slot = Lock.NO_SLOT;
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
      Lock lock = unrecorded.iterator().next();
      unrecorded.remove(lock);
      if (lock.mode != null) {
        record(lock, lock.mode);
      }
    }
    endGraceIfComplete();
    while (!grace && slots.hasFree() && !needSlot.isEmpty()) {
      Resource resource = needSlot.iterator().next();
      settle(resource);
      if (slots.hasFree()) {
        needSlot.remove(resource);
      }
    }
    batch.flush();
  }

  boolean hasWork() {
    return grace || !contended.isEmpty() || !needSlot.isEmpty() || !batch.isIdle();
  }

  // ---- for Deadlock ----

  @Nullable Lock lock(LockId id) {
    return locks.get(id);
  }

  /** The requests that have waited long enough to look for a circle. */
  List<Lock> toProbe() {
    List<Lock> due = new ArrayList<>();
    if (grace) {
      return due;
    }
    for (Resource resource : contended) {
      for (List<Lock> queue : List.of(resource.converting, resource.waiting)) {
        for (Lock lock : queue) {
          if (lock.wanted().probeAt <= out.now()) {
            long round = ++lock.wanted().round;
            lock.wanted().probeAt =
                out.now() + settings.probeMillis() * Math.min(round, PROBE_LATER_MAX);
            due.add(lock);
          }
        }
      }
    }
    return due;
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
        boolean needs = lock.mode != Mode.NL && !unrecorded.contains(lock);
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
    }
    if (slotted != aged.size()) {
      throw new IllegalStateException(slotted + " locks have slots, " + aged.size() + " are known");
    }
  }
}
