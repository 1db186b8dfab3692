// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * {@link LockTable} beside a model of what a master does: one list of locks, each with the number
 * of its arrival, and rules that look at all of it each time. After every step both must have said
 * the same. A seed makes one history.
 */
final class TableModel {
  private static final List<Mode> MODES = List.of(Mode.values());

  private static final class Entry {
    final LockId id;
    final ResourceId resource;
    @Nullable Mode mode;
    long sequence;
    boolean told;

    /** What its owner knows of: a grant that was not told lets nobody write. */
    @Nullable Mode toldMode;

    @Nullable Mode wanted;
    boolean noQueue;
    long wantedSequence;
    long arrived;
    boolean dying;

    /** What was under way to the disk when it was granted is not its record. */
    long grantedAfter;

    final Set<Mode> calledFor = EnumSet.noneOf(Mode.class);

    Entry(LockId id, ResourceId resource) {
      this.id = id;
      this.resource = resource;
    }
  }

  private record Said(ReservationKey to, LockMessage message) {}

  private final Random random;
  private final List<String> history = new ArrayList<>();
  private final List<ReservationKey> nodes = new ArrayList<>();
  private final List<ReservationKey> alive;
  private final List<ResourceId> resources = new ArrayList<>();
  private final LockOutbox out = new LockOutbox();
  private final Links links;
  private final LockTable table;
  private final List<LockAction.Persist> disk = new ArrayList<>();

  private final Map<LockId, Entry> model = new LinkedHashMap<>();
  private final Map<ResourceId, ValueBlock> values = new HashMap<>();
  private final Map<ResourceId, Long> tickets = new HashMap<>();

  /** Nothing of a name that was used before has a version up to this one. */
  private long forgotten;

  private final Map<ResourceId, Long> firstVersions = new HashMap<>();

  /** What stands in the slots. */
  private final Map<Integer, SlotWrite> slots = new HashMap<>();

  private final List<Said> expected = new ArrayList<>();
  private long arrivals;
  private long lastBatch;
  private long numbers;
  private long now;

  private TableModel(long seed) {
    random = new Random(seed * 0x9E3779B97F4A7C15L + 2);
    random.nextLong();
    int count = 2 + random.nextInt(4);
    for (int i = 1; i <= count; i++) {
      nodes.add(ReservationKey.of(i, 1));
    }
    alive = new ArrayList<>(nodes);
    int names = 1 + random.nextInt(3);
    for (int i = 0; i < names; i++) {
      resources.add(ResourceId.inode(i, 0));
    }
    int batchMax = 1 + random.nextInt(10);
    LockSettings settings =
        new LockSettings(nodes.getFirst(), 0, 1_000, 100, 10_000, 1_000, 1_000, batchMax, 100);
    links = new Links(nodes.getFirst(), out);
    table = new LockTable(settings, out, links);
    View view = new View(new ViewId(1, 1), nodes, List.of());
    out.begin(0);
    links.begin(view);
    nodes.forEach(links::up);
    table.begin(view);
    nodes.forEach(table::restated);
    table.endOfStep();
  }

  static int run(long seed, int steps) {
    TableModel model = new TableModel(seed);
    int grants = 0;
    try {
      for (int i = 0; i < steps && model.alive.size() > 1; i++) {
        grants += model.step();
      }
    } catch (AssertionError | RuntimeException violation) {
      throw new AssertionError(
          violation + "\nseed " + seed + ":\n" + String.join("\n", model.history), violation);
    }
    return grants;
  }

