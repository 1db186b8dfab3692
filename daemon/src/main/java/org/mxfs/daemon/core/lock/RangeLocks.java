// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Byte range locks of files, and who waits for them: what the master of a file keeps while more
 * than one node wants flock, fcntl or OFD locks on it.
 *
 * <p><b>As Linux has it</b> (fs/locks.c is the reference for what a program sees): POSIX and OFD
 * locks exclude each other and share one space of ranges, flock locks have one of their own; an
 * owner's new lock replaces what it had there, splits it, joins what is next to it in the same
 * mode; flock gives the old lock up before it asks for another mode; F_GETLK names one lock in the
 * way; EDEADLK is for POSIX locks alone, if the circle goes through POSIX waits alone. (Linux, and
 * so this, also refuses a POSIX lock that an open file has in its way who waits for a POSIX lock in
 * turn; it is looked at when the lock is asked for, not later.)
 *
 * <p><b>Fairer than Linux</b>, where who waits tries again with everybody else. Here a request that
 * waits is not overtaken by a later one that would wait with it, with two exceptions: one that does
 * not want to wait (F_SETLK) looks only at what is held; and nobody is made to wait behind a
 * request that itself, over however many files, waits for him. So the order never makes a circle
 * that would not be one on Linux: along such a circle each would have to wait behind one that
 * reaches him, and that is not done.
 *
 * <p>Within one master. Circles over files of several masters are for the wait limit, until the
 * probes of {@link Deadlock} go here as well.
 */
public final class RangeLocks {
  /** What becomes of a request at once. */
  public sealed interface Answer {
    record Granted() implements Answer {}

    /** EAGAIN. */
    record InTheWay(RangeLock other) implements Answer {}

    /** Its end will be among the {@link Ended}. */
    record Waits(long ticket) implements Answer {}

    /** EDEADLK. */
    record WouldDeadlock() implements Answer {}

    /** ENOLCK. */
    record TooMany() implements Answer {}

    /** The owner's node has been cleared: there is nobody to be told. */
    record Gone() implements Answer {}
  }

  /**
   * The end of a wait.
   *
   * @param granted else: EDEADLK
   */
  public record Ended(long ticket, RangeLock lock, boolean granted) {}

  private record Wait(long ticket, File file, RangeLock lock) {}

  private static final class File {
    final ResourceId id;
    final Map<RangeOwner, List<RangeLock>> held = new LinkedHashMap<>();
    final List<Wait> waits = new ArrayList<>();

    File(ResourceId id) {
      this.id = id;
    }
  }

  /** Nodes that were cleared; the oldest are forgotten: of them nothing is under way any more. */
  private static final int CLEARED_MAX = 1_024;

  private final int locksMax;
  private final int waitsMax;
  private final Map<ResourceId, File> files = new LinkedHashMap<>();
  private final TreeMap<Long, Wait> waits = new TreeMap<>();
  private final Map<RangeOwner, Set<Wait>> waitsOf = new LinkedHashMap<>();
  private List<Ended> ended = new ArrayList<>();
  private final Set<ReservationKey> cleared = new LinkedHashSet<>();
  private int locks;
  private int reserved;
  private long tickets;

  /**
   * @param locksMax ranges held, and kept for those who wait, from which on there are no more; only
   *     what is restored is never refused
   * @param waitsMax requests that wait
   */
  public RangeLocks(int locksMax, int waitsMax) {
    this.locksMax = locksMax;
    this.waitsMax = waitsMax;
  }

  // ---- what is asked ----

  /** F_SETLK, F_SETLKW, flock. */
  public Answer lock(ResourceId id, RangeLock wanted, boolean wait) {
    if (cleared.contains(wanted.owner().node())) {
      return new Answer.Gone();
    }
    File file = files.computeIfAbsent(id, File::new);
    Answer answer = decide(file, wanted, wait);
    forgetIfUnused(file);
    return answer;
  }

