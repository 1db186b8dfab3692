// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.Predicate;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Everything that can happen to a {@link Proof}: all of it, breadth first, in a small world, and by
 * chance in a larger one. Who drives it has no policy: any command may be asked for in any state,
 * so what holds here rests on the proof alone. The victim writes whenever the array lets it; its
 * commands end at any time within their life; another survivor fences the same victim, comes, goes,
 * and shuts us out; the array loses everything; our own commands are executed at any time, or
 * never, or after they were given up, and an earlier answer may come again. Bounded are only the
 * numbers.
 */
final class FencingModel {
  /** Ticks that a command of the victim lives; the settings say one more. */
  private static final int LIFE = 2;

  /** Of a walk. */
  private static final int STEPS = 60;

  private static final FenceCommand OF_EARLIER =
      new FenceCommand.Preempt(ModelArray.A, ModelArray.V_EARLIER, false);

  private static final List<FenceCommand> COMMANDS =
      List.of(
          new FenceCommand.ReadKeys(),
          new FenceCommand.ReadReservation(),
          new FenceCommand.Preempt(ModelArray.A, ModelArray.V, false),
          new FenceCommand.Preempt(ModelArray.A, ModelArray.V, true),
          new FenceCommand.Reset(),
          OF_EARLIER);

  /**
   * How often what is not bounded by itself may happen.
   *
   * @param writes of the victim
   * @param others what the other survivor does, and the victim as another incarnation
   * @param losses of all registrations
   * @param doubts commands of ours that are given up, and answers that come again
   */
  record Limits(int writes, int others, int losses, int doubts) {}

  /** What may happen next; {@code how} says whether it did. The heavier, the more by chance. */
  private record Deed(String name, int weight, Predicate<World> how) {}

  /** A command of ours: not there yet, or executed with its answer on the way. */
  private record Flight(
      long number,
      FenceCommand command,
      @Nullable ArrayAnswer shown,
      String wrong,
      ReservationKey holder) {}

  private record Stale(long number, ArrayAnswer answer) {}

  private record Code(
      long array, long flight, long stale, long counts, long proof, long more, long holder) {}

  private static final class World {
    ModelArray array;
    Proof proof;
    @Nullable Flight flight;

    /** Given up, and not executed yet. */
    @Nullable FenceCommand orphan;

    /** The last reading that was answered: it may come again. */
    @Nullable Stale stale;

    long now;
    int writes;
    int others;
    int losses;
    int renewals;
    int doubts;

    /** What was wrong when a proof was made; "": nothing. */
    String violation = "";

    World(ModelArray array, Proof proof) {
      this.array = array;
      this.proof = proof;
    }

    World(World other) {
      array = other.array.clone();
      proof = other.proof.clone();
      flight = other.flight;
      orphan = other.orphan;
      stale = other.stale;
      now = other.now;
      writes = other.writes;
      others = other.others;
      losses = other.losses;
      renewals = other.renewals;
      doubts = other.doubts;
      violation = other.violation;
    }

    boolean isOver() {
      return proof.fenced() != null || proof.isLost();
    }

    Code code() {
      long[] proofBits = new long[3];
      int[] at = {0};
      proof.digest(now, bits -> proofBits[at[0]++] = bits);
      long counts = writes;
      counts = counts << 4 | others;
      counts = counts << 4 | losses;
      counts = counts << 4 | renewals;
      counts = counts << 4 | doubts;
      counts = counts << 4 | kind(orphan);
      Flight f = flight;
      long flightBits = 0;
      if (f != null) {
        flightBits = kind(f.command());
        flightBits = flightBits << 32 | answer(f.shown());
        flightBits = flightBits << 1 | (f.wrong().isEmpty() ? 0 : 1);
        flightBits = flightBits << 4 | bits(f.holder());
      }
      Stale s = stale;
      return new Code(
          array.digest(),
          flightBits,
          s == null ? 0 : answer(s.answer()),
          counts,
          proofBits[0],
          proofBits[1],
          proofBits[2]);
    }

