// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * The locks of this node: what it holds, what it has asked for. They outlive views; each new master
 * is told of them.
 *
 * <p>A request has one end: granted or refused. What this node gives up (a release, a conversion
 * down) it has given up when it says so; nobody answers.
 */
final class Holdings {
  /** One lock. */
  static final class Holding {
    final long number;
    final ResourceId resource;
    final long owner;
    @Nullable Mode held;
    long heldSequence;
    long lastSequence;
    ValueBlock value = ValueBlock.NONE;
    @Nullable Asked asked;

    Holding(long number, ResourceId resource, long owner) {
      this.number = number;
      this.resource = resource;
      this.owner = owner;
    }
  }

  /** What was asked and not answered. */
  static final class Asked {
    final long sequence;
    final Mode mode;
    final boolean noQueue;
    final int priority;
    final long deadline;
    long ticket = LockMessage.Pending.NO_TICKET;
    @Nullable Refusal givenUp;

    Asked(long sequence, Mode mode, LockEvent.Wish wish, long now) {
      this.sequence = sequence;
      this.mode = mode;
      noQueue = wish.noQueue();
      priority = wish.priority();
      deadline =
          wish.waitMillis() > Long.MAX_VALUE - now ? Long.MAX_VALUE : now + wish.waitMillis();
    }
  }

  private final LockSettings settings;
  private final LockOutbox out;
  private final Links links;
  private final Map<Long, Holding> holdings = new LinkedHashMap<>();
  private final Map<Long, Holding> asking = new LinkedHashMap<>();

  /** The same, by owner. */
  private final Map<Long, Set<Holding>> askingOf = new HashMap<>();

  /** Those with a limit, by when it is reached; no step looks at all of them. */
  private final TreeMap<Long, Set<Holding>> limited = new TreeMap<>();

  private @Nullable View view;

  /** What was written before the first view, by holders that a predecessor left. */
  private final Map<ResourceId, byte[]> early = new LinkedHashMap<>();

  private long highest;

  Holdings(LockSettings settings, LockOutbox out, Links links) {
    this.settings = settings;
    this.out = out;
    this.links = links;
  }

  // ---- this node wants ----

  void held(LockEvent.Held e) {
    if (view != null) {
      throw new IllegalStateException("what a predecessor held is known before the first view");
    }
    Holding holding = create(e.lock(), e.resource(), e.owner());
    holding.held = e.mode();
    holding.heldSequence = ++holding.lastSequence;
    holding.value = ValueBlock.NONE.doubted();
  }

  void acquire(LockEvent.Acquire e) {
    if (holdings.size() >= settings.holdingsMax() || isBehind(e.resource())) {
      highest = Math.max(highest, e.lock());
      out.add(new LockAction.Refused(e.lock(), Refusal.TOO_MANY));
      return;
    }
    Holding holding = create(e.lock(), e.resource(), e.wish().owner());
    Asked asked = ask(holding, e.mode(), e.wish());
    send(
        holding,
        new LockMessage.Acquire(
            e.lock(), asked.sequence, e.resource(), e.mode(), asked.noQueue, asked.priority));
  }

  void convert(LockEvent.Convert e) {
    Holding holding = idle(e.lock());
    Mode held = holding.held;
    if (held == null) {
      throw new IllegalStateException("lock " + e.lock() + " is not held");
    }
    if (e.mode().isWithin(held)) {
      down(holding, e.mode(), written(holding, held, e.value()));
      out.add(new LockAction.Granted(e.lock(), e.mode(), holding.value));
      return;
    }
    if (e.value() != null) {
      throw new IllegalStateException("a value is written by giving up the right to write it");
    }
    if (isBehind(holding.resource)) {
      out.add(new LockAction.Refused(e.lock(), Refusal.TOO_MANY));
      return;
    }
    if (!held.isWithin(e.mode())) {
      down(holding, held.common(e.mode()), null);
    }
    Asked asked = ask(holding, e.mode(), e.wish());
    send(
        holding,
        new LockMessage.Convert(
            e.lock(),
            asked.sequence,
            holding.resource,
            e.mode(),
            asked.noQueue,
            asked.priority,
            null));
  }

  private void down(Holding holding, Mode mode, @Nullable ValueBlock value) {
    holding.held = mode;
    holding.heldSequence = ++holding.lastSequence;
    send(
        holding,
        new LockMessage.Convert(
            holding.number, holding.heldSequence, holding.resource, mode, false, 0, value));
  }

