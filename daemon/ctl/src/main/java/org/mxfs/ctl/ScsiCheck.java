// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.random.RandomGenerator;
import org.mxfs.ctl.Step.Outcome;
import org.mxfs.scsi.Capabilities;
import org.mxfs.scsi.Designator;
import org.mxfs.scsi.Done;
import org.mxfs.scsi.HostAdapter;
import org.mxfs.scsi.Inquiry;
import org.mxfs.scsi.Keys;
import org.mxfs.scsi.Preemption;
import org.mxfs.scsi.RegisterOptions;
import org.mxfs.scsi.Reservation;
import org.mxfs.scsi.ReservationType;
import org.mxfs.scsi.ResetEvidence;
import org.mxfs.scsi.ResetWorth;
import org.mxfs.scsi.ScsiDevice;
import org.mxfs.scsi.ScsiResult;
import org.mxfs.scsi.Sense;

/**
 * Proves on a real disk what fencing needs of it (SPC-4 5.13), by doing it.
 *
 * <p>First all paths are one node: registered under one key. Then, where there is more than one
 * path, the second one plays another node, which is fenced, comes back, and fences the first. The
 * device's own lists are read after each step; what a command returned is not enough.
 *
 * <p>It begins only where nobody is registered, touches only keys of its own, never sends CLEAR,
 * and takes its registrations back whichever way it ends. Data is neither read nor written. That
 * all paths lead to one unit is asked of the unit, by the first registration, before there is a
 * second: names can be equal by chance.
 */
final class ScsiCheck {
  /**
   * One path, opened.
   *
   * @param byMultipath whether device-mapper multipath has put it under the device that is checked
   */
  record PathUnderCheck(String name, ScsiDevice device, HostAdapter adapter, boolean byMultipath) {}

  /** {@code core.CommandLife} of the daemon, in seconds: what is waited where no reset is known. */
  static final int COMMAND_LIFE_SECONDS = 303;

  /** High half of the check's keys: "mxfs" read as a number, which no node id is likely to be. */
  private static final long KEY_PREFIX = 0x6d786673L << 32;

  private static final String ALONE =
      "; mxfs mounts it on one machine at a time, and not at all where it comes by a network of"
          + " storage (iSCSI, Fibre Channel)";

  private static final ReservationType TYPE = ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY;

  /** A unit attention or a failing path can keep any one command of a clean-up from its effect. */
  private static final int CLEANUP_ATTEMPTS = 4;

  /** Ends the check early; the reason is in the steps. */
  private static final class Stop extends Exception {
    private final transient Verdict verdict;

    Stop(Verdict verdict) {
      super(verdict.title());
      this.verdict = verdict;
    }
  }

  private final String device;
  private final List<PathUnderCheck> paths;
  private final List<Step> steps = new ArrayList<>();
  private final List<Fencing> fencing = new ArrayList<>();
  private final List<String> attentions = new ArrayList<>();
  private final boolean mayAbort;
  private final long keyA;
  private final long keyB;
  private final long nobodysKey;
  private RegisterOptions options = RegisterOptions.PLAIN;

  /** Paths by which a REGISTER was sent: no other is taken back. */
  private final Set<PathUnderCheck> registered = new LinkedHashSet<>();

  /** What is to be said with the verdict. */
  private String remark = "";

  private volatile boolean interrupted;

  /**
   * A check, not begun.
   *
   * @param mayAbort whether to send PREEMPT AND ABORT
   * @param random for keys that no other check has
   */
  ScsiCheck(String device, List<PathUnderCheck> paths, boolean mayAbort, RandomGenerator random) {
    this.device = device;
    this.paths = List.copyOf(paths);
    this.mayAbort = mayAbort;
    long low = random.nextLong(1, 1L << 30) * 4;
    keyA = KEY_PREFIX | low;
    keyB = KEY_PREFIX | (low + 1);
    nobodysKey = KEY_PREFIX | (low + 2);
  }

  /** Ends the check before its next step; from any thread. */
  void interrupt() {
    interrupted = true;
  }

  /** One that cannot be looked up is not known, as it is to the daemon; the check goes on. */
  void adapterNotFound(Path path, IOException why) {
    note(
        Outcome.NOTE,
        "fencing",
        "the host adapter of " + path + " cannot be looked up, and is taken for one not known",
        why.toString());
  }

