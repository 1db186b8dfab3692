// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * {@link RangeLocks} beside a model that is plain and slow: a byte for each place of each file and
 * owner, a list of waits, and who reaches whom by trying all. A seed makes one history.
 */
final class RangeModel {
  /** Places 0 to 9 are bytes; the last stands for all that follow. */
  private static final int PLACES = 11;

  private record Wait(long ticket, int file, RangeLock lock) {}

  /** What one owner has in one file: 0, 1 shared, 2 exclusive, and who took it. */
  private record Places(byte[] mode, int[] pid) {
    Places() {
      this(new byte[PLACES], new int[PLACES]);
    }

    Places copy() {
      return new Places(mode.clone(), pid.clone());
    }

    int first(int place) {
      int first = place;
      while (first > 0 && mode[first - 1] == mode[place]) {
        first--;
      }
      return first;
    }

    int last(int place) {
      int last = place;
      while (last + 1 < PLACES && mode[last + 1] == mode[place]) {
        last++;
      }
      return last;
    }

    void set(int from, int to, byte wanted, int by) {
      Places old = copy();
      Arrays.fill(mode, from, to + 1, wanted);
      Arrays.fill(pid, from, to + 1, by);
      if (wanted == 0) {
        return;
      }
      // fs/locks.c: the first old range that becomes part of the new one, or is in it whole and
      // replaced, decides whose pid it has.
      int end = last(from);
      int whose = by;
      for (int i = first(from); i <= end; i++) {
        if (old.mode[i] == wanted) {
          whose = old.pid[i];
          break;
        }
        if (old.mode[i] != 0 && old.first(i) >= from && old.last(i) <= to) {
          break;
        }
      }
      Arrays.fill(pid, first(from), end + 1, whose);
    }

    int ranges() {
      int count = 0;
      for (int i = 0; i < PLACES; i++) {
        count += mode[i] != 0 && first(i) == i ? 1 : 0;
      }
      return count;
    }
  }

  private final Random random;
  private final List<String> history = new ArrayList<>();
  private final RangeLocks locks;
  private final int locksMax;
  private final int waitsMax;
  private final int files;
  private final List<RangeOwner> owners = new ArrayList<>();
  private final boolean threads;
  private final Set<ReservationKey> cleared = new HashSet<>();
  private Map<Integer, Map<RangeOwner, Places>> held = new HashMap<>();
  private TreeMap<Long, Wait> waits = new TreeMap<>();

  /** Ranges and what is kept for waits; more than the limit only because they were restored. */
  private int roof;

  /** What a run has done. */
  record Outcome(
      int waited, int granted, int deadlocks, int overtaken, int refused, int conversions) {}

  private int waited;
  private int granted;
  private int deadlocks;
  private int overtaken;
  private int refused;
  private int conversions;

  private RangeModel(long seed) {
    random = new Random(seed * 0x9E3779B97F4A7C15L + 3);
    random.nextLong();
    files = 1 + random.nextInt(3);
    threads = random.nextInt(4) == 0;
    locksMax = random.nextInt(3) == 0 ? 1 + random.nextInt(12) : 10_000;
    waitsMax = random.nextInt(3) == 0 ? 1 + random.nextInt(4) : 10_000;
    roof = locksMax;
    locks = new RangeLocks(locksMax, waitsMax);
    int count = 2 + random.nextInt(5);
    RangeOwner.Kind[] kinds = RangeOwner.Kind.values();
    int only = random.nextInt(6);
    for (int i = 0; i < count; i++) {
      ReservationKey node = ReservationKey.of(1 + random.nextInt(3), 1);
      owners.add(new RangeOwner(node, kinds[only < 3 ? only : random.nextInt(3)], i));
    }
    for (int i = 0; i < files; i++) {
      held.put(i, new LinkedHashMap<>());
    }
  }

