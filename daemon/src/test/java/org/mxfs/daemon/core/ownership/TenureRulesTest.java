// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.membership.Silence;
import org.mxfs.daemon.core.membership.Silences;

/**
 * Everything that can happen to two or three {@link TenureRules}, breadth first. Who drives them
 * here has no policy at all: in every state it tries every deed there is, so what holds here rests
 * on the rules alone. Commands take effect at any time after they were issued, also after their
 * daemon has died; their answers come at any time after that, or never; a grant, once given, is
 * there for ever. Bounded are only the numbers: requests and fresh keys a node, daemons and
 * machines that die.
 *
 * <p>A state is kept whole ({@link StateSet}), as the least of those that differ only in how the
 * nodes are numbered. It leaves out the counters of the rules: all that they decide is whether an
 * answer is evidence, which is in it.
 */
class TenureRulesTest {
  /** {@code -Dmxfs.rules.states=N}: so many states of each, at most. */
  private static final int STATES_MAX = Integer.getInteger("mxfs.rules.states", 400_000);

  private static final int MODEL_KEYS = 4;
  private static final int SILENCE_SECONDS = 3;

  /** {@code silent}: nodes that stand still for good, what they had sent still to come. */
  private record Limits(
      int nodes, int requests, int keys, int daemonDeaths, int powerLosses, int silent) {
    Limits(int nodes, int requests, int keys, int daemonDeaths, int powerLosses) {
      this(nodes, requests, keys, daemonDeaths, powerLosses, 0);
    }
  }

  /** What the exploration must notice. */
  enum Planted {
    NOTHING,
    /** XFS is said to be gone when it is not. */
    DETACHED_TOO_EARLY,
    /** A new daemon goes on with the key of the dead one, as if nothing had been granted by it. */
    NEW_DAEMON_TRUSTS_THE_OLD_KEY,
    /** A machine that lost power takes the key again that it had. */
    A_KEY_LIVES_TWICE,
    /** Settled while what a silent node has sent may still be carried out. */
    SETTLED_TOO_EARLY
  }

  /** A command: not there yet, or executed with its answer on the way. */
  private record Flight(
      ArrayCommand command, long askedAt, boolean executed, List<ReservationKey> shown) {}

  /** Changed only by the deed that has copied it. */
  private static final class Node {
    TenureRules rules;
    @Nullable Flight flight;

    /** Left under way by a daemon that died. */
    @Nullable ArrayCommand orphan;

    ReservationKey granteeKey = ReservationKey.NONE;

    /** Where it is silent: writes of it may be under way. */
    boolean xfs;

    /** It stands still for good, and others know that it is silent. */
    boolean silent;

    /** READ KEYS that showed ours was asked for then: READ RESERVATION follows. */
    long keysAskedAt;

    int requests;
    int keys;

    Node(int index, long silenceMillis) {
      rules = new TenureRules(index + 1, silenceMillis);
      rules.choose(ReservationKey.of(index + 1, 1));
      keys = 1;
    }

    Node(Node other) {
      rules = other.rules.clone();
      flight = other.flight;
      orphan = other.orphan;
      granteeKey = other.granteeKey;
      xfs = other.xfs;
      silent = other.silent;
      keysAskedAt = other.keysAskedAt;
      requests = other.requests;
      keys = other.keys;
    }

    /** 55 and 51 bits. */
    void encode(ToIntFunction<ReservationKey> code, int[] slotOf, long[] into, int at) {
      Flight f = flight;
      long bits = rules.digest(code);
      bits = bits << 4 | code.applyAsInt(granteeKey);
      bits = bits << 1 | (xfs ? 1 : 0);
      bits = bits << 1 | (silent ? 1 : 0);
      bits = bits << 1 | (rules.isEvidence(keysAskedAt) ? 1 : 0);
      bits = bits << 3 | requests;
      into[at] = bits << 3 | keys;
      long way = command(orphan, code);
      if (f != null) {
        way = way << 12 | command(f.command(), code);
        way = way << 1 | (f.executed() ? 1 : 0);
        way = way << 1 | (rules.isEvidence(f.askedAt()) ? 1 : 0);
        long shown = 0;
        for (int i = 0; i < f.shown().size(); i++) {
          // Of READ KEYS each by its path; of READ RESERVATION the one.
          int slot = f.shown().size() == 1 ? 0 : slotOf[i];
          shown |= (long) code.applyAsInt(f.shown().get(i)) << (4 * slot);
        }
        way = way << 12 | shown;
      }
      into[at + 1] = way;
    }

