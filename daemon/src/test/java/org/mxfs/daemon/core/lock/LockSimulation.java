// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Lock managers of two to eight nodes over a simulated network, disk and membership; a seed decides
 * everything. An oracle that knows what each node believes to hold checks every grant.
 *
 * <p>The network keeps the order of a connection and of nothing else; connections break and lose
 * what is under way; envelopes come twice. Nodes stop, pause while they are thought dead, restart
 * their daemon, leave in order, come back. Views reach nodes at different times, or never.
 *
 * <p>Two phases: anything may happen; then faults end, and everything that waits must come to an
 * end by what the lock managers do: locks that are nobody's are given back only when called for,
 * owners give back only when none of their requests waits.
 */
final class LockSimulation {
  /** What a run has done, to see that runs do something. */
  record Outcome(
      long events,
      long grants,
      long deadlocks,
      long views,
      long deaths,
      long reclaims,
      long bast) {}

  private static final List<Mode> MODES = List.of(Mode.values());
  private static final long EVENTS_MAX = 400_000;
  private static final long PATIENCE_MILLIS = 60_000;

  private record Event(long time, long order, Runnable what) {}

  private static final class UserLock {
    final long number;
    final ResourceId resource;
    final long owner;
    @Nullable Mode held;
    @Nullable Mode wanted;
    boolean noQueue;
    boolean limited;
    boolean cancelled;
    boolean called;

    UserLock(long number, ResourceId resource, long owner) {
      this.number = number;
      this.resource = resource;
      this.owner = owner;
    }
  }

  private final class Node {
    final int index;
    ReservationKey key;
    LockManager manager;
    boolean running = true;

    /** Shut out of the disk: what it believes to hold counts no more. */
    boolean fenced;

    boolean leaving;
    boolean gone;
    @Nullable ViewId view;
    long lastNumber;
    long tickAt = Long.MAX_VALUE;
    final int firstSlot;
    final Map<Long, UserLock> locks = new LinkedHashMap<>();
    final List<LockAction.Persist> disk = new ArrayList<>();
    int life;

    /** Of whom this daemon has said that nothing is left. */
    final Set<ReservationKey> clearedHere = new HashSet<>();

    Node(int index, ReservationKey key) {
      this.index = index;
      this.key = key;
      firstSlot = index * slotsEach;
      manager = manager();
    }

    LockManager manager() {
      return new LockManager(
          new LockSettings(
              key, firstSlot, slotsEach, 64, 64, waitersMax, 64, batchMax, probeMillis));
    }

    List<UserLock> idle() {
      return locks.values().stream().filter(l -> l.wanted == null).toList();
    }

    boolean isOwnerWaiting(long owner) {
      return locks.values().stream().anyMatch(l -> l.owner == owner && l.wanted != null);
    }

    @Override
    public String toString() {
      return "n" + index + "." + key.incarnation();
    }
  }

  /** What was written to a value block last. */
  private static final class Truth {
    byte[] written = new byte[ValueBlock.SIZE];
    boolean everWritten;

    /** Since it was written there was a time when nobody held the resource. */
    boolean mayBeGone = true;

    boolean lost;
  }

  private final Random random;
  private final @Nullable List<String> history;
  private final PriorityQueue<Event> queue =
      new PriorityQueue<>(Comparator.comparingLong(Event::time).thenComparingLong(Event::order));
  private final List<Node> nodes = new ArrayList<>();
  private final List<ResourceId> resources = new ArrayList<>();
  private final Map<ResourceId, Truth> truths = new HashMap<>();
  private final Map<Integer, SlotWrite> disk = new TreeMap<>();
  private final Map<List<Integer>, Boolean> connected = new HashMap<>();
  private final Map<List<Integer>, Long> arrival = new HashMap<>();
  private final Map<List<Integer>, Integer> connection = new HashMap<>();
  private final Set<String> everInCircle = new HashSet<>();
  private final Set<ReservationKey> suspects = new LinkedHashSet<>();

  private final int slotsEach;
  private final int waitersMax;
  private final int batchMax;
  private final long probeMillis;
  private final int owners;

  /** Locks of a node. */
  private final int crowd;

  private final boolean faults;

  /** The places in queues that were told, which never change. */
  private final Map<List<Object>, Long> tickets = new HashMap<>();

  private long now;
  private long order;
  private long incarnation;
  private boolean settling;
  private boolean hurry;
  private long viewVersion;
  private @Nullable View current;
  private long events;
  private long grants;
  private long deadlocks;
  private long deaths;
  private long reclaims;
  private long basts;