  private Answer decide(File file, RangeLock wanted, boolean wait) {
    boolean converts = false;
    if (wanted.owner().kind() == RangeOwner.Kind.FLOCK) {
      List<RangeLock> old = file.held.getOrDefault(wanted.owner(), List.of());
      converts = !old.isEmpty();
      if (converts && old.getFirst().exclusive() == wanted.exclusive()) {
        return new Answer.Granted();
      }
      if (converts) {
        // As in flock_lock_inode() room is sought before the old lock goes. Of ranges it takes no
        // more than it gives; a place among those who wait it takes if anybody has, or gets, it.
        boolean mayWait = wait && !(file.waits.isEmpty() && inTheWay(file, wanted).isEmpty());
        if (mayWait && waits.size() >= waitsMax) {
          return new Answer.TooMany();
        }
        replace(file, wanted, false);
        advance(file);
      }
    }
    RangeLock other = firstInTheWay(file, wanted);
    if (other != null && !wait) {
      return new Answer.InTheWay(other);
    }
    if (other == null && (!wait || !mustQueue(file, wanted, Long.MAX_VALUE))) {
      if (!converts && !hasRoomFor(file, wanted, true)) {
        return new Answer.TooMany();
      }
      replace(file, wanted, true);
      advance(file);
      advanceOthers(file);
      return new Answer.Granted();
    }
    if (closesCircle(file, wanted)) {
      return new Answer.WouldDeadlock();
    }
    if (waits.size() >= waitsMax || (!converts && locks + reserved + roomFor(wanted) > locksMax)) {
      return new Answer.TooMany();
    }
    Wait queued = new Wait(++tickets, file, wanted);
    file.waits.add(queued);
    waits.put(queued.ticket(), queued);
    reserved += roomFor(wanted);
    waitsOf.computeIfAbsent(wanted.owner(), _ -> new LinkedHashSet<>()).add(queued);
    advance(file);
    advanceOthers(file);
    return new Answer.Waits(queued.ticket());
  }

  /**
   * F_UNLCK; close, for the whole file, which never fails.
   *
   * @return false: ENOLCK, two ranges would be left of one, and are too many
   */
  public boolean unlock(ResourceId id, RangeOwner owner, long start, long end) {
    File file = files.get(id);
    if (file == null) {
      return true;
    }
    RangeLock range = new RangeLock(owner, 0, false, start, end);
    if (!hasRoomFor(file, range, false)) {
      return false;
    }
    replace(file, range, false);
    advance(file);
    forgetIfUnused(file);
    return true;
  }

  /** F_GETLK: the lock in the way that begins first; null: there is none. */
  public @Nullable RangeLock test(ResourceId id, RangeLock wanted) {
    File file = files.get(id);
    return file == null ? null : firstInTheWay(file, wanted);
  }

  /** The one who waits was killed, or has waited long enough. False: it has ended already. */
  public boolean cancel(long ticket) {
    Wait wait = waits.get(ticket);
    if (wait == null) {
      return false;
    }
    remove(wait);
    advance(wait.file());
    forgetIfUnused(wait.file());
    return true;
  }

  /** The process, or the open file, is no more: its locks and waits in all files go. */
  public void exit(RangeOwner owner) {
    release(owner::equals);
  }

  /** These nodes left, or are proven dead: all of them before anybody is granted anything. */
  public void clear(Set<ReservationKey> nodes) {
    for (ReservationKey node : nodes) {
      if (cleared.add(node) && cleared.size() > CLEARED_MAX) {
        cleared.remove(cleared.iterator().next());
      }
    }
    release(owner -> nodes.contains(owner.node()));
  }

  /** In all files, before anybody is granted what became free: whoever is gone is in no circle. */
  private void release(Predicate<RangeOwner> gone) {
    ended.removeIf(end -> gone.test(end.lock().owner()));
    List<File> all = List.copyOf(files.values());
    for (File file : all) {
      List.copyOf(file.waits).stream()
          .filter(wait -> gone.test(wait.lock().owner()))
          .forEach(this::remove);
      List.copyOf(file.held.keySet()).stream()
          .filter(gone)
          .forEach(
              owner ->
                  replace(file, new RangeLock(owner, 0, false, 0, RangeLock.TO_THE_END), false));
    }
    for (File file : all) {
      advance(file);
      forgetIfUnused(file);
    }
  }

  /** A holder states a lock to a new master; what a cleared node's is, is no more. */
  public void restore(ResourceId id, RangeLock lock) {
    if (cleared.contains(lock.owner().node())) {
      return;
    }
    File file = files.computeIfAbsent(id, File::new);
    RangeLock other = firstInTheWay(file, lock);
    if (other != null) {
      forgetIfUnused(file);
      throw new IllegalStateException(lock + " and " + other + " exclude each other");
    }
    replace(file, lock, true);
    advance(file);
    advanceOthers(file);
    forgetIfUnused(file);
  }

  /** The waits that have ended since this was asked last, in order. */
  public List<Ended> takeEnded() {
    List<Ended> taken = List.copyOf(ended);
    ended = new ArrayList<>();
    return taken;
  }

