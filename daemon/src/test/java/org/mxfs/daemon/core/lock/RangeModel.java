// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.mxfs.daemon.core.ReservationKey;

/**
 * {@link RangeLocks} beside a model that is plain and slow: a byte for each place of each file and
 * owner, a list of waits, and who reaches whom by trying all. A seed makes one history.
 */
final class RangeModel {
  /** Places 0 to 9 are bytes; the last stands for all that follow. */
  private static final int PLACES = 11;

  private record Wait(long ticket, int file, RangeLock lock) {}

  private final Random random;
  private final List<String> history = new ArrayList<>();
  private final RangeLocks locks;
  private final int files;
  private final List<RangeOwner> owners = new ArrayList<>();
  private final Map<Integer, Map<RangeOwner, byte[]>> held = new HashMap<>();
  private final TreeMap<Long, Wait> waits = new TreeMap<>();
  private final boolean threads;

  /** What a run has done. */
  record Outcome(int waited, int granted, int deadlocks, int overtaken) {}

  private int waited;
  private int granted;
  private int deadlocks;
  private int overtaken;

  private RangeModel(long seed) {
    random = new Random(seed * 0x9E3779B97F4A7C15L + 3);
    random.nextLong();
    files = 1 + random.nextInt(3);
    threads = random.nextInt(4) == 0;
    locks = new RangeLocks(10_000, 10_000);
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
    return new Outcome(model.waited, model.granted, model.deadlocks, model.overtaken);
  }

  private static ResourceId id(int file) {
    return ResourceId.extent(file, 1, 0);
  }

  private static int last(long end) {
    return end == RangeLock.TO_THE_END ? PLACES - 1 : (int) end;
  }

  private byte[] places(int file, RangeOwner owner) {
    return map(file).computeIfAbsent(owner, _ -> new byte[PLACES]);
  }