  LockSimulation(long seed, boolean withHistory) {
    random = new Random(seed * 0x9E3779B97F4A7C15L + 1);
    random.nextLong();
    history = withHistory ? new ArrayList<>() : null;
    int count = random.nextInt(4) == 0 ? 2 + random.nextInt(7) : 2 + random.nextInt(3);
    slotsEach = random.nextInt(3) == 0 ? 2 + random.nextInt(4) : 200;
    waitersMax = random.nextInt(4) == 0 ? 3 : 100;
    batchMax = random.nextInt(3) == 0 ? 1 + random.nextInt(2) : 50;
    probeMillis = 20L + random.nextInt(300);
    owners = random.nextInt(4);
    crowd = 1 + random.nextInt(random.nextInt(5) == 0 ? 20 : 6);
    faults = random.nextInt(4) != 0;
    int names = 1 + random.nextInt(5);
    for (int i = 0; i < names; i++) {
      ResourceId resource =
          switch (random.nextInt(5)) {
            case 0 -> ResourceId.inode(128 + i, random.nextInt());
            case 1 -> ResourceId.extent(128 + i, 1, 4096L * i);
            case 2 -> ResourceId.allocationGroup(i);
            case 3 -> ResourceId.journal(i + 1);
            default -> ResourceId.inode(4096L * i, 0);
          };
      resources.add(resource);
      truths.put(resource, new Truth());
    }
    for (int i = 0; i < count; i++) {
      nodes.add(new Node(i, newKey(i)));
    }
  }

  /** Runs one seed; a violation is thrown with the history that led to it. */
  static Outcome run(long seed) {
    try {
      return new LockSimulation(seed, false).run();
    } catch (AssertionError violation) {
      LockSimulation again = new LockSimulation(seed, true);
      try {
        again.run();
      } catch (AssertionError same) {
        List<String> lines = again.history == null ? List.of() : again.history;
        List<String> last = lines.stream().filter(l -> !l.contains("Tick[")).toList();
        last =
            last.subList(
                Math.max(0, last.size() - Integer.getInteger("mxfs.lock.lines", 150)), last.size());
        throw new AssertionError(
            same.getMessage() + "\nseed " + seed + ", its end:\n" + String.join("\n", last), same);
      }
      throw new AssertionError("seed " + seed + " does not replay", violation);
    }
  }

  private ReservationKey newKey(int index) {
    return ReservationKey.of(0x8000_0000 ^ (index * 0x1234_5671 + 7), ++incarnation);
  }

  private void note(String text) {
    if (history != null) {
      if (!text.contains("Tick[") && !text.contains("message=Probe[")) {
        history.add(now + " " + text);
      }
      if (history.size() > 2_000) {
        history.subList(0, 1_000).clear();
      }
    }
  }

  private void fail(String text) {
    note("VIOLATION " + text);
    throw new AssertionError(text);
  }

  private void at(long time, Runnable what) {
    queue.add(new Event(Math.max(time, now), order++, what));
  }

  private long soon(int most) {
    return now + random.nextInt(most + 1);
  }

  // ---- the run ----

  private Outcome run() {
    for (Node a : nodes) {
      for (Node b : nodes) {
        if (a.index < b.index) {
          connect(a, b);
        }
      }
    }
    newView();
    long end = 1_000L + random.nextInt(8_000);
    int pace = 4 + random.nextInt(60);
    for (long t = 10; t < end; t += 1 + random.nextInt(pace)) {
      at(t, this::work);
    }
    if (faults) {
      int gap = 200 + random.nextInt(3_000);
      for (long t = random.nextInt(gap); t < end; t += 1 + random.nextInt(gap)) {
        at(t, this::fault);
      }
    }
    at(end, this::settle);
    while (!queue.isEmpty()) {
      Event event = queue.remove();
      now = event.time();
      if (++events > EVENTS_MAX) {
        fail("no end: " + events + " events");
      }
      event.what().run();
      if (settling && !hurry && isAllAnswered()) {
        note("nothing waits: all that is held is given back");
        hurry = true;
        for (Node node : nodes) {
          at(now + 1, () -> giveBackAll(node));
        }
      }
      if (hurry && isAllQuiet()) {
        break;
      }
      if (now > end + PATIENCE_MILLIS) {
        fail("no progress: " + describe());
      }
    }
    if (!isAllQuiet()) {
      fail("nothing happens any more: " + describe());
    }
    for (Node node : live()) {
      if (node.manager.table().size() != 0) {
        fail(node + " keeps locks that nobody has");
      }
    }
    return new Outcome(events, grants, deadlocks, viewVersion, deaths, reclaims, basts);
  }

  private List<Node> live() {
    return nodes.stream().filter(n -> n.running && !n.gone).toList();
  }

  private boolean isAllAnswered() {
    return live().stream().allMatch(n -> n.locks.values().stream().allMatch(l -> l.wanted == null));
  }

  private boolean isAllQuiet() {
    return live().stream().allMatch(n -> n.manager.isQuiet() && n.disk.isEmpty())
        && live().stream().allMatch(n -> n.manager.table().size() == 0);
  }

