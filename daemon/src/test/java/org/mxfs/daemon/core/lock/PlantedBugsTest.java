// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.mxfs.daemon.core.PlantedBug;

/**
 * Plants one bug at a time into the sources, and sees that the models and the simulation find it.
 */
class PlantedBugsTest {
  /** What looks for the bug. */
  enum Check {
    TABLE(TableModel.class, 400),
    RANGES(RangeModel.class, 1_000),
    SIMULATION(LockSimulation.class, 400);

    final Class<?> type;
    final long seeds;

    Check(Class<?> type, long seeds) {
      this.type = type;
      this.seeds = seeds;
    }
  }

  enum Bug {
    NEW_LOCKS_GO_BEFORE_CONVERSIONS(
        Check.TABLE, "Resource", "if (!converting.isEmpty()) {", "if (waiting.isEmpty()) {"),
    LAST_COME_FIRST_SERVED(
        Check.TABLE,
        "Resource",
        "waiting.isEmpty() ? null : waiting.iterator().next()",
        "waiting.isEmpty() ? null : List.copyOf(waiting).getLast()"),
    TWO_WRITERS(
        Check.SIMULATION,
        "Resource",
        "if (others > 0 && !other.isCompatible(mode)) {",
        "if (others > 0 && mode != Mode.PW && !other.isCompatible(mode)) {"),
    GRANT_BEFORE_RECORD(
        Check.SIMULATION,
        "LockTable",
        "batch.write(lock.slot, entry(lock, mode), new GrantBatch.Grant(lock, lock.sequence));",
        "batch.write(lock.slot, entry(lock, mode), null); tell(lock, mode);"),
    NO_CALL_BACK_FOR_WHO_WAS_TOLD_LATE(
        Check.TABLE,
        "LockTable",
        "tell(lock, lock.mode);\n        callBack(lock);",
        "tell(lock, lock.mode);"),
    CALLED_BACK_ONCE_AND_NEVER_AGAIN(
        Check.TABLE,
        "LockTable",
        "int called = holder.called & wanted;",
        "int called = holder.called;"),
    THE_VIEW_IS_FORGOTTEN(
        Check.SIMULATION,
        "Links",
        "|| !envelope.view().equals(id())",
        "|| envelope.view() == null"),
    TAKEN_TWICE(
        Check.SIMULATION,
        "Links",
        "envelope.sequence() != link.received + 1",
        "envelope.sequence() > link.received + 1"),
    LOST_WITH_THE_CONNECTION(
        Check.SIMULATION,
        "Links",
        "for (Envelope kept : link.kept) {",
        "for (Envelope kept : new ArrayDeque<Envelope>()) {"),
    GRACE_FORGETS_SUSPECTS(
        Check.SIMULATION,
        "LockTable",
        "|| !suspects.isEmpty()) {",
        "|| suspects.size() > 1_000) {"),
    GRACE_WAITS_FOR_NOBODY(
        Check.SIMULATION,
        "LockTable",
        "|| !toRestate.isEmpty() ||",
        "|| toRestate.size() > 1_000 ||"),
    LOCKS_OF_THE_DEAD_GO_BEFORE_THEIR_RECORDS(
        Check.SIMULATION,
        "LockTable",
        "if (batch.doneThrough() < entry.getValue()) {",
        "if (batch.doneThrough() < 0) {"),
    A_DEAD_WRITERS_VALUE_IS_VALID(
        Check.TABLE,
        "LockTable",
        "lock.resource.value = lock.resource.value.invalidated();",
        "lock.resource.value = lock.resource.value;"),
    VALUES_ARE_NOT_STATED_AGAIN(
        Check.SIMULATION,
        "ValueBlock",
        "a.version > b.version ? a : b",
        "a.version < b.version ? a : b"),
    NO_SEARCH_FOR_CIRCLES(Check.SIMULATION, "LockTable", "return due.lock();", "return null;"),
    VICTIM_WITHOUT_A_LOOK_AT_ITS_HOME(
        Check.SIMULATION,
        "Holdings",
        "boolean itselfOnly = hop.toBeGrantedOnly() || holding.owner == 0;",
        "boolean itselfOnly = false;"),
    WAITS_ARE_NOT_STATED_AGAIN(
        Check.SIMULATION,
        "Holdings",
        "holding.value,\n              pending));",
        "holding.value,\n              null));"),
    A_CANCELLED_WAIT_BLOCKS_THE_QUEUE(
        Check.TABLE, "LockTable", "withdraw(lock);\n    settle(lock.resource);", "withdraw(lock);"),
    A_GRANT_OF_THE_VIEW_BEFORE_COUNTS(
        Check.SIMULATION, "LockTable", "locks.get(lock.id) == lock && lock", "lock"),
    A_GRANT_WITHOUT_A_RECORD(
        Check.TABLE,
        "LockTable",
        "batch.write(lock.slot, entry(lock, mode), new GrantBatch.Grant(lock, lock.sequence));",
        ""),
    A_RECORD_OF_LESS_THAN_IS_HELD(
        Check.TABLE,
        "LockTable",
        "batch.write(lock.slot, entry(lock, m.mode()), null);",
        "batch.write(lock.slot, entry(lock, Mode.NL), null);"),
    A_VIEW_TURNS_THE_QUEUE_ROUND(
        Check.SIMULATION,
        "Resource",
        "order.sort(Comparator.comparingLong(lock -> lock.wanted().ticket));",
        "order.sort(Comparator.comparingLong(lock -> -lock.wanted().ticket));"),
    PLACES_ARE_NUMBERED_ANEW(
        Check.SIMULATION,
        "LockTable",
        "if (lock.wanted().ticket == LockMessage.Pending.NO_TICKET) {",
        "if (lock.wanted().ticket >= 0) {"),
    EVERY_VALUE_IS_DOUBTED(
        Check.SIMULATION,
        "LockTable",
        "if (resource.restated && (!certain || resource.forgotten || isWriteLost(resource))) {",
        "if (resource.restated) {"),
    WHAT_WAS_FORGOTTEN_COMES_BACK(
        Check.TABLE,
        "LockTable",
        "boolean anew = !grace && forgottenVersion > 0;",
        "boolean anew = false;"),
    THE_RECORD_BEFORE_GOES_TOO_EARLY(
        Check.SIMULATION,
        "SlotPool",
        "if (master.equals(self) || recorded.contains(master)) {",
        "if (master.equals(self) || !recorded.isEmpty() || recorded.isEmpty()) {"),
    FLOCK_GIVES_NOTHING_UP(
        Check.RANGES, "RangeLocks", "replace(file, wanted, false);\n      settle();", ""),
    GETLK_NAMES_ANOTHER(
        Check.RANGES, "RangeIndex", "&& other.isBefore(one))", "&& one.isBefore(other))"),
    RANGES_NEXT_TO_EACH_OTHER_STAY_APART(
        Check.RANGES, "RangeLocks", "|| range.end() == lock.start() - 1", ""),
    FAIRNESS_MAKES_A_CIRCLE(
        Check.RANGES,
        "RangeLocks",
        "if (!waitsFor(first.lock().owner(), wanted.owner())) {",
        "if (ticket > 0) {"),
    CIRCLES_GO_THROUGH_OPEN_FILES(
        Check.RANGES,
        "RangeLocks",
        "if (lock.owner().kind() == RangeOwner.Kind.POSIX && reached.add(",
        "if (lock.owner().kind() != RangeOwner.Kind.FLOCK && reached.add("),
    ONE_THREAD_SPEAKS_FOR_ALL(
        Check.RANGES,
        "RangeLocks",
        "for (Wait wait : waitsOf(name)) {\n      wait.file().ranges",
        "for (Wait wait : waitsOf(name).stream().limit(1).toList()) {\n      wait.file().ranges"),
    A_CONVERSION_IS_LOST_FOR_WANT_OF_ROOM(
        Check.RANGES, "RangeLocks", "if (mayWait && waits.size() >= waitsMax) {", "if (false) {"),
    NO_ROOM_IS_KEPT_FOR_WHO_WAITS(
        Check.RANGES, "RangeLocks", "reserved += roomFor(wait.lock());", "reserved += 0;"),
    FILES_ARE_NOT_FORGOTTEN(
        Check.RANGES, "RangeLocks", "files.remove(file.place);", "file.place.hashCode();"),
    THE_PID_OF_WHAT_IS_REPLACED(
        Check.RANGES,
        "RangeLocks",
        "known |= put && lock.start() >= range.start() && lock.end() <= range.end();",
        ""),
    THE_DEAD_ARE_GRANTED(
        Check.RANGES, "RangeLocks", "ended.removeIf(end -> gone.test(end.lock().owner()));", ""),
    UNLOCKING_IS_NOT_REFUSED(
        Check.RANGES, "RangeLocks", "if (!hasRoomFor(file, range, false)) {", "if (false) {"),
    NO_OPEN_FILE_IS_ASKED_WHAT_IT_WAITS_FOR(
        Check.RANGES,
        "RangeLocks",
        "return reachedByPosixLocks(first).contains(name);",
        "return first.stream().allMatch(o -> o.kind() == name.kind())"
            + " && reachedByPosixLocks(first).contains(name);"),
    SHARED_LOCKS_EXCLUDE_NOBODY(
        Check.RANGES,
        "RangeLock",
        "(exclusive || other.exclusive)",
        "(exclusive && other.exclusive)"),
    A_CIRCLE_OF_PROCESSES_STAYS(Check.RANGES, "RangeLocks", "endCircles(file, lock);", ""),
    A_NEW_WAIT_LETS_NOBODY_IN(Check.RANGES, "RangeLocks", "lookAtThoseInACircleWith(name);", ""),
    A_GRANT_LETS_NOBODY_IN(
        Check.RANGES, "RangeLocks", "lookAtThoseInACircleWith(lock.owner());", ""),
    A_WAIT_THAT_IS_GIVEN_UP_LETS_NOBODY_IN(
        Check.RANGES, "RangeLocks", "lookAtThoseBehind(wait.file(), wait.lock());", ""),
    A_LOCK_THAT_IS_SHARED_NOW_LETS_NOBODY_IN(
        Check.RANGES,
        "RangeLocks",
        "&& (!put || (lock.exclusive() && !range.exclusive()))",
        "&& !put"),
    WHO_IS_ONLY_QUEUED_IS_NOT_REMEMBERED(
        Check.RANGES, "RangeLocks", "queued.add(wait.ticket());\n      } else", "} else"),
    A_TREE_FORGETS_HOW_FAR_IT_REACHES(
        Check.RANGES, "RangeIndex", "measure(top);\n    measure(right);", "measure(right);");

    final Check check;
    final String file;
    final String right;
    final String wrong;

    Bug(Check check, String file, String right, String wrong) {
      this.check = check;
      this.file = file;
      this.right = right;
      this.wrong = wrong;
    }
  }

  @ParameterizedTest
  @EnumSource
  void eachIsFound(Bug bug, @TempDir Path folder) throws Exception {
    Throwable found =
        PlantedBug.find(
            bug.file + ".java", bug.right, bug.wrong, bug.check.type, bug.check.seeds, folder);
    assertThat(found).as("what finds " + bug).isNotNull();
  }
}
