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
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;

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
    EVERYBODY_HOLDS
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
  private int nextNexus = 1;

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
    this.seed = seed;
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
    long end = chaos + 12_000 + HEALED_MILLIS;
    at(chaos + 12_000, () -> nodes.forEach(n -> n.attachesAfterHealing = 0));
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
    for (Node node : nodes) {
      if (node.off) {
        continue;
      }
      turns.add(node.attachesAfterHealing);
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
    for (Node a : nodes) {
      for (Node b : nodes) {
        if (a != b) {
          setCut(a, b, false);
        }
      }
    }
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
      // Without crash takeover nobody gets past a dead holder: it has to come back itself.
      boolean neededBack = array.holder() != null && node.everHad(array.holder());
      if (node.off && !node.removed && (neededBack || chance(0.5))) {
        node.powerOn();
      }
    }
    keepMounted();
  }

  private void keepMounted() {
    for (Node node : nodes) {
      if (!node.off && node.daemon == null && !node.restarting) {
        node.mount();
      }
      node.work(node.boot);
    }
    after(500, this::keepMounted);
  }

  // ---- what is checked ----

  private void checkSafety() {
    Node attached = null;
    for (Node node : nodes) {
      if (node.off || !node.xfsMounted) {
        continue;
      }
      if (attached != null) {
        throw violation("XFS is attached on " + attached.name + " and on " + node.name);
      }
      attached = node;
      if (!array.holds(node.nexus)) {
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
    if (!sameTenure && epoch <= lastEpoch) {
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
    private long pausedUntil;
    private final Deque<Runnable> inbox = new ArrayDeque<>();
    private final double pace;
    private final long clockStart;

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
      if (off || healed) {
        return;
      }
      remember(name + " stands still for " + millis + " ms");
      pausedUntil = Math.max(pausedUntil, now + millis);
      at(pausedUntil, this::wakeUp);
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

    void powerOn() {
      if (!off || removed) {
        return;
      }
      remember(name + " boots");
      off = false;
      if (!has(Kind.SAME_NEXUS) && !has(Kind.SHARED_NEXUS)) {
        newNexus();
      }
      commandUnderWay = false;
      alias = ReservationKey.NONE;
      mount();
    }

    void mount() {
      if (off || mounted || commandUnderWay || !inbox.isEmpty() || now < pausedUntil) {
        return;
      }
      mounted = true;
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
      daemon =
          new Ownership(
              new OwnershipSettings(
                  nodeId, seconds, (now << 10) | 1, 20_000, 100, "volume", name, ""));
      step(new Event.Start(predecessor));
      lookAtAll();
    }

    void stopDaemon() {
      daemon = null;
      life++;
      if (has(Kind.OUTLIVING)) {
        commandUnderWay = false;
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
      if (commandUnderWay) {
        // A process is not dead before its command has ended.
        after(5, () -> restart(thisBoot));
        return;
      }
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
        step(new Event.PeerUp(other.shownKey(), peer.epoch(), "peer", "", true));
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
      int copies = healed ? 1 : chance(0.1) ? 2 : 1;
      for (int i = 0; i < copies; i++) {
        if (!healed && chance(loss)) {
          continue;
        }
        long delay = chance(0.1) && !healed ? random.nextInt(5_000) : 1 + random.nextInt(15);
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
      int thisLife = life;
      if (has(Kind.PAUSES) && !healed && chance(0.005)) {
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
          toldKey = tell.key();
          lookAtAll();
        }
        case Action.Lease lease -> {
          if (lease.untilMillis() > provenAt + 20_000) {
            throw violation(name + " has a lease until " + lease.untilMillis());
          }
        }
        case Action.Attach attach -> attach(attach.epoch());
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
          if (ready || fail.message().contains("mistake")) {
            throw violation(name + " fails after it was ready: " + fail);
          }
          gone();
        }
        case Action.Fenced fenced -> {
          // Two machines on one path, or of one name, may have to stop; nobody else.
          boolean expected = has(Kind.SHARED_NEXUS) || has(Kind.COLLISION);
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
      boolean slow = has(Kind.LATE) && !healed;
      boolean outliving = has(Kind.OUTLIVING) && !healed;
      long there =
          1L
              + (chance(slow ? late : 0.02) ? random.nextInt(800) : random.nextInt(3))
              + (outliving && chance(0.05) ? random.nextInt(3_000) : 0);
      long back = slow && chance(late) ? random.nextInt(lateMillis) : 1 + random.nextInt(2);
      boolean lost = !healed && chance(unclear);
      boolean effective = !lost || chance(0.5);
      after(
          there,
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
      return switch (sabotage) {
        case KEY_NEVER_CHANGES -> executeWithoutKeyChange(path, command);
        case EVERYBODY_HOLDS -> {
          ArrayAnswer answer = array.execute(path, command);
          yield answer instanceof ArrayAnswer.Reservation && array.isRegistered(path)
              ? new ArrayAnswer.Reservation(array.key(path), 5)
              : answer;
        }
        case NONE, DETACHED_TOO_EARLY, GRANT_FITS_ANY_REQUEST -> array.execute(path, command);
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

    void attach(long epoch) {
      if (leaving) {
        tell(() -> new Event.Attached(epoch, 108, 0, "the kernel refused the command: leaving"));
        return;
      }
      if (state != KernelState.DETACHED) {
        throw violation(name + " gets ATTACH in state " + state);
      }
      checkEpoch(this, epoch);
      state = KernelState.ATTACHING;
      xfsMounted = true;
      int thisBoot = boot;
      boolean fails = ready && !healed && chance(0.03);
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
      if (has(Kind.LOST_EVENTS) && !healed && chance(0.2)) {
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
      if (!healed && chance(0.03)) {
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