    private static long command(
        @Nullable ArrayCommand command, ToIntFunction<ReservationKey> code) {
      return switch (command) {
        case null -> 0;
        case ArrayCommand.ReadKeys _ -> 1;
        case ArrayCommand.ReadReservation _ -> 2;
        case ArrayCommand.Register r ->
            3 | code.applyAsInt(r.old()) << 4 | code.applyAsInt(r.key()) << 8;
        case ArrayCommand.Unregister u -> 4 | code.applyAsInt(u.key()) << 4;
        case ArrayCommand.Reserve r -> 5 | code.applyAsInt(r.key()) << 4;
        case ArrayCommand.Preempt p ->
            6 | code.applyAsInt(p.key()) << 4 | code.applyAsInt(p.victim()) << 8;
        default -> throw new IllegalArgumentException(command.toString());
      };
    }

    @Override
    public String toString() {
      Flight f = flight;
      return rules
          + (f == null ? "" : " under way " + f + " evidence=" + rules.isEvidence(f.askedAt()))
          + (orphan == null ? "" : " orphan " + orphan)
          + (xfs ? " XFS" : "");
    }
  }

  private static final class World {
    final Node[] nodes;
    ReservationKey[] registered;
    int holder = -1;

    /** A bit for each (granter's key, grantee, request). */
    long grants;

    int daemonDeaths;
    int powerLosses;

    /** In the set of states. */
    int number;

    String deed = "start";
    Object what = "";

    World(int count, long silenceMillis) {
      nodes = new Node[count];
      registered = new ReservationKey[count];
      Arrays.fill(registered, ReservationKey.NONE);
      for (int i = 0; i < count; i++) {
        nodes[i] = new Node(i, silenceMillis);
      }
    }

    /** A copy to change node {@code acting} of, and the array. */
    World(World other, int acting) {
      nodes = other.nodes.clone();
      nodes[acting] = new Node(nodes[acting]);
      registered = other.registered;
      holder = other.holder;
      grants = other.grants;
      daemonDeaths = other.daemonDeaths;
      powerLosses = other.powerLosses;
    }

    private void register(int nexus, ReservationKey key) {
      registered = registered.clone();
      registered[nexus] = key;
    }

    /** The array: atomic. What it shows, for a question. */
    List<ReservationKey> execute(int nexus, ArrayCommand command) {
      switch (command) {
        case ArrayCommand.ReadKeys _ -> {
          return List.of(registered);
        }
        case ArrayCommand.ReadReservation _ -> {
          return List.of(holder < 0 ? ReservationKey.NONE : registered[holder]);
        }
        case ArrayCommand.Register r -> {
          if (registered[nexus].equals(r.old())) {
            register(nexus, r.key());
          }
        }
        case ArrayCommand.Unregister u -> {
          if (registered[nexus].equals(u.key())) {
            register(nexus, ReservationKey.NONE);
            holder = holder == nexus ? -1 : holder;
          }
        }
        case ArrayCommand.Reserve r -> {
          if (registered[nexus].equals(r.key()) && holder < 0) {
            holder = nexus;
          }
        }
        case ArrayCommand.Preempt p -> {
          if (registered[nexus].equals(p.key())) {
            boolean takes = holder >= 0 && registered[holder].equals(p.victim());
            for (int i = 0; i < registered.length; i++) {
              if (i != nexus && registered[i].equals(p.victim())) {
                register(i, ReservationKey.NONE);
              }
            }
            holder = takes ? nexus : holder;
          }
        }
        default -> throw new IllegalArgumentException(command.toString());
      }
      return List.of();
    }

