// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.EnumSet;
import java.util.List;
import java.util.PriorityQueue;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.fencing.FencingSettings;
import org.mxfs.daemon.core.membership.Beat;
import org.mxfs.daemon.core.membership.Slot;
import org.mxfs.daemon.core.membership.SlotTable;

/**
 * Some nodes, one array, one network, one seed. Everything that {@link Ownership} meets in life
 * happens here in simulated time: a kernel that attaches, detaches and wants; messages that are
 * lost, late, doubled and out of order; cut links; array commands whose outcome stays unknown;
 * nodes that lose power, daemons that die, mounts and umounts at any moment; and of the {@link
 * Kind}s of rarer faults a few. First comes chaos, then everything heals and all nodes hammer.
 *
 * <p>Checked after every single effect:
 *
 * <ul>
 *   <li>at most one node's kernel has XFS attached, and that node holds the reservation;
 *   <li>epochs: every new tenure has a larger one than all before;
 *   <li>no node is fenced, since nobody here takes anything without consent (but for machines that
 *       share a path or an id), and the machine finds no mistake in itself;
 *   <li>a lease never reaches further than its length after READ KEYS was last executed;
 *   <li>after healing: every node gets its turn, again and again.
 * </ul>
 *
 * <p>With a disk ({@link DiskKind}) nodes have heartbeats, and there is also checked:
 *
 * <ul>
 *   <li>a node writes its own slot and no other, and a slot is given by the holder of the
 *       reservation alone, and only where nobody has it: never do two write one slot;
 *   <li>the sequence that a node writes never goes back;
 *   <li>who has beaten attaches only when the epoch has been on disk;
 *   <li>who has beaten has no lease beyond its length after its last beat reached the disk;
 *   <li>after healing every node beats again.
 * </ul>
 *
 * <p>With takeover ({@link #withTakeover}) owners die for good, or stand still for so long that
 * they are taken for dead, and what they had under way reaches the disk up to a minute later,
 * unless a reset ends it. There is also checked:
 *
 * <ul>
 *   <li>nothing that such an owner had under way is carried out while another has XFS attached,
 *       also where a REGISTER of it comes late and lets it in again;
 *   <li>who is shut out has no lease any more when another attaches;
 *   <li>after healing the survivors get their turns without it.
 * </ul>
 *
 * <p>All that chaos is made of goes on while that owner dies, and for a minute or more after it,
 * but that further machines lose power or stand still for long.
 *
 * <p>Then all of them leave, at once, some of them dying on the way, and mount again; the dead one
 * may come back. There is also checked that the disk is never without a reservation while one that
 * was shut out with XFS attached has not come back.
 */
final class Simulation {
  /** A fault built in on purpose, to show that the checks notice. */
  enum Sabotage {
    NONE,
    /** The kernel says "detached" while XFS is still attached. */
    DETACHED_TOO_EARLY,
    /** A grant is taken for whatever request is open. */
    GRANT_FITS_ANY_REQUEST,
    /** The granter believes it changed its key, and the array never heard of it. */
    KEY_NEVER_CHANGES,
    /** RESERVE and READ RESERVATION tell every node that it is the holder. */
    EVERYBODY_HOLDS,
    /** Writes are told of as on disk before they are. */
    WRITTEN_TOO_EARLY,
    /** Writes that failed are told of as on disk. */
    ERRORS_HIDDEN,
    /** What others have looks free. */
    OTHERS_LOOK_FREE,
    /** A reading shows what was there long before. */
    OLD_READINGS,
    /** A new daemon begins its sequence anew, and does not see the one on disk. */
    SEQUENCE_FORGOTTEN,
    /** A reset is told of as done, and ends nothing. */
    RESET_ENDS_NOTHING,
    /** Slots of who was shut out look free. */
    FENCED_LOOK_FREE
  }

  /** What goes wrong with the disk. */
  enum DiskKind {
    /** Commands take effect, and answers come, up to some seconds late. */
    SLOW,
    /** Readings and writes fail; what failed may have landed all the same, or lands later. */
    ERRORS,
    /** The whole array stands still for seconds, reservations and all. */
    STALL,
    /** Slots become damaged: torn by who dies while writing, by chance, or unreadable. */
    DAMAGE,
    /** A write lands after its daemon has died and its successor is at work. */
    OUTLIVING
  }

  /** Faults beyond the everyday ones, each turned up high where a seed has it. */
  enum Kind {
    /** Answers of the array come late, up to 1.5 s, after the command has taken effect. */
    LATE,
    /** A node stands still for seconds, also between a decision and the deed; clocks go on. */
    PAUSES,
    /** Commands arrive after their daemon has died and its successor is at work. */
    OUTLIVING,
    /** A node that boots again is the same I_T nexus to the array. */
    SAME_NEXUS,
    /** Two machines are one I_T nexus to the array. */
    SHARED_NEXUS,
    /** Two machines have one node id. */
    COLLISION,
    /** The kernel's answers get lost. */
    LOST_EVENTS,
    /** Each node's clock has its own beginning and pace. */
    DRIFT
  }

  /** What one run came to. */
  record Outcome(long seed, int tenures, int events, List<Integer> attachesAfterHealing) {}

  private static final int HISTORY = Integer.getInteger("mxfs.sim.history", 400);
  private static final long HEALED_MILLIS = 20_000;

  /** Longer than slots rest. */
  private static final long SETTLE_WITH_DISK_MILLIS = SlotTable.REST_MILLIS + 10_000;

  /** Longer than slots rest, and a survivor waits, fences and marks after that. */
  private static final long SETTLE_WITH_TAKEOVER_MILLIS = SlotTable.REST_MILLIS + 60_000;

  /** After healing: a minute after the owner's death, and before everybody leaves. */
  private static final long RELAPSE_ENDS_MILLIS = 100_000;

  private static final FencingSettings RESET_REACHES = FencingSettings.RESET_ENDS_ALL;

  private static final long LEASE_MILLIS = 20_000;
  private static final long BEAT_MILLIS = 1_000;
  private static final List<Slot.Kind> SLOT_KINDS =
      List.of(Slot.Kind.TORN, Slot.Kind.FOREIGN, Slot.Kind.UNREADABLE);

  private final long seed;
  private final Random random;
  private final Sabotage sabotage;
  private final SimulatedArray array = new SimulatedArray();
  private final PriorityQueue<Scheduled> agenda = new PriorityQueue<>();
  private final List<Node> nodes = new ArrayList<>();
  private final boolean[][] cut;
  private final Deque<Line> history = new ArrayDeque<>();
  private final double loss;
  private final double unclear;
  private final double crashes;
  private final Set<Kind> kinds;
  private final int lastIndex;
  private final double late;
  private final int lateMillis;
  private long now;
  private long sequence;
  private int steps;
  private int tenures;
  private long lastEpoch;
  private int lastEpochNexus = -1;
  private boolean healed;

  /** It has healed, and all goes wrong again while an owner dies, but that machines lose power. */
  private boolean relapsed;

  private int nextNexus = 1;
  private final @Nullable Set<DiskKind> diskKinds;
  private final SimulatedDisk disk;
  private long stalledUntil;
  private boolean takeover;
  private int takeovers;
  private int lateRegisters;
  private int lateBeats;
  private int earlierLives;
  private int slowTurns;
  private int detachedStandstills;
  private int unsettledLeaves;
  private int failedLooks;

  /** Whether looks for the lock state fail, where there is one. */
  private boolean looksFail;

  /** Whether readings become slow, when somebody was shut out, until all heals again. */
  private boolean readsSlowly;

  private boolean slowReadings;

  /** Whether it is a holder without XFS that stands still, and no owner that dies. */
  private boolean killsDetached;

  private int refused;

  /** Who was shut out with XFS attached, and has not come back. */
  private final Set<ReservationKey> unaccounted = new java.util.HashSet<>();

  private int stays;
  private boolean mountsAgain = true;

  /** How many resets the array has carried out. */
  private int resets;

  private final java.util.Map<Integer, Node> writers = new java.util.HashMap<>();

  private record Scheduled(long time, long sequence, Runnable what)
      implements Comparable<Scheduled> {
    @Override
    public int compareTo(Scheduled other) {
      int byTime = Long.compare(time, other.time);
      return byTime != 0 ? byTime : Long.compare(sequence, other.sequence);
    }
  }

  Simulation(long seed, Sabotage sabotage) {
    this(seed, sabotage, sabotage == Sabotage.NONE ? kindsOf(seed) : Set.of());
  }

  /** With a disk, and everything that goes with it. */
  static Simulation withDisk(long seed, Sabotage sabotage) {
    Random draw = new Random(seed * 0x9e3779b97f4a7c15L + 2);
    Set<DiskKind> disk = EnumSet.noneOf(DiskKind.class);
    for (int i = draw.nextInt(4); i > 0; i--) {
      disk.add(DiskKind.values()[draw.nextInt(DiskKind.values().length)]);
    }
    if (sabotage == Sabotage.ERRORS_HIDDEN) {
      disk.add(DiskKind.ERRORS);
    }
    Set<Kind> kinds = sabotage == Sabotage.NONE ? kindsOf(seed) : Set.of();
    return new Simulation(seed, sabotage, kinds, disk);
  }