  static Outcome run(long seed, int steps) {
    RangeModel model = new RangeModel(seed);
    try {
      for (int i = 0; i < steps; i++) {
        model.step();
        model.check();
      }
    } catch (AssertionError | RuntimeException violation) {
      throw new AssertionError(
          violation.getMessage() + "\nseed " + seed + ":\n" + String.join("\n", model.history),
          violation);
    }
    return new Outcome(
        model.waited,
        model.granted,
        model.deadlocks,
        model.overtaken,
        model.refused,
        model.conversions);
  }

  private static ResourceId id(int file) {
    return ResourceId.extent(file, 1, 0);
  }

  private static int last(long end) {
    return end == RangeLock.TO_THE_END ? PLACES - 1 : (int) end;
  }

  private Places places(int file, RangeOwner owner) {
    return map(file).computeIfAbsent(owner, _ -> new Places());
  }

  private Map<RangeOwner, Places> map(int file) {
    return held.computeIfAbsent(file, _ -> new LinkedHashMap<>());
  }

  // ---- one step ----

  private RangeLock randomLock(RangeOwner owner) {
    long start = 0;
    long end = RangeLock.TO_THE_END;
    if (owner.kind() != RangeOwner.Kind.FLOCK) {
      start = random.nextInt(PLACES - 1);
      end = start + random.nextInt(PLACES - (int) start);
      if (end >= PLACES - 1) {
        end = RangeLock.TO_THE_END;
      }
    }
    int pid = owner.kind() == RangeOwner.Kind.OFD ? -1 : 1 + random.nextInt(3);
    return new RangeLock(owner, pid, random.nextBoolean(), start, end);
  }

  private void step() {
    int file = random.nextInt(files);
    RangeOwner owner = owners.get(random.nextInt(owners.size()));
    boolean busy = waits.values().stream().anyMatch(w -> w.lock().owner().equals(owner));
    int dice = random.nextInt(21);
    if (busy && !threads && dice < 16) {
      dice = random.nextInt(8) == 0 ? 18 : 21; // a process waits for one thing at a time
    }
    if (dice < 11) {
      lock(file, randomLock(owner), random.nextInt(4) != 0);
    } else if (dice < 16) {
      unlock(file, randomLock(owner));
    } else if (dice == 16) {
      RangeLock range = randomLock(owner);
      RangeLock found = locks.test(id(file), range);
      history.add("test " + file + " " + range + ": " + found);
      expectFirst(file, found, range);
    } else if (dice == 17) {
      boolean unseen = unlockUnseen(owner);
      history.add("exit " + owner);
      locks.exit(owner);
      release(Set.of(owner), unseen);
    } else if (dice == 18 && !waits.isEmpty()) {
      List<Wait> all = List.copyOf(waits.values());
      Wait wait = all.get(random.nextInt(all.size()));
      history.add("cancel " + wait);
      if (!locks.cancel(wait.ticket())) {
        throw new AssertionError("a wait is gone: " + wait);
      }
      waits.remove(wait.ticket());
    } else if (dice == 19 && random.nextInt(5) == 0) {
      clear(owner);
    } else if (dice == 20 && random.nextInt(4) == 0) {
      restore(file, randomLock(owner));
    }
    take(locks.takeEnded());
  }

  private void unlock(int file, RangeLock range) {
    history.add("unlock " + file + " " + range);
    boolean done = locks.unlock(id(file), range.owner(), range.start(), range.end());
    if (done != hasRoomFor(file, range, (byte) 0)) {
      throw new AssertionError("unlocking says " + done);
    }
    if (done) {
      set(file, range, (byte) 0);
    } else {
      refused++;
    }
  }