    @Nullable String violation() {
      int attached = 0;
      for (int i = 0; i < nodes.length; i++) {
        if (nodes[i].xfs) {
          attached++;
          if (holder != i && !nodes[i].silent) {
            return "XFS is attached on " + i + ", which does not hold the reservation";
          }
        }
      }
      return attached > 1 ? "XFS is attached on two nodes" : null;
    }
  }

  private final Map<ReservationKey, Silence> silences = new HashMap<>();

  private Silence silence(ReservationKey key) {
    return silences.computeIfAbsent(key, of -> Silences.of(of, SILENCE_SECONDS));
  }

  private long silenceMillis() {
    return limits.silent() == 0 ? 0 : SILENCE_SECONDS * 1_000;
  }

  /** Of the one exploration that an instance runs. */
  private Limits limits = new Limits(0, 0, 0, 0, 0);

  private Planted planted = Planted.NOTHING;
  private StateSet seen = new StateSet(0);
  private final Deque<World> open = new ArrayDeque<>();
  private final List<int[]> numberings = new ArrayList<>();
  private long[] scratch = new long[0];
  private int attaches;
  private long deeds;

  /** Where the successors of a state go: into {@link #open}, or to who looks for one of them. */
  private Consumer<World> found = _ -> {};

  // ---- states ----

  private int words() {
    return 2 * limits.nodes() + 2;
  }

  private void encode(World world, int[] slotOf, long[] into) {
    int nodes = limits.nodes();
    ToIntFunction<ReservationKey> code =
        key -> key.isNone() ? 0 : slotOf[key.nodeId() - 1] * MODEL_KEYS + (int) key.incarnation();
    long array = world.daemonDeaths;
    array = array << 2 | world.powerLosses;
    array = array << 2 | (world.holder < 0 ? 3 : slotOf[world.holder]);
    long registered = 0;
    for (int i = 0; i < nodes; i++) {
      world.nodes[i].encode(code, slotOf, into, 2 * slotOf[i]);
      registered |= (long) code.applyAsInt(world.registered[i]) << (4 * slotOf[i]);
    }
    into[2 * nodes] = array << 12 | registered;
    long grants = 0;
    for (long left = world.grants; left != 0; left &= left - 1) {
      int bit = Long.numberOfTrailingZeros(left);
      ReservationKey from = granter(bit);
      grants |= 1L << grantBit(code.applyAsInt(from), slotOf[grantee(bit)], request(bit));
    }
    into[2 * nodes + 1] = grants;
  }

  private int grantBit(int code, int to, int request) {
    return (code * limits.nodes() + to) * limits.requests() + request - 1;
  }

  private ReservationKey granter(int bit) {
    int code = bit / (limits.nodes() * limits.requests());
    return ReservationKey.of(code / MODEL_KEYS + 1, code % MODEL_KEYS);
  }

  private int grantee(int bit) {
    return bit / limits.requests() % limits.nodes();
  }

  private int request(int bit) {
    return bit % limits.requests() + 1;
  }

  /** The least of all numberings of the nodes. */
  private long[] canonical(World world) {
    long[] least = new long[words()];
    encode(world, numberings.getFirst(), least);
    for (int[] slotOf : numberings.subList(1, numberings.size())) {
      encode(world, slotOf, scratch);
      if (Arrays.compare(scratch, least) < 0) {
        System.arraycopy(scratch, 0, least, 0, least.length);
      }
    }
    return least;
  }

  private void number(int[] slotOf, int from) {
    if (from == slotOf.length) {
      numberings.add(slotOf.clone());
      return;
    }
    for (int i = from; i < slotOf.length; i++) {
      int[] next = slotOf.clone();
      next[from] = slotOf[i];
      next[i] = slotOf[from];
      number(next, from + 1);
    }
  }

  // ---- deeds ----