  /**
   * With takeover, in a few worlds with looks for the lock state that fail. A node whose slot is
   * damaged cannot beat and is rightly shut out, so that kind is left out; machines that share a
   * path or a name are another matter.
   */
  static Simulation withTakeover(long seed, Sabotage sabotage) {
    Random draw = new Random(seed * 0x9e3779b97f4a7c15L + 3);
    Set<DiskKind> disk = EnumSet.noneOf(DiskKind.class);
    for (int i = draw.nextInt(3); i > 0; i--) {
      disk.add(DiskKind.values()[draw.nextInt(DiskKind.values().length)]);
    }
    disk.remove(DiskKind.DAMAGE);
    Set<Kind> kinds = sabotage == Sabotage.NONE ? kindsOf(seed) : EnumSet.noneOf(Kind.class);
    kinds.remove(Kind.COLLISION);
    kinds.remove(Kind.SHARED_NEXUS);
    Simulation simulation = new Simulation(seed, sabotage, kinds, disk);
    simulation.takeover = true;
    simulation.looksFail = draw.nextInt(6) == 0;
    simulation.readsSlowly = draw.nextInt(6) == 0;
    simulation.killsDetached = draw.nextInt(5) == 0;
    return simulation;
  }

  /** How often XFS was attached after its owner was shut out. */
  int takeovers() {
    return takeovers;
  }

  /** How often a REGISTER of a victim came when it was shut out already. */
  int lateRegisters() {
    return lateRegisters;
  }

  /** How often a beat of a victim landed over what its slot says. */
  int lateBeats() {
    return lateBeats;
  }

  /** How often a REGISTER of an earlier life came when its node had booted again. */
  int earlierLives() {
    return earlierLives;
  }

  /** How often the slots were read slowly from a fencing on. */
  int slowTurns() {
    return slowTurns;
  }

  /** How often a holder without XFS stood still. */
  int detachedStandstills() {
    return detachedStandstills;
  }

  /** How often a mount was refused because takeover was on there and not here, or the reverse. */
  int refused() {
    return refused;
  }

  /** How often a survivor left before it was settled. */
  int unsettledLeaves() {
    return unsettledLeaves;
  }

  /** How often a node was told that the look for the lock state failed. */
  int failedLooks() {
    return failedLooks;
  }

  /** How often a node stayed registered when it left. */
  int stays() {
    return stays;
  }

  /** Few kinds at once: all together hide each other. */
  static Set<Kind> kindsOf(long seed) {
    Random draw = new Random(seed * 0x9e3779b97f4a7c15L + 1);
    Set<Kind> kinds = EnumSet.noneOf(Kind.class);
    for (int i = draw.nextInt(4); i > 0; i--) {
      kinds.add(Kind.values()[draw.nextInt(Kind.values().length)]);
    }
    if (kinds.contains(Kind.COLLISION)) {
      // A twin is found by being heard: who is silent for longer than a mount listens is not found.
      kinds.remove(Kind.PAUSES);
      kinds.remove(Kind.SHARED_NEXUS);
    }
    return kinds;
  }

  Simulation(long seed, Sabotage sabotage, Set<Kind> kinds) {
    this(seed, sabotage, kinds, null);
  }

  /** {@code diskKinds}: null for no disk at all. */
  Simulation(long seed, Sabotage sabotage, Set<Kind> kinds, @Nullable Set<DiskKind> diskKinds) {
    this.seed = seed;
    this.diskKinds = diskKinds;
    // Few, so that they are taken, free and at rest again and again.
    disk = new SimulatedDisk(10 + (int) Math.floorMod(seed, 3L) * 4);
    this.sabotage = sabotage;
    this.kinds = kinds;
    random = new Random(seed);
    late = new double[] {0.02, 0.1, 0.3}[(int) Math.floorMod(seed, 3L)];
    lateMillis = 1_000 + 250 * (int) Math.floorMod(seed, 3L);
    int count = 2 + random.nextInt(3);
    lastIndex = count - 1;
    loss = random.nextInt(3) * 0.05;
    unclear = random.nextInt(3) * 0.02;
    crashes = random.nextInt(3) * 0.15;
    for (int i = 0; i < count; i++) {
      nodes.add(new Node(i));
    }
    cut = new boolean[count][count];
    if (has(Kind.SHARED_NEXUS)) {
      nodes.get(1).nexus = nodes.get(0).nexus;
    }
  }

  private boolean has(DiskKind kind) {
    return diskKinds != null && diskKinds.contains(kind) && isChaos();
  }

  private boolean isChaos() {
    return !healed || relapsed;
  }

  private boolean has(Kind kind) {
    return kinds.contains(kind);
  }

  Outcome run() {
    long chaos = 3_000L + random.nextInt(15_000);
    for (Node node : nodes) {
      at(random.nextInt(1_500), node::mount);
    }
    for (long time = 0; time < chaos; time += 100 + random.nextInt(900)) {
      at(time, this::trouble);
    }
    at(chaos, this::heal);
    // Where readings become slow, all goes wrong for longer than a slot rests.
    long relapse = RELAPSE_ENDS_MILLIS + (readsSlowly ? SlotTable.REST_MILLIS : 0);
    long settle =
        takeover
            ? relapse + SETTLE_WITH_TAKEOVER_MILLIS * (looksFail ? 2 : 1)
            : diskKinds == null ? 12_000 : SETTLE_WITH_DISK_MILLIS;
    if (takeover) {
      at(chaos + 18_000, this::relapse);
      at(chaos + 20_000 + random.nextInt(10_000), this::killOwner);
      at(chaos + relapse, this::healAgain);
      at(chaos + relapse + 40_000 + random.nextInt(20_000), this::everybodyLeaves);
    }
    long end = chaos + settle + HEALED_MILLIS;
    at(chaos + settle, () -> nodes.forEach(n -> n.attachesAfterHealing = 0));
    while (true) {
      Scheduled next = agenda.poll();
      if (next == null || next.time > end) {
        break;
      }
      now = next.time;
      steps++;
      next.what.run();
      checkSafety();
    }
    now = end;
    List<Integer> turns = new ArrayList<>();
    boolean alone = nodes.stream().filter(n -> !n.off).count() == 1;
    // Who cannot see the slots waits for a dead owner as without takeover.
    boolean isBlind =
        takeover && nodes.stream().filter(n -> !n.off).allMatch(n -> n.lookFailed || !n.knowsDisk);
    for (Node node : nodes) {
      if (node.off) {
        continue;
      }
      turns.add(node.attachesAfterHealing);
      if (isBlind) {
        continue;
      }
      if (alone ? node.state != KernelState.ATTACHED : node.attachesAfterHealing < 3) {
        throw violation(
            "node "
                + node.name
                + " got "
                + node.attachesAfterHealing
                + " turns in "
                + HEALED_MILLIS
                + " ms after healing; it is "
                + node.describe());
      }
      if (disk.isMade()) {
        node.checkBeats();
      }
    }
    return new Outcome(seed, tenures, steps, turns);
  }

  private void at(long time, Runnable what) {
    agenda.add(new Scheduled(Math.max(time, now), sequence++, what));
  }

  private void after(long delay, Runnable what) {
    at(now + delay, what);
  }

  private boolean chance(double probability) {
    return random.nextDouble() < probability;
  }

  private record Line(long time, String who, String arrow, Object what) {
    @Override
    public String toString() {
      return time + " " + who + arrow + what;
    }
  }

  private void remember(String line) {
    remember(line, "", "");
  }

  /** Text is made only when a run went wrong. */
  private void remember(String who, String arrow, Object what) {
    history.addLast(new Line(now, who, arrow, what));
    if (history.size() > HISTORY) {
      history.removeFirst();
    }
  }

  private AssertionError violation(String what) {
    return new AssertionError(
        "seed "
            + seed
            + " "
            + kinds
            + " at "
            + now
            + " ms: "
            + what
            + "\n"
            + history.stream()
                .map(Line::toString)
                .collect(java.util.stream.Collectors.joining("\n")));
  }

  // ---- what goes wrong ----

  private void trouble() {
    if (healed) {
      return;
    }
    Node node = nodes.get(random.nextInt(nodes.size()));
    Node other = nodes.get(random.nextInt(nodes.size()));
    int what = random.nextInt(8);
    if (has(DiskKind.STALL) && chance(0.05)) {
      stalledUntil = now + 500 + random.nextInt(chance(0.3) ? 25_000 : 4_000);
      remember("the array stands still until " + stalledUntil);
    }
    if (has(DiskKind.DAMAGE) && chance(0.1) && disk.damaged() < disk.size() / 4) {
      int slot = random.nextInt(disk.size());
      Slot.Kind kind = SLOT_KINDS.get(random.nextInt(SLOT_KINDS.size()));
      remember("slot " + slot + " is damaged: " + kind);
      disk.damage(slot, kind);
    }
    if (has(Kind.PAUSES) && chance(0.3)) {
      node.pause(200 + random.nextInt(chance(0.2) ? 8_000 : 2_000));
    }
    if (what == 0 && chance(crashes)) {
      node.powerOff();
      if (chance(0.7)) {
        after(1_000 + random.nextInt(4_000), node::powerOn);
      }
    } else if (what == 1 && chance(2 * crashes)) {
      node.killDaemon();
    } else if (what == 2) {
      node.umount();
    } else if (what == 3 || what == 4) {
      node.mount();
    } else if (what == 5 && node != other) {
      setCut(node, other, true);
      after(200 + random.nextInt(6_000), () -> setCut(node, other, false));
    }
  }

