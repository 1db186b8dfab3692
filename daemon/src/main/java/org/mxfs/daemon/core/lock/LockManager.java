// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * The lock manager of one node: its own locks, and the queues of the resources it is the master of,
 * as a pure state machine.
 *
 * <p><b>What it promises.</b> Two locks that exclude each other are never held at once, from when
 * {@link LockAction.Granted} is done until {@link LockEvent.Release} or a conversion down is given
 * to it, or until the holder is {@link Cleared}. Every request ends. Requests for one resource are
 * served in the order in which they reached its master.
 *
 * <p><b>Failure model.</b> A node may stop at any point, and be thought dead while it is not. The
 * network may be cut, delay, and lose what was under way when a connection broke; between two
 * incarnations and within one view {@link Links} makes one ordered stream of that. Views may reach
 * nodes at different times. Nobody lies. Nothing rests on time: the time of a step only decides
 * when to look for deadlocks, to send again, and to stop waiting.
 *
 * <p><b>Views.</b> Membership gives every node the same list under a rising number. The master of a
 * resource follows from it alone, so nodes that are not under the same view must not deal with each
 * other, and do not: each message carries its view, and another one is refused. Under a new view
 * each node states to each new master what it holds and waits for; see {@link LockTable} on grace.
 * A grant that was decided under the view before and has not arrived counts for nobody: the master
 * begins empty, the one who asked states it as a request.
 *
 * <p><b>Others.</b> The modes, conversions before new requests, blocking callbacks and value blocks
 * are those of the VMS lock manager. The kernel's fs/dlm keeps a directory of masters and moves
 * them to who used a resource first; here the master is computed, so there is no directory to
 * rebuild. fs/dlm finds no deadlocks (it gave its time-outs up), keeps no order over recovery, and
 * writes nothing to disk.
 */
public final class LockManager {
  private static final long TICK_MILLIS = 50;
  private static final int CLEARED_MAX = 1_024;
  private static final int OWN_MAX = 10_000_000;