  Report run() {
    Verdict verdict;
    try {
      identify();
      refuseWhereOthersAre();
      askCapabilities();
      findFencing();
      actAsOneNode();
      if (paths.size() > 1) {
        actAsTwoNodes();
      } else {
        note(
            Outcome.NOT_TRIED,
            "two-nodes",
            "one node fences another",
            "there is one path only, and so no second initiator to fence; run this on a machine"
                + " with two paths to the disk to have it tried");
      }
      verdict = Verdict.USABLE;
    } catch (Stop stop) {
      verdict = stop.verdict;
    }
    if (!takeBack()) {
      verdict = Verdict.LEFT_BEHIND;
    }
    if (!attentions.isEmpty()) {
      note(Outcome.NOTE, "attentions", "unit attentions met", String.join("; ", attentions));
    }
    return new Report(
        device, paths.stream().map(PathUnderCheck::name).toList(), steps, fencing, verdict, remark);
  }

  // ---- what it is ----

  private void identify() throws Stop {
    List<Designator> unit = List.of();
    for (PathUnderCheck path : paths) {
      String id = "identify";
      ready(path);
      Inquiry inquiry = must(id, path.name() + " answers", path.device().inquiry());
      String what = inquiry.vendor() + " " + inquiry.product() + " " + inquiry.revision();
      if (inquiry.peripheralType() != 0 || inquiry.qualifier() != 0) {
        throw fail(id, path.name() + " is a disk", "it is not: " + inquiry);
      }
      List<Designator> names =
          must(id, path.name() + " names its unit", path.device().designators()).stream()
              .filter(Designator::isWorldWideUnitName)
              .toList();
      if (path.equals(first())) {
        unit = names;
        note(
            Outcome.NOTE,
            id,
            what,
            names.isEmpty() ? "no name that is unique in the world" : "names: " + names);
      } else if (!names.isEmpty() && !unit.isEmpty() && Collections.disjoint(names, unit)) {
        throw fail(id, path.name() + " leads to the same unit", "its names are " + names);
      }
    }
  }

  private void refuseWhereOthersAre() throws Stop {
    String what = "nobody is registered, nothing is reserved";
    for (PathUnderCheck path : paths) {
      ScsiResult<Keys> read = path.device().readKeys();
      // By the same codes as the daemon.
      if (read instanceof ScsiResult.CheckCondition<Keys> c && c.sense().isCommandUnknown()) {
        throw fail(
            "reservations", "the disk has persistent reservations", "it has none: " + read + ALONE);
      }
      Keys keys = mustBeFree("idle", what, read);
      Reservation reservation = mustBeFree("idle", what, path.device().readReservation());
      if (!keys.keys().isEmpty() || reservation.holder().isPresent()) {
        String by = paths.size() == 1 ? "" : ", by " + path.name();
        note(Outcome.FAILED, "idle", what, keys + "; " + reservation + by + ourOwn(keys));
        throw new Stop(Verdict.REFUSED);
      }
    }
    note(Outcome.PROVEN, "idle", what, "");
  }

  /** A conflict is of a RESERVE (SPC-2), which keeps everybody else from asking. */
  private <T> T mustBeFree(String id, String what, ScsiResult<T> read) throws Stop {
    if (read instanceof ScsiResult.ReservationConflict) {
      notice(read);
      note(Outcome.FAILED, id, what, read + "; the disk is held by a RESERVE of another machine");
      throw new Stop(Verdict.REFUSED);
    }
    return must(id, what, read);
  }

  private static String ourOwn(Keys keys) {
    boolean all = keys.keys().stream().allMatch(k -> (k & -1L << 32) == KEY_PREFIX);
    return all && !keys.keys().isEmpty()
        ? "; such keys are of another check: it is running somewhere, or was killed"
        : "";
  }