    private static int kind(@Nullable FenceCommand command) {
      return switch (command) {
        case null -> 0;
        case FenceCommand.ReadKeys _ -> 1;
        case FenceCommand.ReadReservation _ -> 2;
        case FenceCommand.Preempt preempt when preempt.victim().equals(ModelArray.V) ->
            preempt.abort() ? 3 : 4;
        case FenceCommand.Reset _ -> 5;
        case FenceCommand.Preempt _ -> 6;
      };
    }

    private static long bits(ReservationKey key) {
      return (long) key.nodeId() << 2 | key.incarnation();
    }

    private static long answer(@Nullable ArrayAnswer answer) {
      return switch (answer) {
        case null -> 0;
        case ArrayAnswer.Keys keys -> {
          long bits = 1;
          bits = bits << 8 | keys.generation();
          bits = bits << 1 | (keys.keys().contains(ModelArray.A) ? 1 : 0);
          bits = bits << 1 | (keys.keys().contains(ModelArray.B) ? 1 : 0);
          bits = bits << 1 | (keys.keys().contains(ModelArray.V) ? 1 : 0);
          bits = bits << 1 | (keys.keys().contains(ModelArray.V_EARLIER) ? 1 : 0);
          yield bits << 1 | (keys.keys().contains(ModelArray.V_ANEW) ? 1 : 0);
        }
        case ArrayAnswer.Reservation reservation -> 2L << 16 | bits(reservation.holder());
        case ArrayAnswer.Done _ -> 3;
        case ArrayAnswer.Conflict _ -> 4;
        case ArrayAnswer.Rejected _ -> 5;
        default -> throw new IllegalArgumentException(answer.toString());
      };
    }
  }

  private final FencingSettings settings;
  private final Limits limits;

  /** How many proofs were made, by the way in which what was under way came to its end. */
  final Map<Class<?>, Integer> proofs = new HashMap<>();

  private FencingModel(FencingSettings settings, Limits limits) {
    this.settings = settings;
    this.limits = limits;
  }

  static FencingSettings settings(boolean abort, boolean reset) {
    return new FencingSettings(abort, reset, 1, 0, LIFE - 1);
  }

  private World start(ModelArray.Kind kind, int holder, ModelArray.Late late) {
    return new World(
        new ModelArray(kind, LIFE, holder, late), new Proof(ModelArray.A, ModelArray.V, settings));
  }

  // ---- all of it ----

  /** Explores; an AssertionError tells how it came to a proof that does not hold. */
  static FencingModel explore(ModelArray.Kind kind, FencingSettings settings, Limits limits) {
    FencingModel model = new FencingModel(settings, limits);
    model.explore(kind);
    return model;
  }

  private void explore(ModelArray.Kind kind) {
    long begun = System.nanoTime();
    Set<Code> seen = new HashSet<>();
    List<Integer> parents = new ArrayList<>();
    List<String> names = new ArrayList<>();
    Deque<World> open = new ArrayDeque<>();
    Deque<Integer> openNumbers = new ArrayDeque<>();
    for (int holder = ModelArray.NOBODY; holder <= ModelArray.BY_V; holder++) {
      for (ModelArray.Late late : ModelArray.Late.values()) {
        World start = start(kind, holder, late);
        seen.add(start.code());
        open.add(start);
        openNumbers.add(parents.size());
        parents.add(-1);
        names.add(start.array.toString());
      }
    }
    while (!open.isEmpty()) {
      World world = open.remove();
      int number = openNumbers.remove();
      for (Deed deed : deeds(world)) {
        World next = new World(world);
        if (!deed.how().test(next)) {
          continue;
        }
        if (!next.violation.isEmpty()) {
          Deque<String> story = new ArrayDeque<>(List.of(deed.name()));
          for (int at = number; at >= 0; at = parents.get(at)) {
            story.addFirst(names.get(at));
          }
          throw new AssertionError(next.violation + "\n" + String.join("\n", story));
        }
        if (seen.add(next.code()) && !next.isOver()) {
          open.add(next);
          openNumbers.add(parents.size());
          parents.add(number);
          names.add(deed.name());
        }
      }
    }
    System.out.printf(
        "%s %s: %d states, complete, proofs %s, %d ms%n",
        kind, limits, seen.size(), proofs, (System.nanoTime() - begun) / 1_000_000);
  }

