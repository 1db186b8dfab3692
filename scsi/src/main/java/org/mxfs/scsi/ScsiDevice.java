// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.mxfs.bindings.ErrnoException;

/**
 * A SCSI logical unit.
 *
 * <p>Unit attentions. A device that has something to tell answers the next command with a unit
 * attention and does not start that command (SAM-5 5.14). Such a command is sent again, at most
 * {@link Options#unitAttentions} times, with every unit attention listed in the result. One
 * exception: a PERSISTENT RESERVE OUT that meets 2A/03, 2A/04 or 2A/05 (reservations or
 * registrations preempted or released) is not sent again, because the state it was decided on is
 * gone; the caller gets that CHECK CONDITION and decides anew. {@link #testUnitReady} is the way to
 * take all of them off the device first.
 *
 * <p>Nothing else is ever sent twice. {@link #preempt} is verified by reading instead.
 *
 * <p>Thread-safe; one command at a time. Calls block in the kernel for up to {@link
 * Options#timeout} (and while the kernel recovers the path): use platform threads.
 */
public final class ScsiDevice implements Closeable {
  /**
   * How commands are sent.
   *
   * @param timeout after which the kernel aborts a command
   * @param unitAttentions how many unit attentions one command may meet
   */
  public record Options(Duration timeout, int unitAttentions) {
    /** 10 s; 16. */
    public static final Options DEFAULT = new Options(Duration.ofSeconds(10), 16);

    /** Checks the limits. */
    public Options {
      if (timeout.toMillis() < 1 || timeout.toMillis() > Integer.MAX_VALUE || unitAttentions < 0) {
        throw new IllegalArgumentException("a time-out of at least 1 ms and a limit of at least 0");
      }
    }
  }

  private static final int GOOD = 0x00;
  private static final int CHECK_CONDITION = 0x02;
  private static final int CONDITION_MET = 0x04;
  private static final int RESERVATION_CONFLICT = 0x18;

  /** Set next to sense data by kernels before 5.14; says nothing of its own. */
  private static final int DRIVER_SENSE = 0x08;

  private static final int MAX_ALLOCATION = 0xfff8;
  private static final byte[] NONE = new byte[0];

  /** Turns received data into a value. */
  private interface Decoder<T> {
    T decode(byte[] data) throws ScsiFormatException;
  }

  private final String name;
  private final CommandTransport transport;
  private final Options options;

  /** A device behind another transport. {@code name} is for texts. */
  public ScsiDevice(String name, CommandTransport transport, Options options) {
    this.name = name;
    this.transport = transport;
    this.options = options;
  }

  /**
   * Opens a disk or its generic node, e.g. {@code /dev/sdb} or {@code /dev/sg1}, with the default
   * options.
   */
  public static ScsiDevice open(Path device) throws ErrnoException {
    return open(device, Options.DEFAULT);
  }

  /**
   * Opens a disk or its generic node. Nothing is sent yet.
   *
   * @throws ErrnoException if it cannot be opened for writing, or takes no SCSI commands
   */
  public static ScsiDevice open(Path device, Options options) throws ErrnoException {
    return new ScsiDevice(device.toString(), SgIo.open(device), options);
  }

  // ---- identity and state ----

  /** TEST UNIT READY; also takes all pending unit attentions off the device, and reports them. */
  public ScsiResult<Done> testUnitReady() {
    return run("TEST UNIT READY", new byte[6], NONE, 0, false, data -> Done.DONE);
  }

  /** INQUIRY, standard data. */
  public ScsiResult<Inquiry> inquiry() {
    return run("INQUIRY", inquiryCdb(false, 0, 96), NONE, 96, false, Vpd::inquiry);
  }

  /** INQUIRY, VPD page 0x00: the pages it has. */
  public ScsiResult<List<Integer>> supportedVpdPages() {
    return vpd(Vpd.SUPPORTED_PAGES, Vpd::supportedPages);
  }

  /** INQUIRY, VPD page 0x80: the unit serial number. */
  public ScsiResult<String> serialNumber() {
    return vpd(Vpd.SERIAL_NUMBER, Vpd::serialNumber);
  }

  /** INQUIRY, VPD page 0x83: the names of the device. */
  public ScsiResult<List<Designator>> designators() {
    return vpd(Vpd.DEVICE_IDENTIFICATION, Vpd::designators);
  }

  private <T> ScsiResult<T> vpd(int page, Decoder<T> decoder) {
    int allocation = 4096;
    return run(
        "INQUIRY, VPD page 0x%02x".formatted(page),
        inquiryCdb(true, page, allocation),
        NONE,
        allocation,
        false,
        decoder);
  }

