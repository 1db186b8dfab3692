// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ReservationKey;

/**
 * A disk with three initiators: who fences (A), another survivor (B), the victim (V), which may
 * come back under a second key. Commands of the victim that the array has accepted are under way
 * for at most {@code life}: writes, and one REGISTER from before that has not been answered, of its
 * key or of that of an earlier daemon there ({@link #V_EARLIER}): the victim's XFS writes by that
 * one as well. Each kind of array ends them in its own way.
 */
final class ModelArray implements Cloneable {
  /** What PREEMPT AND ABORT does, and whether a reset reaches the array. */
  enum Kind {
    /** Ends all that came by the victim's registrations; a key of nobody is a conflict. */
    STANDARD(true),
    /** Ends only what came while the victim held the reservation; GOOD for a key of nobody. */
    LIO(true),
    /** Refuses PREEMPT AND ABORT; GOOD for a key of nobody. */
    TGT(true),
    /** LIO behind QEMU's virtio-scsi: a reset is done, and nothing of others ended by it. */
    LIO_BEHIND_QEMU(false);

    final boolean resetReaches;

    Kind(boolean resetReaches) {
      this.resetReaches = resetReaches;
    }
  }

  static final ReservationKey A = ReservationKey.of(1, 1);
  static final ReservationKey B = ReservationKey.of(2, 1);
  static final ReservationKey V_EARLIER = ReservationKey.of(3, 1);
  static final ReservationKey V = ReservationKey.of(3, 2);
  static final ReservationKey V_ANEW = ReservationKey.of(3, 3);

  static final int NOBODY = 0;
  static final int BY_A = 1;
  static final int BY_B = 2;
  static final int BY_V = 3;

  private static final ReservationKey[] NAMES = {ReservationKey.NONE, A, B, V};
  private static final ReservationKey[] VICTIMS = {ReservationKey.NONE, V, V_ANEW, V_EARLIER};

  /** Under way; {@code age} since the array has accepted it. */
  private record Write(int age, boolean whileHolder) {}

  final Kind kind;
  final int life;
  boolean aRegistered = true;
  boolean bRegistered = true;

  /** 0: not registered; 1: as {@link #V}; 2: as {@link #V_ANEW}; 3: as {@link #V_EARLIER}. */
  int victim = 1;

  int holder;
  long generation;
  private List<Write> writes = List.of();

  /** The age of a REGISTER from no key to one of the victim's that is under way, or -1. */
  int lateRegister;

  private final Late late;

  /** Of which key. */
  enum Late {
    NONE,
    OF_THE_VICTIM,
    OF_AN_EARLIER_LIFE;

    /** None as often as one. */
    static Late any(RandomGenerator random) {
      return random.nextBoolean()
          ? NONE
          : random.nextBoolean() ? OF_THE_VICTIM : OF_AN_EARLIER_LIFE;
    }
  }

  ModelArray(Kind kind, int life, int holder, Late late) {
    this.kind = kind;
    this.life = life;
    this.holder = holder;
    this.late = late;
    this.lateRegister = late == Late.NONE ? -1 : 0;
  }

  @Override
  public ModelArray clone() {
    try {
      return (ModelArray) super.clone();
    } catch (CloneNotSupportedException impossible) {
      throw new AssertionError(impossible);
    }
  }

  // ---- who fences ----

  ArrayAnswer execute(FenceCommand command) {
    return switch (command) {
      case FenceCommand.ReadKeys _ -> keys();
      case FenceCommand.ReadReservation _ ->
          new ArrayAnswer.Reservation(holder(), holder == NOBODY ? 0 : 5);
      case FenceCommand.Preempt preempt -> preempt(preempt.victim(), preempt.abort());
      case FenceCommand.Reset _ -> {
        if (kind.resetReaches) {
          endAll();
        }
        yield new ArrayAnswer.Done();
      }
    };
  }

  /** That key is registered, or will be. */
  boolean hasEarlierLife() {
    return victim == 3 || (lateRegister >= 0 && late == Late.OF_AN_EARLIER_LIFE);
  }

  ReservationKey holder() {
    return holder == BY_V ? VICTIMS[victim] : NAMES[holder];
  }

  private ArrayAnswer keys() {
    List<ReservationKey> keys = new ArrayList<>();
    if (aRegistered) {
      keys.add(A);
    }
    if (bRegistered) {
      keys.add(B);
    }
    if (victim > 0) {
      keys.add(VICTIMS[victim]);
    }
    return new ArrayAnswer.Keys(generation, keys);
  }

  private ArrayAnswer preempt(ReservationKey key, boolean abort) {
    if (abort && kind == Kind.TGT) {
      return new ArrayAnswer.Rejected("no such service action");
    }
    if (!aRegistered) {
      return new ArrayAnswer.Conflict();
    }
    if (!VICTIMS[victim].equals(key)) {
      return kind == Kind.STANDARD ? new ArrayAnswer.Conflict() : new ArrayAnswer.Done();
    }
    shutOut(BY_A);
    if (abort && kind == Kind.STANDARD) {
      endAll();
    } else if (abort) {
      writes = writes.stream().filter(write -> !write.whileHolder()).toList();
    }
    return new ArrayAnswer.Done();
  }