  private final LockSettings settings;
  private final LockOutbox out = new LockOutbox();
  private final Links links;
  private final LockTable table;
  private final Holdings holdings;
  private @Nullable Deadlock deadlock;
  private @Nullable View view;
  private final Map<ReservationKey, Cleared> cleared =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<ReservationKey, Cleared> eldest) {
          return size() > CLEARED_MAX;
        }
      };
  private boolean halted;

  public LockManager(LockSettings settings) {
    this.settings = settings;
    links = new Links(settings.self(), out);
    table = new LockTable(settings, out, links);
    holdings = new Holdings(settings, out, links);
  }

  /**
   * Takes one event and says what to do.
   *
   * @param now milliseconds on any clock that never runs backwards
   */
  public List<LockAction> step(LockEvent event, long now) {
    out.begin(now);
    if (halted) {
      return out.end();
    }
    try {
      take(event);
      finish();
    } catch (RuntimeException mistake) {
      halt("mistake in mxfsd, which grants no locks any more: " + mistake + " (at " + event + ")");
    }
    return out.end();
  }

  /** When to send {@link LockEvent.Tick} at the latest; {@link Long#MAX_VALUE} for never. */
  public long deadline() {
    if (halted) {
      return Long.MAX_VALUE;
    }
    boolean busy = table.hasWork() || links.hasWork();
    return Math.min(
        holdings.deadline(), view != null && busy ? out.now() + TICK_MILLIS : Long.MAX_VALUE);
  }

  /**
   * This node has no lock, asks for none, and every other node has heard so: it may leave, and the
   * next view need not suspect it.
   */
  public boolean isQuiet() {
    return holdings.isEmpty() && links.isQuiet();
  }

  /** As a master it waits for others to state what they hold. */
  public boolean isGrace() {
    return table.isGrace();
  }

  /** Messages that were not taken: of another view, repeated, from the dead. */
  public long refused() {
    return links.refused();
  }

  private void halt(String why) {
    halted = true;
    out.abandon();
    out.add(new LockAction.Halted(why));
  }

  private void take(LockEvent event) {
    switch (event) {
      case LockEvent.Held held -> holdings.held(held);
      case LockEvent.Found found -> table.found(found.slot(), found.number(), found.entry());
      case LockEvent.NewView next -> begin(next.view());
      case LockEvent.Clear clear -> clear(clear.proof());
      case LockEvent.PeerUp up -> links.up(up.peer());
      case LockEvent.PeerDown down -> links.down(down.peer());
      case LockEvent.Received received -> receive(received);
      case LockEvent.Persisted persisted -> {
        if (!persisted.done()) {
          throw new IllegalStateException("lock records cannot be written");
        }
        table.persisted(persisted.batch());
      }
      case LockEvent.Tick _ -> {
        if (deadlock != null) {
          deadlock.tick();
          drain(); // before anything else changes who waits for whom
        }
      }
      case LockEvent.Acquire acquire -> holdings.acquire(acquire);
      case LockEvent.Convert convert -> holdings.convert(convert);
      case LockEvent.Release release -> holdings.release(release);
      case LockEvent.Cancel cancel -> holdings.cancel(cancel.lock());
    }
  }

  /** Until nothing is left that this node says to itself. */
  private void finish() {
    holdings.endOfStep();
    do {
      drain();
      table.endOfStep();
    } while (links.hasOwn());
    if (view != null) {
      links.endOfStep();
    }
  }

  private void drain() {
    int count = 0;
    for (LockMessage own = links.pollOwn(); own != null; own = links.pollOwn()) {
      take(settings.self(), own);
      if (++count > OWN_MAX) {
        throw new IllegalStateException("no rest: " + own);
      }
    }
  }

  private void begin(View next) {
    if (view != null && next.id().compareTo(view.id()) <= 0) {
      throw new IllegalStateException("view " + next.id() + " after " + view.id());
    }
    if (!next.nodes().contains(settings.self())) {
      throw new IllegalStateException("a view without this node");
    }
    for (ReservationKey node : next.nodes()) {
      if (cleared.containsKey(node)) {
        throw new IllegalStateException("a view with " + node + ", which is dead");
      }
    }
    final List<LockMessage> unheard = links.unheard();
    final List<LockMessage.RestateValue> values = table.values(next);
    view = next;
    if (deadlock == null) {
      deadlock = new Deadlock(settings.self(), next, table, holdings, links);
    }
    deadlock.begin(next);
    links.begin(next);
    table.begin(next);
    for (ReservationKey suspect : next.suspects()) {
      if (cleared.containsKey(suspect)) {
        table.clear(suspect);
      }
    }
    for (ReservationKey node : next.nodes()) {
      links.send(node, new LockMessage.Hello());
    }
    for (LockMessage message : unheard) {
      restateWritten(message, next);
    }
    for (LockMessage.RestateValue value : values) {
      links.send(Mastering.masterOf(value.resource(), next), value);
    }
    holdings.restate(next);
    for (ReservationKey node : next.nodes()) {
      links.send(node, new LockMessage.Restated());
    }
  }

  /** What was written under the view before, and perhaps not heard; or that nothing was. */
  private void restateWritten(LockMessage message, View next) {
    ValueBlock value;
    ResourceId resource;
    LockMessage.Source source = LockMessage.Source.WRITER;
    if (message instanceof LockMessage.Release release) {
      value = release.value();
      resource = release.resource();
    } else if (message instanceof LockMessage.Convert convert) {
      value = convert.value();
      resource = convert.resource();
    } else if (message instanceof LockMessage.RestateValue restated) {
      value = restated.value();
      resource = restated.resource();
      if (restated.source() != LockMessage.Source.WRITER) {
        source = LockMessage.Source.HEARSAY;
      }
    } else {
      return;
    }
    links.send(
        Mastering.masterOf(resource, next),
        new LockMessage.RestateValue(
            resource, value == null ? ValueBlock.NONE : value, source, null));
  }

  private void clear(Cleared proof) {
    if (proof.victim().equals(settings.self())) {
      throw new IllegalStateException("this incarnation is dead");
    }
    if (cleared.putIfAbsent(proof.victim(), proof) == null) {
      table.clear(proof.victim());
    }
  }

  private void receive(LockEvent.Received received) {
    if (view == null || cleared.containsKey(received.from())) {
      return;
    }
    LockMessage message = links.take(received.from(), received.envelope());
    if (message != null) {
      take(received.from(), message);
    }
  }

  private void take(ReservationKey from, LockMessage message) {
    switch (message) {
      case LockMessage.Hello _, LockMessage.Ack _ -> {}
      case LockMessage.Acquire m -> table.take(from, m);
      case LockMessage.Convert m -> table.take(from, m);
      case LockMessage.Release m -> table.take(from, m);
      case LockMessage.Cancel m -> table.take(from, m);
      case LockMessage.Restate m -> table.take(from, m);
      case LockMessage.RestateValue m -> table.take(from, m);
      case LockMessage.Restated _ -> table.restated(from);
      case LockMessage.Recorded _ -> table.recorded(from);
      case LockMessage.Queued m -> holdings.take(m);
      case LockMessage.Granted m -> holdings.take(m);
      case LockMessage.Refused m -> holdings.take(m);
      case LockMessage.Blocking m -> holdings.take(m);
      case LockMessage.Probe m -> {
        if (deadlock != null) {
          deadlock.take(m);
        }
      }
    }
  }

  // ---- for tests ----

  LockTable table() {
    return table;
  }

  Holdings holdings() {
    return holdings;
  }
}