  private static byte[] inquiryCdb(boolean vpd, int page, int allocation) {
    return ByteBuffer.allocate(6)
        .put(0, (byte) 0x12)
        .put(1, (byte) (vpd ? 1 : 0))
        .put(2, (byte) page)
        .putShort(3, (short) allocation)
        .array();
  }

  /** READ CAPACITY(16). */
  public ScsiResult<Capacity> readCapacity() {
    byte[] cdb =
        ByteBuffer.allocate(16).put(0, (byte) 0x9e).put(1, (byte) 0x10).putInt(10, 32).array();
    return run("READ CAPACITY(16)", cdb, NONE, 32, false, Vpd::capacity);
  }

  // ---- PERSISTENT RESERVE IN ----

  /** READ KEYS: who is registered, and PRGENERATION. */
  public ScsiResult<Keys> readKeys() {
    return list("READ KEYS", PersistentReserve.READ_KEYS, PersistentReserve::keys);
  }

  /** READ RESERVATION: who holds the reservation. */
  public ScsiResult<Reservation> readReservation() {
    return list(
        "READ RESERVATION", PersistentReserve.READ_RESERVATION, PersistentReserve::reservation);
  }

  /** REPORT CAPABILITIES. Devices before SPC-3 refuse it with ILLEGAL REQUEST. */
  public ScsiResult<Capabilities> reportCapabilities() {
    return run(
        "REPORT CAPABILITIES",
        PersistentReserve.inCdb(PersistentReserve.REPORT_CAPABILITIES, 8),
        NONE,
        8,
        false,
        PersistentReserve::capabilities);
  }

  /** READ FULL STATUS: every registration with its initiator port. */
  public ScsiResult<FullStatus> readFullStatus() {
    return list(
        "READ FULL STATUS", PersistentReserve.READ_FULL_STATUS, PersistentReserve::fullStatus);
  }

  /**
   * Asks with room for 127 keys; where the device has more, once more with all the room there can
   * be.
   */
  private <T> ScsiResult<T> list(String command, int action, Decoder<T> decoder) {
    int allocation = 1024;
    ScsiResult<byte[]> first =
        run(
            command,
            PersistentReserve.inCdb(action, allocation),
            NONE,
            allocation,
            false,
            data -> data);
    List<Sense> seen = first.unitAttentions();
    if (first instanceof ScsiResult.Good<byte[]> good) {
      try {
        if (PersistentReserve.fullLength(good.value()) <= allocation) {
          return new ScsiResult.Good<>(first.command(), decoder.decode(good.value()), seen);
        }
      } catch (ScsiFormatException e) {
        return new ScsiResult.BadAnswer<>(first.command(), String.valueOf(e.getMessage()), seen);
      }
      return withEarlier(
          run(
              command,
              PersistentReserve.inCdb(action, MAX_ALLOCATION),
              NONE,
              MAX_ALLOCATION,
              false,
              decoder),
          seen);
    }
    return retyped(first);
  }

  // ---- PERSISTENT RESERVE OUT ----

  /**
   * REGISTER: replaces this initiator's key.
   *
   * @param oldKey the key it has; 0 if it has none. Another than it has ends in a conflict.
   * @param newKey the key to have; 0 unregisters, and releases the reservation if this initiator
   *     holds it
   */
  public ScsiResult<Done> register(long oldKey, long newKey, RegisterOptions options) {
    return out("REGISTER", PersistentReserve.REGISTER, 0, oldKey, newKey, options);
  }

  /**
   * REGISTER AND IGNORE EXISTING KEY: as {@link #register}, whatever key there was. Safe to do
   * again.
   */
  public ScsiResult<Done> registerAndIgnoreExistingKey(long newKey, RegisterOptions options) {
    return out(
        "REGISTER AND IGNORE EXISTING KEY",
        PersistentReserve.REGISTER_AND_IGNORE_EXISTING_KEY,
        0,
        0,
        newKey,
        options);
  }

  /**
   * RESERVE. A conflict means that another holds the reservation, or that {@code key} is not this
   * initiator's.
   */
  public ScsiResult<Done> reserve(long key, ReservationType type) {
    return out("RESERVE", PersistentReserve.RESERVE, type.code(), key, 0, RegisterOptions.PLAIN);
  }

  /** RELEASE. Good also when this initiator is registered and holds nothing. */
  public ScsiResult<Done> release(long key, ReservationType type) {
    return out("RELEASE", PersistentReserve.RELEASE, type.code(), key, 0, RegisterOptions.PLAIN);
  }

