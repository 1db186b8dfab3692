// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
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
 * turn, if that leads back to who asks; it is looked at when the lock is asked for, not later.
 * Where a POSIX wait of somebody else stands before such an open file Linux goes on through it, and
 * this does not: that circle waits here.)
 *
 * <p><b>Fairer than Linux</b>, where who waits tries again with everybody else. Here a request that
 * waits is not overtaken by a later one that would wait with it, with two exceptions: one that does
 * not want to wait (F_SETLK) looks only at what is held; and nobody is made to wait behind a
 * request whose owner, with whichever of his threads and over however many files, waits for him. So
 * the order never makes a circle that would not be one on Linux: along such a circle each would
 * have to wait behind one that reaches him, and that is not done.
 *
 * <p><b>What a call costs.</b> One that takes a range looks at what is in its way; one that frees a
 * range, at all who wait for that. Who waits for whom is followed only from an owner who has, or
 * waits for, something else as well, and for the order only while it alone keeps somebody waiting.
 * That is not a bound: n who wait for one range and are let go at once look at one another, n² in
 * all, and who is followed brings all who wait with him, in other files too. A master must not be
 * asked by others before that is one.
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

  /** flock locks of a file, and all its other ones, do not see each other. */
  private record Place(ResourceId id, boolean flock) {}

  private static final class File {
    final Place place;

    /** By owner, and by where they begin. */
    final Map<RangeOwner, NavigableMap<Long, RangeIndex.Entry<RangeLock>>> held =
        new LinkedHashMap<>();

    final RangeIndex<RangeLock> ranges = new RangeIndex<>();
    final RangeIndex<Wait> waits = new RangeIndex<>();

    File(Place place) {
      this.place = place;
    }
  }

  private static final class Owner {
    /** In which he holds anything. */
    final Set<File> files = new LinkedHashSet<>();

    final NavigableMap<Long, Wait> waits = new TreeMap<>();
  }

  /** Nodes that were cleared; the oldest are forgotten: of them nothing is under way any more. */
  private static final int CLEARED_MAX = 1_024;

  private final int locksMax;
  private final int waitsMax;
  private final Map<Place, File> files = new LinkedHashMap<>();
  private final Map<RangeOwner, Owner> owners = new LinkedHashMap<>();
  private final Map<Long, RangeIndex.Entry<Wait>> waits = new LinkedHashMap<>();

  /** Waits that may have come to their end, in order of arrival. */
  private final NavigableMap<Long, Wait> candidates = new TreeMap<>();

  /** Waits that may have nothing but the order in their way. */
  private final Set<Long> queued = new HashSet<>();

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
    Answer answer = decide(file(id, wanted.owner()), wanted, wait);
    settle();
    return answer;
  }

  private Answer decide(File file, RangeLock wanted, boolean wait) {
    boolean converts = false;
    RangeLock old =
        wanted.owner().kind() == RangeOwner.Kind.FLOCK ? firstOf(file, wanted.owner()) : null;
    if (old != null && old.exclusive() == wanted.exclusive()) {
      return new Answer.Granted();
    }
    if (old != null) {
      // As in flock_lock_inode() room is sought before the old lock goes. Of ranges it takes no
      // more than it gives; a place among those who wait it takes if anybody has, or gets, it.
      converts = true;
      boolean mayWait = wait && !(file.waits.isEmpty() && firstInTheWay(file, wanted) == null);
      if (mayWait && waits.size() >= waitsMax) {
        return new Answer.TooMany();
      }
      replace(file, wanted, false);
      settle();
    }
    RangeLock other = firstInTheWay(file, wanted);
    if (other != null && !wait) {
      return new Answer.InTheWay(other);
    }
    if (other == null && (!wait || !mustQueue(file, wanted, Long.MAX_VALUE))) {
      if (!converts && !hasRoomFor(file, wanted, true)) {
        return new Answer.TooMany();
      }
      grant(file, wanted);
      return new Answer.Granted();
    }
    if (closesCircle(file, wanted)) {
      return new Answer.WouldDeadlock();
    }
    if (waits.size() >= waitsMax || (!converts && locks + reserved + roomFor(wanted) > locksMax)) {
      return new Answer.TooMany();
    }
    Wait added = new Wait(++tickets, file, wanted);
    enqueue(added, other == null);
    return new Answer.Waits(added.ticket());
  }

  /**
   * F_UNLCK; close, for the whole file, which never fails.
   *
   * @return false: ENOLCK, two ranges would be left of one, and are too many
   */
  public boolean unlock(ResourceId id, RangeOwner owner, long start, long end) {
    File file = file(id, owner);
    RangeLock range = new RangeLock(owner, 0, false, start, end);
    if (!hasRoomFor(file, range, false)) {
      return false;
    }
    replace(file, range, false);
    settle();
    return true;
  }

  /** F_GETLK: the lock in the way that begins first; null: there is none. */
  public @Nullable RangeLock test(ResourceId id, RangeLock wanted) {
    return firstInTheWay(file(id, wanted.owner()), wanted);
  }

  /** The one who waits was killed, or has waited long enough. False: it has ended already. */
  public boolean cancel(long ticket) {
    RangeIndex.Entry<Wait> wait = waits.get(ticket);
    if (wait == null) {
      return false;
    }
    giveUp(wait.value);
    settle();
    return true;
  }

  /** The process, or the open file, is no more: its locks and waits in all files go. */
  public void exit(RangeOwner owner) {
    release(List.of(owner), owner::equals);
  }

  /** These nodes left, or are proven dead: all of them before anybody is granted anything. */
  public void clear(Set<ReservationKey> nodes) {
    for (ReservationKey node : nodes) {
      if (cleared.add(node) && cleared.size() > CLEARED_MAX) {
        cleared.remove(cleared.iterator().next());
      }
    }
    Predicate<RangeOwner> gone = owner -> nodes.contains(owner.node());
    release(owners.keySet().stream().filter(gone).toList(), gone);
  }

  /** In all files, before anybody is granted what became free: whoever is gone is in no circle. */
  private void release(List<RangeOwner> names, Predicate<RangeOwner> gone) {
    ended.removeIf(end -> gone.test(end.lock().owner()));
    for (RangeOwner name : names) {
      Owner owner = owners.get(name);
      if (owner != null) {
        List.copyOf(owner.waits.values()).forEach(this::giveUp);
        RangeLock all = new RangeLock(name, 0, false, 0, RangeLock.TO_THE_END);
        List.copyOf(owner.files).forEach(file -> replace(file, all, false));
      }
    }
    settle();
  }

  /** A holder states a lock to a new master; what a cleared node's is, is no more. */
  public void restore(ResourceId id, RangeLock lock) {
    if (cleared.contains(lock.owner().node())) {
      return;
    }
    File file = file(id, lock.owner());
    RangeLock other = firstInTheWay(file, lock);
    if (other != null) {
      throw new IllegalStateException(lock + " and " + other + " exclude each other");
    }
    grant(file, lock);
    settle();
  }

  /** The waits that have ended since this was asked last, in order. */
  public List<Ended> takeEnded() {
    List<Ended> taken = List.copyOf(ended);
    ended = new ArrayList<>();
    return taken;
  }

  /** What is held of a file: for each owner in order of place. */
  public List<RangeLock> held(ResourceId id) {
    List<RangeLock> all = new ArrayList<>();
    for (boolean flock : new boolean[] {false, true}) {
      File file = files.get(new Place(id, flock));
      if (file != null) {
        file.held.values().forEach(own -> own.values().forEach(entry -> all.add(entry.lock)));
      }
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

  /** Files (those with both kinds count twice) of which anything is held or waited for. */
  int files() {
    return files.size();
  }

  // ---- ranges ----

  private File file(ResourceId id, RangeOwner owner) {
    Place place = new Place(id, owner.kind() == RangeOwner.Kind.FLOCK);
    File file = files.get(place);
    return file == null ? new File(place) : file; // kept when there is anything in it
  }

  /** What {@code range}'s owner has there is replaced by it, or by nothing. */
  private void replace(File file, RangeLock range, boolean put) {
    RangeOwner name = range.owner();
    NavigableMap<Long, RangeIndex.Entry<RangeLock>> own =
        file.held.getOrDefault(name, new TreeMap<>());
    List<RangeLock> old = near(own, range);
    List<RangeLock> next = replaced(old, range, put);
    for (RangeLock lock : old) {
      if (!next.contains(lock)) {
        RangeIndex.Entry<RangeLock> entry = own.remove(lock.start());
        if (entry != null) {
          file.ranges.remove(entry);
        }
      }
      if (lock.overlaps(range.start(), range.end())
          && (!put || (lock.exclusive() && !range.exclusive()))) {
        long from = Math.max(lock.start(), range.start());
        long to = Math.min(lock.end(), range.end());
        lookAtThoseBehind(file, lock.from(from).to(to));
      }
    }
    for (RangeLock lock : next) {
      if (!old.contains(lock)) {
        own.put(lock.start(), file.ranges.add(lock, lock));
      }
    }
    locks += next.size() - old.size();
    if (own.isEmpty()) {
      file.held.remove(name);
      Owner owner = owners.get(name);
      if (owner != null) {
        owner.files.remove(file);
      }
      forgetIfUnused(file, name);
    } else {
      file.held.put(name, own);
      keep(file, name).files.add(file);
    }
  }

  /** Whether there are not too many ranges when that is done; fewer are never too many. */
  private boolean hasRoomFor(File file, RangeLock range, boolean put) {
    List<RangeLock> old = near(file.held.getOrDefault(range.owner(), new TreeMap<>()), range);
    int more = replaced(old, range, put).size() - old.size();
    return more <= 0 || locks + reserved + more <= locksMax;
  }

  /**
   * Of an owner's, in order of place, those that overlap a range or are next to it; the one before
   * may be neither.
   */
  private static List<RangeLock> near(
      NavigableMap<Long, RangeIndex.Entry<RangeLock>> own, RangeLock range) {
    List<RangeLock> found = new ArrayList<>();
    Long first = own.lowerKey(range.start());
    for (RangeIndex.Entry<RangeLock> entry :
        own.tailMap(first == null ? range.start() : first, true).values()) {
      if (entry.lock.start() - 1 > range.end()) {
        break;
      }
      found.add(entry.lock);
    }
    return found;
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

  private static @Nullable RangeLock firstOf(File file, RangeOwner owner) {
    NavigableMap<Long, RangeIndex.Entry<RangeLock>> own = file.held.get(owner);
    return own == null ? null : own.firstEntry().getValue().lock;
  }

  private static @Nullable RangeLock firstInTheWay(File file, RangeLock wanted) {
    return file.ranges.first(wanted, _ -> true);
  }

  private Owner keep(File file, RangeOwner name) {
    files.put(file.place, file);
    return owners.computeIfAbsent(name, _ -> new Owner());
  }

  private void forgetIfUnused(File file, RangeOwner name) {
    if (file.held.isEmpty() && file.waits.isEmpty()) {
      files.remove(file.place);
    }
    Owner owner = owners.get(name);
    if (owner != null && owner.files.isEmpty() && owner.waits.isEmpty()) {
      owners.remove(name);
    }
  }

  // ---- waits ----

  private void enqueue(Wait wait, boolean onlyQueued) {
    RangeOwner name = wait.lock().owner();
    Owner owner = keep(wait.file(), name);
    owner.waits.put(wait.ticket(), wait);
    waits.put(wait.ticket(), wait.file().waits.add(wait.lock(), wait));
    reserved += roomFor(wait.lock());
    if (onlyQueued) {
      queued.add(wait.ticket());
    }
    // Nobody waits for one who holds nothing and waits nowhere else.
    if (!owner.files.isEmpty() || owner.waits.size() > 1) {
      lookAtThoseInACircleWith(name);
    }
  }

  private void dequeue(Wait wait) {
    RangeIndex.Entry<Wait> entry = waits.remove(wait.ticket());
    Owner owner = owners.get(wait.lock().owner());
    if (entry == null || owner == null) {
      throw new IllegalStateException(wait + " does not wait");
    }
    wait.file().waits.remove(entry);
    owner.waits.remove(wait.ticket());
    reserved -= roomFor(wait.lock());
    queued.remove(wait.ticket());
    candidates.remove(wait.ticket());
    forgetIfUnused(wait.file(), wait.lock().owner());
  }

  /** It ends without its lock. */
  private void giveUp(Wait wait) {
    dequeue(wait);
    lookAtThoseBehind(wait.file(), wait.lock());
  }

  private void lookAtThoseBehind(File file, RangeLock gone) {
    file.waits.excluding(gone).forEach(wait -> candidates.put(wait.ticket(), wait));
  }

  /** Grants what may be granted, in order of arrival. */
  private void settle() {
    while (!candidates.isEmpty()) {
      Wait wait = candidates.pollFirstEntry().getValue();
      if (firstInTheWay(wait.file(), wait.lock()) != null) {
        queued.remove(wait.ticket());
      } else if (mustQueue(wait.file(), wait.lock(), wait.ticket())) {
        queued.add(wait.ticket());
      } else {
        dequeue(wait);
        ended.add(new Ended(wait.ticket(), wait.lock(), true));
        grant(wait.file(), wait.lock());
      }
    }
  }

  /** A new holder makes circles, or lets others overtake, only if he waits as well. */
  private void grant(File file, RangeLock lock) {
    replace(file, lock, true);
    Owner owner = owners.get(lock.owner());
    if (owner != null && !owner.waits.isEmpty()) {
      endCircles(file, lock);
      lookAtThoseInACircleWith(lock.owner());
    }
  }

  /** Each goes through somebody who waits for what was granted, and whom its holder waits for. */
  private void endCircles(File file, RangeLock granted) {
    if (granted.owner().kind() != RangeOwner.Kind.POSIX) {
      return;
    }
    List<Wait> blocked = file.waits.excluding(granted);
    blocked.sort(Comparator.comparingLong(Wait::ticket));
    Set<RangeOwner> reached = reachedByPosixLocks(List.of(granted.owner()));
    for (Wait wait : blocked) {
      RangeOwner owner = wait.lock().owner();
      if (owner.kind() == RangeOwner.Kind.POSIX && reached.contains(owner)) {
        giveUp(wait);
        ended.add(new Ended(wait.ticket(), wait.lock(), false));
        reached = reachedByPosixLocks(List.of(granted.owner()));
      }
    }
  }

  /** Whether it has to wait behind one that came before {@code ticket}. */
  private boolean mustQueue(File file, RangeLock wanted, long ticket) {
    Wait first = file.waits.first(wanted, wait -> wait.ticket() < ticket);
    if (first == null) {
      return false;
    }
    if (!waitsFor(first.lock().owner(), wanted.owner())) {
      return true;
    }
    Search all = new Search(wanted.owner(), this::waitingFor);
    while (all.step()) {}
    return file.waits.first(
            wanted, wait -> wait.ticket() < ticket && !all.found.contains(wait.lock().owner()))
        != null;
  }

  // ---- who waits for whom, in any of his threads and however indirectly ----

  /** Finds all who are reached from one, step by step. */
  private static final class Search {
    final Set<RangeOwner> found = new HashSet<>();
    private final List<RangeOwner> todo;
    private final Function<RangeOwner, List<RangeOwner>> next;

    Search(RangeOwner from, Function<RangeOwner, List<RangeOwner>> next) {
      todo = new ArrayList<>(List.of(from));
      this.next = next;
    }

    /** False: there are no more. */
    boolean step() {
      if (todo.isEmpty()) {
        return false;
      }
      for (RangeOwner owner : next.apply(todo.removeLast())) {
        if (found.add(owner)) {
          todo.add(owner);
        }
      }
      return true;
    }
  }

  /** It is searched from both, in turns: one of them may have a crowd behind him, or before. */
  private boolean waitsFor(RangeOwner one, RangeOwner other) {
    Search on = new Search(one, this::blockersOf);
    Search back = new Search(other, this::waitingFor);
    while (!on.found.contains(other) && !back.found.contains(one)) {
      if (!on.step() || !back.step()) {
        return on.found.contains(other);
      }
    }
    return true;
  }

  /**
   * An owner waits for more, or more wait for him: whoever is in a circle with him now may have to
   * overtake. All who are, are among those whom he waits for, and among those who wait for him.
   */
  private void lookAtThoseInACircleWith(RangeOwner name) {
    if (queued.isEmpty()) {
      return;
    }
    Search on = new Search(name, this::blockersOf);
    Search back = new Search(name, this::waitingFor);
    Search shorter = on;
    while (on.step()) {
      if (!back.step()) {
        shorter = back;
        break;
      }
    }
    for (RangeOwner owner : shorter.found) {
      for (Wait wait : waitsOf(owner)) {
        if (queued.contains(wait.ticket())) {
          candidates.put(wait.ticket(), wait);
        }
      }
    }
  }

  private Collection<Wait> waitsOf(RangeOwner name) {
    Owner owner = owners.get(name);
    return owner == null ? List.of() : owner.waits.values();
  }

  /** Those for whom he waits, in one step. */
  private List<RangeOwner> blockersOf(RangeOwner name) {
    List<RangeOwner> found = new ArrayList<>();
    for (Wait wait : waitsOf(name)) {
      wait.file().ranges.excluding(wait.lock()).forEach(lock -> found.add(lock.owner()));
      for (Wait before : wait.file().waits.excluding(wait.lock())) {
        if (before.ticket() < wait.ticket()) {
          found.add(before.lock().owner());
        }
      }
    }
    return found;
  }

  /** Those who wait for him, in one step. */
  private List<RangeOwner> waitingFor(RangeOwner name) {
    List<RangeOwner> found = new ArrayList<>();
    Owner owner = owners.get(name);
    for (File file : owner == null ? Set.<File>of() : owner.files) {
      NavigableMap<Long, RangeIndex.Entry<RangeLock>> own = file.held.get(name);
      if (own != null && !file.waits.isEmpty()) {
        for (RangeIndex.Entry<RangeLock> entry : own.values()) {
          file.waits.excluding(entry.lock).forEach(wait -> found.add(wait.lock().owner()));
        }
      }
    }
    for (Wait wait : waitsOf(name)) {
      for (Wait later : wait.file().waits.excluding(wait.lock())) {
        if (later.ticket() > wait.ticket()) {
          found.add(later.lock().owner());
        }
      }
    }
    return found;
  }

  /**
   * Whether it is refused, as posix_locks_deadlock() does: who is in its way, be it an open file,
   * waits for a POSIX lock, and so on. An open file's own request is never refused.
   */
  private boolean closesCircle(File file, RangeLock wanted) {
    RangeOwner name = wanted.owner();
    Owner owner = owners.get(name);
    if (name.kind() != RangeOwner.Kind.POSIX || owner == null || owner.files.isEmpty()) {
      return false;
    }
    List<RangeOwner> first = file.ranges.excluding(wanted).stream().map(RangeLock::owner).toList();
    return reachedByPosixLocks(first).contains(name);
  }

  /** These, those whose POSIX locks they wait for, and so on. */
  private Set<RangeOwner> reachedByPosixLocks(List<RangeOwner> first) {
    Set<RangeOwner> reached = new HashSet<>(first);
    List<RangeOwner> todo = new ArrayList<>(reached);
    while (!todo.isEmpty()) {
      for (Wait wait : waitsOf(todo.removeLast())) {
        for (RangeLock lock : wait.file().ranges.excluding(wait.lock())) {
          if (lock.owner().kind() == RangeOwner.Kind.POSIX && reached.add(lock.owner())) {
            todo.add(lock.owner());
          }
        }
      }
    }
    return reached;
  }
}