  private void setCut(Node a, Node b, boolean value) {
    if (value && has(Kind.COLLISION) && a.nodeId == b.nodeId) {
      return;
    }
    if (cut[a.index][b.index] == value) {
      return;
    }
    cut[a.index][b.index] = value;
    cut[b.index][a.index] = value;
    remember((value ? "cut " : "healed ") + a.name + "-" + b.name);
    // Both ends notice, each in its own time.
    long delay = value ? random.nextInt(3_000) : 50 + random.nextInt(1_000);
    after(delay, () -> a.look(b));
    after(value ? random.nextInt(3_000) : 50 + random.nextInt(1_000), () -> b.look(a));
  }

  private void heal() {
    healed = true;
    remember("everything heals");
    endTrouble();
    if (has(Kind.SHARED_NEXUS)) {
      Node second = nodes.get(1);
      boolean holding = array.holds(second.nexus) && second.xfsMounted;
      // Somebody corrects the initiator names, one machine at a time.
      Node moved = holding ? nodes.get(0) : second;
      moved.powerOff();
      moved.cablesPulled = true;
      moved.nexuses.clear();
      moved.newNexus();
      moved.powerOn();
    }
    if (has(Kind.COLLISION)) {
      Node clone = nodes.getLast();
      clone.powerOff();
      clone.removed = true;
      // Who was heard under a name that is no longer used twice is not forgiven before a new mount.
      nodes.getFirst().powerOff();
      clone.nexuses.forEach(nodes.getFirst().nexuses::add);
      nodes.getFirst().powerOn();
    }
    for (Node node : nodes) {
      // Nobody gets past a dead holder without takeover, nor past one that never had a heartbeat:
      // it has to come back itself.
      boolean neededBack =
          array.holder() != null
              && node.everHad(array.holder())
              && (!takeover || !disk.hasBeaten(array.key(array.holder())));
      if (node.off && !node.removed && (neededBack || chance(0.5))) {
        node.powerOn();
      } else if (!node.off && (node.withoutTakeover || (node.lookFailed && node.restarted))) {
        // Its options are corrected; and a new daemon is held to beats that it cannot give, where
        // it cannot know whether its predecessor gave them.
        node.powerOff();
        node.powerOn();
      }
    }
    keepMounted();
  }

  /** An owner dies in a world in which answers are late and lost, and daemons die. */
  private void relapse() {
    remember("all goes wrong again");
    relapsed = true;
    troubleAgain();
  }

  private void troubleAgain() {
    if (!relapsed) {
      return;
    }
    Node node = nodes.get(random.nextInt(nodes.size()));
    Node other = nodes.get(random.nextInt(nodes.size()));
    if (has(DiskKind.STALL) && chance(0.03)) {
      stalledUntil = now + 500 + random.nextInt(4_000);
      remember("the array stands still until " + stalledUntil);
    }
    if (has(Kind.PAUSES) && chance(0.2)) {
      node.pause(200 + random.nextInt(2_000));
    }
    if (chance(crashes / 2)) {
      node.killDaemon();
    } else if (chance(0.02)) {
      node.umount(); // and it mounts again
    } else if (chance(0.1) && node != other) {
      setCut(node, other, true);
      after(200 + random.nextInt(6_000), () -> setCut(node, other, false));
    }
    after(100 + random.nextInt(900), this::troubleAgain);
  }

  private void endTrouble() {
    stalledUntil = 0;
    disk.mend();
    for (Node a : nodes) {
      for (Node b : nodes) {
        if (a != b) {
          setCut(a, b, false);
        }
      }
    }
  }

  private void healAgain() {
    remember("everything heals again");
    relapsed = false;
    slowReadings = false;
    endTrouble();
    for (Node node : nodes) {
      // A new daemon is held to beats that it cannot give: see heal().
      if (!node.off && node.lookFailed && node.restarted) {
        node.powerOff();
        node.powerOn();
      }
    }
  }

  /**
   * A holder that has no XFS attached stands still instead, and others find it silent: what it
   * hears first when it runs again may be that somebody wants the volume.
   */
  private boolean detachedStandsStill() {
    for (Node node : nodes) {
      boolean holds = !node.off && node.ready && array.holds(node.nexus);
      boolean here = node.state == KernelState.DETACHED && !node.xfsMounted;
      if (holds && here && disk.aliveRecordOf(array.key(node.nexus)) != null) {
        node.standStill(60_000 + random.nextInt(40_000));
        detachedStandstills++;
        return true;
      }
    }
    return false;
  }

  /** For good, if there is one, and somebody to go on. */
  private void killOwner() {
    if (killsDetached && nodes.stream().filter(n -> n.ready).count() > 1) {
      if (!detachedStandsStill()) {
        after(1, this::killOwner);
      }
      return;
    }
    for (Node node : nodes) {
      if (!node.off && node.xfsMounted && nodes.stream().filter(n -> n.ready).count() > 1) {
        if (node.state != KernelState.ATTACHED || disk.aliveRecordOf(node.toldKey) == null) {
          after(100, this::killOwner);
          return;
        }
        if (chance(0.3)) {
          survivorLeaves(node, node.toldKey);
        }
        if (chance(0.4)) {
          node.standStill(30_000 + random.nextInt(40_000));
        } else {
          node.powerOff();
          node.removed = true;
          if (chance(0.3)) {
            after(
                45_000 + random.nextInt(60_000),
                () -> {
                  node.removed = false;
                  node.powerOn();
                });
          }
        }
        return;
      }
    }
    if (nodes.stream().filter(n -> n.ready).count() > 1) {
      after(100, this::killOwner);
    }
  }

  /** It has shut the victim out, and goes before it is settled: the disk is unreserved. */
  private void survivorLeaves(Node victim, ReservationKey key) {
    after(
        100,
        () -> {
          if (disk.aliveRecordOf(key) == null) {
            return;
          }
          for (Node node : nodes) {
            boolean holds = node != victim && array.holds(node.nexus);
            if (holds && node.ready && node.state == KernelState.DETACHED) {
              remember(node.name + " leaves before it is settled");
              unsettledLeaves++;
              node.umount();
              return;
            }
          }
          survivorLeaves(victim, key);
        });
  }

  private void everybodyLeaves() {
    mountsAgain = false;
    boolean together = chance(0.5);
    for (Node node : nodes) {
      after(together ? random.nextInt(5) : random.nextInt(3_000), node::umount);
      if (chance(0.15)) {
        after(random.nextInt(3_300), node::dieLeaving);
      }
      if (chance(0.1)) {
        after(
            random.nextInt(3_300),
            () -> {
              node.powerOff();
              after(10_000, node::powerOn);
            });
      }
    }
    after(
        8_000,
        () -> {
          Node first = nodes.get(random.nextInt(nodes.size()));
          if (first.removed && first.off && chance(0.5)) {
            first.removed = false;
            first.powerOn();
          } else {
            first.mount();
          }
        });
    after(8_000 + random.nextInt(10_000), () -> mountsAgain = true);
  }

  private void keepMounted() {
    for (Node node : nodes) {
      if (mountsAgain && !node.off && node.daemon == null && !node.restarting) {
        node.mount();
      }
      node.work(node.boot);
    }
    after(500, this::keepMounted);
  }

  // ---- what is checked ----

  private void checkSafety() {
    if (array.holder() == null && !unaccounted.isEmpty()) {
      throw violation("the disk is not reserved, and nothing keeps " + unaccounted + " out");
    }
    Node attached = null;
    for (Node node : nodes) {
      if (node.off || !node.xfsMounted || node.isOver()) {
        continue;
      }
      if (attached != null) {
        throw violation("XFS is attached on " + attached.name + " and on " + node.name);
      }
      attached = node;
      if (!array.holds(node.nexus) && !(node.mayBeShutOut() && node.leaseUntil <= node.clock())) {
        throw violation(
            "XFS is attached on " + node.name + ", which does not hold the reservation");
      }
      if (has(Kind.SHARED_NEXUS) && !array.key(node.nexus).equals(node.toldKey)) {
        throw violation(
            "XFS is attached on "
                + node.name
                + ", but its path has the key "
                + array.key(node.nexus));
      }
    }
  }

  private void checkEpoch(Node node, long epoch) {
    boolean sameTenure = node.nexus == lastEpochNexus && epoch == lastEpoch;
    // Without a lock state nobody who comes later can know how far epochs were ahead of the array's
    // count: a limit (docs/takeover.md, 59). There are no records then that an epoch could be of.
    boolean isKnown = !takeover || disk.isMade();
    if (isKnown && !sameTenure && epoch <= lastEpoch) {
      throw violation(node.name + " attaches at epoch " + epoch + " after epoch " + lastEpoch);
    }
    if (!sameTenure) {
      tenures++;
    }
    lastEpoch = epoch;
    lastEpochNexus = node.nexus;
  }