  /** What is held of a file: for each owner in order of place. */
  public List<RangeLock> held(ResourceId id) {
    File file = files.get(id);
    List<RangeLock> all = new ArrayList<>();
    if (file != null) {
      file.held.values().forEach(all::addAll);
    }
    return all;
  }

  /** Ranges that are held. */
  public int size() {
    return locks;
  }

  /** Requests that wait. */
  public int waiting() {
    return waits.size();
  }

  /** Files of which anything is held or waited for. */
  int files() {
    return files.size();
  }

  // ---- ranges ----

  /** What {@code range}'s owner has there is replaced by it, or by nothing. */
  private void replace(File file, RangeLock range, boolean put) {
    RangeOwner owner = range.owner();
    List<RangeLock> old = file.held.getOrDefault(owner, List.of());
    List<RangeLock> next = replaced(old, range, put);
    locks += next.size() - old.size();
    if (next.isEmpty()) {
      file.held.remove(owner);
    } else {
      file.held.put(owner, next);
    }
  }

  /** Whether there are not too many ranges when that is done; fewer are never too many. */
  private boolean hasRoomFor(File file, RangeLock range, boolean put) {
    List<RangeLock> old = file.held.getOrDefault(range.owner(), List.of());
    int more = replaced(old, range, put).size() - old.size();
    return more <= 0 || locks + reserved + more <= locksMax;
  }

  /** By how many ranges the end of a wait may make them more: a range within another makes two. */
  private static int roomFor(RangeLock wanted) {
    return wanted.owner().kind() == RangeOwner.Kind.FLOCK ? 1 : 2;
  }

  private static List<RangeLock> replaced(List<RangeLock> old, RangeLock range, boolean put) {
    List<RangeLock> next = new ArrayList<>();
    int pid = range.pid();
    boolean known = false;
    long from = range.start();
    long to = range.end();
    List<RangeLock> after = new ArrayList<>();
    for (RangeLock lock : old) {
      boolean sameMode = put && lock.exclusive() == range.exclusive();
      // Next to each other is joined too. "- 1" never overflows, "+ 1" would at the end.
      boolean touches =
          lock.overlaps(range.start(), range.end())
              || lock.end() == range.start() - 1
              || range.end() == lock.start() - 1;
      if (sameMode && touches) {
        // The first that grows, or is replaced, is the one that stays, as in posix_lock_inode().
        pid = known ? pid : lock.pid();
        known = true;
        from = Math.min(from, lock.start());
        to = Math.max(to, lock.end());
        continue;
      }
      known |= put && lock.start() >= range.start() && lock.end() <= range.end();
      if (lock.start() < range.start()) {
        next.add(lock.end() < range.start() ? lock : lock.to(range.start() - 1));
      }
      if (lock.end() > range.end()) {
        after.add(lock.start() > range.end() ? lock : lock.from(range.end() + 1));
      }
    }
    if (put) {
      next.add(new RangeLock(range.owner(), pid, range.exclusive(), from, to));
    }
    next.addAll(after);
    return next;
  }

  private static @Nullable RangeLock firstInTheWay(File file, RangeLock wanted) {
    RangeLock first = null;
    for (RangeLock lock : inTheWay(file, wanted)) {
      if (first == null || lock.start() < first.start()) {
        first = lock;
      }
    }
    return first;
  }

  private static List<RangeLock> inTheWay(File file, RangeLock wanted) {
    List<RangeLock> found = new ArrayList<>();
    for (List<RangeLock> locks : file.held.values()) {
      for (RangeLock lock : locks) {
        if (lock.excludes(wanted)) {
          found.add(lock);
        }
      }
    }
    return found;
  }

  // ---- waits ----

  private void remove(Wait wait) {
    wait.file().waits.remove(wait);
    waits.remove(wait.ticket());
    reserved -= roomFor(wait.lock());
    Set<Wait> others = waitsOf.get(wait.lock().owner());
    if (others != null) {
      others.remove(wait);
      if (others.isEmpty()) {
        waitsOf.remove(wait.lock().owner());
      }
    }
  }

  private void forgetIfUnused(File file) {
    if (file.held.isEmpty() && file.waits.isEmpty()) {
      files.remove(file.id);
    }
  }