  /**
   * Those in the way of one who will be gone give it up, and what that ends is not asked for: who
   * is gone then is not told, and has nothing. Only where nobody waits for two things, for such an
   * end would not be known to the model.
   */
  private boolean unlockUnseen(RangeOwner gone) {
    Wait wait =
        waits.values().stream().filter(w -> w.lock().owner().equals(gone)).findFirst().orElse(null);
    if (threads || wait == null || random.nextInt(3) == 0) {
      return false;
    }
    Set<RangeOwner> inTheWay = inTheWay(wait.file(), wait.lock());
    for (RangeOwner owner : List.copyOf(map(wait.file()).keySet())) {
      boolean busy = waits.values().stream().anyMatch(w -> w.lock().owner().equals(owner));
      if (inTheWay.contains(owner) && !busy) {
        RangeLock lock = wait.lock();
        unlock(wait.file(), new RangeLock(owner, 0, false, lock.start(), lock.end()));
      }
    }
    return true;
  }

  private void clear(RangeOwner owner) {
    boolean unseen = unlockUnseen(owner);
    Set<ReservationKey> nodes = new LinkedHashSet<>(Set.of(owner.node()));
    if (random.nextInt(3) == 0) {
      nodes.add(owners.get(random.nextInt(owners.size())).node());
    }
    history.add("clear " + nodes);
    locks.clear(nodes);
    cleared.addAll(nodes);
    Set<RangeOwner> gone = new HashSet<>(owners);
    gone.removeIf(each -> !nodes.contains(each.node()));
    release(gone, unseen);
    for (int i = 0; i < owners.size(); i++) {
      RangeOwner old = owners.get(i);
      if (gone.contains(old) && random.nextInt(4) != 0) {
        long incarnation = old.node().incarnation() + 1;
        ReservationKey node = ReservationKey.of(old.node().nodeId(), incarnation);
        owners.set(i, new RangeOwner(node, old.kind(), old.id()));
      }
    }
  }

  private void release(Set<RangeOwner> gone, boolean unseen) {
    if (unseen) {
      List<RangeLocks.Ended> ends = locks.takeEnded();
      if (ends.stream().anyMatch(end -> gone.contains(end.lock().owner()))) {
        throw new AssertionError("who is gone is told: " + ends);
      }
      between(ends, () -> release(gone));
    } else {
      release(gone);
    }
  }

  private void release(Set<RangeOwner> gone) {
    waits.values().removeIf(w -> gone.contains(w.lock().owner()));
    for (int i = 0; i < files; i++) {
      map(i).keySet().removeAll(gone);
    }
  }

  private void restore(int file, RangeLock lock) {
    history.add("restore " + file + " " + lock);
    boolean gone = cleared.contains(lock.owner().node());
    boolean excluded = !inTheWay(file, lock).isEmpty();
    try {
      locks.restore(id(file), lock);
      if (excluded && !gone) {
        throw new AssertionError("restored though it is held");
      }
      if (!gone) {
        set(file, lock, code(lock));
        roof = Math.max(roof, total() + reserved());
      }
    } catch (IllegalStateException refusal) {
      history.add("  " + refusal.getMessage());
      if (!excluded || gone) {
        throw new AssertionError("not restored though nothing is in the way", refusal);
      }
    }
  }

  private void lock(int file, RangeLock wanted, boolean wait) {
    history.add("lock " + file + " " + wanted + (wait ? " wait" : ""));
    byte mode = places(file, wanted.owner()).mode[0];
    boolean converts =
        wanted.owner().kind() == RangeOwner.Kind.FLOCK && mode != 0 && mode != code(wanted);
    RangeLocks.Answer answer = locks.lock(id(file), wanted, wait);
    history.add("  " + answer);
    if (cleared.contains(wanted.owner().node()) != answer instanceof RangeLocks.Answer.Gone) {
      throw new AssertionError("who is gone is answered " + answer);
    }
    if (answer instanceof RangeLocks.Answer.TooMany) {
      refused++;
      boolean noPlace = wait && waits.size() >= waitsMax;
      boolean noRoom =
          !hasRoomFor(file, wanted, code(wanted))
              || (wait && total() + reserved() + roomFor(wanted) > locksMax);
      if (!noPlace && (converts || !noRoom)) {
        throw new AssertionError("ENOLCK though there is room");
      }
    } else if (converts) {
      // Who got the file between the halves comes before the answer, who is let in by it after.
      conversions += waits.isEmpty() ? 0 : 1;
      set(file, wanted, (byte) 0);
      between(locks.takeEnded(), () -> answered(file, wanted, wait, answer));
    } else {
      answered(file, wanted, wait, answer);
    }
  }