  /** One machine: power, kernel, and the daemon when there is one. */
  private final class Node {
    final int index;
    final String name;
    final int nodeId;
    final List<Integer> nexuses = new ArrayList<>();
    int nexus;
    boolean off;
    boolean restarting;
    @Nullable Ownership daemon;
    int life;
    int boot;
    long ticket;
    long lastIncarnation = 1_000;

    // kernel
    boolean mounted;
    boolean ready;
    boolean leaving;
    boolean xfsMounted;
    boolean wants;
    boolean awaited;
    boolean detachQueued;
    int wantSeries;
    KernelState state = KernelState.DETACHED;
    ReservationKey toldKey = ReservationKey.NONE;
    long attachedAt;
    int attachesAfterHealing;
    boolean commandUnderWay;
    ReservationKey aliasOf = ReservationKey.NONE;
    ReservationKey alias = ReservationKey.NONE;
    private long openRequest;
    private long kernelEpoch;
    private boolean removed;
    private boolean cablesPulled;
    private boolean stoodStill;
    private boolean silent;

    /** Of this mount: a machine whose options say otherwise. */
    private boolean withoutTakeover;

    /** A REGISTER of its key came when it was shut out. */
    private boolean inAgain;

    /** And its slot said so; and when that was. */
    private boolean marked;

    private long inSince;

    /** That key. */
    private ReservationKey inKey = ReservationKey.NONE;

    /** The last record that it has sent, landed or not. */
    private @Nullable Beat lastBeat;

    /** Whose slot this daemon has read to say that it was shut out. */
    private final Set<ReservationKey> sawFenced = new java.util.HashSet<>();

    /** Of the last ATTACH. */
    private long attachedEpoch;

    /** It lost power with XFS attached. */
    private boolean unclean;

    /** On this node's clock: until then its kernel serves operations. */
    private long leaseUntil = Long.MIN_VALUE / 2;

    private long pausedUntil;
    private final Deque<Runnable> inbox = new ArrayDeque<>();
    private final double pace;
    private final long clockStart;

    private boolean diskUnderWay;
    private boolean giving;
    private long keySince;

    /** Where the lock state is, as far as this node's kernel has found it. */
    private boolean knowsDisk;

    /** Its kernel could not look for it, and knows it when XFS is attached. */
    private boolean lookFailed;

    private boolean restarted;

    /** On this node's clock: when a beat of this key last landed; and whether one was told of. */
    private ReservationKey beatKey = ReservationKey.NONE;

    private long landedAt = Long.MIN_VALUE / 2;
    private boolean hasBeaten;
    private long lastSequence;
    private @Nullable List<Slot> oldReading;
    private int sawDiskIn;

    /** On this node's clock: when READ KEYS was last executed that shows our key. */
    private long provenAt = Long.MIN_VALUE / 2;

    Node(int index) {
      this.index = index;
      name = "node" + (index + 1);
      nodeId = 0x1000 + (has(Kind.COLLISION) && index == lastIndex ? 0 : index);
      pace = has(Kind.DRIFT) ? 0.9 + random.nextDouble() * 0.2 : 1;
      clockStart = has(Kind.DRIFT) ? random.nextInt(1_000_000) : 0;
      newNexus();
    }

    void newNexus() {
      nexus = nextNexus++;
      nexuses.add(nexus);
    }

    long clock() {
      return clockStart + (long) (now * pace);
    }

    /** The first moment at which the clock shows this. */
    private long whenClockShows(long time) {
      long when = (long) Math.ceil((time - clockStart) / pace);
      while (clockStart + (long) (when * pace) < time) {
        when++;
      }
      return when;
    }

    /** The whole machine stands still. */
    void pause(long millis) {
      if (off || !isChaos()) {
        return;
      }
      remember(name + " stands still for " + millis + " ms");
      pausedUntil = Math.max(pausedUntil, now + millis);
      at(pausedUntil, this::wakeUp);
    }

    /** For so long that it is taken for dead. */
    void standStill(long millis) {
      remember(name + " stands still for " + millis + " ms");
      stoodStill = true;
      pausedUntil = Math.max(pausedUntil, now + millis);
      writeLands(boot, false);
      if (chance(0.6)) {
        registersLate(boot, false, toldKey, nexus, chance(0.5));
      }
      if (!xfsMounted) {
        // An operation has come meanwhile.
        inbox.addFirst(
            () -> {
              if (daemon != null && mounted && state == KernelState.DETACHED) {
                stepNow(new Event.Want());
              }
            });
      }
      at(pausedUntil, this::wakeUp);
    }

    /** It may think that it has XFS attached, and its kernel serves nothing any more. */
    boolean isOver() {
      return mayBeShutOut() && !array.isRegistered(nexus) && leaseUntil <= clock();
    }

    /** It stood still, or its beats did not reach the disk: others take it for dead. */
    boolean mayBeShutOut() {
      silent |= takeover && hasBeaten && landedAt + LEASE_MILLIS <= clock();
      return stoodStill || silent;
    }

    private void wakeUp() {
      while (now >= pausedUntil && !inbox.isEmpty()) {
        inbox.removeFirst().run();
        checkSafety();
      }
    }

    /** Runs it once this machine runs. */
    private void here(Runnable what) {
      if (now < pausedUntil || !inbox.isEmpty()) {
        inbox.addLast(what);
      } else {
        what.run();
      }
    }

    boolean everHad(int someNexus) {
      return nexuses.contains(someNexus);
    }

    String describe() {
      return (off ? "off" : mounted ? "mounted" : "not mounted")
          + " kernel="
          + state
          + " ready="
          + ready
          + " wants="
          + wants
          + " daemon="
          + (daemon == null ? "none" : daemon.key() + " epoch " + daemon.epoch());
    }

    // ---- power, mount, daemon ----

    void powerOff() {
      if (off) {
        return;
      }
      remember(name + " loses power, kernel " + state);
      if (xfsMounted && takeover) {
        writeLands(boot + 1, true);
        if (chance(0.6)) {
          registersLate(boot + 1, true, toldKey, nexus, chance(0.5));
        }
      }
      unclean |= xfsMounted;
      off = true;
      inbox.clear();
      pausedUntil = 0;
      stopDaemon();
      mounted = false;
      ready = false;
      leaving = false;
      xfsMounted = false;
      state = KernelState.DETACHED;
      boot++;
      lookAtAll();
    }

    /**
     * What XFS had under way the target carries out when it likes.
     *
     * @param dead the machine has lost power; else it stands still
     */
    private void writeLands(int thisBoot, boolean dead) {
      int before = resets;
      boolean again = inAgain;
      after(
          random.nextInt(60_000),
          () -> {
            // A machine that boots logs in anew, and XFS waits for its writes before it is
            // detached.
            boolean isOver = off != dead || (!dead && !xfsMounted);
            if (boot != thisBoot || resets != before || isOver || again != inAgain) {
              return;
            }
            remember(name + "'s last write is carried out");
            for (Node other : nodes) {
              if (other != this && other.xfsMounted && !other.off) {
                throw violation(
                    name + "'s last write is carried out while XFS is attached on " + other.name);
              }
            }
          });
    }

    /**
     * A REGISTER of its key was under way, and comes when it is shut out; from then on writes of it
     * may be accepted again.
     *
     * @param afterAll when that was written down already; else before
     */
    private void registersLate(
        int thisBoot, boolean dead, ReservationKey key, int path, boolean afterAll) {
      after(
          200,
          () -> {
            if (boot != thisBoot || off != dead || (!dead && !xfsMounted && now >= pausedUntil)) {
              return;
            }
            int slot = disk.slotOf(key);
            boolean isSaid = disk.isFenced(key);
            boolean open =
                slot >= 0
                    && (afterAll
                        ? isSaid && nodes.stream().noneMatch(n -> !n.off && n.xfsMounted)
                        : disk.aliveRecordOf(key) != null)
                    && !writers.containsKey(slot);
            boolean shutOut = array.holder() != null && !array.isRegistered(path);
            if (!shutOut || (afterAll && !isSaid) || (open && !chance(0.2))) {
              registersLate(thisBoot, dead, key, path, afterAll);
            } else if (open) {
              marked = isSaid;
              inSince = now;
              remember(name + "'s REGISTER of " + key + " comes late");
              lateRegisters++;
              array.execute(path, new ArrayCommand.Register(ReservationKey.NONE, key, false));
              inAgain = true;
              inKey = key;
              if (!isSaid) {
                writeLands(thisBoot, dead);
              } else if (chance(0.5)) {
                beatLands(thisBoot, dead, slot);
              }
            }
          });
    }