  private void askCapabilities() throws Stop {
    String what = "the disk says that it has type 5 (Write Exclusive, Registrants Only)";
    ScsiResult<Capabilities> result = first().device().reportCapabilities();
    boolean answered = result instanceof ScsiResult.Good;
    if (!answered) {
      note(Outcome.NOTE, "capabilities", "REPORT CAPABILITIES", "refused: " + result);
      return;
    }
    Capabilities found = must("capabilities", what, result);
    if (found.types().isEmpty()) {
      note(Outcome.NOTE, "capabilities", what, "it does not say which types it has");
    } else if (found.types().contains(TYPE)) {
      note(Outcome.PROVEN, "capabilities", what, "");
    } else {
      throw fail("capabilities", what, "it has only " + found.types() + ALONE);
    }
  }

  /**
   * What mxfs finds out at each mount, of the path that is mounted: how what a fenced node had
   * under way is ended. Nothing is tried: no reset is sent.
   */
  private void findFencing() throws Stop {
    for (PathUnderCheck path : paths) {
      goOn();
      ResetEvidence read = ResetEvidence.read(path.device(), path.adapter());
      notice(read.functions());
      notice(read.abort());
      ResetWorth worth = ResetWorth.of(read);
      fencing.add(new Fencing(path.name(), path.adapter().driver(), worth));
      String how =
          worth.endsAll()
              ? "ended by a LOGICAL UNIT RESET"
              : "waited for, " + COMMAND_LIFE_SECONDS + " s";
      note(
          Outcome.NOTE,
          "fencing",
          "what a fenced node has under way would be "
              + how
              + (paths.size() == 1 ? "" : ", by " + path.name()),
          worth.why() + "; takeover is off in this version");
    }
  }

  // ---- one node ----

  private void actAsOneNode() throws Stop {
    registerFirst();
    proveOneUnit();
    for (PathUnderCheck path : paths.subList(1, paths.size())) {
      registered.add(path);
      must("register", "REGISTER by " + path.name(), path.device().register(0, keyA, options));
    }
    expectKeys("register", "every path is registered", Collections.nCopies(paths.size(), keyA));
    must(
        "register",
        "REGISTER AND IGNORE EXISTING KEY",
        first().device().registerAndIgnoreExistingKey(keyA, options));
    expectKeys(
        "register-ignore",
        "registering again changes nothing",
        Collections.nCopies(paths.size(), keyA));

    must("reserve", "RESERVE, type 5", first().device().reserve(keyA, TYPE));
    expectHolder("reserve", "the disk is reserved, type 5", keyA);

    checkOldKey();
    preemptNobody(false);
    if (mayAbort) {
      preemptNobody(true);
    } else {
      note(Outcome.NOT_TRIED, "preempt-abort-known", "PREEMPT AND ABORT", "by --no-abort");
    }
  }

  /** By a key that nobody else has; nothing is registered on what does not show it. */
  private void proveOneUnit() throws Stop {
    for (PathUnderCheck path : paths.subList(1, paths.size())) {
      String what = path.name() + " leads to the same unit as " + first().name();
      Keys keys = must("one-unit", what, path.device().readKeys());
      if (!keys.contains(keyA)) {
        String one = isOneByMore(path);
        note(
            Outcome.FAILED,
            "one-unit",
            what,
            keys
                + ": what was registered by "
                + first().name()
                + " is not among them. They are two disks with one name, or one that does not"
                + " share its registrations between paths"
                + (one.isEmpty() ? "" : "; " + one));
        if (one.isEmpty()) {
          remark = "But do not mount it on two machines before this is explained.";
          throw new Stop(Verdict.UNKNOWN);
        }
        throw new Stop(Verdict.UNUSABLE);
      }
      note(Outcome.PROVEN, "one-unit", what, "");
    }
  }

  /** What else than its name says that a path and the first lead to one unit; may be empty. */
  private String isOneByMore(PathUnderCheck path) {
    if (first().byMultipath() && path.byMultipath()) {
      return "device-mapper multipath uses them as one";
    }
    return first().device().serialNumber() instanceof ScsiResult.Good<String> one
            && path.device().serialNumber() instanceof ScsiResult.Good<String> other
            && !one.value().isBlank()
            && one.value().equals(other.value())
        ? "their serial number, " + one.value() + ", is the same, too"
        : "";
  }