  /** Tries a deed; what the rules refuse has not happened. */
  private void attempt(World world, int node, String deed, Object what, Consumer<World> how) {
    World next = new World(world, node);
    next.deed = "node " + node + ": " + deed;
    next.what = what;
    deeds++;
    try {
      how.accept(next);
    } catch (TenureRules.BrokenRule refused) {
      return;
    }
    next.nodes[node].rules.invariants();
    found.accept(next);
  }

  private void take(World next, int parent) {
    next.number = seen.add(canonical(next), parent);
    if (next.number < 0) {
      return;
    }
    String violation = next.violation();
    if (violation != null) {
      throw new AssertionError(violation + "\n" + story(next));
    }
    open.add(next);
  }

  private void issue(World world, int i, ArrayCommand command) {
    Node node = world.nodes[i];
    node.flight = new Flight(command, node.rules.ask(), false, List.of());
  }

  private void deeds(World world, int i) {
    Node now = world.nodes[i];
    ArrayCommand orphan = now.orphan;
    if (orphan != null) {
      attempt(
          world,
          i,
          "what its dead daemon had under way arrives:",
          orphan,
          w -> {
            w.execute(i, orphan);
            w.nodes[i].orphan = null;
          });
    }
    if (now.silent) {
      return;
    }
    Flight flight = now.flight;
    if (flight != null && !flight.executed()) {
      ArrayCommand command = flight.command();
      attempt(
          world,
          i,
          "executed:",
          command,
          w ->
              w.nodes[i].flight =
                  new Flight(command, flight.askedAt(), true, w.execute(i, command)));
      attempt(world, i, "never arrives:", command, w -> w.nodes[i].flight = null);
    } else if (flight != null) {
      attempt(
          world,
          i,
          "answered:",
          flight,
          w -> {
            w.nodes[i].flight = null;
            answered(w.nodes[i], flight);
          });
    } else {
      commands(world, i);
    }
    attempt(
        world,
        i,
        "attaches",
        "",
        w -> {
          w.nodes[i].rules.attach();
          w.nodes[i].xfs = true;
          attaches++;
        });
    if (now.xfs) {
      attempt(
          world,
          i,
          "detaches",
          "",
          w -> {
            w.nodes[i].xfs = planted == Planted.DETACHED_TOO_EARLY;
            w.nodes[i].rules.xfs(false);
          });
    }
    attempt(world, i, "settles", "", w -> settle(w, i));
    if (now.requests < limits.requests()) {
      attempt(world, i, "opens a request", "", w -> w.nodes[i].rules.open(++w.nodes[i].requests));
    }
    attempt(world, i, "closes its request", "", w -> w.nodes[i].rules.close());
    for (int to = 0; to < limits.nodes(); to++) {
      for (int r = 1; to != i && r <= world.nodes[to].requests; r++) {
        grant(world, i, to, r);
      }
    }
    for (long left = world.grants; left != 0; left &= left - 1) {
      int bit = Long.numberOfTrailingZeros(left);
      if (grantee(bit) == i) {
        attempt(
            world,
            i,
            "receives the grant of",
            granter(bit),
            w -> {
              TenureRules rules = w.nodes[i].rules;
              rules.accept(granter(bit), request(bit), rules.epoch() + 1);
            });
      }
    }
    if (now.keys < limits.keys()) {
      attempt(
          world,
          i,
          "is to have a new key",
          "",
          w -> {
            Node n = w.nodes[i];
            if (n.rules.hold() != TenureRules.Hold.GRANTED || !n.rules.next().isNone()) {
              throw new TenureRules.BrokenRule("no reason to", new Object[0]);
            }
            n.rules.replaceKey(ReservationKey.of(i + 1, ++n.keys));
          });
    }
    deaths(world, i);
  }

  /** What Takeover does: nobody silent is registered, and then what they had sent ends. */
  private void settle(World world, int i) {
    world.nodes[i].rules.settled();
    for (int other = 0; other < limits.nodes(); other++) {
      Node node = world.nodes[other];
      if (node.silent && planted != Planted.SETTLED_TOO_EARLY) {
        if (!world.registered[other].isNone()) {
          throw new TenureRules.BrokenRule("a victim is registered", new Object[0]);
        }
        world.nodes[other] = new Node(node);
        world.nodes[other].xfs = false;
      }
    }
  }

