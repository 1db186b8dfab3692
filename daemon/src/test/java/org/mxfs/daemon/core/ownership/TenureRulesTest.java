// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Everything that can happen to two or three {@link TenureRules}, breadth first. Who drives them
 * here has no policy at all: in every state it tries every deed there is, so what holds here rests
 * on the rules alone. Commands take effect at any time after they were issued, also after their
 * daemon has died; their answers come at any time after that, or never; a grant, once given, is
 * there for ever. Bounded are only the numbers: requests and fresh keys a node, daemons and
 * machines that die.
 */
class TenureRulesTest {
  private record Limits(int nodes, int requests, int keys, int daemonDeaths, int powerLosses) {}

  /** A grant that was sent, and may be received again and again. */
  private record Grant(ReservationKey from, int to, long request) {}

  /** A command: not there yet, or executed with its answer on the way. */
  private record Flight(ArrayCommand command, long askedAt, boolean executed, String answer) {}

  private static final class Node {
    TenureRules rules;
    @Nullable Flight flight;

    /** Left under way by a daemon that died. */
    @Nullable ArrayCommand orphan;

    ReservationKey granteeKey = ReservationKey.NONE;
    boolean xfs;
    int requests;
    int keys;

    Node(int index) {
      rules = new TenureRules(index + 1);
      rules.choose(ReservationKey.of(index + 1, 1));
      keys = 1;
    }

    Node(Node other) {
      rules = other.rules.clone();
      flight = other.flight;
      orphan = other.orphan;
      granteeKey = other.granteeKey;
      xfs = other.xfs;
      requests = other.requests;
      keys = other.keys;
    }

    String state() {
      Flight f = flight;
      return rules
          + " "
          + (f == null ? "-" : f.command + "" + f.executed + f.answer + rules.isEvidence(f.askedAt))
          + orphan
          + granteeKey
          + xfs
          + requests
          + keys;
    }
  }

  private static final class World {
    final List<Node> nodes = new ArrayList<>();
    final ReservationKey[] registered;
    int holder = -1;
    final Set<String> grants = new TreeSet<>();
    final Map<String, Grant> grantOf = new HashMap<>();
    int daemonDeaths;
    int powerLosses;
    @Nullable World from;
    String deed = "start";

    World(int count) {
      registered = new ReservationKey[count];
      java.util.Arrays.fill(registered, ReservationKey.NONE);
      for (int i = 0; i < count; i++) {
        nodes.add(new Node(i));
      }
    }

    World(World other) {
      other.nodes.forEach(n -> nodes.add(new Node(n)));
      registered = other.registered.clone();
      holder = other.holder;
      grants.addAll(other.grants);
      grantOf.putAll(other.grantOf);
      daemonDeaths = other.daemonDeaths;
      powerLosses = other.powerLosses;
      from = other;
    }

    String state() {
      StringBuilder text = new StringBuilder();
      nodes.forEach(n -> text.append(n.state()).append('\n'));
      return text.append(List.of(registered))
          .append(holder)
          .append(grants)
          .append(daemonDeaths)
          .append(powerLosses)
          .toString();
    }

    /** The array: atomic. */
    String execute(int nexus, ArrayCommand command) {
      return switch (command) {
        case ArrayCommand.ReadKeys _ -> {
          StringBuilder keys = new StringBuilder();
          for (ReservationKey key : registered) {
            keys.append(key).append(',');
          }
          yield keys.toString();
        }
        case ArrayCommand.ReadReservation _ ->
            (holder < 0 ? ReservationKey.NONE : registered[holder]).toString();
        case ArrayCommand.Register r -> {
          if (!registered[nexus].equals(r.old())) {
            yield "conflict";
          }
          registered[nexus] = r.key();
          yield "done";
        }
        case ArrayCommand.Unregister u -> {
          if (!registered[nexus].equals(u.key())) {
            yield "conflict";
          }
          registered[nexus] = ReservationKey.NONE;
          holder = holder == nexus ? -1 : holder;
          yield "done";
        }
        case ArrayCommand.Reserve r -> {
          if (!registered[nexus].equals(r.key()) || (holder >= 0 && holder != nexus)) {
            yield "conflict";
          }
          holder = nexus;
          yield "done";
        }
        case ArrayCommand.Preempt p -> {
          if (!registered[nexus].equals(p.key()) || !List.of(registered).contains(p.victim())) {
            yield "conflict";
          }
          boolean takes = holder >= 0 && registered[holder].equals(p.victim());
          for (int i = 0; i < registered.length; i++) {
            if (i != nexus && registered[i].equals(p.victim())) {
              registered[i] = ReservationKey.NONE;
            }
          }
          holder = takes ? nexus : holder;
          yield "done";
        }
        default -> throw new IllegalArgumentException(command.toString());
      };
    }

