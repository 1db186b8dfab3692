// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.mxfs.scsi.CommandTransport.Completion;

/**
 * The policy of what is sent again, in one place; {@link ScsiDevice} states it.
 *
 * <p>A unit attention means that the device did not start the command (SAM-5 5.14): sending it
 * again repeats nothing. That ends when as many were met as allowed, and at once when the command
 * depended on reservations and the unit attention says that those changed.
 */
final class CommandRunner {
  private static final int GOOD = 0x00;
  private static final int CHECK_CONDITION = 0x02;
  private static final int CONDITION_MET = 0x04;
  private static final int RESERVATION_CONFLICT = 0x18;

  /** Set next to sense data by kernels before 5.14; says nothing of its own. */
  private static final int DRIVER_SENSE = 0x08;

  private final String device;
  private final CommandTransport transport;
  private final ScsiDevice.Options options;

  CommandRunner(String device, CommandTransport transport, ScsiDevice.Options options) {
    this.device = device;
    this.transport = transport;
    this.options = options;
  }

  <T> ScsiResult<T> run(Command<T> command) {
    String what = command.name() + " to " + device;
    List<Sense> seen = new ArrayList<>();
    while (true) {
      Completion c =
          transport.execute(command.cdb(), command.out(), command.inLength(), options.timeout());
      Sense sense;
      try {
        sense = senseOf(c);
      } catch (ScsiFormatException e) {
        return new ScsiResult.BadAnswer<>(what, String.valueOf(e.getMessage()), List.copyOf(seen));
      }
      if (sense != null && mayRepeat(command, sense, seen.size())) {
        seen.add(sense);
        continue;
      }
      return judge(what, command, c, sense, List.copyOf(seen));
    }
  }

  private static @Nullable Sense senseOf(Completion c) throws ScsiFormatException {
    boolean has = c.errno() == 0 && c.status() == CHECK_CONDITION && c.sense().length > 0;
    return has ? Sense.decode(c.sense()) : null;
  }

  private boolean mayRepeat(Command<?> command, Sense sense, int met) {
    return sense.isUnitAttention()
        && met < options.unitAttentions()
        && !(command.dependsOnReservations() && sense.isReservationLost());
  }

  private static <T> ScsiResult<T> judge(
      String what, Command<T> command, Completion c, @Nullable Sense sense, List<Sense> seen) {
    if (c.errno() != 0) {
      return new ScsiResult.TransportError<>(what, c.errno(), 0, 0, seen);
    }
    if (sense != null) {
      // A recovered error is a warning about work that was done.
      if (sense.key() != SenseKey.RECOVERED_ERROR && sense.key() != SenseKey.NO_SENSE) {
        return new ScsiResult.CheckCondition<>(what, sense, seen);
      }
    } else if (c.status() == RESERVATION_CONFLICT) {
      return new ScsiResult.ReservationConflict<>(what, seen);
    } else if (c.hostStatus() != 0
        || (c.driverStatus() & 0xf & ~DRIVER_SENSE) != 0
        || c.status() == CHECK_CONDITION) {
      return new ScsiResult.TransportError<>(what, 0, c.hostStatus(), c.driverStatus(), seen);
    } else if (c.status() != GOOD && c.status() != CONDITION_MET) {
      return new ScsiResult.OtherStatus<>(what, c.status(), seen);
    }
    try {
      return new ScsiResult.Good<>(what, command.decoder().decode(c.data()), seen);
    } catch (ScsiFormatException e) {
      return new ScsiResult.BadAnswer<>(what, String.valueOf(e.getMessage()), seen);
    }
  }

  /** A result that is not good, for a caller that wanted another type of value. */
  static <A, B> ScsiResult<B> retyped(ScsiResult<A> result) {
    return switch (result) {
      case ScsiResult.Good<A> r ->
          throw new IllegalStateException("a good result has a type: " + r);
      case ScsiResult.ReservationConflict<A>(String c, List<Sense> s) ->
          new ScsiResult.ReservationConflict<>(c, s);
      case ScsiResult.CheckCondition<A>(String c, Sense e, List<Sense> s) ->
          new ScsiResult.CheckCondition<>(c, e, s);
      case ScsiResult.OtherStatus<A>(String c, int o, List<Sense> s) ->
          new ScsiResult.OtherStatus<>(c, o, s);
      case ScsiResult.TransportError<A>(String c, int e, int h, int d, List<Sense> s) ->
          new ScsiResult.TransportError<>(c, e, h, d, s);
      case ScsiResult.BadAnswer<A>(String c, String w, List<Sense> s) ->
          new ScsiResult.BadAnswer<>(c, w, s);
    };
  }

  /** A result that also lists the unit attentions that an earlier command met. */
  static <T> ScsiResult<T> withEarlier(ScsiResult<T> result, List<Sense> earlier) {
    if (earlier.isEmpty()) {
      return result;
    }
    List<Sense> all = new ArrayList<>(earlier);
    all.addAll(result.unitAttentions());
    List<Sense> seen = List.copyOf(all);
    return switch (result) {
      case ScsiResult.Good<T>(String c, T v, List<Sense> s) -> new ScsiResult.Good<>(c, v, seen);
      case ScsiResult.ReservationConflict<T>(String c, List<Sense> s) ->
          new ScsiResult.ReservationConflict<>(c, seen);
      case ScsiResult.CheckCondition<T>(String c, Sense e, List<Sense> s) ->
          new ScsiResult.CheckCondition<>(c, e, seen);
      case ScsiResult.OtherStatus<T>(String c, int o, List<Sense> s) ->
          new ScsiResult.OtherStatus<>(c, o, seen);
      case ScsiResult.TransportError<T>(String c, int e, int h, int d, List<Sense> s) ->
          new ScsiResult.TransportError<>(c, e, h, d, seen);
      case ScsiResult.BadAnswer<T>(String c, String w, List<Sense> s) ->
          new ScsiResult.BadAnswer<>(c, w, seen);
    };
  }
}