  private void grant(World world, int i, int to, int request) {
    attempt(
        world,
        i,
        "grants to",
        to,
        w -> {
          Node n = w.nodes[i];
          n.rules.grant();
          n.granteeKey = w.nodes[to].rules.key();
          ReservationKey key = n.rules.key();
          int code = (key.nodeId() - 1) * MODEL_KEYS + (int) key.incarnation();
          w.grants |= 1L << grantBit(code, to, request);
        });
  }

  private void commands(World world, int i) {
    TenureRules rules = world.nodes[i].rules;
    // A reading that arrives late is the same as one that was asked for late, so it is executed at
    // once; when its answer comes is open. Those whose answer could change nothing are left out.
    boolean replacing = !rules.next().isNone();
    if (replacing || rules.isOurs()) {
      read(world, i, new ArrayCommand.ReadKeys());
    }
    boolean again = rules.isEvidence(world.nodes[i].keysAskedAt);
    if (replacing || (rules.hold() != TenureRules.Hold.PROVEN && (!rules.isOurs() || again))) {
      read(world, i, new ArrayCommand.ReadReservation());
    }
    ReservationKey wanted = replacing ? rules.next() : rules.key();
    for (ReservationKey old :
        new LinkedHashSet<>(List.of(ReservationKey.NONE, world.registered[i]))) {
      if (!old.equals(wanted)) {
        attempt(
            world,
            i,
            "REGISTER from",
            old,
            w -> issue(w, i, w.nodes[i].rules.register(old, wanted, false)));
      }
    }
    attempt(world, i, "RESERVE", "", w -> issue(w, i, w.nodes[i].rules.reserve()));
    attempt(
        world,
        i,
        "unregisters",
        "",
        w -> issue(w, i, w.nodes[i].rules.unregister(rules.key(), false)));
    for (ReservationKey victim : world.registered) {
      if (!victim.isNone() && !victim.equals(rules.key())) {
        // Permits that are made up, too: only the rules' own and those for the dead may hold.
        preempt(world, i, new Permit.Granted(victim, 1, rules.epoch() + 1));
        preempt(world, i, new Permit.DeadLife(victim));
        // Of who beats there is no proof of silence.
        if (world.nodes[victim.nodeId() - 1].silent) {
          Permit.Silent silent = new Permit.Silent(silence(victim), victim);
          preempt(world, i, silent);
          attempt(
              world,
              i,
              "shuts out with",
              silent,
              w -> issue(w, i, w.nodes[i].rules.shutOut(silent)));
        }
      }
    }
  }

  private void preempt(World world, int i, Permit permit) {
    attempt(
        world,
        i,
        "PREEMPT with",
        permit,
        w -> {
          TenureRules theirs = w.nodes[i].rules;
          Permit.Granted ours = theirs.granted();
          boolean same =
              permit instanceof Permit.Granted
                  && ours != null
                  && ours.victim().equals(permit.victim());
          issue(w, i, theirs.preempt(same ? Objects.requireNonNull(ours) : permit));
        });
  }

  private void read(World world, int i, ArrayCommand command) {
    attempt(
        world,
        i,
        "asks",
        command,
        w -> {
          Node n = w.nodes[i];
          n.flight = new Flight(command, n.rules.ask(), true, w.execute(i, command));
        });
  }

