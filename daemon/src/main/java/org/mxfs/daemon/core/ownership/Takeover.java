// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.fencing.FenceAction;
import org.mxfs.daemon.core.fencing.FenceCommand;
import org.mxfs.daemon.core.fencing.FenceEvent;
import org.mxfs.daemon.core.fencing.Fenced;
import org.mxfs.daemon.core.fencing.Fencing;
import org.mxfs.daemon.core.fencing.FencingSettings;
import org.mxfs.daemon.core.lock.LockAction;
import org.mxfs.daemon.core.membership.Outcast;
import org.mxfs.daemon.core.membership.Silence;
import org.mxfs.daemon.core.recovery.ClearRecords;
import org.mxfs.daemon.core.recovery.LocksCleared;
import org.mxfs.daemon.core.recovery.RecordsCleared;
import org.mxfs.daemon.core.recovery.RecoverJournal;
import org.mxfs.daemon.core.recovery.Recovered;

/**
 * In a tenure that no grant has begun: before XFS is attached, everybody who was shut out is found,
 * fenced and marked. Who they are the array and the disk say, each time anew: a slot that says
 * "alive" whose key is not registered, or whose node has not written that it knows of this tenure.
 * So a daemon that is restarted, or a second survivor that takes over from the first, goes on where
 * the one before has stopped.
 *
 * <pre>
 *   unsettled slots -> Fencing -> Fenced -> the slot says so -> none left -> RecoverJournal -> ATTACH
 * </pre>
 *
 * <p>Whom this tenure has seen silent and shut out stays a victim until its slot says that it is
 * none, and settled is what was proven when nobody has come or gone since. A REGISTER of it that
 * comes late makes nobody settled: the proof holds no more, and all of it is done again.
 *
 * <p>In every tenure: who was shut out, as its slot says, and is registered again is shut out again
 * as soon as it is seen, also beside XFS; what it may have sent has to end before the next attach.
 * And who is registered, silent and has not told of the tenure is fenced before that, too.
 *
 * <p>All that was proven holds in its tenure only: the array may lose all registrations.
 */
final class Takeover {
  /** So many PREEMPTs without effect are sent in a row, and then one after each pause. */
  private static final int KEEP_OUTS_MAX = 5;

  /** PRGENERATION is of 32 bits. */
  private static final long GENERATION_MASK = 0xffff_ffffL;

  /**
   * Who was fenced, until the tenure is settled.
   *
   * @param provenAt when: what was asked for before says nothing of it
   * @param preempts how many PREEMPTs of ours had been carried out by then
   */
  private record Proven(Fenced proof, ClearRecords clear, long provenAt, long preempts) {
    /** Nobody has come or gone since, but by PREEMPTs of ours, as that look has shown. */
    boolean holdsAt(LeaseKeeper.Shown shown) {
      long counted = shown.generation() - proof.generation() & GENERATION_MASK;
      return counted == shown.preempts() - preempts;
    }
  }

  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final ArrayDialogue array;
  private final LeaseKeeper lease;
  private final Pulse pulse;
  private final Guard guard;

  /** The tenure of which all below is. */
  private long tenure;

  private long since;

  /** Since when the slots do not tell; {@link Long#MAX_VALUE}: they do. */
  private long blindSince;

  private @Nullable Fencing fencing;
  private FenceAction.@Nullable Ask ask;
  private long wakeAt = Long.MAX_VALUE;

  /** Of the victim's record, since the fencing began. */
  private long lastSequence;

  private int changes;

  private final Map<ReservationKey, Proven> fenced = new LinkedHashMap<>();
  private final List<RecoverJournal> journals = new ArrayList<>();

  /** Who was shut out, is registered all the same, and has not been fenced since. */
  private final Set<ReservationKey> intruders = new LinkedHashSet<>();

  /** Beside XFS a PREEMPT that does not take is not sent again before. */
  private long keepOutDue;

  private int keepOuts;

  private long resets;

  /** The number of the reset under way; 0: none. */
  private long resetUnderWay;

  private String noted = "";