  private String describe() {
    StringBuilder text = new StringBuilder();
    for (Node node : live()) {
      text.append(node).append(" " + node.view + " " + node.manager.table()).append(": ");
      for (UserLock lock : node.locks.values()) {
        text.append(lock.number + "@" + resources.indexOf(lock.resource) + ":" + lock.held)
            .append(lock.wanted == null ? " " : ">" + lock.wanted + " ");
      }
      for (Resource resource : node.manager.table().resources().values()) {
        text.append("[" + resources.indexOf(resource.id) + " granted " + resource.granted.values())
            .append(" converting " + resource.converting + " waiting " + resource.waiting + "] ");
      }
      text.append("\n");
    }
    return text.toString();
  }

  // ---- stepping a node ----

  private void step(Node node, LockEvent event) {
    if (!node.running || node.gone) {
      return;
    }
    note(node + " < " + event);
    List<LockAction> actions = node.manager.step(event, now);
    for (LockAction action : actions) {
      perform(node, action);
    }
    try {
      node.manager.table().invariants();
    } catch (IllegalStateException broken) {
      fail(node + ": " + broken.getMessage());
    }
    checkTickets(node);
    if (node.manager.table().strange() != 0) {
      fail(node + " got a message that makes no sense: " + event);
    }
    long deadline = node.manager.deadline();
    if (deadline < node.tickAt) {
      node.tickAt = deadline;
      at(
          deadline,
          () -> {
            if (node.tickAt <= now) {
              node.tickAt = Long.MAX_VALUE;
              step(node, new LockEvent.Tick());
            }
          });
    }
    if (mayMakeCircles(event) || actions.stream().anyMatch(LockSimulation::tells)) {
      findCircles();
    }
  }

  /** Places are kept, also when masters change; who was told an earlier one stands before. */
  private void checkTickets(Node node) {
    for (Holdings.Holding holding : node.manager.holdings().all().values()) {
      Holdings.Asked asked = holding.asked;
      if (asked != null && asked.ticket != LockMessage.Pending.NO_TICKET) {
        Long before =
            tickets.putIfAbsent(
                List.of(node.key, node.life, holding.number, asked.sequence), asked.ticket);
        if (before != null && before != asked.ticket) {
          fail(node + "/" + holding.number + " had place " + before + ", now " + asked.ticket);
        }
      }
    }
    if (!node.manager.isGrace()) {
      for (Resource resource : node.manager.table().resources().values()) {
        checkOrder(node, resource.converting);
        checkOrder(node, resource.waiting);
      }
    }
  }

  private void checkOrder(Node node, Collection<Lock> queue) {
    long last = -1;
    for (Lock lock : queue) {
      if (lock.wanted().ticket <= last) {
        fail(node + " has " + lock + " behind one that came later: " + queue);
      }
      last = lock.wanted().ticket;
    }
  }

  private static boolean tells(LockAction action) {
    return !(action instanceof LockAction.Send send)
        || !(send.envelope().message() instanceof LockMessage.Probe
            || send.envelope().message() instanceof LockMessage.Ack);
  }

  private static boolean mayMakeCircles(LockEvent event) {
    if (event instanceof LockEvent.Received received) {
      LockMessage message = received.envelope().message();
      return message instanceof LockMessage.Acquire
          || message instanceof LockMessage.Convert
          || message instanceof LockMessage.Granted
          || message instanceof LockMessage.Restated;
    }
    return !(event instanceof LockEvent.Tick);
  }

  private void perform(Node node, LockAction action) {
    if (!(action instanceof LockAction.Send)) {
      note(node + " > " + action);
    }
    switch (action) {
      case LockAction.Send send -> transmit(node, send);
      case LockAction.Persist persist -> {
        if (!node.disk.isEmpty()) {
          fail(node + " has two batches under way");
        }
        node.disk.add(persist);
        int life = node.life;
        at(soon(30), () -> persisted(node, life, persist));
      }
      case LockAction.Granted granted -> onGranted(node, granted);
      case LockAction.Refused refused -> onRefused(node, refused);
      case LockAction.Blocking blocking -> onBlocking(node, blocking);
      case LockAction.GraceEnded ended -> onGraceEnded(node, ended);
      case LockAction.LocksCleared cleared -> {
        node.clearedHere.add(cleared.victim());
        for (SlotWrite write : disk.values()) {
          SlotWrite.Entry entry = write.entry();
          if (entry != null
              && entry.lock().node().equals(cleared.victim())
              && write.slot() / slotsEach == node.index) {
            fail(node + " says that nothing is left of " + cleared.victim() + ": " + write);
          }
        }
      }
      case LockAction.Halted halted -> fail(node + " halts: " + halted.why());
    }
  }

  private void persisted(Node node, int life, LockAction.Persist persist) {
    if (node.fenced || !node.disk.contains(persist)) {
      return; // the array refuses it; or it ended with the daemon
    }
    for (SlotWrite write : persist.writes()) {
      if (write.slot() / slotsEach != node.index) {
        fail(node + " writes a slot of another node: " + write);
      }
      put(node, write);
    }
    if (life == node.life) {
      node.disk.remove(persist);
      step(node, new LockEvent.Persisted(persist.batch(), true));
    }
  }

