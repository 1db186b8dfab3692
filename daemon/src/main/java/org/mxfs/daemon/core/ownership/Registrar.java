// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayDeque;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Gets our key onto our path, from no key at all. What is in the way is looked at: a key that a
 * dead life of this node left there is replaced, after listening for another machine that runs
 * under our id; a key of anybody else is left alone, for then two machines share one initiator
 * name.
 */
final class Registrar {
  /** How it stands. */
  sealed interface Result {
    record GoingOn() implements Result {}

    /** Registered, once, as READ KEYS has shown. */
    record Registered() implements Result {}

    /** Somebody else's key is on our path. */
    record InUse(String text) implements Result {}

    /** Another path has registered the very same key. */
    record Twin(String text) implements Result {}
  }

  private enum Step {
    REGISTER,
    LOOK,
    REPLACE,
    PROVE
  }

  private static final Result GOING_ON = new Result.GoingOn();

  private final Outbox out;
  private final TenureRules rules;
  private final Situation situation;
  private final ArrayDialogue array;
  private final Departure departure;
  private final Pulse pulse;

  private Step step = Step.REGISTER;
  private ReservationKey old = ReservationKey.NONE;
  private ReservationKey wanted = ReservationKey.NONE;
  private final Deque<ReservationKey> stale = new ArrayDeque<>();
  private int rounds;

  Registrar(
      Outbox out,
      TenureRules rules,
      Situation situation,
      ArrayDialogue array,
      Departure departure,
      Pulse pulse) {
    this.out = out;
    this.rules = rules;
    this.situation = situation;
    this.array = array;
    this.departure = departure;
    this.pulse = pulse;
  }

  /** Begins. {@code before} is the key that our path should have, or none. */
  void begin(ReservationKey before, ReservationKey key) {
    step = Step.REGISTER;
    old = before;
    wanted = key;
    stale.clear();
    rounds = 0;
  }

  /** {@code then} gets what came of each command. */
  void goOn(BiConsumer<Result, ArrayDialogue.Reply> then) {
    Consumer<ArrayDialogue.Reply> take =
        reply -> then.accept(onAnswer(reply.answer(), reply.askedAtMillis()), reply);
    switch (step) {
      case REGISTER -> register(old, take);
      case LOOK -> array.wantForPhase(ArrayCommand.ReadFullStatus::new, take);
      case REPLACE -> {
        long listenedAt = situation.startedAt() + OwnershipSettings.LISTEN_MILLIS;
        if (out.now() < listenedAt) {
          out.wakeAt(listenedAt);
        } else {
          register(stale.getFirst(), take);
        }
      }
      case PROVE -> array.wantForPhase(ArrayCommand.ReadKeys::new, take);
    }
  }

  private void register(ReservationKey from, Consumer<ArrayDialogue.Reply> take) {
    array.wantForPhase(() -> rules.register(from, wanted, situation.aptpl()), take);
  }

  private Result onAnswer(ArrayAnswer answer, long askedAtMillis) {
    switch (answer) {
      case ArrayAnswer.Done _ -> {
        if (step == Step.REPLACE) {
          out.note(
              Action.Level.WARN,
              "key {}, left on this path by an earlier life of this node, is replaced by {}",
              stale.getFirst(),
              wanted);
        }
        step = Step.PROVE;
      }
      case ArrayAnswer.Conflict _ -> {
        return onConflict();
      }
      case ArrayAnswer.Registrations registrations -> {
        return onStatus(registrations.list());
      }
      case ArrayAnswer.Keys keys -> {
        return onKeys(keys.keys(), askedAtMillis);
      }
      case ArrayAnswer.Rejected rejected -> {
        boolean registers = step == Step.REGISTER || step == Step.REPLACE;
        if (!registers || !situation.isAptplRefused(rejected)) {
          departure.trouble(step.name(), rejected.reason());
        }
      }
      case ArrayAnswer other ->
          departure.trouble(Outbox.fill("{} of {}", step, wanted), other.toString());
    }
    return GOING_ON;
  }

  private Result onConflict() {
    if (step == Step.REPLACE) {
      // Not on our path: on another, from before this machine was given a new one.
      stale.removeFirst();
      if (stale.isEmpty()) {
        return again(List.of());
      }
    } else if (old.isNone()) {
      step = Step.LOOK;
    } else {
      old = ReservationKey.NONE; // it was preempted
    }
    return GOING_ON;
  }

  private Result onStatus(List<ArrayAnswer.Registration> registrations) {
    array.succeeded();
    if (registrations.stream().anyMatch(r -> r.key().equals(wanted))) {
      step = Step.PROVE; // an answer of ours was lost
      return GOING_ON;
    }
    stale.clear();
    for (ArrayAnswer.Registration registration : registrations) {
      ReservationKey key = registration.key();
      if (key.nodeId() == wanted.nodeId() && !stale.contains(key)) {
        stale.add(key);
      }
    }
    if (stale.isEmpty()) {
      return again(registrations);
    }
    step = Step.REPLACE;
    return GOING_ON;
  }

  private Result again(List<ArrayAnswer.Registration> registrations) {
    if (++rounds >= OwnershipSettings.REGISTER_ROUNDS_MAX) {
      return new Result.InUse(
          Outbox.fill(
              "this machine's path to {} is registered with a key that is not of this node{}: two"
                  + " machines use one initiator name (or one host's LUN was passed to both), or"
                  + " this node had another id; if that other machine is off for certain, remove"
                  + " the key: sg_persist -o -G -K KEY -S 0 {}",
              situation.settings().device(),
              registrations.isEmpty() ? "" : " (one of " + registrations + ")",
              situation.settings().device()));
    }
    step = Step.REGISTER;
    array.pause(OwnershipSettings.RETRY_MILLIS);
    return GOING_ON;
  }

  private Result onKeys(List<ReservationKey> keys, long askedAtMillis) {
    rules.sawKeys(keys);
    pulse.sawKeys(keys, askedAtMillis);
    int paths = Collections.frequency(keys, wanted);
    if (paths == 0) {
      departure.trouble(
          "READ KEYS", Outbox.fill("our key {} is not registered after REGISTER", wanted));
      old = ReservationKey.NONE;
      step = Step.REGISTER;
      return GOING_ON;
    }
    array.succeeded();
    if (paths == 1) {
      return new Result.Registered();
    }
    return new Result.Twin(
        Outbox.fill(
            "key {} is registered on {} by {} paths: two machines have one node id"
                + " (/etc/mxfs/node.uuid was copied), and were mounting in the same second",
            wanted,
            situation.settings().device(),
            paths));
  }
}