  void release(LockEvent.Release e) {
    Holding holding = idle(e.lock());
    Mode held = holding.held;
    if (held == null) {
      throw new IllegalStateException("lock " + e.lock() + " is not held");
    }
    ValueBlock value = written(holding, held, e.value());
    holdings.remove(holding.number);
    send(
        holding,
        new LockMessage.Release(e.lock(), ++holding.lastSequence, holding.resource, value));
  }

  void cancel(long lock) {
    Holding holding = asking.get(lock);
    if (holding != null) {
      giveUp(holding, Refusal.CANCELLED);
    }
  }

  private void giveUp(Holding holding, Refusal reason) {
    Asked asked = asked(holding);
    if (asked.givenUp == null) {
      asked.givenUp = reason;
      noLimit(holding);
      send(holding, new LockMessage.Cancel(holding.number, asked.sequence, holding.resource));
      if (view == null) {
        refused(holding, reason);
      }
    }
  }

  private Holding create(long lock, ResourceId resource, long owner) {
    if (lock <= highest) {
      throw new IllegalStateException("lock number " + lock + " after " + highest);
    }
    highest = lock;
    Holding holding = new Holding(lock, resource, owner);
    holdings.put(lock, holding);
    return holding;
  }

  private Holding idle(long lock) {
    Holding holding = holdings.get(lock);
    if (holding == null || holding.asked != null) {
      throw new IllegalStateException("lock " + lock + " is not there, or asked for");
    }
    return holding;
  }

  private Asked ask(Holding holding, Mode mode, LockEvent.Wish wish) {
    Asked asked = new Asked(++holding.lastSequence, mode, wish, out.now());
    holding.asked = asked;
    asking.put(holding.number, holding);
    askingOf.computeIfAbsent(holding.owner, _ -> new LinkedHashSet<>()).add(holding);
    if (asked.deadline != Long.MAX_VALUE) {
      limited.computeIfAbsent(asked.deadline, _ -> new LinkedHashSet<>()).add(holding);
    }
    return asked;
  }

  /** It was answered. */
  private void end(Holding holding) {
    noLimit(holding);
    holding.asked = null;
    asking.remove(holding.number);
    remove(askingOf, holding.owner, holding);
  }

  private void noLimit(Holding holding) {
    remove(limited, asked(holding).deadline, holding);
  }

  private static void remove(Map<Long, Set<Holding>> sets, long key, Holding holding) {
    Set<Holding> set = sets.get(key);
    if (set != null) {
      set.remove(holding);
      if (set.isEmpty()) {
        sets.remove(key);
      }
    }
  }

  private @Nullable ValueBlock written(Holding holding, Mode held, byte @Nullable [] value) {
    if (value == null) {
      return null;
    }
    if (!held.mayWriteValue()) {
      throw new IllegalStateException("a value is written by a holder of PW or EX, not " + held);
    }
    if (view == null) {
      early.put(holding.resource, value.clone());
      return null;
    }
    // Higher than any number of an earlier view, also if a predecessor knew what it was.
    long version = Math.max(holding.value.version(), view.id().version() << 32) + 1;
    holding.value = new ValueBlock(version, true, value);
    return holding.value;
  }

  /** The master has not heard so much that more must not be asked of it. */
  private boolean isBehind(ResourceId resource) {
    return view != null
        && links.backlog(Mastering.masterOf(resource, view)) >= settings.unsentMax();
  }

  private void send(Holding holding, LockMessage message) {
    if (view != null) {
      links.send(Mastering.masterOf(holding.resource, view), message);
    }
  }

  // ---- the master answers ----

  void take(LockMessage.Queued m) {
    Holding holding = answered(m.lock(), m.sequence());
    if (holding != null) {
      asked(holding).ticket = m.ticket();
    }
  }

  void take(LockMessage.Granted m) {
    Holding holding = answered(m.lock(), m.sequence());
    if (holding == null) {
      throw new IllegalStateException("granted, but not asked: " + m);
    }
    holding.held = m.mode();
    holding.heldSequence = m.sequence();
    holding.value = m.value();
    end(holding);
    out.add(new LockAction.Granted(holding.number, m.mode(), m.value()));
  }

  void take(LockMessage.Refused m) {
    Holding holding = answered(m.lock(), m.sequence());
    if (holding == null) {
      throw new IllegalStateException("refused, but not asked: " + m);
    }
    Refusal why = asked(holding).givenUp;
    refused(holding, m.reason() == Refusal.CANCELLED && why != null ? why : m.reason());
  }