  private void put(Node node, SlotWrite write) {
    SlotWrite.Entry entry = write.entry();
    if (entry != null && node.clearedHere.contains(entry.lock().node())) {
      fail(node + " records what it said it had cleared: " + write);
    }
    SlotWrite before = disk.put(write.slot(), write);
    if (before == null) {
      return;
    }
    if (before.number() >= write.number()) {
      fail(node + " writes " + write + " over " + before);
    }
    SlotWrite.Entry gone = before.entry();
    if (gone == null) {
      return;
    }
    for (Node owner : nodes) {
      UserLock lock =
          owner.key.equals(gone.lock().node()) ? owner.locks.get(gone.lock().number()) : null;
      Mode held = lock == null ? null : lock.held;
      if (held != null
          && held != Mode.NL
          && !owner.fenced
          && held.isWithin(gone.mode())
          && !isRecorded(gone.lock(), held)) {
        fail(
            node
                + " takes the last record of a lock that is held in "
                + held
                + ": "
                + write
                + " over "
                + before);
      }
    }
  }

  private void onGranted(Node node, LockAction.Granted granted) {
    UserLock lock = node.locks.get(granted.lock());
    if (lock == null) {
      fail(node + " is granted what it does not know: " + granted);
      return;
    }
    if (lock.wanted != null) {
      if (lock.wanted != granted.mode()) {
        fail(node + " wanted " + lock.wanted + ", got " + granted);
      }
      lock.wanted = null;
      grants++;
      checkRecord(node, lock, granted.mode());
      checkValue(node, lock, granted);
    }
    lock.held = granted.mode();
    checkExclusion(node, lock);
    if (lock.called) {
      at(soon(50), () -> giveBack(node, lock));
    } else if (settling && lock.owner != 0) {
      at(soon(50), () -> giveBack(node, lock));
    }
  }

  private void checkExclusion(Node node, UserLock lock) {
    for (Node other : nodes) {
      for (UserLock theirs : other.locks.values()) {
        if (theirs != lock
            && !other.fenced
            && theirs.resource.equals(lock.resource)
            && theirs.held != null
            && lock.held != null
            && !theirs.held.isCompatible(lock.held)) {
          fail(
              "two locks that exclude each other: "
                  + node
                  + "/"
                  + lock.number
                  + " "
                  + lock.held
                  + " and "
                  + other
                  + "/"
                  + theirs.number
                  + " "
                  + theirs.held
                  + " on "
                  + lock.resource);
        }
      }
    }
  }

  private void checkRecord(Node node, UserLock lock, Mode mode) {
    LockId id = new LockId(node.key, lock.number);
    if (mode != Mode.NL && !isRecorded(id, mode)) {
      fail("granted before its record is on disk: " + id + " " + mode);
    }
  }

  private boolean isRecorded(LockId id, Mode mode) {
    return disk.values().stream()
        .map(SlotWrite::entry)
        .anyMatch(e -> e != null && e.lock().equals(id) && mode.isWithin(e.mode()));
  }

  private void checkValue(Node node, UserLock lock, LockAction.Granted granted) {
    Truth truth = truth(lock);
    ValueBlock value = granted.value();
    if (!granted.mode().keepsValue()) {
      return; // a writer may be at it
    }
    if (!value.isValid()) {
      if ((viewVersion == 1 && deaths == 0) || !faults) {
        fail("nothing happened, but the value is not valid: " + node + " " + granted);
      }
      return;
    }
    boolean last = Arrays.equals(value.bytes(), truth.written) && !truth.lost;
    boolean isZero = Arrays.equals(value.bytes(), new byte[ValueBlock.SIZE]);
    boolean fresh = isZero && (!truth.everWritten || truth.mayBeGone);
    if (!last && !fresh) {
      fail("not the value that was written last: " + node + " " + granted + ", lost " + truth.lost);
    }
  }

  private Truth truth(UserLock lock) {
    Truth truth = truths.get(lock.resource);
    if (truth == null) {
      throw new IllegalStateException();
    }
    return truth;
  }

  /** Somebody holds it less than before. */
  private void noteGone(ResourceId resource) {
    Truth truth = truths.get(resource);
    boolean held =
        nodes.stream()
            .filter(n -> !n.fenced)
            .flatMap(n -> n.locks.values().stream())
            .anyMatch(l -> l.resource.equals(resource) && l.held != null);
    if (truth != null && !held) {
      truth.mayBeGone = true;
    }
  }

