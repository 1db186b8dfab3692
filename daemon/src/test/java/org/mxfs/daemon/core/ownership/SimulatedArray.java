// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;

/**
 * The part of SPC-4 5.13 (persistent reservations) that mxfs uses: registrations by I_T nexus, one
 * reservation of type 5, PRGENERATION, unit attentions. Commands take effect one after another, as
 * on a real logical unit.
 */
final class SimulatedArray {
  private final Map<Integer, ReservationKey> registrations = new LinkedHashMap<>();
  private final Map<Integer, List<String>> attentions = new LinkedHashMap<>();
  private @Nullable Integer holder;
  private long generation;

  /** Whether it can keep registrations without power. */
  boolean aptpl;

  /** Says that it can, and refuses each registration that asks for it. */
  boolean rejectsAptpl;

  /** Takes the unit attentions that wait for a nexus. */
  List<String> attentions(int nexus) {
    List<String> list = attentions.remove(nexus);
    return list == null ? List.of() : list;
  }

  boolean holds(int nexus) {
    return holder != null && holder == nexus;
  }

  boolean isRegistered(int nexus) {
    return registrations.containsKey(nexus);
  }

  @Nullable Integer holder() {
    return holder;
  }

  ReservationKey key(int nexus) {
    return registrations.getOrDefault(nexus, ReservationKey.NONE);
  }

  ArrayAnswer execute(int nexus, ArrayCommand command) {
    boolean asksForIt =
        switch (command) {
          case ArrayCommand.Register register -> register.aptpl();
          case ArrayCommand.Unregister unregister -> unregister.aptpl();
          default -> false;
        };
    if (rejectsAptpl && asksForIt) {
      return new ArrayAnswer.Rejected("ILLEGAL REQUEST");
    }
    return switch (command) {
      case ArrayCommand.ReportCapabilities _ -> new ArrayAnswer.Supported(aptpl);
      case ArrayCommand.ReadKeys _ ->
          new ArrayAnswer.Keys(generation, List.copyOf(registrations.values()));
      case ArrayCommand.ReadReservation _ ->
          holder == null
              ? new ArrayAnswer.Reservation(ReservationKey.NONE, 0)
              : new ArrayAnswer.Reservation(key(holder), 5);
      case ArrayCommand.ReadFullStatus _ ->
          new ArrayAnswer.Registrations(
              registrations.entrySet().stream()
                  .map(e -> new ArrayAnswer.Registration(e.getValue(), "nexus " + e.getKey()))
                  .toList());
      case ArrayCommand.Register register -> {
        if (!key(nexus).equals(register.old())) {
          yield new ArrayAnswer.Conflict();
        }
        registrations.put(nexus, register.key());
        generation++;
        yield new ArrayAnswer.Done();
      }
      case ArrayCommand.Unregister unregister -> {
        if (!key(nexus).equals(unregister.key())) {
          yield new ArrayAnswer.Conflict();
        }
        registrations.remove(nexus);
        if (holds(nexus)) {
          holder = null;
          registrations.keySet().forEach(n -> attention(n, "RESERVATIONS RELEASED"));
        }
        generation++;
        yield new ArrayAnswer.Done();
      }
      case ArrayCommand.Reserve reserve -> {
        if (!isRegistered(nexus)
            || !key(nexus).equals(reserve.key())
            || (holder != null && !holds(nexus))) {
          yield new ArrayAnswer.Conflict();
        }
        holder = nexus;
        yield new ArrayAnswer.Done();
      }
      case ArrayCommand.Preempt preempt -> preempt(nexus, preempt);
    };
  }

  private ArrayAnswer preempt(int nexus, ArrayCommand.Preempt preempt) {
    if (!key(nexus).equals(preempt.key()) || !registrations.containsValue(preempt.victim())) {
      return new ArrayAnswer.Conflict();
    }
    if (holder != null && key(holder).equals(preempt.victim())) {
      holder = nexus;
    }
    for (int other : new ArrayList<>(registrations.keySet())) {
      if (other != nexus && key(other).equals(preempt.victim())) {
        registrations.remove(other);
        attention(other, "REGISTRATIONS PREEMPTED");
      }
    }
    generation++;
    return new ArrayAnswer.Done();
  }

  private void attention(int nexus, String name) {
    attentions.computeIfAbsent(nexus, _ -> new ArrayList<>()).add(name);
  }
}