  /** Grants what may be granted in one file, in order of arrival. */
  private void advance(File file) {
    boolean some = true;
    boolean changed = false;
    while (some) {
      some = false;
      for (Wait wait : file.waits) {
        if (inTheWay(file, wait.lock()).isEmpty() && !mustQueue(file, wait.lock(), wait.ticket())) {
          remove(wait);
          replace(file, wait.lock(), true);
          ended.add(new Ended(wait.ticket(), wait.lock(), true));
          some = true;
          changed = true;
          break;
        }
      }
    }
    if (changed) {
      endCircles(file);
    }
  }

  /**
   * A new wait, or a grant past the queue, can only make waits elsewhere overtake, and circles; it
   * cannot free a range.
   */
  private void advanceOthers(File file) {
    endCircles(file);
    if (waits.size() == file.waits.size()) {
      return;
    }
    Set<File> others = new LinkedHashSet<>();
    waits.values().forEach(wait -> others.add(wait.file()));
    others.remove(file);
    others.forEach(this::advance);
  }

  /** Threads of one process may wait while others are granted: new holders, new circles. */
  private void endCircles(File file) {
    for (Wait wait : List.copyOf(file.waits)) {
      if (waits.containsKey(wait.ticket()) && isInCircle(file, wait.lock())) {
        remove(wait);
        ended.add(new Ended(wait.ticket(), wait.lock(), false));
        advance(file); // and what that makes is looked at there
      }
    }
  }

  /** Whether it has to wait behind one that came before {@code ticket}. */
  private boolean mustQueue(File file, RangeLock wanted, long ticket) {
    for (Wait before : file.waits) {
      if (before.ticket() >= ticket) {
        return false;
      }
      if (before.lock().excludes(wanted) && !reaches(before, wanted.owner())) {
        return true;
      }
    }
    return false;
  }

  /**
   * Whether {@code wait}'s owner, in any of his threads, waits, however indirectly, for another.
   */
  private boolean reaches(Wait wait, RangeOwner owner) {
    Set<RangeOwner> seen = new HashSet<>();
    List<Wait> todo = new ArrayList<>(waitsOf.getOrDefault(wait.lock().owner(), Set.of()));
    while (!todo.isEmpty()) {
      Wait next = todo.removeLast();
      for (RangeOwner blocker : blockers(next)) {
        if (blocker.equals(owner)) {
          return true;
        }
        if (seen.add(blocker)) {
          todo.addAll(waitsOf.getOrDefault(blocker, Set.of()));
        }
      }
    }
    return false;
  }

  private static List<RangeOwner> blockers(Wait wait) {
    List<RangeOwner> owners = new ArrayList<>();
    inTheWay(wait.file(), wait.lock()).forEach(lock -> owners.add(lock.owner()));
    for (Wait before : wait.file().waits) {
      if (before.ticket() >= wait.ticket()) {
        break;
      }
      if (before.lock().excludes(wait.lock())) {
        owners.add(before.lock().owner());
      }
    }
    return owners;
  }

  /**
   * Whether it is refused, as posix_locks_deadlock() does: who is in its way, be it an open file,
   * waits for a POSIX lock, and so on. An open file's own request is never refused.
   */
  private boolean closesCircle(File file, RangeLock wanted) {
    List<RangeOwner> first = new ArrayList<>();
    inTheWay(file, wanted).forEach(lock -> first.add(lock.owner()));
    return wanted.owner().kind() == RangeOwner.Kind.POSIX && isWaitedForBy(wanted.owner(), first);
  }

  /** A circle of POSIX waits for POSIX locks. */
  private boolean isInCircle(File file, RangeLock wanted) {
    return wanted.owner().kind() == RangeOwner.Kind.POSIX
        && isWaitedForBy(wanted.owner(), posixInTheWay(file, wanted));
  }

  private boolean isWaitedForBy(RangeOwner owner, List<RangeOwner> others) {
    Set<RangeOwner> seen = new HashSet<>();
    List<RangeOwner> todo = new ArrayList<>(others);
    while (!todo.isEmpty()) {
      RangeOwner next = todo.removeLast();
      if (next.equals(owner)) {
        return true;
      }
      if (seen.add(next)) {
        for (Wait wait : waitsOf.getOrDefault(next, Set.of())) {
          todo.addAll(posixInTheWay(wait.file(), wait.lock()));
        }
      }
    }
    return false;
  }

  private static List<RangeOwner> posixInTheWay(File file, RangeLock wanted) {
    return inTheWay(file, wanted).stream()
        .map(RangeLock::owner)
        .filter(owner -> owner.kind() == RangeOwner.Kind.POSIX)
        .toList();
  }
}