  // ---- by chance ----

  /** So many walks, each from a seed. */
  static FencingModel walk(
      ModelArray.Kind kind, FencingSettings settings, Limits limits, long seeds) {
    return new FencingModel(settings, limits).walk(kind, 0, seeds);
  }

  private FencingModel walk(ModelArray.Kind kind, long from, long to) {
    for (long seed = from; seed < to; seed++) {
      walk(kind, seed);
    }
    return this;
  }

  private void walk(ModelArray.Kind kind, long seed) {
    RandomGenerator random = new SplittableRandom(seed);
    World world = start(kind, random.nextInt(0, 4), ModelArray.Late.any(random));
    List<String> story = new ArrayList<>(List.of("seed " + seed, world.array.toString()));
    for (int step = 0; step < STEPS && !world.isOver(); step++) {
      List<Deed> deeds = deeds(world);
      int all = deeds.stream().mapToInt(Deed::weight).sum();
      int drawn = random.nextInt(all);
      Deed deed = deeds.getFirst();
      for (Deed one : deeds) {
        deed = one;
        drawn -= one.weight();
        if (drawn < 0) {
          break;
        }
      }
      World next = new World(world);
      if (deed.how().test(next)) {
        world = next;
        story.add(deed.name());
      }
      if (!world.violation.isEmpty()) {
        throw new AssertionError(world.violation + "\n" + String.join("\n", story));
      }
    }
  }

  /** For planted bugs: all kinds of disks in turns, until one tells. */
  static void find(long seeds) {
    Limits most = new Limits(2, 3, 1, 2);
    FencingModel abort = new FencingModel(settings(true, false), most);
    FencingModel reset = new FencingModel(settings(false, true), most);
    FencingModel time = new FencingModel(settings(false, false), most);
    for (long seed = 0; seed < seeds; seed++) {
      abort.walk(ModelArray.Kind.STANDARD, seed);
      reset.walk(ModelArray.Kind.TGT, seed);
      time.walk(ModelArray.Kind.LIO_BEHIND_QEMU, seed);
    }
  }

  // ---- what may happen ----

  private List<Deed> deeds(World world) {
    List<Deed> deeds = new ArrayList<>();
    ours(world, deeds);
    if (world.writes < limits.writes()) {
      deeds.add(
          new Deed(
              "the victim's write is accepted", 3, w -> w.array.victimWrites() && ++w.writes > 0));
    }
    for (int i = 0; i < world.array.writesUnderWay(); i++) {
      int which = i;
      deeds.add(new Deed("a write of the victim ends", 1, w -> w.array.writeEnds(which)));
    }
    if (world.array.lateRegister >= 0) {
      deeds.add(
          new Deed(
              "the victim's late REGISTER is executed", 1, w -> w.array.lateRegisterIsExecuted()));
    }
    deeds.add(new Deed("time passes", 4, w -> w.array.timePasses(1) && ++w.now > 0));
    deeds.add(new Deed("we reserve", 1, w -> w.array.reserves(ModelArray.BY_A)));
    if (world.others < limits.others()) {
      other(deeds, "the victim registers anew", ModelArray::victimRegistersAnew);
      other(deeds, "the other preempts the victim", ModelArray::otherPreemptsVictim);
      other(deeds, "the other preempts us", ModelArray::otherPreemptsUs);
      other(deeds, "the other registers or leaves", ModelArray::otherRegistersOrLeaves);
      other(deeds, "the other reserves", a -> a.reserves(ModelArray.BY_B));
    }
    if (world.losses < limits.losses()) {
      deeds.add(
          new Deed(
              "the array loses all registrations",
              1,
              w -> w.array.losesEverything() && ++w.losses > 0));
    }
    if (world.losses > world.renewals) {
      deeds.add(
          new Deed(
              "we register again",
              4,
              w -> {
                w.proof.registering();
                return w.array.weRegisterAgain() && ++w.renewals > 0;
              }));
    }
    return deeds;
  }

  private static void other(List<Deed> deeds, String name, Predicate<ModelArray> how) {
    deeds.add(new Deed(name, 1, w -> how.test(w.array) && ++w.others > 0));
  }