  /** CLEAR: removes the reservation and every registration of everybody. */
  public ScsiResult<Done> clear(long key) {
    return out("CLEAR", PersistentReserve.CLEAR, 0, key, 0, RegisterOptions.PLAIN);
  }

  /**
   * PREEMPT: removes the victim's registrations and, where it held the reservation, takes that
   * over, in one step. Sent once and then verified with READ KEYS and READ RESERVATION, whatever it
   * returned.
   *
   * @param key this initiator's own
   * @param victim the key to remove; another than {@code key}, not 0
   * @param type that of the reservation there is
   */
  public Preemption preempt(long key, long victim, ReservationType type) {
    return preempt("PREEMPT", PersistentReserve.PREEMPT, key, victim, type);
  }

  /**
   * PREEMPT AND ABORT: as {@link #preempt}, and aborts the commands that the victim had under way.
   * Where a target does not know it (ILLEGAL REQUEST), the victim's commands sent earlier may still
   * take effect after a plain PREEMPT.
   */
  public Preemption preemptAndAbort(long key, long victim, ReservationType type) {
    return preempt("PREEMPT AND ABORT", PersistentReserve.PREEMPT_AND_ABORT, key, victim, type);
  }

  private Preemption preempt(
      String command, int action, long key, long victim, ReservationType type) {
    if (victim == 0 || victim == key) {
      throw new IllegalArgumentException(
          "%s of key %016x by key %016x".formatted(command, victim, key));
    }
    ScsiResult<Done> result = out(command, action, type.code(), key, victim, RegisterOptions.PLAIN);
    return Preemption.judge(key, victim, result, readKeys(), readReservation());
  }

  private ScsiResult<Done> out(
      String command,
      int action,
      int type,
      long key,
      long serviceActionKey,
      RegisterOptions registerOptions) {
    return run(
        command,
        PersistentReserve.outCdb(action, type),
        PersistentReserve.outParameters(key, serviceActionKey, registerOptions),
        0,
        true,
        data -> Done.DONE);
  }

  // ---- sending ----

  private <T> ScsiResult<T> run(
      String command,
      byte[] cdb,
      byte[] out,
      int inLength,
      boolean dependsOnReservations,
      Decoder<T> decoder) {
    String what = command + " to " + name;
    List<Sense> seen = new ArrayList<>();
    while (true) {
      CommandTransport.Completion c = transport.execute(cdb, out, inLength, options.timeout);
      if (c.errno() != 0) {
        return new ScsiResult.TransportError<>(what, c.errno(), 0, 0, List.copyOf(seen));
      }
      if (c.status() == CHECK_CONDITION && c.sense().length > 0) {
        Sense sense;
        try {
          sense = Sense.decode(c.sense());
        } catch (ScsiFormatException e) {
          return new ScsiResult.BadAnswer<>(
              what, String.valueOf(e.getMessage()), List.copyOf(seen));
        }
        if (sense.isUnitAttention()
            && seen.size() < options.unitAttentions
            && !(dependsOnReservations && sense.isReservationLost())) {
          seen.add(sense);
          continue;
        }
        // A recovered error is a warning about work that was done.
        if (sense.key() != SenseKey.RECOVERED_ERROR && sense.key() != SenseKey.NO_SENSE) {
          return new ScsiResult.CheckCondition<>(what, sense, List.copyOf(seen));
        }
      } else if (c.status() == RESERVATION_CONFLICT) {
        return new ScsiResult.ReservationConflict<>(what, List.copyOf(seen));
      } else if (c.hostStatus() != 0
          || (c.driverStatus() & 0xf & ~DRIVER_SENSE) != 0
          || c.status() == CHECK_CONDITION) {
        return new ScsiResult.TransportError<>(
            what, 0, c.hostStatus(), c.driverStatus(), List.copyOf(seen));
      } else if (c.status() != GOOD && c.status() != CONDITION_MET) {
        return new ScsiResult.OtherStatus<>(what, c.status(), List.copyOf(seen));
      }
      try {
        return new ScsiResult.Good<>(what, decoder.decode(c.data()), List.copyOf(seen));
      } catch (ScsiFormatException e) {
        return new ScsiResult.BadAnswer<>(what, String.valueOf(e.getMessage()), List.copyOf(seen));
      }
    }
  }

  private static <A, B> ScsiResult<B> retyped(ScsiResult<A> result) {
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

  private static <T> ScsiResult<T> withEarlier(ScsiResult<T> result, List<Sense> earlier) {
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

  /** Waits for the command under way and closes the device. Registrations stay. */
  @Override
  public void close() {
    transport.close();
  }

  @Override
  public String toString() {
    return "ScsiDevice[" + name + "]";
  }
}