  private void answered(int file, RangeLock wanted, boolean wait, RangeLocks.Answer answer) {
    boolean blocked = !inTheWay(file, wanted).isEmpty();
    switch (answer) {
      case RangeLocks.Answer.Granted _ -> {
        if (blocked) {
          throw new AssertionError("granted though it is held");
        }
        boolean same =
            wanted.owner().kind() == RangeOwner.Kind.FLOCK
                && places(file, wanted.owner()).mode[0] == code(wanted);
        if (wait && !same) {
          expectNobodyToQueueBehind(file, wanted, Long.MAX_VALUE);
        }
        if (!same) {
          set(file, wanted, code(wanted));
        }
        granted++;
      }
      case RangeLocks.Answer.InTheWay inTheWay -> {
        if (wait) {
          throw new AssertionError("EAGAIN for one that waits");
        }
        expectFirst(file, inTheWay.other(), wanted);
      }
      case RangeLocks.Answer.Waits waits1 -> {
        if (!wait) {
          throw new AssertionError("waits though it was not to");
        }
        Wait queued = new Wait(waits1.ticket(), file, wanted);
        if (isInCircle(queued, true)) {
          throw new AssertionError("waits in a circle");
        }
        waited++;
        waits.put(waits1.ticket(), queued);
      }
      case RangeLocks.Answer.WouldDeadlock _ -> {
        deadlocks++;
        if (!wait || !isInCircle(new Wait(Long.MAX_VALUE, file, wanted), true)) {
          throw new AssertionError("EDEADLK without a circle");
        }
      }
      case RangeLocks.Answer.TooMany _, RangeLocks.Answer.Gone _ -> {}
    }
  }

  /** Of what has ended some came before this, the rest after it; which, is not told. */
  private void between(List<RangeLocks.Ended> ends, Runnable change) {
    Map<Integer, Map<RangeOwner, Places>> heldBefore = held;
    TreeMap<Long, Wait> waitsBefore = waits;
    AssertionError first = null;
    for (int i = 0; i <= ends.size(); i++) {
      held = new HashMap<>();
      heldBefore.forEach(
          (file, map) -> map.forEach((owner, places) -> map(file).put(owner, places.copy())));
      waits = new TreeMap<>(waitsBefore);
      int lines = history.size();
      try {
        take(ends.subList(0, i));
        change.run();
        take(ends.subList(i, ends.size()));
        return;
      } catch (AssertionError e) {
        first = first == null ? e : first;
        history.subList(lines, history.size()).clear();
      }
    }
    history.add("  " + ends);
    throw first == null ? new AssertionError("no order") : first;
  }

  private void take(List<RangeLocks.Ended> ends) {
    for (RangeLocks.Ended end : ends) {
      history.add("  " + end);
      Wait wait = waits.get(end.ticket());
      if (wait == null || !wait.lock().equals(end.lock())) {
        throw new AssertionError("the end of an unknown wait: " + end);
      }
      if (end.granted()) {
        if (!inTheWay(wait.file(), wait.lock()).isEmpty()) {
          throw new AssertionError("granted though it is held: " + end);
        }
        expectNobodyToQueueBehind(wait.file(), wait.lock(), wait.ticket());
        waits.remove(wait.ticket());
        set(wait.file(), wait.lock(), code(wait.lock()));
        granted++;
      } else {
        deadlocks++;
        if (!isInCircle(wait, false)) {
          throw new AssertionError("EDEADLK without a circle: " + end);
        }
        waits.remove(wait.ticket());
      }
    }
  }