    @Nullable String violation() {
      int attached = 0;
      for (int i = 0; i < nodes.size(); i++) {
        if (nodes.get(i).xfs) {
          attached++;
          if (holder != i) {
            return "XFS is attached on " + i + ", which does not hold the reservation";
          }
        }
      }
      return attached > 1 ? "XFS is attached on two nodes" : null;
    }

    String story() {
      Deque<String> lines = new ArrayDeque<>();
      for (World w = this; w != null; w = w.from) {
        lines.addFirst(w.deed);
      }
      return String.join("\n", lines) + "\n" + state();
    }
  }

  /** Of the one test that an instance runs. */
  private Limits limits = new Limits(0, 0, 0, 0, 0);

  private final Map<String, Boolean> seen = new HashMap<>();
  private final Deque<World> open = new ArrayDeque<>();
  private int attaches;

  /** Tries a deed; what the rules refuse has not happened. */
  private void attempt(World world, String deed, Consumer<World> what) {
    World next = new World(world);
    next.deed = deed;
    try {
      what.accept(next);
    } catch (TenureRules.BrokenRule refused) {
      return;
    }
    for (Node node : next.nodes) {
      node.rules.invariants();
    }
    if (seen.putIfAbsent(next.state(), true) != null) {
      return;
    }
    String violation = next.violation();
    if (violation != null) {
      throw new AssertionError(violation + "\n" + next.story());
    }
    open.add(next);
  }

  private static void issue(Node node, ArrayCommand command) {
    node.flight = new Flight(command, node.rules.ask(), false, "");
  }

  private void deeds(World world, int i) {
    String who = "node " + i + ": ";
    Node now = world.nodes.get(i);
    if (now.orphan != null) {
      attempt(
          world,
          who + "what its dead daemon had under way arrives: " + now.orphan,
          w -> {
            Node n = w.nodes.get(i);
            w.execute(i, java.util.Objects.requireNonNull(n.orphan));
            n.orphan = null;
          });
    }
    Flight flight = now.flight;
    if (flight != null && !flight.executed()) {
      attempt(
          world,
          who + "executed: " + flight.command(),
          w ->
              w.nodes.get(i).flight =
                  new Flight(
                      flight.command(), flight.askedAt(), true, w.execute(i, flight.command())));
      attempt(world, who + "never arrives: " + flight.command(), w -> w.nodes.get(i).flight = null);
    } else if (flight != null) {
      attempt(
          world,
          who + "answered: " + flight.command() + " " + flight.answer(),
          w -> {
            Node n = w.nodes.get(i);
            n.flight = null;
            answered(n, flight);
          });
    } else {
      commands(world, i, who);
    }
    attempt(
        world,
        who + "attaches",
        w -> {
          w.nodes.get(i).rules.attach();
          w.nodes.get(i).xfs = true;
          attaches++;
        });
    if (now.xfs) {
      attempt(
          world,
          who + "detaches",
          w -> {
            w.nodes.get(i).xfs = false;
            w.nodes.get(i).rules.xfs(false);
          });
    }
    if (now.requests < limits.requests()) {
      attempt(
          world,
          who + "opens a request",
          w -> w.nodes.get(i).rules.open(++w.nodes.get(i).requests));
    }
    attempt(world, who + "closes its request", w -> w.nodes.get(i).rules.close());
    for (int j = 0; j < limits.nodes(); j++) {
      Node other = world.nodes.get(j);
      int to = j;
      for (int r = 1; j != i && r <= other.requests; r++) {
        long request = r;
        attempt(
            world,
            who + "grants to " + j + " for " + r,
            w -> {
              Node n = w.nodes.get(i);
              n.rules.grant();
              n.granteeKey = w.nodes.get(to).rules.key();
              Grant grant = new Grant(n.rules.key(), to, request);
              w.grants.add(grant.toString());
              w.grantOf.put(grant.toString(), grant);
            });
      }
    }
    for (String name : world.grants) {
      Grant grant = java.util.Objects.requireNonNull(world.grantOf.get(name));
      if (grant.to() == i) {
        attempt(
            world,
            who + "receives " + grant,
            w ->
                w.nodes
                    .get(i)
                    .rules
                    .accept(grant.from(), grant.request(), w.nodes.get(i).rules.epoch() + 1));
      }
    }
    if (now.keys < limits.keys()) {
      attempt(
          world,
          who + "is to have a new key",
          w -> {
            Node n = w.nodes.get(i);
            if (n.rules.hold() != TenureRules.Hold.GRANTED || !n.rules.next().isNone()) {
              throw new TenureRules.BrokenRule("no reason to");
            }
            n.rules.replaceKey(ReservationKey.of(i + 1, ++n.keys));
          });
    }
    deaths(world, i, who);
  }