  /** With APTPL where the device takes it: mxfs does the same. */
  private void registerFirst() throws Stop {
    String what = "registrations survive a power loss of the array (APTPL)";
    RegisterOptions persistent = new RegisterOptions(true, false);
    registered.add(first());
    ScsiResult<Done> result = first().device().register(0, keyA, persistent);
    notice(result);
    if (result instanceof ScsiResult.CheckCondition<Done> refused
        && refused.sense().isFieldRefused()) {
      must("register", "REGISTER", first().device().register(0, keyA, options));
      note(
          Outcome.UNSUPPORTED,
          "aptpl",
          what,
          refused.sense() + "; after such a loss all mounts stop until the nodes register anew");
      return;
    }
    must("register", "REGISTER", result);
    options = persistent;
    boolean active =
        first().device().reportCapabilities() instanceof ScsiResult.Good<Capabilities> c
            && c.value().persistThroughPowerLossActive();
    note(
        Outcome.PROVEN,
        "aptpl",
        what,
        active ? "accepted, and reported as active" : "accepted, though not reported as active");
  }

  /** REGISTER with another old key than one's own; should it be taken, it changes nothing. */
  private void checkOldKey() throws Stop {
    goOn();
    ScsiResult<Done> result = first().device().register(nobodysKey, keyA, options);
    boolean refused = result instanceof ScsiResult.ReservationConflict;
    if (!isAnswer(result)) {
      must("key-checked", "REGISTER with a wrong old key", result);
    }
    note(
        refused ? Outcome.PROVEN : Outcome.UNSUPPORTED,
        "key-checked",
        "REGISTER with a wrong old key is refused",
        refused ? "" : result + "; mxfs does not rely on it");
  }

  /** Shows whether the command exists, without a second node: a key of nobody is a conflict. */
  private void preemptNobody(boolean abort) throws Stop {
    String id = abort ? "preempt-abort-known" : "preempt-known";
    String what = (abort ? "PREEMPT AND ABORT" : "PREEMPT") + " is a command of this disk";
    Preemption p = preempt(first(), keyA, nobodysKey, abort);
    if (p.command() instanceof ScsiResult.ReservationConflict) {
      note(Outcome.PROVEN, id, what, "for a key of nobody it ends in a conflict, as it must");
    } else if (p.command().isGood()) {
      note(
          Outcome.PROVEN, id, what, "for a key of nobody it says GOOD; mxfs reads the keys anyway");
    } else if (abort && isUnsupported(p.command())) {
      abortUnsupported(id, what, p);
    } else {
      throw failOrUnknown(id, what, p);
    }
    expectHolder(id + "-harmless", "and nothing changed", keyA);
  }

  private static boolean isUnsupported(ScsiResult<?> result) {
    return result instanceof ScsiResult.CheckCondition<?> c
        && (c.sense().isCommandUnknown() || c.sense().isFieldRefused());
  }

  private void abortUnsupported(String id, String what, Preemption p) {
    note(
        Outcome.UNSUPPORTED,
        id,
        what,
        p.command()
            + "; mxfs uses PREEMPT and waits until commands of the fenced node must have ended");
  }

  // ---- two nodes ----

  private void actAsTwoNodes() throws Stop {
    PathUnderCheck a = first();
    PathUnderCheck b = paths.get(1);
    List<Long> both = new ArrayList<>(Collections.nCopies(paths.size() - 1, keyA));

    must("two-nodes", "a second node registers", b.device().register(keyA, keyB, options));
    both.add(keyB);
    expectKeys("two-nodes", "two nodes are registered", both);
    expectRefusal("exclusive", "only one node can hold it", b.device().reserve(keyB, TYPE), keyA);

    fence("fence-member", "PREEMPT of a member: gone at once", a, keyA, b, keyB);
    expectRefusal("fenced", "a fenced node cannot reserve", b.device().reserve(keyB, TYPE), keyA);
    Preemption again = preempt(a, keyA, keyB, false);
    note(
        again.command() instanceof ScsiResult.ReservationConflict ? Outcome.PROVEN : Outcome.NOTE,
        "preempt-once",
        "a second PREEMPT of the same key",
        again.command() instanceof ScsiResult.ReservationConflict
            ? "ends in a conflict"
            : again.command().toString());

    must("return", "the fenced node registers anew", b.device().register(0, keyB, options));
    fence("fence-owner", "PREEMPT of the holder: the reservation changes hands", b, keyB, a, keyA);
    expectKeys("fence-owner", "all paths of the fenced node are out", List.of(keyB));

    if (mayAbort) {
      fenceAndAbort(a, b);
    }
  }