  private void expectNobodyToQueueBehind(int file, RangeLock wanted, long ticket) {
    for (Wait before : before(file, wanted, ticket)) {
      if (!reached(before.lock().owner()).contains(wanted.owner())) {
        throw new AssertionError(wanted + " overtakes " + before);
      }
      overtaken++;
    }
  }

  /** The one in the way that begins first, as it is. */
  private void expectFirst(int file, @Nullable RangeLock found, RangeLock wanted) {
    List<RangeLock> all = ranges(file).stream().filter(lock -> excludes(lock, wanted)).toList();
    long begins = all.stream().mapToLong(RangeLock::start).min().orElse(-1);
    if (found == null ? !all.isEmpty() : !all.contains(found) || found.start() != begins) {
      throw new AssertionError(found + " is not the first in the way, of " + all);
    }
  }

  // ---- what is held ----

  private static byte code(RangeLock lock) {
    return (byte) (lock.exclusive() ? 2 : 1);
  }

  private void set(int file, RangeLock range, byte mode) {
    places(file, range.owner()).set((int) range.start(), last(range.end()), mode, range.pid());
  }

  private int total() {
    return held.values().stream()
        .flatMap(map -> map.values().stream())
        .mapToInt(Places::ranges)
        .sum();
  }

  private int reserved() {
    return waits.values().stream().mapToInt(wait -> roomFor(wait.lock())).sum();
  }

  private static int roomFor(RangeLock wanted) {
    return wanted.owner().kind() == RangeOwner.Kind.FLOCK ? 1 : 2;
  }

  private boolean hasRoomFor(int file, RangeLock range, byte mode) {
    Places after = places(file, range.owner()).copy();
    int more = -after.ranges();
    after.set((int) range.start(), last(range.end()), mode, range.pid());
    more += after.ranges();
    return more <= 0 || total() + reserved() + more <= locksMax;
  }

  private List<RangeLock> ranges(int file) {
    List<RangeLock> found = new ArrayList<>();
    map(file)
        .forEach(
            (owner, places) -> {
              for (int i = 0; i < PLACES; i++) {
                if (places.mode[i] != 0 && places.first(i) == i) {
                  int end = places.last(i);
                  long last = end == PLACES - 1 ? RangeLock.TO_THE_END : end;
                  found.add(new RangeLock(owner, places.pid[i], places.mode[i] == 2, i, last));
                }
              }
            });
    return found;
  }

  private static boolean meet(RangeOwner a, RangeOwner b) {
    boolean aFlock = a.kind() == RangeOwner.Kind.FLOCK;
    boolean bFlock = b.kind() == RangeOwner.Kind.FLOCK;
    return !a.equals(b) && aFlock == bFlock;
  }

  private static boolean excludes(RangeLock a, RangeLock b) {
    return meet(a.owner(), b.owner())
        && (a.exclusive() || b.exclusive())
        && a.start() <= b.end()
        && b.start() <= a.end();
  }

  private Set<RangeOwner> inTheWay(int file, RangeLock wanted) {
    Set<RangeOwner> found = new HashSet<>();
    map(file)
        .forEach(
            (owner, places) -> {
              for (int i = (int) wanted.start(); i <= last(wanted.end()); i++) {
                boolean excludes =
                    places.mode[i] == 2 || (places.mode[i] == 1 && wanted.exclusive());
                if (excludes && meet(owner, wanted.owner())) {
                  found.add(owner);
                }
              }
            });
    return found;
  }

  // ---- who waits for whom ----

  private List<Wait> before(int file, RangeLock wanted, long ticket) {
    return waits.headMap(ticket).values().stream()
        .filter(wait -> wait.file() == file && excludes(wait.lock(), wanted))
        .toList();
  }