  private void commands(World world, int i, String who) {
    TenureRules rules = world.nodes.get(i).rules;
    // A reading that arrives late is the same as one that was asked for late, so it is executed at
    // once; when its answer comes is open. Those whose answer could change nothing are left out.
    boolean replacing = !rules.next().isNone();
    if (replacing || rules.isOurs()) {
      read(world, i, who, new ArrayCommand.ReadKeys());
    }
    if (replacing || (rules.hold() != TenureRules.Hold.PROVEN && !rules.isOurs())) {
      read(world, i, who, new ArrayCommand.ReadReservation());
    }
    ReservationKey wanted = rules.next().isNone() ? rules.key() : rules.next();
    Set<ReservationKey> olds = new java.util.LinkedHashSet<>();
    olds.add(ReservationKey.NONE);
    for (int k = 1; k <= limits.keys(); k++) {
      olds.add(ReservationKey.of(i + 1, k));
    }
    for (ReservationKey old : olds) {
      if (!old.equals(wanted) && (old.isNone() || old.equals(world.registered[i]))) {
        attempt(
            world,
            who + "REGISTER " + old + " to " + wanted,
            w -> issue(w.nodes.get(i), w.nodes.get(i).rules.register(old, wanted, false)));
      }
    }
    attempt(world, who + "RESERVE", w -> issue(w.nodes.get(i), w.nodes.get(i).rules.reserve()));
    attempt(
        world,
        who + "unregisters",
        w -> issue(w.nodes.get(i), w.nodes.get(i).rules.unregister(rules.key(), false)));
    for (ReservationKey victim : world.registered) {
      if (!victim.isNone()) {
        // Permits that are made up, too: only the rules' own and those for the dead may hold.
        for (Permit permit :
            List.of(
                new Permit.Granted(victim, 1, rules.epoch() + 1), new Permit.DeadLife(victim))) {
          attempt(
              world,
              who + "PREEMPT with " + permit,
              w -> issue(w.nodes.get(i), w.nodes.get(i).rules.preempt(permit)));
        }
      }
    }
  }

  private void read(World world, int i, String who, ArrayCommand command) {
    attempt(
        world,
        who + "asks " + command,
        w -> {
          Node n = w.nodes.get(i);
          n.flight = new Flight(command, n.rules.ask(), true, w.execute(i, command));
        });
  }