    /** A REGISTER of before this machine booted was under way: its node is there again. */
    private void earlierRegisters(int thisBoot, ReservationKey key, int path) {
      after(
          random.nextInt(2_000),
          () -> {
            int slot = disk.slotOf(key);
            if (boot != thisBoot
                || off
                || array.holder() == null
                || array.isRegistered(path)
                || writers.containsKey(slot)) {
              return;
            }
            remember(name + "'s REGISTER of " + key + ", of an earlier life, comes late");
            earlierLives++;
            array.execute(path, new ArrayCommand.Register(ReservationKey.NONE, key, false));
          });
    }

    /** And then a beat of it that was under way, over what its slot says. */
    private void beatLands(int thisBoot, boolean dead, int slot) {
      Beat beat = lastBeat;
      after(
          random.nextInt(1_000),
          () -> {
            boolean isOver = boot != thisBoot || off != dead || (!dead && !xfsMounted);
            if (beat == null
                || isOver
                || !beat.key().equals(inKey)
                || !array.key(nexus).equals(inKey)
                || !disk.isFenced(inKey)
                || writers.containsKey(slot)) {
              return;
            }
            remember(name + "'s last beat lands over what slot " + slot + " says: " + beat);
            lateBeats++;
            disk.execute(new DiskCommand.WriteBeat(slot, beat), true);
          });
    }

    void powerOn() {
      if (!off || removed) {
        return;
      }
      remember(name + " boots");
      off = false;
      if (!has(Kind.SAME_NEXUS) && !has(Kind.SHARED_NEXUS)) {
        if (takeover && disk.isFenced(toldKey) && chance(0.5)) {
          earlierRegisters(boot, toldKey, nexus);
        }
        newNexus();
      }
      commandUnderWay = false;
      diskUnderWay = false;
      alias = ReservationKey.NONE;
      mount();
    }

    void mount() {
      if (off
          || mounted
          || commandUnderWay
          || diskUnderWay
          || !inbox.isEmpty()
          || now < pausedUntil) {
        return;
      }
      mounted = true;
      silent = false;
      withoutTakeover = takeover && !healed && chance(0.1);
      knowsDisk = disk.isMade();
      lookFailed = knowsDisk && looksFail && chance(0.4);
      restarted = false;
      ready = false;
      leaving = false;
      wants = false;
      awaited = false;
      detachQueued = false;
      state = KernelState.DETACHED;
      toldKey = ReservationKey.NONE;
      kernelEpoch = 0;
      startDaemon(Predecessor.NOBODY);
    }

    void startDaemon(Predecessor predecessor) {
      remember(name + " starts a daemon: " + predecessor);
      life++;
      restarting = false;
      // The wall clock may stand still or jump; a node never proposes an incarnation twice all the
      // same.
      lastIncarnation = Math.max(lastIncarnation + 1, chance(0.5) ? 1_000 + now / 1_000 : 0);
      long seconds = lastIncarnation;
      sawFenced.clear();
      daemon =
          new Ownership(
              new OwnershipSettings(
                  nodeId,
                  seconds,
                  sabotage == Sabotage.SEQUENCE_FORGOTTEN ? 1 : (now << 10) | 1,
                  LEASE_MILLIS,
                  100,
                  "volume",
                  name,
                  "",
                  diskKinds == null ? 0 : BEAT_MILLIS,
                  name,
                  takeover && !withoutTakeover ? RESET_REACHES : null));
      step(new Event.Start(predecessor));
      lookAtAll();
    }

    void stopDaemon() {
      daemon = null;
      life++;
      if (has(Kind.OUTLIVING)) {
        commandUnderWay = false;
      }
      // Writes are system calls, which a process does not outlive; see docs/takeover.md.
      if (has(DiskKind.OUTLIVING) && !giving) {
        diskUnderWay = false;
      }
    }

    void killDaemon() {
      if (off || daemon == null || leaving || restarting || now < pausedUntil) {
        return;
      }
      if (has(Kind.COLLISION) && nodeId == nodes.getFirst().nodeId) {
        return; // while it has no daemon nobody hears it
      }
      remember(name + " loses its daemon, kernel " + state);
      stopDaemon();
      lookAtAll();
      if (!ready) {
        // mount(2) had not returned: it fails, and what is registered stays registered.
        mounted = false;
        if (state != KernelState.DETACHED) {
          state = KernelState.DETACHED;
          xfsMounted = false;
        }
        return;
      }
      restarting = true;
      int thisBoot = boot;
      after(20 + random.nextInt(500), () -> restart(thisBoot));
    }

    void restart(int thisBoot) {
      if (boot != thisBoot || !mounted || !restarting) {
        return;
      }
      if (commandUnderWay || diskUnderWay) {
        // A process is not dead before its command has ended.
        after(5, () -> restart(thisBoot));
        return;
      }
      if (disk.aliveRecordOf(toldKey) == null && !disk.isHidden(toldKey)) {
        hasBeaten = false; // nothing tells the new daemon that there were beats
      }
      restarted = true;
      startDaemon(new Predecessor(toldKey, kernelEpoch, state, true, awaited, false));
    }

    void umount() {
      if (off || !mounted || !ready || leaving || daemon == null) {
        return;
      }
      if (detachQueued || state == KernelState.ATTACHING || state == KernelState.DETACHING) {
        int thisBoot = boot;
        after(
            20,
            () -> {
              if (boot == thisBoot) {
                umount();
              }
            });
        return;
      }
      remember(name + " umounts, kernel " + state);
      leaving = true;
      wants = false;
      awaited = false;
      int thisLife = life;
      after(
          random.nextInt(40),
          () -> {
            if (life == thisLife) {
              state = KernelState.DETACHED;
              xfsMounted = false;
              step(new Event.Leave());
            }
          });
    }

    /** The kernel's umount goes on without it. */
    void dieLeaving() {
      if (!off && leaving && daemon != null && now >= pausedUntil) {
        remember(name + " loses its daemon while it leaves");
        gone();
      }
    }

    void gone() {
      stopDaemon();
      mounted = false;
      ready = false;
      leaving = false;
      awaited = false;
      state = KernelState.DETACHED;
      xfsMounted = false;
      lookAtAll();
    }

    // ---- network ----

    void lookAtAll() {
      for (Node other : nodes) {
        if (other != this) {
          after(random.nextInt(300), () -> other.look(this));
          after(random.nextInt(300), () -> look(other));
        }
      }
    }

    void look(Node other) {
      if (daemon == null) {
        return;
      }
      Ownership peer = other.daemon;
      if (other.nodeId == nodeId) {
        if (peer != null) {
          step(new Event.Collision(other.name + " has this node's id"));
        }
        return;
      }
      if (peer == null
          && nodes.stream()
              .anyMatch(n -> n != other && n.nodeId == other.nodeId && n.daemon != null)) {
        return; // another machine of that name is connected
      }
      if (peer == null || cut[index][other.index] || peer.key().isNone()) {
        step(new Event.PeerDown(other.nodeId));
        if (peer != null && !cut[index][other.index]) {
          after(50 + random.nextInt(100), () -> look(other));
        }
      } else {
        step(new Event.Heard(other.shownKey(), other.name));
        String options = OwnershipSettings.options("", takeover && !other.withoutTakeover);
        step(new Event.PeerUp(other.shownKey(), peer.epoch(), "peer", options, other.ready));
      }
    }

    /** The key that others see in messages. */
    ReservationKey shownKey() {
      ReservationKey key = daemon == null ? ReservationKey.NONE : daemon.key();
      return !alias.isNone() && key.equals(alias) ? aliasOf : key;
    }

    void send(Node to, PeerMessage message) {
      Ownership sender = daemon;
      if (sender == null) {
        return;
      }
      ReservationKey key = shownKey();
      long epoch = sender.epoch();
      int copies = !isChaos() ? 1 : chance(0.1) ? 2 : 1;
      for (int i = 0; i < copies; i++) {
        if (isChaos() && chance(loss)) {
          continue;
        }
        long delay = chance(0.1) && isChaos() ? random.nextInt(5_000) : 1 + random.nextInt(15);
        after(
            delay,
            () -> {
              if (!cut[index][to.index] && to.daemon != null) {
                to.step(new Event.Received(key, epoch, to.tampered(message)));
              }
            });
      }
    }

    PeerMessage tampered(PeerMessage message) {
      if (sabotage == Sabotage.GRANT_FITS_ANY_REQUEST
          && message instanceof PeerMessage.OwnGrant grant
          && daemon != null
          && openRequest != 0) {
        return new PeerMessage.OwnGrant(
            openRequest,
            Math.max(grant.newEpoch(), daemon.epoch() + 1),
            grant.detachMillis(),
            grant.waiters());
      }
      return message;
    }

    // ---- the machine ----

    void step(Event event) {
      int thisLife = life;
      here(
          () -> {
            if (life == thisLife) {
              stepNow(event);
            }
          });
    }

    private void stepNow(Event event) {
      Ownership machine = daemon;
      if (machine == null) {
        return;
      }
      remember(name, " <- ", event);
      List<Action> actions = machine.step(event, clock());
      VolumeStatus told = machine.status();
      if (told.state() == VolumeStatus.State.OWNER && !told.holder().equals(machine.key())) {
        throw violation(name + " calls itself owner, and holder " + told.holder());
      }
      int thisLife = life;
      if (has(Kind.PAUSES) && isChaos() && chance(0.005)) {
        // Between the decision and the deed.
        pause(100 + random.nextInt(6_000));
        inbox.addFirst(
            () -> {
              if (life == thisLife) {
                performAll(machine, actions);
              }
            });
        return;
      }
      performAll(machine, actions);
    }