  /** All that an owner waits for, in whichever of his threads, and what those wait for. */
  private Set<RangeOwner> reached(RangeOwner from) {
    Map<RangeOwner, Set<RangeOwner>> edges = new HashMap<>();
    for (Wait wait : waits.values()) {
      Set<RangeOwner> to = edges.computeIfAbsent(wait.lock().owner(), _ -> new HashSet<>());
      to.addAll(inTheWay(wait.file(), wait.lock()));
      before(wait.file(), wait.lock(), wait.ticket()).forEach(w -> to.add(w.lock().owner()));
    }
    return closure(edges, edges.getOrDefault(from, Set.of()));
  }

  private static Set<RangeOwner> closure(
      Map<RangeOwner, Set<RangeOwner>> edges, Set<RangeOwner> first) {
    Set<RangeOwner> reached = new HashSet<>(first);
    for (int size = -1; size != reached.size(); ) {
      size = reached.size();
      edges.forEach(
          (owner, to) -> {
            if (reached.contains(owner)) {
              reached.addAll(to);
            }
          });
    }
    return reached;
  }

  /**
   * Whether a request of a process is in a circle of such that wait for locks of processes.
   *
   * @param asked the request is new: the first in its way may be an open file
   */
  private boolean isInCircle(Wait wait, boolean asked) {
    if (wait.lock().owner().kind() != RangeOwner.Kind.POSIX) {
      return false;
    }
    Map<RangeOwner, Set<RangeOwner>> edges = new HashMap<>();
    for (Wait each : waits.values()) {
      Set<RangeOwner> to = edges.computeIfAbsent(each.lock().owner(), _ -> new HashSet<>());
      to.addAll(inTheWay(each.file(), each.lock()));
      to.removeIf(owner -> owner.kind() != RangeOwner.Kind.POSIX);
    }
    Set<RangeOwner> first = inTheWay(wait.file(), wait.lock());
    if (!asked) {
      first.removeIf(owner -> owner.kind() != RangeOwner.Kind.POSIX);
    }
    return closure(edges, first).contains(wait.lock().owner());
  }

  // ---- what must be true after each step ----

  private void check() {
    for (Wait wait : waits.values()) {
      if (isInCircle(wait, false)) {
        throw new AssertionError("a circle stays: " + wait);
      }
      if (inTheWay(wait.file(), wait.lock()).isEmpty()
          && before(wait.file(), wait.lock(), wait.ticket()).stream()
              .allMatch(w -> reached(w.lock().owner()).contains(wait.lock().owner()))) {
        throw new AssertionError("nothing is in the way of " + wait);
      }
    }
    if (locks.waiting() != waits.size() || waits.size() > waitsMax) {
      throw new AssertionError(locks.waiting() + " wait, in the model " + waits.size());
    }
    Set<String> used = new HashSet<>();
    for (int file = 0; file < files; file++) {
      List<RangeLock> expected = ranges(file);
      List<RangeLock> found = locks.held(id(file));
      if (!new HashSet<>(found).equals(new HashSet<>(expected))
          || found.size() != expected.size()) {
        throw new AssertionError("held: " + found + "\nmodel: " + expected);
      }
      for (RangeLock lock : expected) {
        used.add(file + (lock.owner().kind() == RangeOwner.Kind.FLOCK ? " flock" : ""));
      }
    }
    for (Wait wait : waits.values()) {
      RangeOwner.Kind kind = wait.lock().owner().kind();
      used.add(wait.file() + (kind == RangeOwner.Kind.FLOCK ? " flock" : ""));
    }
    if (locks.files() != used.size()) {
      throw new AssertionError(locks.files() + " files, in the model " + used);
    }
    if (locks.size() != total()) {
      throw new AssertionError("counted " + locks.size() + " of " + total());
    }
    if (total() + reserved() > roof) {
      throw new AssertionError("more than " + roof + " ranges: " + total());
    }
    roof = Math.max(locksMax, total() + reserved());
  }

  /** For the list of planted bugs. */
  static void find(long seeds) {
    for (long seed = 0; seed < seeds; seed++) {
      run(seed, 120);
    }
  }
}