  /** What the machine makes of an answer: see Claim, Handover, Joining. */
  private void answered(Node node, Flight flight) {
    TenureRules rules = node.rules;
    if (!rules.isEvidence(flight.askedAt())) {
      return;
    }
    if (flight.command() instanceof ArrayCommand.ReadReservation) {
      String holder = flight.answer();
      if (rules.hold() == TenureRules.Hold.GRANTED && rules.next().isNone()) {
        if (!holder.equals(rules.key().toString())) {
          rules.lost(flight.askedAt());
          if (!holder.equals(node.granteeKey.toString())) {
            if (node.keys >= limits.keys()) {
              throw new TenureRules.BrokenRule("beyond the limits");
            }
            rules.replaceKey(ReservationKey.of(rules.key().nodeId(), ++node.keys));
            rules.keyIsReplaced();
          }
        }
      } else if (!rules.next().isNone()) {
        if (!holder.equals(rules.key().toString())) {
          rules.keyIsReplaced();
        }
      } else if (holder.equals(rules.key().toString())) {
        if (node.xfs && rules.hold() == TenureRules.Hold.NO) {
          rules.resumeTenure(flight.askedAt());
        } else {
          rules.sawOurs(flight.askedAt());
        }
      }
    } else if (flight.command() instanceof ArrayCommand.ReadKeys) {
      List<String> keys = List.of(flight.answer().split(","));
      if (!rules.next().isNone()) {
        if (Collections.frequency(keys, rules.next().toString()) == 1) {
          rules.keyIsReplaced();
        }
      } else if (Collections.frequency(keys, rules.key().toString()) == 1 && rules.isOurs()) {
        rules.beginTenure(flight.askedAt(), rules.epoch() + 1);
      }
    }
  }

  private void deaths(World world, int i, String who) {
    if (world.daemonDeaths < limits.daemonDeaths()) {
      attempt(
          world,
          who + "gets a new daemon",
          w -> {
            w.daemonDeaths++;
            Node n = w.nodes.get(i);
            abandon(n);
            ReservationKey key = n.rules.key();
            n.rules = new TenureRules(i + 1);
            n.rules.resume(key, 1, n.xfs);
            n.granteeKey = ReservationKey.NONE;
          });
    }
    if (world.powerLosses < limits.powerLosses() && world.nodes.get(i).keys < limits.keys()) {
      attempt(
          world,
          who + "loses power and mounts again",
          w -> {
            w.powerLosses++;
            Node n = w.nodes.get(i);
            abandon(n);
            n.xfs = false;
            n.rules = new TenureRules(i + 1);
            n.rules.foundRegistered(List.of(w.registered));
            n.rules.choose(ReservationKey.of(i + 1, ++n.keys));
            n.granteeKey = ReservationKey.NONE;
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

  private int explore(int statesMax) {
    World start = new World(limits.nodes());
    for (int i = 0; i < limits.nodes(); i++) {
      // The first registration has nothing to be explored.
      Node node = start.nodes.get(i);
      start.execute(i, node.rules.register(ReservationKey.NONE, node.rules.key(), false));
    }
    seen.put(start.state(), true);
    open.add(start);
    while (!open.isEmpty()) {
      World world = open.remove();
      for (int i = 0; i < limits.nodes(); i++) {
        deeds(world, i);
      }
      if (seen.size() > statesMax) {
        break;
      }
    }
    System.out.printf(
        "%s: %d states, %d attaches, %s%n",
        limits, seen.size(), attaches, open.isEmpty() ? "all there are" : "not all");
    return seen.size();
  }

  private void explored(Limits bounds) {
    limits = bounds;
    explore(STATES_MAX);
    assertThat(attaches).as("attaches among all that was tried").isPositive();
  }

  @Test
  void twoNodes() {
    explored(new Limits(2, 1, 2, 0, 0));
  }

  @Test
  void twoNodesAndADaemonThatDies() {
    explored(new Limits(2, 1, 2, 1, 0));
  }

  @Test
  void twoNodesAndAMachineThatDies() {
    explored(new Limits(2, 1, 2, 0, 1));
  }

  @Test
  void threeNodes() {
    explored(new Limits(3, 1, 1, 0, 0));
  }

  private static final int STATES_MAX = Integer.getInteger("mxfs.rules.states", 60_000);
}