  private void fence(
      String id, String what, PathUnderCheck by, long key, PathUnderCheck victim, long victimKey)
      throws Stop {
    Preemption p = preempt(by, key, victimKey, false);
    if (p.verdict() != Preemption.Verdict.GONE_AND_HELD) {
      throw failOrUnknown(id, what, p);
    }
    note(Outcome.PROVEN, id, what, "");
    List<Sense> told = ready(victim);
    boolean lost = told.stream().anyMatch(Sense::isReservationLost);
    note(
        lost ? Outcome.PROVEN : Outcome.UNSUPPORTED,
        id + "-told",
        "the fenced node is told by a unit attention",
        lost ? told.toString() : "it is not; it sees it when it next reads the keys");
  }

  private void fenceAndAbort(PathUnderCheck a, PathUnderCheck b) throws Stop {
    String id = "fence-abort";
    String what = "PREEMPT AND ABORT of the holder";
    for (PathUnderCheck path : paths) {
      if (!path.equals(b)) {
        ready(path);
        must("return", path.name() + " registers anew", path.device().register(0, keyA, options));
      }
    }
    Preemption p = preempt(a, keyA, keyB, true);
    if (p.verdict() == Preemption.Verdict.GONE_AND_HELD) {
      note(Outcome.PROVEN, id, what, "");
      ready(b);
    } else if (isUnsupported(p.command())) {
      abortUnsupported(id, what, p);
    } else {
      throw failOrUnknown(id, what, p);
    }
  }

  private Preemption preempt(PathUnderCheck by, long key, long victim, boolean abort) throws Stop {
    goOn();
    Preemption p =
        abort
            ? by.device().preemptAndAbort(key, victim, TYPE)
            : by.device().preempt(key, victim, TYPE);
    notice(p.command());
    notice(p.keys());
    notice(p.reservation());
    return p;
  }

  // ---- taking back ----

  /**
   * Unregisters every path that was registered, each with the check's own keys: REGISTER with
   * another's key would be a conflict, so that a node that came meanwhile loses nothing. The
   * holder's unregistering releases the reservation (SPC-4 5.13.11.2.2). Safe to do again, and done
   * again until the device says that nothing is left.
   *
   * @return whether nothing of the check is on the device
   */
  private boolean takeBack() {
    if (registered.isEmpty()) {
      return true;
    }
    String what = "nothing of the check is left on the disk";
    Left found = new Left(first(), "");
    for (int attempt = 0; attempt < CLEANUP_ATTEMPTS; attempt++) {
      registered.forEach(this::unregister);
      found = left();
      if (found.text().isEmpty()) {
        note(Outcome.PROVEN, "cleanup", what, "");
        return true;
      }
    }
    note(Outcome.FAILED, "cleanup", what, found.text());
    remark =
        ("To remove it, once no machine uses the disk: sg_persist --out --register-ignore"
                + " --param-sark=1 %1$s, then sg_persist --out --clear --param-rk=1 %1$s.")
            .formatted(found.path().name());
    return false;
  }

  private void unregister(PathUnderCheck path) {
    ready(path);
    for (long key : new long[] {keyA, keyB}) {
      notice(path.device().register(key, 0, options));
    }
  }

  /**
   * What may be left.
   *
   * @param path one that leads to it
   * @param text empty: nothing is
   */
  private record Left(PathUnderCheck path, String text) {}

  /**
   * By any path by which a REGISTER was sent: where there is more than one, each was seen to lead
   * to the unit of the first. What another shows may be another unit's.
   */
  private Left left() {
    boolean answered = false;
    for (PathUnderCheck path : registered) {
      ready(path);
      if (path.device().readKeys() instanceof ScsiResult.Good<Keys> keys
          && path.device().readReservation() instanceof ScsiResult.Good<Reservation> held) {
        boolean clean =
            !contains(keys.value(), keyA, keyB)
                && !held.value().heldBy(keyA)
                && !held.value().heldBy(keyB);
        if (!clean) {
          return new Left(path, keys.value() + "; " + held.value() + ", by " + path.name());
        }
        answered = true;
      }
    }
    return new Left(first(), answered ? "" : "no path answers by which a key was registered");
  }