    private void performAll(Ownership machine, List<Action> actions) {
      int thisLife = life;
      for (Action action : actions) {
        if (!(action instanceof Action.Note) && !(action instanceof Action.Lease)) {
          remember(name, " -> ", action);
        }
        perform(action);
        if (life != thisLife) {
          return;
        }
      }
      long due = machine.deadline();
      if (due != Long.MAX_VALUE) {
        long mine = ++ticket;
        at(
            whenClockShows(due),
            () -> {
              if (ticket == mine && life == thisLife) {
                step(new Event.Tick());
              }
            });
      }
    }

    private void perform(Action action) {
      switch (action) {
        case Action.Array command -> command(command);
        case Action.TellKey tell -> {
          lastIncarnation = Math.max(lastIncarnation, tell.key().incarnation());
          if (!tell.key().equals(toldKey)) {
            keySince = now;
          }
          toldKey = tell.key();
          lookAtAll();
        }
        case Action.Lease lease -> {
          leaseUntil = Math.max(leaseUntil, lease.untilMillis());
          if (lease.untilMillis() > provenAt + LEASE_MILLIS) {
            throw violation(name + " has a lease until " + lease.untilMillis());
          }
          if (hasBeaten
              && daemon != null
              && beatKey.equals(daemon.key())
              && lease.untilMillis() > landedAt + LEASE_MILLIS) {
            throw violation(
                name + " has a lease until " + lease.untilMillis() + ", last beat at " + landedAt);
          }
        }
        case Action.Disk asked -> disk(asked);
        case Action.ResetUnit reset -> reset(reset.question());
        case Action.AskLockstate _ -> {
          Ownership asker = daemon;
          failedLooks += lookFailed ? 1 : 0;
          Lockstate told =
              lookFailed
                  ? new Lockstate(0, null, 5, "it cannot be looked for: EIO")
                  : knowsDisk
                      ? new Lockstate(1, SimulatedDisk.MAP, 0, "")
                      : new Lockstate(0, null, 2, "there is none");
          after(
              0,
              () -> {
                if (daemon != null && daemon == asker) {
                  step(new Event.LockstateTold(told));
                }
              });
        }
        case Action.Attach attach -> attach(attach.epoch(), attach.alone());
        case Action.AskKernel ask -> {
          // Answered at once, and heard of after what came before.
          Event.Status told = new Event.Status(ask.question(), toldState(), kernelEpoch, false);
          Ownership asker = daemon;
          after(
              0,
              () -> {
                if (daemon != null && daemon == asker) {
                  step(told);
                }
              });
        }
        case Action.Detach detach -> detach(detach.epoch(), detach.quantumMillis());
        case Action.Ready _ -> {
          ready = true;
          int thisBoot = boot;
          after(random.nextInt(50), () -> work(thisBoot));
        }
        case Action.Fail fail -> {
          remember(name + " fails: " + fail);
          refused += fail.message().contains("without takeover") ? 1 : 0;
          if (ready || fail.message().contains("mistake")) {
            throw violation(name + " fails after it was ready: " + fail);
          }
          gone();
        }
        case Action.Fenced fenced -> {
          // Two machines on one path, or of one name, may have to stop; nobody else.
          boolean expected = has(Kind.SHARED_NEXUS) || has(Kind.COLLISION) || mayBeShutOut();
          if (!expected || fenced.message().contains("mistake")) {
            throw violation(name + " is fenced: " + fenced.message());
          }
          gone();
        }
        case Action.Left _ -> gone();
        case Action.Send send -> {
          if (send.message() instanceof PeerMessage.OwnRequest request) {
            openRequest = request.requestId();
          }
          for (Node other : nodes) {
            if (other.nodeId == send.nodeId()
                && (other.index == lastIndex || !chance(0.3) || !has(Kind.COLLISION))) {
              send(other, send.message());
            }
          }
        }
        case Action.Broadcast broadcast -> {
          for (Node other : nodes) {
            if (other != this) {
              send(other, broadcast.message());
            }
          }
        }
        case Action.Note note -> {
          if (note.text().contains("stays registered")) {
            stays++;
          }
          if (note.text().startsWith("taken over from")) {
            takeovers++;
          }
          if (note.level() != Action.Level.DEBUG) {
            remember(name + " -- " + note.text());
          }
        }
        case Action.Exit _ -> {
          if (daemon != null) {
            stopDaemon();
          }
        }
      }
    }

    private void reset(long question) {
      int thisLife = life;
      boolean done = !isChaos() || chance(0.7);
      boolean refused = !done && chance(0.5);
      after(
          1 + random.nextInt(3_000),
          () -> {
            if (!refused && sabotage != Sabotage.RESET_ENDS_NOTHING) {
              resets++;
            }
            if (life == thisLife && daemon != null) {
              step(
                  new Event.UnitReset(
                      question,
                      done
                          ? new ArrayAnswer.Done()
                          : refused
                              ? new ArrayAnswer.Rejected("not now")
                              : new ArrayAnswer.Unclear("no answer")));
            }
          });
    }

    // ---- disk ----

    /** Not in the midst of a disk's command: where it goes, and whether it may. */
    private void disk(Action.Disk asked) {
      DiskCommand command = asked.command();
      if (diskUnderWay) {
        throw violation(name + " issues " + command + " while another is under way");
      }
      checkWrite(command);
      diskUnderWay = true;
      int thisBoot = boot;
      int thisLife = life;
      int path = nexus;
      int slot = slotOf(command);
      // What gives a slot or frees one is over when it has failed: see docs/takeover.md.
      boolean gives = isGift(command) || command instanceof DiskCommand.FreeSlot;
      if (slot >= 0) {
        writers.put(slot, this);
      }
      boolean slow = has(DiskKind.SLOW);
      boolean outliving = has(DiskKind.OUTLIVING);
      long there =
          1L
              + random.nextInt(chance(slow ? 0.2 : 0.01) ? 2_500 : 3)
              + (outliving && !gives && chance(0.1) ? random.nextInt(3_000) : 0)
              + (slowReadings && command instanceof DiskCommand.ReadBeats
                  ? 1_100 + random.nextInt(2_500)
                  : 0);
      giving = gives;
      long back = 1L + random.nextInt(slow && chance(0.2) ? 2_500 : 2);
      boolean fails =
          has(DiskKind.ERRORS)
              && !(command instanceof DiskCommand.Open)
              && chance(now / 4_000 % 3 == 0 ? 0.7 : 0.1);
      boolean landsLater =
          fails && command instanceof DiskCommand.WriteBeat && !gives && chance(0.4);
      boolean lands = !fails || chance(0.5);
      long arrives = Math.max(now + there, stalledUntil + random.nextInt(20));
      at(
          arrives,
          () -> {
            if (boot != thisBoot && (cablesPulled || chance(0.5))) {
              if (slot >= 0 && has(DiskKind.DAMAGE) && chance(0.5)) {
                remember("slot " + slot + " is torn by " + name);
                disk.damage(slot, Slot.Kind.TORN);
              }
              done(slot);
              return;
            }
            DiskAnswer answer =
                fails ? new DiskAnswer.Failed("on purpose") : land(path, command, thisLife);
            if (fails && (landsLater || lands)) {
              after(landsLater ? random.nextInt(6_000) : 0, () -> land(path, command, thisLife));
            }
            done(slot);
            answered(asked, answer, back, thisBoot, thisLife, gives);
          });
      if (sabotage == Sabotage.WRITTEN_TOO_EARLY && slot >= 0) {
        answered(asked, new DiskAnswer.Written(), 0, thisBoot, thisLife, gives);
      }
    }

    private void done(int slot) {
      writers.remove(slot, this);
    }

    private DiskAnswer land(int path, DiskCommand command, int thisLife) {
      boolean allowed = array.holder() == null || array.isRegistered(path);
      DiskAnswer answer = disk.execute(command, allowed);
      if (answer instanceof DiskAnswer.Written
          && command instanceof DiskCommand.WriteBeat write
          && write.beat().state() == Beat.State.ALIVE
          && daemon != null
          && life == thisLife
          && write.beat().key().equals(daemon.key())) {
        landedAt = clock();
      }
      return answer;
    }

    private void answered(
        Action.Disk asked,
        DiskAnswer answer,
        long back,
        int thisBoot,
        int thisLife,
        boolean gives) {
      after(
          back,
          () -> {
            if (life == thisLife || (boot == thisBoot && (gives || !has(DiskKind.OUTLIVING)))) {
              diskUnderWay = false;
            }
            if (life != thisLife || daemon == null) {
              return;
            }
            DiskAnswer told = tampered(asked.command(), answer);
            if (told instanceof DiskAnswer.Beats beats) {
              sawFenced(beats.slots());
            }
            if (told instanceof DiskAnswer.Written
                && asked.command() instanceof DiskCommand.WriteBeat write
                && write.beat().state() == Beat.State.ALIVE
                && write.beat().key().equals(beatKey)) {
              hasBeaten = true;
            }
            step(asked.answered(told));
          });
    }

