// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.PriorityQueue;
import java.util.Random;
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
 * nodes that lose power, daemons that die, mounts and umounts at any moment. First comes chaos,
 * then everything heals and all nodes hammer.
 *
 * <p>Checked after every single effect:
 *
 * <ul>
 *   <li>at most one node's kernel has XFS attached, and that node holds the reservation;
 *   <li>epochs: every new tenure has a larger one than all before;
 *   <li>no node is fenced, since nobody here takes anything without consent;
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

  /** What one run came to. */
  record Outcome(long seed, int tenures, int events, List<Integer> attachesAfterHealing) {}

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
    this.seed = seed;
    this.sabotage = sabotage;
    random = new Random(seed);
    int count = 2 + random.nextInt(3);
    loss = random.nextInt(3) * 0.05;
    unclear = random.nextInt(3) * 0.02;
    crashes = random.nextInt(3) * 0.15;
    for (int i = 0; i < count; i++) {
      nodes.add(new Node(i));
    }
    cut = new boolean[count][count];
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
    if (history.size() > 400) {
      history.removeFirst();
    }
  }

  private AssertionError violation(String what) {
    return new AssertionError(
        "seed "
            + seed
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
    for (Node node : nodes) {
      // Without crash takeover nobody gets past a dead holder: it has to come back itself.
      boolean neededBack = array.holder() != null && node.everHad(array.holder());
      if (node.off && (neededBack || chance(0.5))) {
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
    long toldEpoch;
    long attachedAt;
    int attachesAfterHealing;
    boolean commandUnderWay;
    ReservationKey aliasOf = ReservationKey.NONE;
    ReservationKey alias = ReservationKey.NONE;
    private long openRequest;

    Node(int index) {
      this.index = index;
      name = "node" + (index + 1);
      nodeId = 0x1000 + index;
      newNexus();
    }

    void newNexus() {
      nexus = nextNexus++;
      nexuses.add(nexus);
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
      if (!off) {
        return;
      }
      remember(name + " boots");
      off = false;
      newNexus();
      commandUnderWay = false;
      alias = ReservationKey.NONE;
      mount();
    }

    void mount() {
      if (off || mounted || commandUnderWay) {
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
      toldEpoch = 0;
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
              new OwnershipSettings(nodeId, seconds, (now << 10) | 1, 20_000, 100, "volume", name));
      step(new Event.Start(predecessor));
      lookAtAll();
    }

    void stopDaemon() {
      daemon = null;
      life++;
    }

    void killDaemon() {
      if (off || daemon == null || leaving || restarting) {
        return;
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
      startDaemon(new Predecessor(toldKey, toldEpoch, state, true, awaited, false));
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
      if (peer == null || cut[index][other.index] || peer.key().isNone()) {
        step(new Event.PeerDown(other.nodeId));
        if (peer != null && !cut[index][other.index]) {
          after(50 + random.nextInt(100), () -> look(other));
        }
      } else {
        step(new Event.Heard(other.shownKey(), other.name));
        step(new Event.PeerUp(other.shownKey(), peer.epoch()));
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
      Ownership machine = daemon;
      if (machine == null) {
        return;
      }
      remember(name, " <- ", event);
      List<Action> actions = machine.step(event, now);
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
            due,
            () -> {
              if (ticket == mine && life == thisLife) {
                step(new Event.Tick());
              }
            });
      }
    }

    private void perform(Action action) {
      switch (action) {
        case Action.Array command -> command(command.command());
        case Action.TellKey tell -> {
          lastIncarnation = Math.max(lastIncarnation, tell.key().incarnation());
          toldKey = tell.key();
          lookAtAll();
        }
        case Action.Lease lease -> {
          if (lease.millis() > 20_000) {
            throw violation(name + " extends its lease by " + lease.millis() + " ms");
          }
        }
        case Action.Attach attach -> attach(attach.epoch());
        case Action.Detach detach -> detach(detach.epoch(), detach.quantumMillis());
        case Action.Ready _ -> {
          ready = true;
          int thisBoot = boot;
          after(random.nextInt(50), () -> work(thisBoot));
        }
        case Action.Fail fail -> {
          remember(name + " fails: " + fail);
          if (ready) {
            throw violation(name + " fails after it was ready: " + fail);
          }
          gone();
        }
        case Action.Fenced fenced -> throw violation(name + " is fenced: " + fenced.message());
        case Action.Left _ -> gone();
        case Action.Send send -> {
          if (send.message() instanceof PeerMessage.OwnRequest request) {
            openRequest = request.requestId();
          }
          send(nodes.get(send.nodeId() - 0x1000), send.message());
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

    void command(ArrayCommand command) {
      if (commandUnderWay) {
        throw violation(name + " issues " + command + " while another is under way");
      }
      commandUnderWay = true;
      int thisBoot = boot;
      int thisLife = life;
      int path = nexus;
      long there = 1L + (chance(0.02) ? random.nextInt(800) : random.nextInt(3));
      boolean lost = !healed && chance(unclear);
      boolean effective = !lost || chance(0.5);
      after(
          there,
          () -> {
            // A command that was on its way when the node lost power may or may not arrive.
            if (boot != thisBoot && chance(0.5)) {
              return;
            }
            List<String> attentions = array.attentions(path);
            ArrayAnswer answer =
                effective ? execute(path, command) : new ArrayAnswer.Unclear("not arrived");
            after(
                1 + random.nextInt(2),
                () -> {
                  if (boot == thisBoot) {
                    commandUnderWay = false;
                  }
                  if (life != thisLife || daemon == null) {
                    return;
                  }
                  for (String attention : attentions) {
                    step(new Event.UnitAttention(attention));
                  }
                  if (life == thisLife) {
                    step(new Event.Answered(lost ? new ArrayAnswer.Unclear("no answer") : answer));
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

    private ArrayAnswer executeWithoutKeyChange(int path, ArrayCommand command) {
      if (command instanceof ArrayCommand.Register register
          && array.isRegistered(path)
          && register.key().nodeId() == array.key(path).nodeId()
          && !register.key().equals(array.key(path))) {
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
                new ArrayCommand.Register(aliasOf, register.aptpl());
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
      if (state != KernelState.DETACHED) {
        throw violation(name + " gets ATTACH in state " + state);
      }
      checkEpoch(this, epoch);
      state = KernelState.ATTACHING;
      toldEpoch = epoch;
      xfsMounted = true;
      int thisBoot = boot;
      boolean fails = ready && !healed && chance(0.03);
      after(
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
      if (daemon != null) {
        step(event.get());
      }
    }

    void detach(long epoch, long quantum) {
      if (state != KernelState.ATTACHED) {
        throw violation(name + " gets DETACH in state " + state);
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
      at(
          busyUntil,
          () -> {
            if (boot == thisBoot && detachQueued) {
              detachQueued = false;
              if (state == KernelState.ATTACHED) {
                state = KernelState.DETACHING;
                after(2 + random.nextInt(60), () -> detached(thisBoot, epoch));
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