  /** What the machine makes of an answer: see Claim, Handover, Joining. */
  private void answered(Node node, Flight flight) {
    TenureRules rules = node.rules;
    long askedAt = flight.askedAt();
    if (!rules.isEvidence(askedAt)) {
      return;
    }
    if (flight.command() instanceof ArrayCommand.ReadReservation) {
      ReservationKey holder = flight.shown().getFirst();
      if (rules.hold() == TenureRules.Hold.GRANTED && rules.next().isNone()) {
        if (!holder.equals(rules.key())) {
          rules.lost(askedAt);
          if (!holder.equals(node.granteeKey)) {
            if (node.keys >= limits.keys()) {
              throw new TenureRules.BrokenRule("beyond the limits", new Object[0]);
            }
            rules.replaceKey(ReservationKey.of(rules.key().nodeId(), ++node.keys));
            rules.keyIsReplaced();
          }
        }
      } else if (!rules.next().isNone()) {
        if (!holder.equals(rules.key())) {
          rules.keyIsReplaced();
        }
      } else if (holder.equals(rules.key())) {
        if (node.xfs && rules.hold() == TenureRules.Hold.NO) {
          rules.resumeTenure(askedAt);
        } else {
          rules.sawOurs(askedAt);
          if (rules.isOurs() && rules.isEvidence(node.keysAskedAt)) {
            rules.beginTenure(node.keysAskedAt, rules.epoch() + 1, false);
            node.keysAskedAt = 0;
          }
        }
      }
    } else if (flight.command() instanceof ArrayCommand.ReadKeys) {
      if (!rules.next().isNone()) {
        if (Collections.frequency(flight.shown(), rules.next()) == 1) {
          rules.keyIsReplaced();
        }
      } else if (Collections.frequency(flight.shown(), rules.key()) == 1 && rules.isOurs()) {
        if (rules.looksTwice()) {
          node.keysAskedAt = askedAt;
        } else {
          rules.beginTenure(askedAt, rules.epoch() + 1, flight.shown().size() == 1);
        }
      }
    }
  }

  private void deaths(World world, int i) {
    if (Arrays.stream(world.nodes).filter(node -> node.silent).count() < limits.silent()) {
      attempt(
          world,
          i,
          "stands still for good",
          "",
          w -> {
            abandon(w.nodes[i]);
            w.nodes[i].silent = true;
          });
    }
    if (world.daemonDeaths < limits.daemonDeaths()) {
      attempt(
          world,
          i,
          "gets a new daemon",
          "",
          w -> {
            w.daemonDeaths++;
            Node n = w.nodes[i];
            abandon(n);
            ReservationKey key = n.rules.key();
            n.rules = new TenureRules(i + 1, silenceMillis());
            if (planted == Planted.NEW_DAEMON_TRUSTS_THE_OLD_KEY) {
              n.rules.choose(key);
              n.rules.xfs(n.xfs);
            } else {
              n.rules.resume(key, 1, n.xfs);
            }
            n.granteeKey = ReservationKey.NONE;
            n.keysAskedAt = 0;
          });
    }
    if (world.powerLosses < limits.powerLosses() && world.nodes[i].keys < limits.keys()) {
      attempt(
          world,
          i,
          "loses power and mounts again",
          "",
          w -> {
            w.powerLosses++;
            Node n = w.nodes[i];
            abandon(n);
            n.xfs = false;
            n.rules = new TenureRules(i + 1, silenceMillis());
            n.rules.foundRegistered(List.of(w.registered));
            n.keys += planted == Planted.A_KEY_LIVES_TWICE ? 0 : 1;
            n.rules.choose(ReservationKey.of(i + 1, n.keys));
            n.granteeKey = ReservationKey.NONE;
            n.keysAskedAt = 0;
          });
    }
  }

  private static void abandon(Node node) {
    Flight flight = node.flight;
    if (flight != null
        && !flight.executed()
        && !(flight.command() instanceof ArrayCommand.ReadKeys)
        && !(flight.command() instanceof ArrayCommand.ReadReservation)) {
      node.orphan = flight.command();
    }
    node.flight = null;
  }

  // ---- the exploration ----

  private World start() {
    World start = new World(limits.nodes(), silenceMillis());
    for (int i = 0; i < limits.nodes(); i++) {
      // The first registration has nothing to be explored.
      TenureRules rules = start.nodes[i].rules;
      start.execute(i, rules.register(ReservationKey.NONE, rules.key(), false));
    }
    return start;
  }