  Takeover(
      Outbox out,
      TenureRules rules,
      Situation situation,
      ArrayDialogue array,
      LeaseKeeper lease,
      Pulse pulse,
      Guard guard) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.array = array;
    this.lease = lease;
    this.pulse = pulse;
    this.guard = guard;
  }

  /** As the holder: what is to be done before the tenure is settled. */
  void goOn() {
    FencingSettings settings = situation.settings().takeover();
    if (settings == null) {
      return;
    }
    List<Outcast> outcasts = pulse.outcasts();
    if (rules.isSettled()) {
      if (outcasts.isEmpty() && !hasSilentStranger()) {
        return;
      }
      rules.unsettle();
    }
    noteIntruders(outcasts);
    if (rules.mayHaveXfs()) {
      keepOut(outcasts);
      return;
    }
    if (tenure != rules.tenure()) {
      forget();
      tenure = rules.tenure();
      since = out.now();
      blindSince = Long.MAX_VALUE;
    }
    Fencing begun = fencing;
    if (begun != null && goesOnByItself(begun.victim())) {
      out.note(
          Action.Level.INFO, "{} has left, or beats again: it is not shut out now", begun.victim());
      end();
    }
    if (fencing == null) {
      lookForVictims(settings);
    } else if (out.now() >= wakeAt) {
      wakeAt = Long.MAX_VALUE;
      step(fencing, new FenceEvent.Tick());
    }
    if (rules.isSettled()) {
      return;
    }
    wantWhatIsAsked();
    if (wakeAt != Long.MAX_VALUE) {
      out.wakeAt(wakeAt);
    }
  }

  /** Without XFS: beside it nobody is shut out for his silence. */
  private boolean hasSilentStranger() {
    return !rules.mayHaveXfs() && guard.whyNobody() == null && !pulse.silentStrangers().isEmpty();
  }

  private void noteIntruders(List<Outcast> outcasts) {
    keepOuts = outcasts.isEmpty() ? 0 : keepOuts;
    intruders.addAll(guard.takeOwed());
    for (Outcast outcast : outcasts) {
      // What was proven of it is void once it is seen to be registered after that.
      if (!pulse.isProven(outcast.key()) && intruders.add(outcast.key())) {
        out.note(
            Action.Level.WARN,
            "node {} was shut out as {}, and is registered again by {}: it is shut out once more",
            outcast.key().nodeName(),
            outcast.key(),
            pulse.pathsOf(outcast));
      }
    }
    // A later life of its node accounts for it.
    intruders.removeIf(key -> pulse.outcast(key) == null);
  }

  /** XFS is here: it is shut out at once, and the rest waits until XFS is detached. */
  private void keepOut(List<Outcast> outcasts) {
    for (Outcast outcast : outcasts) {
      for (ReservationKey key : pulse.pathsOf(outcast)) {
        if (out.now() < keepOutDue) {
          out.wakeAt(keepOutDue);
          return;
        }
        array.want(
            ArrayDialogue.Priority.FENCE,
            () -> {
              boolean rests = ++keepOuts >= KEEP_OUTS_MAX;
              keepOutDue =
                  out.now()
                      + (rests
                          ? OwnershipSettings.TAKE_AGAIN_MILLIS
                          : OwnershipSettings.RETRY_MILLIS);
              return rules.shutOut(new Permit.ShutOut(outcast, key));
            },
            _ -> lease.lookAnew());
      }
    }
  }

  private void lookForVictims(FencingSettings settings) {
    List<ReservationKey> unsettled = pulse.unsettled();
    if (unsettled == null) {
      blindSince = Math.min(blindSince, out.now());
      if (out.now() - blindSince >= OwnershipSettings.DISK_MILLIS) {
        note("who was shut out the heartbeat slots do not tell; " + pulse.trouble());
      }
      return;
    }
    blindSince = Long.MAX_VALUE;
    fenced.keySet().removeIf(key -> !pulse.isProven(key)); // it is registered again
    Set<ReservationKey> open = new LinkedHashSet<>(unsettled);
    open.addAll(intruders);
    if (open.isEmpty()) {
      if (lease.isRecent() && areAllStillOut()) {
        settle();
      }
      return;
    }
    String nobody = guard.whyNobody();
    if (nobody != null) {
      note(nobody + "; waiting for what becomes of " + unsettled);
      return;
    }
    // Who is not registered for a moment, as after a grant, comes back; a reset disturbs everybody.
    // Of whose slot is another's by now nothing more will be read; it was silent when it was shut
    // out.
    open.stream()
        .filter(key -> !fenced.containsKey(key))
        .filter(key -> permit(key, key) != null || pulse.isOverwritten(key))
        .findFirst()
        .ifPresentOrElse(
            victim -> begin(victim, settings), () -> note("waiting for what becomes of " + open));
  }

  /**
   * Whether nobody came or went since each was proven to have ended: else a REGISTER of the victim
   * that was under way may have let it in, and another survivor shut it out again, with a write in
   * between. Of whom that is not so all is done anew; also where it was somebody else who came.
   */
  private boolean areAllStillOut() {
    LeaseKeeper.Shown shown = lease.shown();
    boolean all = true;
    for (Proven one : List.copyOf(fenced.values())) {
      ReservationKey victim = one.proof().victim();
      if (shown == null || shown.askedAt() <= one.provenAt()) {
        all = false; // that is being asked
      } else if (!one.holdsAt(shown)) {
        all = false;
        out.note(Action.Level.INFO, "registrations changed after {} was fenced: once more", victim);
        out.wakeAt(out.now());
        fenced.remove(victim);
        pulse.forgetProof(victim);
        if (pulse.outcast(victim) != null) {
          intruders.add(victim);
        }
      }
    }
    return all;
  }

  /** To shut out that key of this victim; null: there is no reason to. */
  private @Nullable Permit permit(ReservationKey victim, ReservationKey key) {
    Outcast outcast = pulse.outcast(victim);
    if (outcast != null) {
      return new Permit.ShutOut(outcast, key);
    }
    Silence silence = pulse.silence(victim);
    return silence == null ? null : new Permit.Silent(silence, key);
  }

  /**
   * Its slot says no more that it is alive: what it sent last has landed late. Or its record has
   * changed twice: only one write of it can have been under way, so it lives, and is not shut out.
   * It stays unsettled then: it goes on when it is silent again, because it has seen that it was
   * shut out, or has come back under another key (see {@code Handover}).
   */
  private boolean goesOnByItself(ReservationKey victim) {
    if (pulse.outcast(victim) != null || pulse.isOverwritten(victim)) {
      return false;
    }
    long sequence = pulse.sequenceOf(victim);
    if (sequence != lastSequence) {
      lastSequence = sequence;
      changes++;
    }
    return sequence < 0 || changes >= 2;
  }

  /** For who waits; "" where that is no news yet. */
  String waitsFor() {
    return out.now() - since >= OwnershipSettings.DISK_MILLIS ? noted : "";
  }

  private void note(String text) {
    if (!text.equals(noted)) {
      noted = text;
      out.note(Action.Level.INFO, "before XFS is attached: {}", text);
    }
  }

  private void begin(ReservationKey victim, FencingSettings settings) {
    out.note(Action.Level.WARN, "fencing {}: node {} was shut out", victim, victim.nodeName());
    Fencing begun = Fencing.ofOneThatIsGone(rules.key(), victim, settings);
    fencing = begun;
    lastSequence = pulse.sequenceOf(victim);
    changes = 0;
    step(begun, new FenceEvent.Start());
  }

  private void forget() {
    fencing = null;
    ask = null;
    wakeAt = Long.MAX_VALUE;
    fenced.clear();
    journals.clear();
    resetUnderWay = 0;
    noted = "";
  }

  // ---- the fencing ----

  private void step(Fencing of, FenceEvent event) {
    for (FenceAction action : of.step(event, out.now())) {
      switch (action) {
        case FenceAction.Ask asked -> ask = asked;
        case FenceAction.Wake wake -> wakeAt = wake.atMillis();
        case FenceAction.Reserve _ -> lease.lookNow(); // it was ours: that ends the tenure
        case FenceAction.Done done -> {
          Fenced proof = done.proof();
          intruders.remove(proof.victim());
          fenced.put(
              proof.victim(),
              new Proven(
                  proof,
                  new ClearRecords(proof, pulse.askedReading()),
                  rules.ask(),
                  array.preempts()));
          pulse.shutOut(proof);
          lease.lookAnew();
          guard.fenced(proof);
          end();
        }
        case FenceAction.Lost _ -> {
          lease.lookNow();
          end();
        }
        case FenceAction.Note note -> out.note(note.level(), "{}", note.text());
      }
    }
  }

  /** A reset that is under way is of this fencing, and proves nothing for the next. */
  private void end() {
    fencing = null;
    ask = null;
    wakeAt = Long.MAX_VALUE;
    resetUnderWay = 0;
  }

  private void wantWhatIsAsked() {
    Fencing of = fencing;
    FenceAction.Ask asked = ask;
    if (of == null || asked == null) {
      return;
    }
    switch (asked.command()) {
      case FenceCommand.ReadKeys _ -> want(of, asked, new ArrayCommand.ReadKeys());
      case FenceCommand.ReadReservation _ -> want(of, asked, new ArrayCommand.ReadReservation());
      case FenceCommand.Preempt preempt -> {
        // One who has come to life again is not shut out; its silence is waited for anew.
        Permit permit = permit(of.victim(), preempt.victim());
        if (permit != null && guard.whyNobody() == null) {
          array.want(
              ArrayDialogue.Priority.FENCE,
              () -> {
                guard.shuttingOut(permit.victim());
                return rules.shutOut(permit);
              },
              reply -> answered(of, asked, reply.answer()));
        }
      }
      case FenceCommand.Reset _ -> {
        if (resetUnderWay == 0) {
          resetUnderWay = ++resets;
          out.add(new Action.ResetUnit(resetUnderWay));
        }
      }
    }
  }

  private void want(Fencing of, FenceAction.Ask asked, ArrayCommand command) {
    array.want(
        ArrayDialogue.Priority.FENCE, () -> command, reply -> answered(of, asked, reply.answer()));
  }

  /** Of a fencing that is over, or a question that was answered, nobody wants to hear. */
  private void answered(Fencing of, FenceAction.Ask asked, ArrayAnswer answer) {
    if (of.equals(fencing) && asked.equals(ask) && tenure == rules.tenure()) {
      ask = null;
      if (answer instanceof ArrayAnswer.Keys keys && !keys.keys().contains(of.victim())) {
        pulse.victim(of.victim());
      }
      step(of, new FenceEvent.Answered(asked.question(), answer));
    }
  }

  void onReset(long question, ArrayAnswer answer) {
    Fencing of = fencing;
    FenceAction.Ask asked = ask;
    if (question != resetUnderWay || of == null || asked == null) {
      return; // of a fencing that is over
    }
    resetUnderWay = 0;
    answered(of, asked, answer);
  }

  // ---- what comes after ----

  /** Nobody is left: the journal may be recovered. */
  private void settle() {
    List<RecoverJournal> recovers = new ArrayList<>();
    for (Proven proven : fenced.values()) {
      ClearRecords clear = proven.clear();
      // There are no lock slots yet, and no locks: nothing names the victim.
      clear.read(pulse.goodReading(), List.of());
      RecordsCleared records = clear.done();
      if (records == null) {
        return; // a reading that is asked for after the proof will tell
      }
      LocksCleared locks = records.locksCleared(new LockAction.LocksCleared(records.victim()));
      RecoverJournal journal = locks == null ? null : locks.recoverJournal(rules.tenure());
      if (journal == null) {
        throw new IllegalStateException("in a tenure of ours another held it: " + clear);
      }
      recovers.add(journal);
    }
    journals.addAll(recovers);
    fenced.clear();
    pulse.settled();
    rules.settled();
  }

  void onAttached(Event.Attached end) {
    for (RecoverJournal journal : List.copyOf(journals)) {
      Recovered recovered = journal.attached(end);
      if (recovered != null) {
        journals.remove(journal);
        out.note(
            Action.Level.INFO,
            "taken over from {} at epoch {}, {} ms after it was shut out",
            recovered.victim(),
            recovered.epoch(),
            out.now() - since);
      }
    }
  }
}