  private void onRefused(Node node, LockAction.Refused refused) {
    UserLock lock = node.locks.get(refused.lock());
    if (lock == null || lock.wanted == null) {
      fail(node + " is refused what it did not ask: " + refused);
      return;
    }
    switch (refused.reason()) {
      case WOULD_WAIT -> {
        if (!lock.noQueue) {
          fail("refused though it would have waited: " + lock.number);
        }
      }
      case CANCELLED -> {
        if (!lock.cancelled) {
          fail("cancelled by nobody: " + lock.number);
        }
      }
      case TIMED_OUT -> {
        if (!lock.limited) {
          fail("timed out without a limit: " + lock.number);
        }
      }
      case DEADLOCK -> {
        deadlocks++;
        if (!everInCircle.contains(node.key + "/" + lock.number + "/" + lock.wanted)) {
          fail("a false victim: " + node + "/" + lock.number);
        }
      }
      case TOO_MANY -> {}
    }
    lock.wanted = null;
    if (lock.held == null) {
      node.locks.remove(lock.number);
    } else if (lock.called || (settling && lock.owner != 0)) {
      at(soon(50), () -> giveBack(node, lock));
    }
    if (settling && lock.owner != 0) {
      for (UserLock other : List.copyOf(node.locks.values())) {
        if (other.owner == lock.owner) {
          at(soon(50), () -> giveBack(node, other));
        }
      }
    }
  }

  private void onBlocking(Node node, LockAction.Blocking blocking) {
    UserLock lock = node.locks.get(blocking.lock());
    if (lock == null || lock.held == null) {
      fail(node + " is called back for what it does not hold: " + blocking);
      return;
    }
    if (blocking.reclaim()) {
      reclaims++;
    } else {
      basts++;
      if (lock.held.isCompatible(blocking.wanted())) {
        fail(node + " is called back for what is not in the way: " + blocking);
      }
    }
    lock.called = true;
    at(soon(100), () -> giveBack(node, lock));
  }

  /** As far as whose lock it is allows. */
  private void giveBack(Node node, UserLock lock) {
    if (!node.running || node.locks.get(lock.number) != lock) {
      return;
    }
    Mode held = lock.held;
    if (lock.wanted != null || held == null) {
      return; // when that has ended
    }
    if (lock.owner != 0 && node.isOwnerWaiting(lock.owner)) {
      return; // when that has ended
    }
    lock.called = false;
    boolean value = held.mayWriteValue() && random.nextBoolean();
    if (random.nextInt(4) == 0 && held != Mode.NL && !hurry) {
      convertDown(node, lock, Mode.NL, value);
      return;
    }
    release(node, lock, value);
  }

  private void giveBackAll(Node node) {
    for (UserLock lock : List.copyOf(node.locks.values())) {
      if (node.running && lock.wanted == null && node.locks.get(lock.number) == lock) {
        release(node, lock, false);
      }
    }
  }

  private byte[] newValue() {
    byte[] bytes = new byte[ValueBlock.SIZE];
    random.nextBytes(bytes);
    return bytes;
  }

  private byte @Nullable [] written(UserLock lock, boolean value) {
    if (!value) {
      return null;
    }
    byte[] bytes = newValue();
    Truth truth = truth(lock);
    truth.written = bytes;
    truth.everWritten = true;
    truth.mayBeGone = false;
    truth.lost = false;
    return bytes;
  }

  private void release(Node node, UserLock lock, boolean value) {
    byte[] bytes = written(lock, value);
    node.locks.remove(lock.number);
    noteGone(lock.resource);
    step(node, new LockEvent.Release(lock.number, bytes));
    if (lock.owner != 0 && settling) {
      wakeOwner(node, lock.owner);
    }
  }

  private void wakeOwner(Node node, long owner) {
    if (node.isOwnerWaiting(owner)) {
      return;
    }
    for (UserLock other : List.copyOf(node.locks.values())) {
      if (other.owner == owner) {
        at(soon(20), () -> giveBack(node, other));
      }
    }
  }

  private void convertDown(Node node, UserLock lock, Mode mode, boolean value) {
    byte[] bytes = written(lock, value);
    lock.held = mode;
    step(node, new LockEvent.Convert(lock.number, mode, bytes, LockEvent.Wish.PLAIN));
  }

  // ---- what users do ----

  private void work() {
    if (settling) {
      return;
    }
    List<Node> live = live();
    if (live.isEmpty()) {
      return;
    }
    Node node = live.get(random.nextInt(live.size()));
    if (node.leaving) {
      return;
    }
    List<UserLock> all = List.copyOf(node.locks.values());
    List<UserLock> idle = node.idle();
    int dice = random.nextInt(10);
    if (all.isEmpty() || (dice < 5 && all.size() < crowd)) {
      acquire(node);
    } else if (dice < 7 && !idle.isEmpty()) {
      UserLock lock = idle.get(random.nextInt(idle.size()));
      Mode mode = MODES.get(random.nextInt(MODES.size()));
      Mode held = lock.held;
      if (held != null && mode.isWithin(held)) {
        if (lock.owner == 0 || !node.isOwnerWaiting(lock.owner)) {
          convertDown(node, lock, mode, held.mayWriteValue() && random.nextBoolean());
        }
      } else {
        lock.wanted = mode;
        lock.cancelled = false;
        lock.held = held == null ? null : held.common(mode);
        step(node, new LockEvent.Convert(lock.number, mode, null, wish(lock)));
      }
    } else if (dice < 9 && !idle.isEmpty()) {
      giveBack(node, idle.get(random.nextInt(idle.size())));
    } else {
      List<UserLock> asking = all.stream().filter(l -> l.wanted != null).toList();
      if (!asking.isEmpty()) {
        UserLock lock = asking.get(random.nextInt(asking.size()));
        lock.cancelled = true;
        step(node, new LockEvent.Cancel(lock.number));
      }
    }
  }

