// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Fnv1a;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Finds requests that wait for each other in a circle, whichever masters they wait at: edge chasing
 * after Chandy, Misra and Haas (ACM TOCS 1(2), 1983), with a second, confirming round.
 *
 * <p><b>Who waits for whom.</b> A request waits for each lock that excludes it and for each request
 * before it in the queue; the master knows that. A lock is given back when its owner goes on, and
 * he goes on when all his requests are granted; the owner's node knows that. So a probe goes from a
 * master to the blocker's node (its home) and from there to the masters of all that the blocker's
 * owner waits for. Who waits behind a request that he goes together with needs only that one's
 * grant.
 *
 * <p><b>No false victim.</b> A path that comes back to its initiator is followed a second time, hop
 * by hop, and every hop has to be <em>the same</em> as the first time: the same request waits for
 * the same grant (both have sequence numbers that are never used again), at the master; and at the
 * home the same grant is held and its owner asks for the next hop's request. Such a fact, once it
 * has ended, never comes back, so between its two sightings it held all the time. All first
 * sightings lie before the beginning of the second round, all second ones after it: at that instant
 * the circle stood whole. This needs no order of messages and no promise that owners who wait give
 * nothing back.
 *
 * <p><b>No deadlock stays.</b> The requests of a circle are in one order everywhere ({@link
 * #yieldsTo}); a probe goes on only to requests that would not be the victim before the initiator.
 * So of a circle exactly one request, the victim itself, gets its probe back, and it tries again
 * for as long as it waits; in a circle that stays no hop is missing. Its master refuses it: nobody
 * else need agree. (Paths longer than {@link LockMessage.Probe#PATH_MAX} are not followed: the wait
 * limit ends such circles.)
 *
 * <p>Probes may be lost, repeated or late: the next round begins anew.
 */
final class Deadlock {
  /**
   * Requests that a probe has been seen at; the oldest are forgotten, which costs messages only.
   */
  private static final int SEEN_MAX = 32_768;

  /**
   * Probes of this node's own requests in one tick, and those of one request more: who is due and
   * does not get his turn gets it in the next one. A crowd of {@code n} that waits for one lock has
   * {@code n * n / 2} of them.
   */
  private static final int PROBES_AT_ONCE = 1_024;

  /** What a round does once only. */
  private enum Deed {
    SEARCH,
    ASK_WHETHER_IT_IS_GRANTED,
    ASK_WHETHER_IT_IS_GIVEN_BACK,
    GO_ON
  }

  private record Seen(
      LockId initiator, long initiatorSequence, LockId at, long sequence, Deed deed) {}

  private final ReservationKey self;
  private final LockTable table;
  private final Holdings holdings;
  private final Links links;
  private final Map<Seen, Long> seen =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Seen, Long> eldest) {
          return size() > SEEN_MAX;
        }
      };
  private View view;

  Deadlock(ReservationKey self, View view, LockTable table, Holdings holdings, Links links) {
    this.self = self;
    this.view = view;
    this.table = table;
    this.holdings = holdings;
    this.links = links;
  }

  void begin(View next) {
    view = next;
    seen.clear();
  }

  /** Sends out the probes that are due. */
  void tick() {
    int sent = 0;
    while (sent < PROBES_AT_ONCE) {
      Lock lock = table.nextToProbe();
      if (lock == null) {
        return;
      }
      LockMessage.Waiter initiator = lock.resource.waiter(lock);
      long round = lock.wanted().round;
      for (LockMessage.Hop hop : lock.resource.blockers(lock)) {
        toHome(
            new LockMessage.Probe(initiator, round, false, true, 0, initiator, List.of(hop)), hop);
        sent++;
      }
    }
  }

  void take(LockMessage.Probe probe) {
    if (probe.atHome()) {
      atHome(probe);
    } else if (probe.confirming()) {
      confirm(probe);
    } else {
      search(probe);
    }
  }

  /**
   * Whether {@code a} and not {@code b} is refused, of two in a circle: the one with the lower
   * priority; else the one that a hash picks, so that no node always loses.
   */
  static boolean yieldsTo(LockMessage.Waiter a, LockMessage.Waiter b) {
    if (a.priority() != b.priority()) {
      return a.priority() < b.priority();
    }
    int order = Integer.compareUnsigned(lot(a), lot(b));
    if (order == 0) {
      order = a.lock().compareTo(b.lock());
    }
    return order > 0;
  }

  private static int lot(LockMessage.Waiter waiter) {
    byte[] bytes = new byte[24];
    for (int i = 0; i < 8; i++) {
      bytes[i] = (byte) (waiter.lock().node().value() >>> (8 * i));
      bytes[8 + i] = (byte) (waiter.lock().number() >>> (8 * i));
      bytes[16 + i] = (byte) (waiter.sequence() >>> (8 * i));
    }
    return Fnv1a.hash32(bytes);
  }

  /** A round goes everywhere once, or a crowd that waits for one lock would ask for ever. */
  private boolean isFirst(LockMessage.Probe probe, LockId at, long sequence, Deed deed) {
    LockMessage.Waiter initiator = probe.initiator();
    Long before =
        seen.put(
            new Seen(initiator.lock(), initiator.sequence(), at, sequence, deed), probe.round());
    return before == null || before < probe.round();
  }

  // ---- at a blocker's home ----

  private void atHome(LockMessage.Probe probe) {
    int at = probe.confirming() ? probe.position() : probe.path().size() - 1;
    if (at < 0 || at >= probe.path().size()) {
      return;
    }
    LockMessage.Hop hop = probe.path().get(at);
    if (!hop.blocker().node().equals(self) || !holdings.stands(hop)) {
      return;
    }
    List<LockMessage.Waiter> needed = holdings.neededFor(hop, self);
    if (probe.confirming()) {
      LockMessage.Waiter next =
          at + 1 < probe.path().size() ? probe.path().get(at + 1).waiter() : probe.initiator();
      if (needed.contains(next)) {
        toMaster(probe, at + 1, next);
      }
      return;
    }
    for (LockMessage.Waiter next : needed) {
      if (!yieldsTo(next, probe.initiator())
          && isFirst(probe, next.lock(), next.sequence(), Deed.GO_ON)) {
        toMaster(probe, 0, next);
      }
    }
  }

  // ---- at a master ----

  private void search(LockMessage.Probe probe) {
    LockMessage.Waiter at = probe.waiter();
    Lock lock = waiting(at);
    if (lock == null) {
      return;
    }
    LockMessage.Waiter initiator = probe.initiator();
    if (at.equals(initiator)) {
      confirm(new LockMessage.Probe(initiator, probe.round(), true, false, 0, at, probe.path()));
      return;
    }
    if (probe.path().size() >= LockMessage.Probe.PATH_MAX
        || !isFirst(probe, at.lock(), at.sequence(), Deed.SEARCH)) {
      return;
    }
    for (LockMessage.Hop hop : lock.resource.blockers(lock)) {
      Deed deed =
          hop.toBeGrantedOnly()
              ? Deed.ASK_WHETHER_IT_IS_GRANTED
              : Deed.ASK_WHETHER_IT_IS_GIVEN_BACK;
      if (!isFirst(probe, hop.blocker(), hop.blockerSequence(), deed)) {
        continue;
      }
      List<LockMessage.Hop> path = new ArrayList<>(probe.path());
      path.add(hop);
      toHome(new LockMessage.Probe(initiator, probe.round(), false, true, 0, at, path), hop);
    }
  }

  private void confirm(LockMessage.Probe probe) {
    int at = probe.position();
    if (at == probe.path().size()) {
      Lock victim = waiting(probe.initiator());
      if (victim != null) {
        table.refuse(victim, Refusal.DEADLOCK);
      }
      return;
    }
    LockMessage.Hop hop = probe.path().get(at);
    Lock lock = waiting(hop.waiter());
    if (lock != null && lock.resource.blockers(lock).contains(hop)) {
      toHome(
          new LockMessage.Probe(
              probe.initiator(), probe.round(), true, true, at, hop.waiter(), probe.path()),
          hop);
    }
  }

  private @Nullable Lock waiting(LockMessage.Waiter waiter) {
    Lock lock = table.lock(waiter.lock());
    if (lock == null || lock.request == null || table.isGrace()) {
      return null;
    }
    return lock.resource.waiter(lock).equals(waiter) ? lock : null;
  }

  private void toHome(LockMessage.Probe probe, LockMessage.Hop hop) {
    links.send(hop.blocker().node(), probe);
  }

  private void toMaster(LockMessage.Probe probe, int position, LockMessage.Waiter next) {
    links.send(
        Mastering.masterOf(next.resource(), view),
        new LockMessage.Probe(
            probe.initiator(),
            probe.round(),
            probe.confirming(),
            false,
            position,
            next,
            probe.path()));
  }
}