    private void sawFenced(List<Slot> slots) {
      for (Slot slot : slots) {
        if (slot instanceof Slot.Taken taken && taken.beat().state() == Beat.State.FENCED) {
          sawFenced.add(taken.beat().key());
        }
      }
    }

    private DiskAnswer tampered(DiskCommand command, DiskAnswer answer) {
      return switch (sabotage) {
        case ERRORS_HIDDEN ->
            answer instanceof DiskAnswer.Failed && slotOf(command) >= 0
                ? new DiskAnswer.Written()
                : answer;
        case OTHERS_LOOK_FREE ->
            answer instanceof DiskAnswer.Beats beats && daemon != null
                ? new DiskAnswer.Beats(beats.slots().stream().map(this::othersFreed).toList())
                : answer;
        case SEQUENCE_FORGOTTEN -> {
          if (!(answer instanceof DiskAnswer.Beats beats) || sawDiskIn == life) {
            yield answer;
          }
          sawDiskIn = life;
          yield new DiskAnswer.Beats(beats.slots().stream().map(Node::withoutSequence).toList());
        }
        case FENCED_LOOK_FREE ->
            answer instanceof DiskAnswer.Beats beats
                ? new DiskAnswer.Beats(beats.slots().stream().map(Node::fencedFreed).toList())
                : answer;
        case OLD_READINGS -> {
          if (!(answer instanceof DiskAnswer.Beats beats) || chance(0.3)) {
            yield answer;
          }
          List<Slot> old = oldReading;
          oldReading = beats.slots();
          yield old == null ? answer : new DiskAnswer.Beats(old);
        }
        default -> answer;
      };
    }

    private static Slot withoutSequence(Slot slot) {
      if (!(slot instanceof Slot.Taken taken)) {
        return slot;
      }
      Beat beat = taken.beat();
      return new Slot.Taken(
          new Beat(beat.key(), beat.epoch(), 0, beat.state(), beat.leaseMillis(), beat.host()));
    }

    private static Slot fencedFreed(Slot slot) {
      return slot instanceof Slot.Taken taken && taken.beat().state() == Beat.State.FENCED
          ? new Slot.Free(taken.beat().epoch(), taken.beat().sequence())
          : slot;
    }

    private Slot othersFreed(Slot slot) {
      Ownership machine = daemon;
      return slot instanceof Slot.Taken taken
              && machine != null
              && !taken.beat().key().equals(machine.key())
          ? new Slot.Free()
          : slot;
    }

    private static int slotOf(DiskCommand command) {
      return switch (command) {
        case DiskCommand.WriteBeat write -> write.slot();
        case DiskCommand.FreeSlot free -> free.slot();
        case DiskCommand.Open _, DiskCommand.ReadBeats _ -> -1;
      };
    }

    private boolean isGift(DiskCommand command) {
      Ownership machine = daemon;
      return machine != null
          && command instanceof DiskCommand.WriteBeat write
          && (!write.beat().key().equals(machine.key())
              || disk.ownerOf(write.slot()).nodeId() != nodeId);
    }

    private static ReservationKey keyIn(DiskCommand command) {
      return command instanceof DiskCommand.WriteBeat write
          ? write.beat().key()
          : ReservationKey.NONE;
    }

    /** Of two machines with one id one looks like an earlier life of the other. */
    private boolean isOfTwins(ReservationKey owner, ReservationKey given) {
      return owner.nodeId() == given.nodeId()
          && nodes.stream().filter(n -> n.nodeId == owner.nodeId()).count() > 1;
    }

    /** Whether it is this node's to write. */
    private void checkWrite(DiskCommand command) {
      Ownership machine = daemon;
      int slot = slotOf(command);
      if (slot < 0 || machine == null) {
        return;
      }
      ReservationKey mine = machine.key();
      ReservationKey owner = disk.ownerOf(slot);
      Node other = writers.get(slot);
      if (command instanceof DiskCommand.WriteBeat write
          && other != null
          && other.nodeId == write.beat().key().nodeId()) {
        other = null; // what it has sent under an earlier key goes over its own slot
      }
      if (other != null && other != this && !other.off && array.isRegistered(other.nexus)) {
        throw violation(
            name + " writes slot " + slot + ", and so does " + other.name + ": " + command);
      }
      if (keyIn(command).equals(owner)
          && command instanceof DiskCommand.WriteBeat write
          && write.beat().state() == Beat.State.FENCED) {
        cameTooLate(owner);
      }
      if (isGift(command)) {
        boolean nobodys =
            owner.isNone() || owner.nodeId() == nodeId || isOfTwins(owner, keyIn(command));
        boolean registered =
            nodes.stream().anyMatch(n -> !owner.isNone() && array.key(n.nexus).equals(owner));
        // Of two machines with one key the array cannot tell which is which.
        boolean twin = nodes.stream().anyMatch(n -> n != this && n.nodeId == nodeId);
        boolean holds = twin || array.holds(nexus);
        if (!holds || (registered && !nobodys)) {
          throw violation(
              name
                  + (holds ? " gives away" : ", not the holder, gives away")
                  + " slot "
                  + slot
                  + " of "
                  + owner
                  + ": "
                  + command);
        }
      } else if (owner.nodeId() != nodeId) {
        throw violation(name + " writes slot " + slot + " of " + owner + ": " + command);
      }
      if (command instanceof DiskCommand.WriteBeat write && write.beat().key().equals(mine)) {
        if (!beatKey.equals(mine)) {
          beatKey = mine;
          hasBeaten = false;
          landedAt = Long.MIN_VALUE / 2;
          lastSequence = 0;
        }
        if (write.beat().state() == Beat.State.ALIVE
            && xfsMounted
            && write.beat().epoch() > attachedEpoch) {
          throw violation(
              name
                  + " says that it knows of epoch "
                  + write.beat().epoch()
                  + ", and has XFS attached at epoch "
                  + attachedEpoch);
        }
        if (write.beat().sequence() <= lastSequence) {
          throw violation(
              name + " writes sequence " + write.beat().sequence() + " after " + lastSequence);
        }
        lastSequence = write.beat().sequence();
        lastBeat = write.beat().state() == Beat.State.ALIVE ? write.beat() : lastBeat;
      }
    }

    /**
     * Who was shut out, as its slot says, and is registered again is seen by the next look at who
     * is registered, and nothing is attached before it has been shut out once more. What it writes
     * before that look is a limit (docs/takeover.md).
     */
    private void checkOutcasts() {
      for (Node node : nodes) {
        ReservationKey key = array.key(node.nexus);
        boolean isIn = node.inAgain && node.marked && key.equals(node.inKey);
        boolean isKnown = disk.isFenced(key) || sawFenced.contains(key);
        if (node != this && isIn && isKnown && now - node.inSince > LEASE_MILLIS / 2) {
          throw violation(
              name + " attaches, and " + node.name + ", which was shut out, is registered");
        }
      }
    }

    /**
     * A REGISTER that came after the last look at who is registered is not seen: a limit
     * (docs/takeover.md). It has not come, then.
     */
    private void cameTooLate(ReservationKey key) {
      for (Node node : nodes) {
        if (node.inAgain && array.key(node.nexus).equals(key)) {
          remember(node.name + "'s REGISTER came too late to be seen");
          node.inAgain = false;
          array.execute(node.nexus, new ArrayCommand.Unregister(key, false));
        }
      }
    }

    /** After healing. */
    void checkBeats() {
      Ownership machine = daemon;
      boolean slow = landedAt < clock() - 10 * BEAT_MILLIS;
      if (machine != null
          && knowsDisk
          && !lookFailed
          && ready
          && slow
          && now - keySince > 15 * BEAT_MILLIS) {
        throw violation(
            name
                + " does not beat: last at "
                + landedAt
                + " of "
                + clock()
                + ", slots "
                + disk.slots());
      }
    }

    // ---- array ----

    void command(Action.Array asked) {
      ArrayCommand command = asked.command();
      if (commandUnderWay) {
        throw violation(name + " issues " + command + " while another is under way");
      }
      commandUnderWay = true;
      int thisBoot = boot;
      int thisLife = life;
      int path = nexus;
      boolean slow = has(Kind.LATE) && isChaos();
      boolean outliving = has(Kind.OUTLIVING) && isChaos();
      long there =
          1L
              + (chance(slow ? late : 0.02) ? random.nextInt(800) : random.nextInt(3))
              + (outliving && chance(0.05) ? random.nextInt(3_000) : 0);
      long back = slow && chance(late) ? random.nextInt(lateMillis) : 1 + random.nextInt(2);
      boolean lost = isChaos() && chance(unclear);
      boolean effective = !lost || chance(0.5);
      at(
          stalledUntil > now + there ? stalledUntil + random.nextInt(20) : now + there,
          () -> {
            // A command that was on its way when the node lost power may or may not arrive.
            if (boot != thisBoot && (cablesPulled || chance(0.5))) {
              return;
            }
            List<String> attentions = array.attentions(path);
            ArrayAnswer answer =
                effective ? execute(path, command) : new ArrayAnswer.Unclear("not arrived");
            if (answer instanceof ArrayAnswer.Keys) {
              provenAt = clock();
            }
            after(
                back,
                () -> {
                  if (life == thisLife || (boot == thisBoot && !has(Kind.OUTLIVING))) {
                    commandUnderWay = false;
                  }
                  if (life != thisLife || daemon == null) {
                    return;
                  }
                  for (String attention : attentions) {
                    step(new Event.UnitAttention(attention));
                  }
                  if (life == thisLife) {
                    step(asked.answered(lost ? new ArrayAnswer.Unclear("no answer") : answer));
                  }
                });
          });
    }