  void take(LockMessage.Blocking m) {
    Holding holding = holdings.get(m.lock());
    if (holding != null && holding.held != null && holding.heldSequence == m.sequence()) {
      out.add(new LockAction.Blocking(m.lock(), m.wanted(), m.reclaim()));
    }
  }

  private @Nullable Holding answered(long lock, long sequence) {
    Holding holding = asking.get(lock);
    return holding != null && asked(holding).sequence == sequence ? holding : null;
  }

  private void refused(Holding holding, Refusal reason) {
    end(holding);
    if (holding.held == null) {
      holdings.remove(holding.number);
    }
    out.add(new LockAction.Refused(holding.number, reason));
  }

  private static Asked asked(Holding holding) {
    if (holding.asked == null) {
      throw new IllegalStateException("lock " + holding.number + " is not asked for");
    }
    return holding.asked;
  }

  // ---- views and time ----

  /**
   * States everything to the masters under {@code next}. A grant of the view before that has not
   * come will not be taken: the request is stated as one that waits, and one that was given up ends
   * here.
   */
  void restate(View next) {
    view = next;
    for (Holding holding : List.copyOf(asking.values())) {
      Refusal reason = asked(holding).givenUp;
      if (reason != null) {
        refused(holding, reason);
      }
    }
    early.forEach((resource, bytes) -> restateEarly(resource, bytes, next));
    early.clear();
    for (Holding holding : holdings.values()) {
      LockMessage.Pending pending = null;
      Asked asked = holding.asked;
      if (asked != null) {
        pending =
            new LockMessage.Pending(
                asked.sequence, asked.mode, asked.noQueue, asked.priority, asked.ticket);
      }
      send(
          holding,
          new LockMessage.Restate(
              holding.number,
              holding.resource,
              holding.held,
              holding.heldSequence,
              holding.value,
              pending));
    }
  }

  /**
   * Which number the last write had is lost with the predecessor: this one gets one that is higher
   * than any of an earlier view.
   */
  private void restateEarly(ResourceId resource, byte[] bytes, View next) {
    ValueBlock value = new ValueBlock((next.id().version() << 32) + 1, true, bytes);
    holdings.values().stream()
        .filter(holding -> holding.resource.equals(resource))
        .forEach(holding -> holding.value = value);
    links.send(
        Mastering.masterOf(resource, next),
        new LockMessage.RestateValue(resource, value, LockMessage.Source.WRITER, null));
  }

  void endOfStep() {
    while (!limited.isEmpty() && limited.firstKey() <= out.now()) {
      giveUp(limited.firstEntry().getValue().iterator().next(), Refusal.TIMED_OUT);
    }
  }

  /** When the next wait is over. */
  long deadline() {
    return limited.isEmpty() ? Long.MAX_VALUE : limited.firstKey();
  }

  boolean isEmpty() {
    return holdings.isEmpty();
  }

  // ---- for Deadlock ----

  /** Whether {@code hop}'s blocker is still what it was: held as granted then, or asked for. */
  boolean stands(LockMessage.Hop hop) {
    Holding holding = holdings.get(hop.blocker().number());
    if (holding == null) {
      return false;
    }
    if (holding.held != null && holding.heldSequence == hop.blockerSequence()) {
      return true;
    }
    return holding.asked != null && holding.asked.sequence == hop.blockerSequence();
  }

  /** What has to be granted before {@code hop}'s blocker gets out of the way. */
  List<LockMessage.Waiter> neededFor(LockMessage.Hop hop, ReservationKey self) {
    Holding holding = holdings.get(hop.blocker().number());
    if (holding == null) {
      return List.of();
    }
    boolean itselfOnly = hop.toBeGrantedOnly() || holding.owner == 0;
    Collection<Holding> candidates =
        itselfOnly ? List.of(holding) : askingOf.getOrDefault(holding.owner, Set.of());
    List<LockMessage.Waiter> needed = new ArrayList<>();
    for (Holding each : candidates) {
      if (each.asked != null && each.asked.givenUp == null) {
        needed.add(
            new LockMessage.Waiter(
                new LockId(self, each.number),
                each.asked.sequence,
                each.resource,
                each.asked.priority));
      }
    }
    return needed;
  }

  // ---- for checks ----

  Map<Long, Holding> all() {
    return holdings;
  }
}