  private static boolean contains(Keys keys, long one, long other) {
    return keys.contains(one) || keys.contains(other);
  }

  // ---- steps ----

  private PathUnderCheck first() {
    return paths.getFirst();
  }

  private void note(Outcome outcome, String id, String what, String found) {
    steps.add(new Step(id, outcome, Words.clean(what), Words.clean(found)));
  }

  private void goOn() throws Stop {
    if (interrupted) {
      throw new Stop(Verdict.INTERRUPTED);
    }
  }

  private List<Sense> ready(PathUnderCheck path) {
    ScsiResult<Done> result = path.device().testUnitReady();
    notice(result);
    return result.unitAttentions();
  }

  private void notice(ScsiResult<?> result) {
    for (Sense sense : result.unitAttentions()) {
      attentions.add(result.command() + " met " + sense);
    }
  }

  private Stop fail(String id, String what, String found) {
    note(Outcome.FAILED, id, what, found);
    return new Stop(Verdict.UNUSABLE);
  }

  private Stop failOrUnknown(String id, String what, Preemption p) {
    note(
        Outcome.FAILED,
        id,
        what,
        p.verdict() + "; " + p.command() + "; " + p.keys() + "; " + p.reservation());
    boolean known = p.verdict() != Preemption.Verdict.UNKNOWN && isAnswer(p.command());
    return new Stop(known ? Verdict.UNUSABLE : Verdict.UNKNOWN);
  }

  /** Whether the device itself answered: otherwise nothing is known about what it can do. */
  private static boolean isAnswer(ScsiResult<?> result) {
    return switch (result) {
      case ScsiResult.Good<?> _, ScsiResult.ReservationConflict<?> _ -> true;
      case ScsiResult.CheckCondition<?> _ -> isUnsupported(result);
      case ScsiResult.OtherStatus<?> _, ScsiResult.TransportError<?> _, ScsiResult.BadAnswer<?> _ ->
          false;
    };
  }

  private <T> T must(String id, String what, ScsiResult<T> result) throws Stop {
    goOn();
    notice(result);
    if (result instanceof ScsiResult.Good<T> good) {
      return good.value();
    }
    note(Outcome.FAILED, id, what, result.toString());
    throw new Stop(isAnswer(result) ? Verdict.UNUSABLE : Verdict.UNKNOWN);
  }

  /**
   * A refusal is a conflict, or what a target says instead: LIO answers RESERVE of a nexus that is
   * not registered with NOT READY. What counts is that the holder is the same afterwards.
   */
  private void expectRefusal(String id, String what, ScsiResult<Done> result, long holder)
      throws Stop {
    goOn();
    boolean conflict = result instanceof ScsiResult.ReservationConflict;
    if (!conflict && !(result instanceof ScsiResult.CheckCondition)) {
      note(Outcome.FAILED, id, what, result.toString());
      throw new Stop(isAnswer(result) ? Verdict.UNUSABLE : Verdict.UNKNOWN);
    }
    expectHolder(id, what, holder);
    if (!conflict) {
      note(Outcome.NOTE, id + "-answer", "the disk's answer to it", result.toString());
    }
  }

  private void expectKeys(String id, String what, List<Long> expected) throws Stop {
    Keys keys = must(id, what, first().device().readKeys());
    if (keys.keys().stream().anyMatch(k -> k != keyA && k != keyB)) {
      note(Outcome.FAILED, id, what, "somebody else registered meanwhile: " + keys);
      throw new Stop(Verdict.UNKNOWN);
    }
    if (!keys.keys().stream().sorted().toList().equals(expected.stream().sorted().toList())) {
      throw fail(id, what, keys + ", expected " + new Keys(keys.generation(), expected));
    }
    note(Outcome.PROVEN, id, what, paths.size() == 1 ? "" : expected.size() + " registrations");
  }

  private void expectHolder(String id, String what, long key) throws Stop {
    Reservation r = must(id, what, first().device().readReservation());
    if (!r.heldBy(key) || r.holder().orElseThrow().type() != TYPE) {
      throw fail(id, what, r.toString());
    }
    note(Outcome.PROVEN, id, what, "");
  }
}