    private ArrayAnswer execute(int path, ArrayCommand command) {
      Node victim = null;
      if (takeover && command instanceof ArrayCommand.Preempt preempt) {
        victim =
            nodes.stream()
                .filter(n -> n != this && n.nodeId == preempt.victim().nodeId())
                .filter(n -> n.xfsMounted || (n.off && n.unclean))
                .findFirst()
                .orElse(null);
      }
      ArrayAnswer answer = executed(path, command);
      if (victim != null
          && command instanceof ArrayCommand.Preempt preempt
          && answer instanceof ArrayAnswer.Done) {
        unaccounted.add(preempt.victim());
        if (readsSlowly && relapsed && !slowReadings) {
          remember("readings of the slots become slow");
          slowReadings = true;
          slowTurns++;
        }
      }
      for (Node node : nodes) {
        for (int each : node.nexuses) {
          ReservationKey key = array.key(each);
          unaccounted.removeIf(
              k -> k.nodeId() == key.nodeId() && k.incarnation() < key.incarnation());
          node.unclean &= key.nodeId() != node.nodeId || node.off;
        }
      }
      return answer;
    }

    private ArrayAnswer executed(int path, ArrayCommand command) {
      return switch (sabotage) {
        case KEY_NEVER_CHANGES -> executeWithoutKeyChange(path, command);
        case EVERYBODY_HOLDS -> {
          ArrayAnswer answer = array.execute(path, command);
          yield answer instanceof ArrayAnswer.Reservation && array.isRegistered(path)
              ? new ArrayAnswer.Reservation(array.key(path), 5)
              : answer;
        }
        default -> array.execute(path, command);
      };
    }

    private ReservationKey shown(int path) {
      ReservationKey real = array.key(path);
      return !alias.isNone() && real.equals(aliasOf) ? alias : real;
    }

    private ArrayAnswer executeWithoutKeyChange(int path, ArrayCommand command) {
      if (command instanceof ArrayCommand.Register register
          && array.isRegistered(path)
          && !register.old().isNone()
          && register.old().equals(shown(path))) {
        if (alias.isNone()) {
          aliasOf = array.key(path);
        }
        alias = register.key();
        return new ArrayAnswer.Done();
      }
      ArrayCommand real =
          switch (command) {
            case ArrayCommand.Preempt preempt when preempt.key().equals(alias) ->
                new ArrayCommand.Preempt(aliasOf, preempt.victim());
            case ArrayCommand.Register register when register.key().equals(alias) ->
                new ArrayCommand.Register(register.old(), aliasOf, register.aptpl());
            case ArrayCommand.Unregister unregister when unregister.key().equals(alias) ->
                new ArrayCommand.Unregister(aliasOf, unregister.aptpl());
            default -> command;
          };
      ArrayAnswer answer = array.execute(path, real);
      if (alias.isNone()) {
        return answer;
      }
      return switch (answer) {
        case ArrayAnswer.Reservation r when r.holder().equals(aliasOf) ->
            new ArrayAnswer.Reservation(alias, r.type());
        case ArrayAnswer.Keys keys ->
            new ArrayAnswer.Keys(
                keys.generation(),
                keys.keys().stream().map(k -> k.equals(aliasOf) ? alias : k).toList());
        default -> answer;
      };
    }

    // ---- kernel ----

    void attach(long epoch, boolean alone) {
      if (hasBeaten && beatKey.equals(toldKey) && !leaving && disk.epochOf(toldKey) < epoch) {
        throw violation(
            name + " attaches at epoch " + epoch + ", on disk is " + disk.epochOf(toldKey));
      }
      if (leaving) {
        tell(() -> new Event.Attached(epoch, 108, 0, "the kernel refused the command: leaving"));
        return;
      }
      if (state != KernelState.DETACHED) {
        throw violation(name + " gets ATTACH in state " + state);
      }
      if (leaseUntil <= clock()) {
        tell(() -> new Event.Attached(epoch, Errno.ETIME.number(), 0, "the lease is over"));
        return;
      }
      checkEpoch(this, epoch);
      checkOutcasts();
      attachedEpoch = epoch;
      state = KernelState.ATTACHING;
      xfsMounted = true;
      int thisBoot = boot;
      boolean fails = ready && isChaos() && chance(0.03);
      afterHere(
          15 + random.nextInt(60),
          () -> {
            if (boot != thisBoot || state != KernelState.ATTACHING) {
              return;
            }
            if (fails) {
              state = KernelState.DETACHED;
              xfsMounted = false;
              tell(() -> new Event.Attached(epoch, 5, 1_000_000, "log recovery failed"));
              return;
            }
            state = KernelState.ATTACHED;
            if (alone && diskKinds != null) {
              disk.make();
            }
            knowsDisk = disk.isMade();
            lookFailed = false;
            kernelEpoch = epoch;
            attachedAt = now;
            attachesAfterHealing++;
            wants = false;
            awaited = false;
            tell(() -> new Event.Attached(epoch, 0, 20_000_000, ""));
          });
    }

    /**
     * An event goes to the daemon; while there is none it is lost, and HELLO tells the state
     * instead.
     */
    private void tell(java.util.function.Supplier<Event> event) {
      if (has(Kind.LOST_EVENTS) && isChaos() && chance(0.2)) {
        remember(name, " lost ", event.get());
        return;
      }
      if (daemon != null) {
        step(event.get());
      }
    }

    private void afterHere(long delay, Runnable what) {
      after(delay, () -> here(what));
    }

    void detach(long epoch, long quantum) {
      if (state != KernelState.ATTACHED) {
        if (state == KernelState.ATTACHING) {
          throw violation(name + " gets DETACH in state " + state);
        }
        // A restarted daemon repeats it, or umount was faster: one command after the other.
        afterHere(
            70,
            () ->
                tell(
                    () ->
                        new Event.Detached(
                            epoch, state == KernelState.DETACHED ? 0 : 5, 0, "not attached")));
        return;
      }
      if (detachQueued) {
        return; // as the kernel: a restarted daemon repeats what its predecessor asked for
      }
      detachQueued = true;
      int thisBoot = boot;
      long busyUntil = chance(0.7) ? attachedAt + quantum : now;
      if (sabotage == Sabotage.DETACHED_TOO_EARLY) {
        tell(() -> new Event.Detached(epoch, 0, 1_000_000, ""));
      }
      // HELLO goes on saying ATTACHED until the quantum is over.
      afterHere(
          Math.max(0, busyUntil - now),
          () -> {
            if (boot == thisBoot && detachQueued) {
              detachQueued = false;
              if (state == KernelState.ATTACHED) {
                state = KernelState.DETACHING;
                afterHere(2 + random.nextInt(60), () -> detached(thisBoot, epoch));
              }
            }
          });
    }

    private void detached(int thisBoot, long epoch) {
      if (boot != thisBoot || state != KernelState.DETACHING) {
        return;
      }
      if (isOver()) {
        remember(name + "'s XFS cannot write its log: the mount is dead");
        gone();
        return;
      }
      if (isChaos() && chance(0.03)) {
        state = KernelState.ATTACHED;
        tell(() -> new Event.Detached(epoch, 16, 1_000_000, "a reflinked file is mapped"));
        work(thisBoot);
        return;
      }
      state = KernelState.DETACHED;
      xfsMounted = false;
      if (sabotage != Sabotage.DETACHED_TOO_EARLY) {
        tell(() -> new Event.Detached(epoch, 0, 30_000_000, ""));
      }
      work(thisBoot);
    }

    /** A command that waits for its quantum counts as begun. */
    KernelState toldState() {
      return detachQueued && state == KernelState.ATTACHED ? KernelState.DETACHING : state;
    }

    /** Operations arrive; without XFS they make the kernel want it, and say so every second. */
    void work(int thisBoot) {
      if (boot != thisBoot || !mounted || !ready || leaving) {
        return;
      }
      if (state == KernelState.DETACHED && !awaited && (healed || chance(0.8))) {
        awaited = true;
        repeatWant(thisBoot, ++wantSeries);
      }
    }

    private void repeatWant(int thisBoot, int series) {
      if (boot != thisBoot || series != wantSeries || !awaited || !mounted || leaving) {
        return;
      }
      if (state == KernelState.DETACHED || state == KernelState.DETACHING) {
        wants = true;
        tell(Event.Want::new);
      }
      after(1_000, () -> repeatWant(thisBoot, series));
    }
  }
}