  private void ours(World world, List<Deed> deeds) {
    FenceCommand orphan = world.orphan;
    if (orphan != null) {
      deeds.add(
          new Deed(
              "what we gave up is executed: " + orphan,
              2,
              w -> {
                w.array.execute(orphan);
                w.orphan = null;
                return true;
              }));
    }
    Flight flight = world.flight;
    if (flight == null) {
      FenceCommand helpful = helpful(world.proof);
      for (FenceCommand command : COMMANDS) {
        if (command.equals(OF_EARLIER) && !world.array.hasEarlierLife()) {
          continue; // it meets nobody, as one of the victim after the first
        }
        deeds.add(
            new Deed(
                "asked: " + command,
                command.equals(helpful) ? 12 : 1,
                w -> {
                  long number = w.proof.ask(command, w.now);
                  w.flight = new Flight(number, command, null, "", ReservationKey.NONE);
                  return true;
                }));
      }
      return;
    }
    ArrayAnswer shown = flight.shown();
    if (shown != null) {
      deeds.add(
          new Deed(
              "answered: " + shown,
              10,
              w -> {
                w.proof.answered(flight.number(), shown, w.now);
                w.flight = null;
                if (flight.command() instanceof FenceCommand.ReadKeys) {
                  w.stale = new Stale(flight.number(), shown);
                }
                judge(w, flight.wrong(), flight.holder());
                return true;
              }));
    } else {
      deeds.add(
          new Deed(
              "executed: " + flight.command(),
              10,
              w -> {
                ArrayAnswer answer = w.array.execute(flight.command());
                String wrong = w.array.whatIsNotShutOut();
                w.flight =
                    new Flight(flight.number(), flight.command(), answer, wrong, w.array.holder());
                return true;
              }));
    }
    if (world.doubts < limits.doubts()) {
      doubts(world, flight, deeds);
    }
  }

  /** Once in the order in which {@link Fencing} asks, so that chance comes to a proof at times. */
  private FenceCommand helpful(Proof proof) {
    if (proof.earlier() != null) {
      return OF_EARLIER;
    }
    if (proof.isGuarded()) {
      return COMMANDS.get(3);
    }
    if (proof.isGone() || proof.isRegistered()) {
      return COMMANDS.get(1);
    }
    return COMMANDS.get(proof.isShutOut() && settings.resetEndsAll() ? 4 : 0);
  }

  private void doubts(World world, Flight flight, List<Deed> deeds) {
    Stale stale = world.stale;
    if (stale != null) {
      deeds.add(
          new Deed(
              "an earlier answer comes again: " + stale.answer(),
              1,
              w -> {
                w.doubts++;
                w.proof.answered(stale.number(), stale.answer(), w.now);
                w.stale = null;
                judge(w, w.array.whatIsNotShutOut(), w.array.holder());
                return true;
              }));
    }
    for (boolean later : new boolean[] {false, true}) {
      if (later && (world.orphan != null || flight.shown() != null || reads(flight.command()))) {
        continue;
      }
      deeds.add(
          new Deed(
              later ? "given up, to be executed later" : "given up",
              1,
              w -> {
                w.doubts++;
                w.orphan = later ? flight.command() : w.orphan;
                w.flight = null;
                w.proof.answered(flight.number(), new ArrayAnswer.Unclear("no answer"), w.now);
                judge(w, w.array.whatIsNotShutOut(), w.array.holder());
                return true;
              }));
    }
  }

  private static boolean reads(FenceCommand command) {
    return command instanceof FenceCommand.ReadKeys
        || command instanceof FenceCommand.ReadReservation;
  }

  /** Both as they were when the last reading was executed. */
  private void judge(World world, String notShutOut, ReservationKey holder) {
    Fenced fenced = world.proof.fenced();
    if (fenced != null) {
      String wrong = notShutOut;
      if (wrong.isEmpty() && !fenced.holder().equals(holder)) {
        wrong = holder + " holds the reservation";
      }
      proofs.merge(fenced.end().getClass(), 1, Integer::sum);
      world.violation = wrong.isEmpty() ? "" : wrong + ", and yet " + fenced;
    }
  }
}