  private void shutOut(int by) {
    victim = 0;
    generation++;
    holder = holder == BY_V ? by : holder;
  }

  private void endAll() {
    writes = List.of();
    lateRegister = -1;
  }

  // ---- everybody else; each returns whether it did anything ----

  /** A write of the incarnation that is to be fenced; refused where the standard says so. */
  boolean victimWrites() {
    if ((victim == 0 && holder != NOBODY) || victim == 2) {
      return false;
    }
    List<Write> more = new ArrayList<>(writes);
    more.add(new Write(0, holder == BY_V));
    writes = List.copyOf(more);
    return true;
  }

  int writesUnderWay() {
    return writes.size();
  }

  /** One that is under way comes to its end, and takes effect or not. */
  boolean writeEnds(int which) {
    if (which >= writes.size()) {
      return false;
    }
    List<Write> less = new ArrayList<>(writes);
    less.remove(which);
    writes = List.copyOf(less);
    return true;
  }

  boolean lateRegisterIsExecuted() {
    if (lateRegister < 0) {
      return false;
    }
    lateRegister = -1;
    if (victim == 0) {
      victim = late == Late.OF_AN_EARLIER_LIFE ? 3 : 1;
      generation++;
    }
    return true;
  }

  /** It has stopped all that it did, and registers as another incarnation. */
  boolean victimRegistersAnew() {
    if (victim == 2) {
      return false;
    }
    victim = 2;
    generation++;
    return true;
  }

  boolean otherPreemptsVictim() {
    if (!bRegistered || victim == 0 || victim == 2) {
      return false;
    }
    shutOut(BY_B);
    return true;
  }

  boolean otherPreemptsUs() {
    if (!bRegistered || !aRegistered) {
      return false;
    }
    aRegistered = false;
    generation++;
    holder = holder == BY_A ? BY_B : holder;
    return true;
  }

  /** It leaves the disk unreserved only while it has no reason to think that one is shut out. */
  boolean otherRegistersOrLeaves() {
    if (bRegistered && holder == BY_B && (victim == 0 || victim == 3)) {
      return false;
    }
    holder = bRegistered && holder == BY_B ? NOBODY : holder;
    bRegistered = !bRegistered;
    generation++;
    return true;
  }

  boolean reserves(int who) {
    boolean registered = who == BY_A ? aRegistered : bRegistered;
    if (holder != NOBODY || !registered) {
      return false;
    }
    holder = who;
    return true;
  }

  /** Power loss without APTPL: what was under way is gone with it. */
  boolean losesEverything() {
    aRegistered = false;
    bRegistered = false;
    victim = 0;
    holder = NOBODY;
    generation = 0;
    endAll();
    return true;
  }

  boolean weRegisterAgain() {
    if (aRegistered) {
      return false;
    }
    aRegistered = true;
    generation++;
    return true;
  }

  /** False: something would live too long, and has to end first. */
  boolean timePasses(int by) {
    if (oldest() + by > life) {
      return false;
    }
    writes =
        writes.stream().map(write -> new Write(write.age() + by, write.whileHolder())).toList();
    lateRegister = lateRegister < 0 ? -1 : lateRegister + by;
    return true;
  }

  int oldest() {
    return writes.stream().mapToInt(Write::age).reduce(lateRegister, Math::max);
  }

  // ---- what has to hold when a proof is made ----

  String whatIsNotShutOut() {
    if (!aRegistered) {
      return "we are not registered";
    }
    if (victim == 1) {
      return "the victim is registered";
    }
    if (victim == 3) {
      return "a key of an earlier life is registered, and lets the victim write";
    }
    if (holder == NOBODY) {
      return "the disk is not reserved";
    }
    if (!writes.isEmpty()) {
      return "a write of the victim is under way";
    }
    return lateRegister >= 0 ? "a REGISTER of the victim is under way" : "";
  }

  long digest() {
    long bits = generation;
    bits = bits << 1 | (aRegistered ? 1 : 0);
    bits = bits << 1 | (bRegistered ? 1 : 0);
    bits = bits << 2 | victim;
    bits = bits << 2 | holder;
    bits = bits << 4 | (lateRegister + 1);
    bits = bits << 1 | (lateRegister >= 0 && late == Late.OF_AN_EARLIER_LIFE ? 1 : 0);
    List<Integer> codes =
        writes.stream().map(w -> 1 + w.age() * 2 + (w.whileHolder() ? 1 : 0)).sorted().toList();
    for (int i = 0; i < 3; i++) {
      bits = bits << 5 | (i < codes.size() ? codes.get(i) : 0);
    }
    return bits;
  }

  @Override
  public String toString() {
    return "registered "
        + keys()
        + " holder "
        + holder()
        + " writes "
        + writes
        + " late REGISTER "
        + late;
  }
}