  private LockEvent.Wish wish(UserLock lock) {
    lock.noQueue = random.nextInt(5) == 0;
    lock.limited = random.nextInt(5) == 0;
    return new LockEvent.Wish(
        lock.noQueue,
        lock.owner,
        random.nextInt(2),
        lock.limited ? random.nextInt(500) : Long.MAX_VALUE);
  }

  private void acquire(Node node) {
    ResourceId resource = resources.get(random.nextInt(resources.size()));
    UserLock lock = new UserLock(++node.lastNumber, resource, random.nextInt(owners + 1));
    lock.wanted = MODES.get(random.nextInt(MODES.size()));
    node.locks.put(lock.number, lock);
    LockEvent.Wish wish = wish(lock);
    step(node, new LockEvent.Acquire(lock.number, resource, lock.wanted, wish));
  }

  // ---- what goes wrong ----

  private void fault() {
    if (settling) {
      return;
    }
    List<Node> live = live();
    if (live.isEmpty()) {
      join();
      return;
    }
    Node node = live.get(random.nextInt(live.size()));
    switch (random.nextInt(8)) {
      case 0, 1 -> {
        Node other = live.get(random.nextInt(live.size()));
        if (other != node) {
          cut(node, other);
          at(soon(1_500), () -> connect(node, other));
        }
      }
      case 2 -> newView();
      case 3 -> {
        if (live.size() > 1) {
          die(node, random.nextBoolean());
        }
      }
      case 4 -> restart(node);
      case 5 -> leave(node);
      case 6 -> join();
      default -> {
        newView();
        newView();
      }
    }
  }

  /** The node stops, or is only thought to. */
  private void die(Node node, boolean really) {
    note(node + (really ? " stops" : " is cut off"));
    deaths++;
    if (really) {
      node.running = false;
    }
    cutAll(node);
    long fenceAt = soon(2_000);
    if (random.nextBoolean()) {
      at(soon(1_000), () -> suspect(node)); // before or after the fence
    } else {
      at(
          fenceAt + 1 + random.nextInt(500),
          () -> {
            if (isInView(node)) {
              newView();
            }
          });
    }
    at(fenceAt, () -> fence(node));
  }

  private boolean isInView(Node node) {
    return current != null && current.nodes().contains(node.key);
  }

  private void suspect(Node node) {
    if (!node.fenced && !node.gone) {
      suspects.add(node.key);
    }
    newView();
  }

  private void fence(Node node) {
    if (node.gone && !suspects.contains(node.key)) {
      return; // it has left in order meanwhile
    }
    note(node + " is fenced");
    node.fenced = true;
    node.running = false;
    for (UserLock lock : node.locks.values()) {
      if (lock.held != null && lock.held.mayWriteValue()) {
        truth(lock).lost = true;
      }
    }
    // The slots that it alone wrote are void.
    disk.keySet().removeIf(slot -> slot / slotsEach == node.index);
    for (UserLock lock : node.locks.values()) {
      noteGone(lock.resource);
    }
    cutAll(node);
    node.gone = true;
    suspects.remove(node.key);
    Cleared proof = new Cleared(node.key);
    for (Node other : nodes) {
      if (other != node) {
        at(soon(500), () -> step(other, new LockEvent.Clear(proof)));
        clearedProofs.add(proof);
      }
    }
    at(soon(2_000), this::newView);
  }

  private final Set<Cleared> clearedProofs = new LinkedHashSet<>();

  private void restart(Node node) {
    note(node + " has a new daemon");
    node.life++;
    for (LockAction.Persist persist : node.disk) {
      for (SlotWrite write : persist.writes()) {
        if (random.nextBoolean()) {
          put(node, write);
        }
      }
    }
    node.clearedHere.clear();
    node.disk.clear();
    node.manager = node.manager();
    node.view = null;
    node.tickAt = Long.MAX_VALUE;
    for (SlotWrite write : List.copyOf(disk.values())) {
      if (write.slot() / slotsEach == node.index) {
        step(node, new LockEvent.Found(write.slot(), write.number(), write.entry()));
      }
    }
    for (Cleared proof : clearedProofs) {
      step(node, new LockEvent.Clear(proof));
    }
    for (UserLock lock : List.copyOf(node.locks.values())) {
      Mode held = lock.held;
      lock.wanted = null;
      if (held == null) {
        node.locks.remove(lock.number);
      } else {
        step(node, new LockEvent.Held(lock.number, lock.resource, held, lock.owner));
      }
    }
    for (Node other : nodes) {
      if (other != node && isConnected(node, other)) {
        cut(node, other);
        at(soon(300), () -> connect(node, other));
      }
    }
    newView();
  }

