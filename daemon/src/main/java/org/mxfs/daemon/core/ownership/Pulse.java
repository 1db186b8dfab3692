// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.Fenced;
import org.mxfs.daemon.core.membership.Departed;
import org.mxfs.daemon.core.membership.Heartbeat;
import org.mxfs.daemon.core.membership.Outcast;
import org.mxfs.daemon.core.membership.Silence;

/**
 * This node's heartbeat on disk, joined to ownership: tells {@link Heartbeat} where this node
 * stands, passes its commands on, and answers for it. Where beats are not switched on, or the
 * device has no reservations, everything is as if there were no disk.
 */
final class Pulse {
  /** So many beats of a node have to be missed before a mount returns without it. */
  private static final int MISSED_BEATS = 3;

  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private @Nullable Heartbeat heartbeat;

  /** What the phase wants written last, in this step; null: what its name says. */
  private Heartbeat.@Nullable Wish lastWish;

  private long question;
  private boolean underWay;
  private long askDue = Long.MAX_VALUE;

  Pulse(Outbox out, TenureRules rules, Situation situation) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    OwnershipSettings settings = situation.settings();
    heartbeat =
        settings.beatMillis() == 0
            ? null
            : new Heartbeat(
                new Heartbeat.Settings(
                    settings.beatMillis(),
                    settings.leaseMillis(),
                    settings.host(),
                    settings.firstRequestId(),
                    OwnershipSettings.DISK_MILLIS));
  }

  void start() {
    if (heartbeat != null) {
      heartbeat.start(situation.isResuming(), out.now());
      askWhere();
    }
  }

  /** The device has no reservations: nothing would keep two nodes from one slot. */
  void stop() {
    heartbeat = null;
    underWay = false;
  }

  // ---- the kernel ----

  /** Where the lock state is: at the start, and after every attach, which may have made it. */
  void askWhere() {
    if (heartbeat != null) {
      askDue = out.now() + OwnershipSettings.KERNEL_MILLIS;
      out.add(new Action.AskLockstate());
    }
  }

  void told(Lockstate lockstate) {
    if (heartbeat != null) {
      askDue = Long.MAX_VALUE;
      heartbeat.told(lockstate, out.now());
    }
  }

  // ---- the disk ----

  /** Returns false when the array let a write not pass. */
  boolean onAnswer(long number, DiskAnswer answer) {
    if (heartbeat == null || !underWay || number != question) {
      return true;
    }
    underWay = false;
    return heartbeat.answered(answer, out.now());
  }

  void forgetWishes() {
    lastWish = null;
  }

  /** Once the step has come to rest: what is to be done with the disk now. */
  void goOn() {
    Heartbeat machine = heartbeat;
    if (machine == null || situation.isGone()) {
      return;
    }
    machine.stand(standing(), out.now());
    DiskCommand command = machine.next(out.now());
    if (command != null) {
      underWay = true;
      out.add(new Action.Disk(++question, command));
    }
    for (Action.Note note : machine.takeNotes()) {
      out.add(note);
    }
    if (out.now() >= askDue) {
      askWhere();
    }
    wakeAt(askDue);
    wakeAt(machine.due(out.now()));
  }

  private void wakeAt(long time) {
    if (time != Long.MAX_VALUE) {
      out.wakeAt(time);
    }
  }

  private Heartbeat.Standing standing() {
    Heartbeat.Wish wish =
        lastWish != null
            ? lastWish
            : situation.isSettled() ? Heartbeat.Wish.BEAT : Heartbeat.Wish.NOTHING;
    return new Heartbeat.Standing(
        rules.key(), rules.epoch(), rules.hold() == TenureRules.Hold.PROVEN, wish);
  }

  // ---- the array ----

  /** A tenure has begun, on these keys, asked for then. */
  void beginTenure(List<ReservationKey> keys, long askedMillis) {
    if (heartbeat != null) {
      heartbeat.stand(standing(), out.now());
      heartbeat.sawKeys(keys, askedMillis, out.now());
    }
  }

  void sawKeys(List<ReservationKey> keys, long askedMillis) {
    if (heartbeat != null) {
      heartbeat.sawKeys(keys, askedMillis, out.now());
    }
  }

  /** As the holder: a tenure with a higher epoch was read of, and the array not asked since. */
  boolean isOvertaken() {
    return heartbeat != null && heartbeat.isOvertaken();
  }

  /** See {@link Heartbeat#isBelowOthers}. */
  boolean isBelowOthers() {
    return heartbeat != null && heartbeat.isBelowOthers();
  }

  void isStillOurs() {
    if (heartbeat != null) {
      heartbeat.isStillOurs();
    }
  }

  /** See {@link Heartbeat#outcasts}. */
  List<Outcast> outcasts() {
    return heartbeat == null ? List.of() : heartbeat.outcasts();
  }

  /** See {@link Heartbeat#outcast}. */
  @Nullable Outcast outcast(ReservationKey key) {
    return heartbeat == null ? null : heartbeat.outcast(key);
  }

  /** See {@link Heartbeat#pathsOf}. */
  List<ReservationKey> pathsOf(Outcast outcast) {
    return heartbeat == null ? List.of() : heartbeat.pathsOf(outcast);
  }

  /** Whether a write must have ended before this node registers again. */
  boolean keepsFromRegistering() {
    return heartbeat != null && heartbeat.isWriting();
  }

  // ---- what rests on it ----

  /**
   * Since when this node is known to be in order, if the array has shown that since {@code proven}:
   * where beats are required, since the older of the two proofs.
   */
  long knownSince(long proven) {
    return heartbeat != null && heartbeat.isRequired()
        ? Math.min(proven, heartbeat.beatenAt())
        : proven;
  }

  long maxEpoch() {
    return heartbeat == null ? 0 : heartbeat.maxEpoch();
  }

  /** A number for {@link #hasReadSince}. */
  long mark() {
    return heartbeat == null ? 0 : heartbeat.mark();
  }

  /** Whether the slots were read on a question that was asked since, or never will be. */
  boolean hasReadSince(long mark) {
    return heartbeat == null || heartbeat.hasReadSince(mark);
  }

  /** Whether the epoch of the tenure is on disk, or need not be. */
  Heartbeat.Verdict mayAttach() {
    if (heartbeat == null) {
      return Heartbeat.Verdict.YES;
    }
    Heartbeat.Verdict verdict = heartbeat.mayAttach(rules.tenure(), out.now());
    if (verdict == Heartbeat.Verdict.NOT_YET) {
      out.wakeAt(heartbeat.patienceEnds());
    }
    return verdict;
  }

  /** Whether this node is to stop when its lease ends, so that it wants nothing any more. */
  boolean isDoomed() {
    return heartbeat != null && heartbeat.isDoomed();
  }

  // ---- takeover ----

  /** This node's slot says that it was shut out. */
  boolean isShutOut() {
    return heartbeat != null && heartbeat.isShutOut();
  }

  /** That this node is silent, for long enough to be shut out; null: not known. */
  @Nullable Silence silence(ReservationKey key) {
    return heartbeat == null
        ? null
        : heartbeat.silence(key, situation.settings().silenceMillis(), out.now());
  }

  /**
   * Whether takeover is on and this node, which was to beat, has not for some beats: much less than
   * lets anybody shut it out.
   */
  boolean isMissed(ReservationKey key) {
    return heartbeat != null
        && missedAfterMillis() != 0
        && heartbeat.stillFor(key) >= missedAfterMillis();
  }

  /** 0: nobody is taken over from. */
  long missedAfterMillis() {
    OwnershipSettings settings = situation.settings();
    return settings.takeover() == null ? 0 : MISSED_BEATS * settings.beatMillis();
  }

  /** That this incarnation has left; null: not known. */
  @Nullable Departed departed(ReservationKey key) {
    return heartbeat == null ? null : heartbeat.departed(key);
  }

  /** See {@link Heartbeat#outcastBy}. */
  @Nullable Outcast outcastBy(ReservationKey path) {
    return heartbeat == null ? null : heartbeat.outcastBy(path);
  }

  /** See {@link Heartbeat#roll}. */
  Heartbeat.Roll roll() {
    return heartbeat == null ? Heartbeat.Roll.NOBODY : heartbeat.roll();
  }

  /** See {@link Heartbeat#knowsAll}. */
  boolean knowsAll(long mark) {
    return heartbeat == null || heartbeat.knowsAll(mark);
  }

  /** See {@link Heartbeat#clear}. */
  void clear(ReservationKey key) {
    if (heartbeat != null) {
      heartbeat.clear(key);
    }
  }

  /** See {@link Heartbeat#unsettled}. */
  @Nullable List<ReservationKey> unsettled() {
    return heartbeat == null ? List.of() : heartbeat.unsettled(out.now());
  }

  /** Of the record that says that this key was to beat; -1: none does. */
  long sequenceOf(ReservationKey key) {
    return heartbeat == null ? -1 : heartbeat.sequenceOf(key);
  }

  void settled() {
    if (heartbeat != null) {
      heartbeat.settled();
    }
  }

  void shutOut(Fenced proof) {
    if (heartbeat != null) {
      heartbeat.shutOut(proof, situation.settings().silenceMillis());
    }
  }

  /** See {@link Heartbeat#forgetProof}. */
  void forgetProof(ReservationKey key) {
    if (heartbeat != null) {
      heartbeat.forgetProof(key);
    }
  }

  /** See {@link Heartbeat#isProven}. */
  boolean isProven(ReservationKey key) {
    return heartbeat != null && heartbeat.isProven(key);
  }

  /** See {@link Heartbeat#strangers}. */
  List<ReservationKey> strangers(Collection<ReservationKey> registered, long epoch) {
    return heartbeat == null ? List.of() : heartbeat.strangers(registered, epoch);
  }

  /** See {@link Heartbeat#silentStrangers}. */
  List<ReservationKey> silentStrangers() {
    return heartbeat == null
        ? List.of()
        : heartbeat.silentStrangers(situation.settings().silenceMillis(), out.now());
  }

  /** See {@link Heartbeat#isOverwritten}. */
  boolean isOverwritten(ReservationKey key) {
    return heartbeat != null && heartbeat.isOverwritten(key);
  }

  /** See {@link Heartbeat#victim}. */
  void victim(ReservationKey key) {
    if (heartbeat != null) {
      heartbeat.victim(key);
    }
  }

  /**
   * Whether this key has not beaten for a lease, so that others may have begun to shut it out: from
   * then on they wait for the end of it.
   */
  boolean isOverdue() {
    return heartbeat != null
        && heartbeat.isRequired()
        && out.now() - heartbeat.beatenAt() >= situation.settings().leaseMillis();
  }

  long askedReading() {
    return heartbeat == null ? 0 : heartbeat.askedReading();
  }

  long goodReading() {
    return heartbeat == null ? 0 : heartbeat.goodReading();
  }

  String trouble() {
    return heartbeat == null ? "" : heartbeat.trouble();
  }

  /** Before the volume is given away: whether the others know that this node will be silent. */
  boolean mayConsent() {
    return isLastRecordWritten(Heartbeat.Wish.PAUSE);
  }

  /** Before this node is unregistered: whether its slot is given back. */
  boolean mayUnregister() {
    return isLastRecordWritten(Heartbeat.Wish.LEAVE);
  }

  /** Before this node ends and stays registered: whether its slot says so, or cannot. */
  boolean mayStay() {
    return isLastRecordWritten(Heartbeat.Wish.STAY);
  }

  /** Whether its slot says so. */
  boolean hasLeft() {
    return heartbeat != null && heartbeat.hasLeft();
  }

  private boolean isLastRecordWritten(Heartbeat.Wish wish) {
    if (heartbeat == null) {
      return true;
    }
    lastWish = wish;
    heartbeat.stand(standing(), out.now());
    if (heartbeat.isLastRecordWritten(OwnershipSettings.LAST_RECORD_MILLIS, out.now())) {
      return true;
    }
    wakeAt(heartbeat.lastRecordEnds(OwnershipSettings.LAST_RECORD_MILLIS));
    return false;
  }

  /** Whether this mount can have a slot; that it is not known yet is waited for, a while. */
  Heartbeat.Verdict hasRoom() {
    if (heartbeat == null) {
      return Heartbeat.Verdict.YES;
    }
    Heartbeat.Verdict verdict = heartbeat.hasRoom();
    long patience =
        situation.startedAt()
            + (verdict == Heartbeat.Verdict.NO
                ? OwnershipSettings.PEER_WAIT_MILLIS
                : OwnershipSettings.LISTEN_MILLIS);
    if (verdict == Heartbeat.Verdict.YES || out.now() >= patience) {
      return verdict == Heartbeat.Verdict.NO ? verdict : Heartbeat.Verdict.YES;
    }
    out.wakeAt(patience);
    return Heartbeat.Verdict.NOT_YET;
  }
}