  private int step() {
    out.begin(++now);
    expected.clear();
    List<Entry> free =
        model.values().stream().filter(e -> e.told && e.wanted == null && !e.dying).toList();
    List<Entry> waiting =
        model.values().stream().filter(e -> e.wanted != null && !e.dying).toList();
    int dice = random.nextInt(20);
    if (dice < 7 && model.size() < 14) {
      acquire();
    } else if (dice < 11 && !free.isEmpty()) {
      convert(free.get(random.nextInt(free.size())));
    } else if (dice < 14 && !free.isEmpty()) {
      release(free.get(random.nextInt(free.size())));
    } else if (dice < 15 && !waiting.isEmpty()) {
      cancel(waiting.get(random.nextInt(waiting.size())));
    } else if (dice < 19 && !disk.isEmpty()) {
      persisted(disk.removeFirst());
    } else if (dice == 19 && random.nextInt(20) == 0) {
      clear(alive.remove(random.nextInt(alive.size())));
    }
    table.endOfStep();
    return compare();
  }

  private ValueBlock value(ResourceId resource) {
    ValueBlock value = values.get(resource);
    if (value == null) {
      throw new IllegalStateException();
    }
    return value;
  }

  private void acquire() {
    LockId id = new LockId(alive.get(random.nextInt(alive.size())), ++numbers);
    Entry entry = new Entry(id, resources.get(random.nextInt(resources.size())));
    want(entry, MODES.get(random.nextInt(MODES.size())), 1);
    if (!values.containsKey(entry.resource)) {
      long version = forgotten == 0 ? 0 : forgotten + 1;
      values.put(entry.resource, new ValueBlock(version, true, new byte[ValueBlock.SIZE]));
      firstVersions.put(entry.resource, version);
    }
    model.put(id, entry);
    LockMessage.Acquire message =
        new LockMessage.Acquire(id.number(), 1, entry.resource, mode(entry), entry.noQueue, 0);
    history.add(id.node() + " " + message);
    table.take(id.node(), message);
    settle(entry.resource, entry);
  }

  private static Mode mode(Entry entry) {
    if (entry.wanted == null) {
      throw new IllegalStateException();
    }
    return entry.wanted;
  }

  private void want(Entry entry, Mode mode, long sequence) {
    entry.wanted = mode;
    entry.wantedSequence = sequence;
    entry.noQueue = random.nextInt(4) == 0;
    entry.arrived = ++arrivals;
  }

  private void convert(Entry entry) {
    Mode held = entry.mode;
    Mode mode = MODES.get(random.nextInt(MODES.size()));
    if (held == null || (!mode.isWithin(held) && !held.isWithin(mode))) {
      return;
    }
    long sequence = entry.sequence + 1 + random.nextInt(2);
    ValueBlock value = null;
    boolean down = mode.isWithin(held);
    if (down && held.mayWriteValue() && random.nextBoolean()) {
      value = write(entry);
    }
    if (!down) {
      want(entry, mode, sequence);
    }
    LockMessage.Convert message =
        new LockMessage.Convert(
            entry.id.number(), sequence, entry.resource, mode, entry.noQueue, 0, value);
    history.add(entry.id.node() + " " + message);
    table.take(entry.id.node(), message);
    if (down) {
      entry.mode = mode;
      entry.toldMode = mode;
      entry.sequence = sequence;
      entry.calledFor.clear();
      settle(entry.resource, null);
    } else {
      settle(entry.resource, entry);
    }
  }

  private ValueBlock write(Entry entry) {
    byte[] bytes = new byte[ValueBlock.SIZE];
    random.nextBytes(bytes);
    ValueBlock old = value(entry.resource);
    ValueBlock value = new ValueBlock(old.version() + 1, true, bytes);
    values.put(entry.resource, value);
    return value;
  }

  private void release(Entry entry) {
    Mode held = entry.mode;
    ValueBlock value = null;
    if (held != null && held.mayWriteValue() && random.nextBoolean()) {
      value = write(entry);
    }
    LockMessage.Release message =
        new LockMessage.Release(entry.id.number(), entry.sequence + 1, entry.resource, value);
    history.add(entry.id.node() + " " + message);
    table.take(entry.id.node(), message);
    model.remove(entry.id);
    settle(entry.resource, null);
  }