  private void leave(Node node) {
    if (live().size() < 2 || node.leaving) {
      return;
    }
    note(node + " wants to leave");
    node.leaving = true;
    at(now, () -> leaveOn(node));
  }

  private void leaveOn(Node node) {
    if (!node.running || node.gone) {
      return;
    }
    for (UserLock lock : List.copyOf(node.locks.values())) {
      if (lock.wanted != null) {
        if (!lock.cancelled) {
          lock.cancelled = true;
          step(node, new LockEvent.Cancel(lock.number));
        }
      } else if (node.locks.get(lock.number) == lock) {
        release(node, lock, false);
      }
    }
    boolean sees = current != null && current.id().equals(node.view);
    if (node.manager.isQuiet() && node.locks.isEmpty() && sees) {
      note(node + " has left");
      cutAll(node);
      node.gone = true;
      node.running = false;
      newView();
      return;
    }
    at(now + 50, () -> leaveOn(node));
  }

  private void join() {
    for (Node old : nodes) {
      if (old.gone && old.running == false) {
        int position = nodes.indexOf(old);
        Node fresh = new Node(old.index, newKey(old.index));
        boolean unproven = suspects.contains(old.key);
        if (unproven) {
          continue;
        }
        disk.keySet().removeIf(slot -> slot / slotsEach == old.index);
        nodes.set(position, fresh);
        note(fresh + " joins");
        for (Cleared proof : clearedProofs) {
          step(fresh, new LockEvent.Clear(proof));
        }
        for (Node other : nodes) {
          if (other != fresh) {
            at(soon(300), () -> connect(fresh, other));
          }
        }
        newView();
        return;
      }
    }
  }

  /**
   * Membership's word: everybody who is not dead or suspected; it reaches each node when it may.
   */
  private void newView() {
    List<ReservationKey> keys =
        nodes.stream()
            .filter(n -> !n.gone && !suspects.contains(n.key) && !n.fenced)
            .map(n -> n.key)
            .sorted(Comparator.comparingLong(k -> Integer.toUnsignedLong(k.nodeId())))
            .toList();
    if (keys.isEmpty()) {
      return;
    }
    View view = new View(new ViewId(1, ++viewVersion), keys, List.copyOf(suspects));
    current = view;
    note("membership: " + view);
    for (Node node : nodes) {
      if (keys.contains(node.key)) {
        int life = node.life;
        Node target = node;
        at(
            soon(faults ? 400 : 20),
            () -> {
              boolean newer = target.view == null || target.view.compareTo(view.id()) < 0;
              boolean dead =
                  view.nodes().stream().anyMatch(k -> clearedProofs.contains(new Cleared(k)));
              if (target.running && !target.gone && target.life == life && newer && !dead) {
                target.view = view.id();
                step(target, new LockEvent.NewView(view));
              }
            });
      }
    }
  }

  private void onGraceEnded(Node node, LockAction.GraceEnded ended) {
    View view = current;
    if (node.manager.table().unrecorded() > 0) {
      return; // too few slots for what was granted elsewhere
    }
    if (view == null || !view.id().equals(ended.view())) {
      return; // who is under a later one has stated elsewhere, or is about to
    }
    for (Node other : nodes) {
      for (UserLock lock : other.locks.values()) {
        if (other.fenced || lock.held == null || lock.held == Mode.NL) {
          continue;
        }
        boolean mine = Mastering.masterOf(lock.resource, view).equals(node.key);
        if (mine && !isRecorded(new LockId(other.key, lock.number), lock.held)) {
          fail(node + " ends grace, and " + other + "/" + lock.number + " has no record");
        }
      }
    }
  }

  private void settle() {
    note("faults end");
    for (Node node : nodes) {
      if (node.running && !node.gone && !suspects.contains(node.key) && !node.leaving) {
        for (Node other : nodes) {
          if (other != node && !isConnected(node, other)) {
            at(soon(100), () -> connect(node, other));
          }
        }
      }
    }
    // Whoever is on his way to be fenced will be, before settling counts.
    at(now + 3_000, this::settled);
  }

  private void settled() {
    settling = true;
    newView();
    for (Node node : nodes) {
      for (UserLock lock : node.locks.values()) {
        if (lock.owner != 0 || lock.called) {
          at(soon(50), () -> giveBack(node, lock));
        }
      }
    }
  }

  // ---- the network ----

  private static List<Integer> pair(Node a, Node b) {
    return a.index < b.index ? List.of(a.index, b.index) : List.of(b.index, a.index);
  }