  /** Returns whether that was all there is. */
  private boolean explore(Limits bounds, int statesMax) {
    limits = bounds;
    assertThat(bounds.nodes() * bounds.requests() * 4 * bounds.nodes()).isLessThanOrEqualTo(64);
    assertThat(bounds.keys()).isLessThan(MODEL_KEYS);
    seen = new StateSet(words());
    scratch = new long[words()];
    int[] slotOf = new int[bounds.nodes()];
    Arrays.setAll(slotOf, i -> i);
    number(slotOf, 0);
    take(start(), -1);
    long begun = System.nanoTime();
    while (!open.isEmpty() && seen.size() < statesMax) {
      World world = open.remove();
      found = next -> take(next, world.number);
      for (int i = 0; i < bounds.nodes(); i++) {
        deeds(world, i);
      }
    }
    System.out.printf(
        "%s: %d states (%d numberings each), %s; %d deeds tried, %d attaches, %d ms%n",
        bounds,
        seen.size(),
        numberings.size(),
        open.isEmpty() ? "complete" : "not complete, " + open.size() + " open",
        deeds,
        attaches,
        (System.nanoTime() - begun) / 1_000_000);
    return open.isEmpty();
  }

  /** How it came to that: the deeds are found again, from the numbers of the states. */
  private String story(World last) {
    Deque<Integer> way = new ArrayDeque<>();
    for (int number = last.number; number > 0; number = seen.parent(number)) {
      way.addFirst(number);
    }
    StringBuilder text = new StringBuilder();
    World at = start();
    for (int number : way) {
      List<World> next = new ArrayList<>();
      found =
          world -> {
            if (next.isEmpty() && seen.is(number, canonical(world))) {
              next.add(world);
            }
          };
      for (int i = 0; i < limits.nodes(); i++) {
        deeds(at, i);
      }
      at = next.getFirst();
      text.append(at.deed).append(' ').append(at.what).append('\n');
    }
    for (Node node : at.nodes) {
      text.append(node).append('\n');
    }
    return text.toString();
  }

  @Test
  void twoNodesInEveryWayThereIs() {
    assertThat(explore(new Limits(2, 1, 2, 0, 0), Integer.MAX_VALUE)).as("complete").isTrue();
    assertThat(attaches).isPositive();
  }

  @Test
  void twoNodesAndADaemonThatDies() {
    explore(new Limits(2, 1, 2, 1, 0), STATES_MAX);
    assertThat(attaches).isPositive();
  }

  @Test
  void twoNodesAndAMachineThatDies() {
    explore(new Limits(2, 1, 2, 0, 1), STATES_MAX);
    assertThat(attaches).isPositive();
  }

  /** With takeover: one of them dies, with what it has sent still to come. */
  @Test
  void twoNodesOfWhichOneFallsSilentInEveryWayThereIs() {
    assertThat(explore(new Limits(2, 1, 2, 0, 0, 1), Integer.MAX_VALUE)).as("complete").isTrue();
    assertThat(attaches).isPositive();
  }

  @Test
  void twoNodesOfWhichOneFallsSilentAndADaemonThatDies() {
    explore(new Limits(2, 1, 2, 1, 0, 1), STATES_MAX);
    assertThat(attaches).isPositive();
  }

  @Test
  void threeNodesOfWhichOneFallsSilent() {
    explore(new Limits(3, 1, 1, 0, 0, 1), STATES_MAX);
    assertThat(attaches).isPositive();
  }

  @Test
  void threeNodes() {
    explore(new Limits(3, 1, 1, 0, 0), STATES_MAX);
    assertThat(attaches).isPositive();
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NOTHING")
  void whatIsWrongIsFound(Planted mistake) {
    planted = mistake;
    int deaths = mistake == Planted.NEW_DAEMON_TRUSTS_THE_OLD_KEY ? 1 : 0;
    int losses = mistake == Planted.A_KEY_LIVES_TWICE ? 1 : 0;
    int silent = mistake == Planted.SETTLED_TOO_EARLY ? 1 : 0;
    Limits small = new Limits(2, 1, deaths + losses + 1, deaths, losses, silent);
    assertThatThrownBy(() -> explore(small, 1_000_000))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("XFS is attached on");
  }
}