  private void cancel(Entry entry) {
    LockMessage.Cancel message =
        new LockMessage.Cancel(entry.id.number(), entry.wantedSequence, entry.resource);
    history.add(entry.id.node() + " " + message);
    table.take(entry.id.node(), message);
    refuse(entry, Refusal.CANCELLED);
    settle(entry.resource, null);
  }

  private void refuse(Entry entry, Refusal reason) {
    say(entry, new LockMessage.Refused(entry.id.number(), entry.wantedSequence, reason));
    unwant(entry);
  }

  private void unwant(Entry entry) {
    entry.wanted = null;
    if (entry.mode == null) {
      model.remove(entry.id);
    }
  }

  private void persisted(LockAction.Persist persist) {
    history.add("on disk: " + persist);
    table.persisted(persist.batch());
    for (SlotWrite write : persist.writes()) {
      SlotWrite before = slots.put(write.slot(), write);
      if (before != null && before.number() >= write.number()) {
        throw new AssertionError(write + " after " + before);
      }
    }
    for (SlotWrite write : persist.writes()) {
      SlotWrite.Entry record = write.entry();
      Entry entry = record == null ? null : model.get(record.lock());
      if (record != null
          && entry != null
          && !entry.told
          && !entry.dying
          && entry.grantedAfter < persist.batch()
          && entry.mode == record.mode()) {
        tell(entry);
        call(entry.resource);
      }
    }
  }

  private void clear(ReservationKey victim) {
    history.add("clear " + victim);
    table.clear(victim);
    List<Entry> its =
        model.values().stream().filter(entry -> entry.id.node().equals(victim)).toList();
    for (Entry entry : its) {
      entry.dying = true;
      if (entry.wanted != null) {
        unwant(entry);
      }
    }
    its.forEach(entry -> settle(entry.resource, null));
  }

  private void cleared(ReservationKey victim) {
    for (Entry entry : List.copyOf(model.values())) {
      if (entry.id.node().equals(victim)) {
        Mode told = entry.toldMode;
        if (told != null && told.mayWriteValue()) {
          ValueBlock old = value(entry.resource);
          values.put(entry.resource, new ValueBlock(old.version() + 1, false, old.bytes()));
        }
        model.remove(entry.id);
        settle(entry.resource, null);
      }
    }
  }

  // ---- the rules ----

  private List<Entry> on(ResourceId resource) {
    return model.values().stream().filter(e -> e.resource.equals(resource)).toList();
  }

  private void settle(ResourceId resource, @Nullable Entry newcomer) {
    grantAll(resource);
    if (newcomer != null && newcomer.wanted != null) {
      long ticket = tickets.merge(resource, 1L, Long::sum) - 1;
      if (newcomer.noQueue) {
        refuse(newcomer, Refusal.WOULD_WAIT);
        grantAll(resource);
      } else {
        say(
            newcomer,
            new LockMessage.Queued(newcomer.id.number(), newcomer.wantedSequence, ticket));
      }
    }
    call(resource);
    ValueBlock last = values.get(resource);
    if (on(resource).isEmpty() && last != null) {
      if (last.version() != firstVersions.getOrDefault(resource, -1L)) {
        forgotten = Math.max(forgotten, last.version());
      }
      values.remove(resource);
      tickets.remove(resource);
    }
  }

  private void grantAll(ResourceId resource) {
    while (true) {
      Entry next =
          on(resource).stream()
              .filter(e -> e.wanted != null)
              .min(Comparator.comparingInt(TableModel::rank).thenComparingLong(e -> e.arrived))
              .orElse(null);
      if (next == null || next.wanted == null) {
        return;
      }
      Mode wanted = next.wanted;
      for (Entry other : on(resource)) {
        if (other != next && other.mode != null && !other.mode.isCompatible(wanted)) {
          return;
        }
      }
      next.mode = wanted;
      next.sequence = next.wantedSequence;
      next.wanted = null;
      next.told = false;
      next.calledFor.clear();
      next.grantedAfter = lastBatch;
      if (wanted == Mode.NL) {
        tell(next);
      }
    }
  }