  private Map<RangeOwner, byte[]> map(int file) {
    return held.computeIfAbsent(file, _ -> new LinkedHashMap<>());
  }

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
    return new RangeLock(owner, 1, random.nextBoolean(), start, end);
  }

  private void step() {
    int file = random.nextInt(files);
    RangeOwner owner = owners.get(random.nextInt(owners.size()));
    boolean busy = waits.values().stream().anyMatch(w -> w.lock().owner().equals(owner));
    int dice = random.nextInt(20);
    if (busy && !threads && dice < 16) {
      dice = random.nextInt(8) == 0 ? 18 : 20; // a process waits for one thing at a time
    }
    if (dice < 11) {
      lock(file, randomLock(owner), random.nextInt(4) != 0);
    } else if (dice < 16) {
      RangeLock range = randomLock(owner);
      history.add("unlock " + file + " " + range);
      locks.unlock(id(file), owner, range.start(), range.end());
      set(file, range, (byte) 0);
    } else if (dice == 16) {
      RangeLock range = randomLock(owner);
      RangeLock found = locks.test(id(file), range);
      history.add("test " + file + " " + range + ": " + found);
      long first =
          inTheWay(file, range).stream()
              .mapToLong(o -> firstPlace(file, o, range))
              .min()
              .orElse(-1);
      if ((found == null) != (first < 0)) {
        throw new AssertionError("F_GETLK finds " + found + ", the model " + first);
      }
      if (found != null) {
        expectInTheWay(file, found, range);
        long begins =
            locks.held(id(file)).stream()
                .filter(lock -> excludes(lock, range))
                .mapToLong(RangeLock::start)
                .min()
                .orElse(-1);
        if (found.start() != begins) {
          throw new AssertionError(found + " does not begin first, at " + begins);
        }
      }
    } else if (dice == 17) {
      history.add("exit " + owner);
      locks.exit(owner);
      waits.values().removeIf(w -> w.lock().owner().equals(owner));
      for (int i = 0; i < files; i++) {
        map(i).remove(owner);
      }
    } else if (dice == 18 && !waits.isEmpty()) {
      List<Wait> all = List.copyOf(waits.values());
      Wait wait = all.get(random.nextInt(all.size()));
      history.add("cancel " + wait);
      if (!locks.cancel(wait.ticket())) {
        throw new AssertionError("a wait is gone: " + wait);
      }
      waits.remove(wait.ticket());
    } else if (dice == 19 && random.nextInt(5) == 0) {
      history.add("clear " + owner.node());
      locks.clear(owner.node());
      waits.values().removeIf(w -> w.lock().owner().node().equals(owner.node()));
      for (int i = 0; i < files; i++) {
        map(i).keySet().removeIf(o -> o.node().equals(owner.node()));
      }
    }
    takeEnded();
  }

  private void lock(int file, RangeLock wanted, boolean wait) {
    history.add("lock " + file + " " + wanted + (wait ? " wait" : ""));
    if (wanted.owner().kind() == RangeOwner.Kind.FLOCK) {
      byte mode = places(file, wanted.owner())[0];
      if (mode != 0 && mode != code(wanted)) {
        if (waits.values().stream().anyMatch(w -> w.file() == file)) {
          locks.unlock(id(file), wanted.owner(), 0, RangeLock.TO_THE_END); // as it does by itself
        }
        set(file, wanted, (byte) 0);
        takeEnded();
      }
    }
    lockHeldNot(file, wanted, wait);
  }

  private void lockHeldNot(int file, RangeLock wanted, boolean wait) {
    RangeLocks.Answer answer = locks.lock(id(file), wanted, wait);
    history.add("  " + answer);

    boolean blocked = !inTheWay(file, wanted).isEmpty();
    switch (answer) {
      case RangeLocks.Answer.Granted _ -> {
        if (blocked) {
          throw new AssertionError("granted though it is held");
        }
        boolean same =
            wanted.owner().kind() == RangeOwner.Kind.FLOCK
                && places(file, wanted.owner())[0] == code(wanted);
        if (wait && !same) {
          expectNobodyToQueueBehind(file, wanted, Long.MAX_VALUE);
        }
        set(file, wanted, code(wanted));
        granted++;
      }
      case RangeLocks.Answer.InTheWay inTheWay -> {
        if (wait) {
          throw new AssertionError("EAGAIN for one that waits");
        }
        expectInTheWay(file, inTheWay.other(), wanted);
      }
      case RangeLocks.Answer.Waits waits1 -> {
        if (!wait) {
          throw new AssertionError("waits though it was not to");
        }
        waited++;
        waits.put(waits1.ticket(), new Wait(waits1.ticket(), file, wanted));
      }
      case RangeLocks.Answer.WouldDeadlock _ -> {
        deadlocks++;
        Wait would = new Wait(Long.MAX_VALUE, file, wanted);
        waits.put(Long.MAX_VALUE, would);
        boolean circle = isInCircle(would);
        waits.remove(Long.MAX_VALUE);
        if (!circle) {
          throw new AssertionError("EDEADLK without a circle");
        }
      }
      case RangeLocks.Answer.TooMany _ -> throw new AssertionError("ENOLCK");
    }
  }

  private void takeEnded() {
    for (RangeLocks.Ended end : locks.takeEnded()) {
      history.add("  " + end);
      Wait wait = waits.get(end.ticket());
      if (wait == null) {
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
        if (!isInCircle(wait)) {
          throw new AssertionError("EDEADLK without a circle: " + end);
        }
        waits.remove(wait.ticket());
      }
    }
  }

  private void expectNobodyToQueueBehind(int file, RangeLock wanted, long ticket) {
    for (Wait before : waits.values()) {
      if (before.ticket() < ticket && before.file() == file && excludes(before.lock(), wanted)) {
        if (!reaches(before, wanted.owner())) {
          throw new AssertionError(wanted + " overtakes " + before);
        }
        overtaken++;
      }
    }
  }

  private void expectInTheWay(int file, RangeLock found, RangeLock wanted) {
    byte[] places = places(file, found.owner());
    for (int i = (int) found.start(); i <= last(found.end()); i++) {
      if (places[i] != code(found)) {
        throw new AssertionError("nobody holds " + found);
      }
    }
    if (!excludes(found, wanted)) {
      throw new AssertionError(found + " is not in the way of " + wanted);
    }
  }

  private static byte code(RangeLock lock) {
    return (byte) (lock.exclusive() ? 2 : 1);
  }

  private void set(int file, RangeLock range, byte mode) {
    byte[] places = places(file, range.owner());
    Arrays.fill(places, (int) range.start(), last(range.end()) + 1, mode);
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

  private long firstPlace(int file, RangeOwner owner, RangeLock wanted) {
    byte[] places = places(file, owner);
    for (int i = (int) wanted.start(); i <= last(wanted.end()); i++) {
      if (places[i] == 2 || (places[i] == 1 && wanted.exclusive())) {
        return i;
      }
    }
    return -1;
  }

  private Set<RangeOwner> inTheWay(int file, RangeLock wanted) {
    Set<RangeOwner> found = new HashSet<>();
    for (RangeOwner owner : List.copyOf(map(file).keySet())) {
      if (meet(owner, wanted.owner()) && firstPlace(file, owner, wanted) >= 0) {
        found.add(owner);
      }
    }
    return found;
  }

  private Set<RangeOwner> allBlockers(Wait wait) {
    Set<RangeOwner> found = inTheWay(wait.file(), wait.lock());
    for (Wait before : waits.values()) {
      if (before.ticket() < wait.ticket()
          && before.file() == wait.file()
          && excludes(before.lock(), wait.lock())) {
        found.add(before.lock().owner());
      }
    }
    return found;
  }

  private boolean reaches(Wait wait, RangeOwner owner) {
    Set<RangeOwner> reached = new HashSet<>(allBlockers(wait));
    for (int size = -1; size != reached.size(); ) {
      size = reached.size();
      for (Wait each : waits.values()) {
        if (reached.contains(each.lock().owner())) {
          reached.addAll(allBlockers(each));
        }
      }
    }
    return reached.contains(owner);
  }

  private boolean isInCircle(Wait wait) {
    if (wait.lock().owner().kind() != RangeOwner.Kind.POSIX) {
      return false;
    }
    Set<RangeOwner> reached = new HashSet<>(inTheWay(wait.file(), wait.lock()));
    for (int size = -1; size != reached.size(); ) {
      size = reached.size();
      for (Wait each : List.copyOf(waits.values())) {
        RangeOwner owner = each.lock().owner();
        if (owner.kind() == RangeOwner.Kind.POSIX && reached.contains(owner)) {
          reached.addAll(inTheWay(each.file(), each.lock()));
        }
      }
    }
    return reached.contains(wait.lock().owner());
  }

  /** What must be true after each step. */
  private void check() {
    for (Wait wait : waits.values()) {
      if (isInCircle(wait)) {
        throw new AssertionError("a circle stays: " + wait);
      }
      if (inTheWay(wait.file(), wait.lock()).isEmpty()) {
        boolean must = false;
        for (Wait before : waits.values()) {
          must |=
              before.ticket() < wait.ticket()
                  && before.file() == wait.file()
                  && excludes(before.lock(), wait.lock())
                  && !reaches(before, wait.lock().owner());
        }
        if (!must) {
          throw new AssertionError("nothing is in the way of " + wait);
        }
      }
    }
    if (locks.waiting() != waits.size()) {
      throw new AssertionError(locks.waiting() + " wait, in the model " + waits.size());
    }
    int size = 0;
    for (int file = 0; file < files; file++) {
      Set<RangeLock> expected = new HashSet<>();
      for (Map.Entry<RangeOwner, byte[]> entry : map(file).entrySet()) {
        byte[] places = entry.getValue();
        for (int i = 0; i < PLACES; i++) {
          if (places[i] == 0 || (i > 0 && places[i - 1] == places[i])) {
            continue;
          }
          int end = i;
          while (end + 1 < PLACES && places[end + 1] == places[i]) {
            end++;
          }
          long last = end == PLACES - 1 ? RangeLock.TO_THE_END : end;
          expected.add(new RangeLock(entry.getKey(), 1, places[i] == 2, i, last));
        }
      }
      List<RangeLock> found = locks.held(id(file));
      size += found.size();
      if (!new HashSet<>(found).equals(expected) || found.size() != expected.size()) {
        throw new AssertionError("held: " + found + "\nmodel: " + expected);
      }
    }
    if (locks.size() != size) {
      throw new AssertionError("counted " + locks.size() + " of " + size);
    }
  }

  /** For the list of planted bugs. */
  static void find(long seeds) {
    for (long seed = 0; seed < seeds; seed++) {
      run(seed, 120);
    }
  }
}