  private boolean isConnected(Node a, Node b) {
    return connected.getOrDefault(pair(a, b), false);
  }

  private void connect(Node a, Node b) {
    if (nodes.contains(a) && nodes.contains(b) && !isConnected(a, b)) {
      if (!a.running || !b.running) {
        return;
      }
      connected.put(pair(a, b), true);
      connection.merge(pair(a, b), 1, Integer::sum);
      step(a, new LockEvent.PeerUp(b.key));
      step(b, new LockEvent.PeerUp(a.key));
    }
  }

  private void cutAll(Node node) {
    if (!nodes.contains(node)) {
      return;
    }
    for (Node other : nodes) {
      if (other != node) {
        cut(node, other);
      }
    }
  }

  private void cut(Node a, Node b) {
    if (isConnected(a, b)) {
      connected.put(pair(a, b), false);
      connection.merge(pair(a, b), 1, Integer::sum);
      step(a, new LockEvent.PeerDown(b.key));
      step(b, new LockEvent.PeerDown(a.key));
    }
  }

  private void transmit(Node from, LockAction.Send send) {
    for (Node to : nodes) {
      if (to.key.equals(send.to()) && isConnected(from, to)) {
        int now1 = connection.getOrDefault(pair(from, to), 0);
        List<Integer> way = List.of(from.index, to.index);
        long time = Math.max(soon(faults ? 60 : 10), arrival.getOrDefault(way, 0L));
        arrival.put(way, time);
        ReservationKey sender = from.key;
        int times = random.nextInt(30) == 0 ? 2 : 1;
        for (int i = 0; i < times; i++) {
          at(
              time,
              () -> {
                if (connection.getOrDefault(pair(from, to), 0) == now1) {
                  step(to, new LockEvent.Received(sender, send.envelope()));
                }
              });
        }
      }
    }
  }

  // ---- circles, as somebody sees them who sees everything at once ----

  private void findCircles() {
    Map<String, List<String>> needs = new LinkedHashMap<>();
    Map<String, UserLock> names = new LinkedHashMap<>();
    for (Node node : nodes) {
      if (!node.gone) {
        for (UserLock lock : node.locks.values()) {
          names.put(node.key + "/" + lock.number, lock);
        }
      }
    }
    Map<String, List<String>> waitingOf = new HashMap<>();
    for (Node node : nodes) {
      for (UserLock lock : node.locks.values()) {
        if (lock.wanted != null) {
          String owner = lock.owner == 0 ? "lock" + lock.number : "owner" + lock.owner;
          waitingOf
              .computeIfAbsent(node.key + owner, _ -> new ArrayList<>())
              .add(node.key + "/" + lock.number);
        }
      }
    }
    if (waitingOf.isEmpty()) {
      return;
    }
    for (Node node : live()) {
      for (Resource resource : node.manager.table().resources().values()) {
        List<Lock> ahead = new ArrayList<>(resource.converting);
        ahead.addAll(resource.waiting);
        for (int i = 0; i < ahead.size(); i++) {
          Lock lock = ahead.get(i);
          Mode wanted = lock.wanted().mode;
          List<String> list = needs.computeIfAbsent(name(lock), _ -> new ArrayList<>());
          for (Lock holder : resource.granted.values()) {
            if (holder != lock && holder.mode != null && !holder.mode.isCompatible(wanted)) {
              list.addAll(waitingOf.getOrDefault(ownerOf(holder, names), List.of()));
            }
          }
          for (Lock before : ahead.subList(0, i)) {
            if (before.wanted().mode.isCompatible(wanted)) {
              list.add(name(before));
            } else {
              list.addAll(waitingOf.getOrDefault(ownerOf(before, names), List.of()));
            }
          }
        }
      }
    }
    for (String start : needs.keySet()) {
      if (reaches(start, start, needs)) {
        UserLock lock = names.get(start);
        everInCircle.add(start + "/" + (lock == null ? null : lock.wanted));
      }
    }
  }

  private static String name(Lock lock) {
    return lock.id.node() + "/" + lock.id.number();
  }

  private static String ownerOf(Lock lock, Map<String, UserLock> names) {
    UserLock user = names.get(name(lock));
    long owner = user == null ? 0 : user.owner;
    return lock.id.node() + (owner == 0 ? "lock" + lock.id.number() : "owner" + owner);
  }

  private static boolean reaches(String from, String to, Map<String, List<String>> needs) {
    Set<String> seen = new HashSet<>();
    List<String> todo = new ArrayList<>(needs.getOrDefault(from, List.of()));
    while (!todo.isEmpty()) {
      String next = todo.removeLast();
      if (next.equals(to)) {
        return true;
      }
      if (seen.add(next)) {
        todo.addAll(needs.getOrDefault(next, List.of()));
      }
    }
    return false;
  }

  /** For the list of planted bugs. */
  static void find(long seeds) {
    for (long seed = 0; seed < seeds; seed++) {
      run(seed);
    }
  }
}