  /** New locks in NL, then conversions, then the rest. */
  private static int rank(Entry entry) {
    if (entry.mode == null && entry.wanted == Mode.NL) {
      return 0;
    }
    return entry.mode != null ? 1 : 2;
  }

  private void tell(Entry entry) {
    entry.told = true;
    Mode mode = entry.mode;
    if (mode != null) {
      entry.toldMode = mode;
      ValueBlock value = value(entry.resource);
      say(entry, new LockMessage.Granted(entry.id.number(), entry.sequence, mode, value));
    }
  }

  private void call(ResourceId resource) {
    for (Entry holder : on(resource)) {
      Mode held = holder.mode;
      if (held == null) {
        continue;
      }
      Set<Mode> wanted = EnumSet.noneOf(Mode.class);
      for (Entry other : on(resource)) {
        if (other != holder && other.wanted != null && !held.isCompatible(other.wanted)) {
          wanted.add(other.wanted);
        }
      }
      holder.calledFor.retainAll(wanted);
      if (!holder.told) {
        continue;
      }
      for (Mode mode : wanted) {
        if (holder.calledFor.add(mode)) {
          say(holder, new LockMessage.Blocking(holder.id.number(), holder.sequence, mode, false));
        }
      }
    }
  }

  private void say(Entry entry, LockMessage message) {
    expected.add(new Said(entry.id.node(), message));
  }

  // ---- the comparison ----

  private int compare() {
    List<Said> said = new ArrayList<>();
    for (LockAction action : out.end()) {
      switch (action) {
        case LockAction.Send send -> {
          if (!(send.envelope().message() instanceof LockMessage.Recorded)) {
            said.add(new Said(send.to(), send.envelope().message()));
          }
        }
        case LockAction.Persist persist -> {
          disk.add(persist);
          lastBatch = persist.batch();
          if (disk.size() > 1) {
            throw new AssertionError("two batches at once");
          }
        }
        case LockAction.LocksCleared cleared -> cleared(cleared.victim());
        default -> {}
      }
    }
    for (LockMessage own = links.pollOwn(); own != null; own = links.pollOwn()) {
      if (!(own instanceof LockMessage.Recorded)) {
        said.add(new Said(nodes.getFirst(), own));
      }
    }
    Comparator<Said> order = Comparator.comparing(Said::toString);
    List<Said> a = said.stream().sorted(order).toList();
    List<Said> b = expected.stream().sorted(order).toList();
    said.forEach(s -> history.add("    " + s));
    if (!a.equals(b)) {
      throw new AssertionError("said " + a + "\nshould be " + b);
    }
    checkRecords();
    table.invariants();
    if (table.strange() != 0) {
      throw new AssertionError("the table does not understand");
    }
    if (table.size() != model.size()) {
      throw new AssertionError(table.size() + " locks, " + model.size() + " in the model");
    }
    return (int) said.stream().filter(s -> s.message() instanceof LockMessage.Granted).count();
  }

  /** Whoever was told has a record, and whoever was not has one on its way. */
  private void checkRecords() {
    for (Entry entry : model.values()) {
      Mode mode = entry.mode;
      if (mode == null || mode == Mode.NL || entry.dying) {
        continue;
      }
      boolean isRecorded =
          slots.values().stream()
              .map(SlotWrite::entry)
              .anyMatch(e -> e != null && e.lock().equals(entry.id) && mode.isWithin(e.mode()));
      if (entry.told && !isRecorded) {
        throw new AssertionError(entry.id + " holds " + mode + " without a record");
      }
      if (!entry.told && disk.isEmpty()) {
        throw new AssertionError(entry.id + " is granted " + mode + ", and no record is written");
      }
    }
  }

  /** For the list of planted bugs. */
  static void find(long seeds) {
    for (long seed = 0; seed < seeds; seed++) {
      run(seed, 150);
    }
  }
}
