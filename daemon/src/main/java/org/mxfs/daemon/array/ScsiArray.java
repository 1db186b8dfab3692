// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.Closeable;
import java.io.IOException;
import java.util.HexFormat;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.edge.CommandThread;
import org.mxfs.scsi.Capabilities;
import org.mxfs.scsi.Capacity;
import org.mxfs.scsi.Done;
import org.mxfs.scsi.FullStatus;
import org.mxfs.scsi.HostAdapter;
import org.mxfs.scsi.Keys;
import org.mxfs.scsi.RegisterOptions;
import org.mxfs.scsi.Reservation;
import org.mxfs.scsi.ReservationType;
import org.mxfs.scsi.ResetEvidence;
import org.mxfs.scsi.ResetWorth;
import org.mxfs.scsi.ScsiDevice;
import org.mxfs.scsi.ScsiResult;
import org.mxfs.scsi.Sense;
import org.mxfs.scsi.SenseKey;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Executes array commands on one device, one at a time, on a thread of its own: SG_IO blocks in the
 * kernel.
 *
 * <p>Only an unequivocal answer becomes a definite {@link ArrayAnswer}; everything else is {@code
 * Unclear}, and the core asks the array what is so.
 */
public final class ScsiArray implements Closeable {
  private static final ReservationType TYPE = ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY;

  private static final Logger LOG = LoggerFactory.getLogger(ScsiArray.class);

  private final ScsiDevice device;
  private final Consumer<String> attentions;
  private final CommandThread<Action.Array, ArrayAnswer> commands;

  /**
   * Takes over {@code device}; both consumers are called on the array's thread.
   *
   * @param attentions names of unit attentions, always before the answer of the command that met
   *     them
   */
  public ScsiArray(
      ScsiDevice device,
      BiConsumer<Action.Array, ArrayAnswer> answers,
      Consumer<String> attentions) {
    this.device = device;
    this.attentions = attentions;
    commands = new CommandThread<>("array", asked -> perform(asked.command()), answers);
  }

  public void start() {
    commands.start();
  }

  /** Queues a command; its answer comes later. */
  public void execute(Action.Array asked) {
    commands.execute(asked);
  }

  /** See {@link CommandThread#quiesce}. */
  public boolean quiesce(long millis) {
    return commands.quiesce(millis);
  }

  /** A command under way is not waited for: its thread ends with the process. */
  @Override
  public void close() {
    commands.close(device::close);
  }

  /** Executes one command now, on the calling thread. */
  public ArrayAnswer perform(ArrayCommand command) {
    long start = System.nanoTime();
    ArrayAnswer answer = run(command);
    if (LOG.isDebugEnabled()) {
      LOG.debug("{} -> {} us={}", command, answer, (System.nanoTime() - start) / 1_000);
    }
    return answer;
  }

  /** What a logical unit reset is worth here, asked of the device now, on the calling thread. */
  public ResetWorth resetWorth(HostAdapter adapter) {
    ResetEvidence read = ResetEvidence.read(device, adapter);
    report(read.unitAttentions());
    ResetWorth worth = ResetWorth.of(read);
    LOG.debug("{} -> {}", read, worth);
    return worth;
  }

  /**
   * Whether the partition table on the disk has the partition as this kernel has it, asked of the
   * device now, on the calling thread. READ goes to the whole logical unit, by whichever node of it
   * SG_IO comes.
   *
   * @return null when it has; else what is different, to follow the name of the device
   */
  public @Nullable String tableDiffers(Partition partition) throws IOException {
    ScsiResult<Capacity> capacity = device.readCapacity();
    report(capacity.unitAttentions());
    long blockSize = capacity.orThrow().blockSize();
    return PartitionTable.differs(
        partition,
        blockSize,
        (block, blocks) -> {
          ScsiResult<byte[]> result = device.read(block, blocks, (int) blockSize, false);
          report(result.unitAttentions());
          return result.orThrow();
        });
  }

  private ArrayAnswer run(ArrayCommand command) {
    return switch (command) {
      case ArrayCommand.ReportCapabilities _ -> capabilities();
      case ArrayCommand.ReadKeys _ -> keys(device.readKeys());
      case ArrayCommand.ReadReservation _ -> reservation(device.readReservation());
      case ArrayCommand.ReadFullStatus _ -> registrations();
      case ArrayCommand.Register register ->
          register(register.old().value(), register.key().value(), register.aptpl());
      case ArrayCommand.Unregister unregister ->
          register(unregister.key().value(), 0, unregister.aptpl());
      case ArrayCommand.Reserve reserve -> done(device.reserve(reserve.key().value(), TYPE));
      case ArrayCommand.Preempt preempt -> {
        var preemption = device.preempt(preempt.key().value(), preempt.victim().value(), TYPE);
        report(preemption.keys().unitAttentions());
        report(preemption.reservation().unitAttentions());
        yield done(preemption.command());
      }
    };
  }

  /**
   * Registering names the key that it replaces, so that the array itself refuses one that is no
   * longer right: when a unit attention about reservations kept it from being executed, it is sent
   * again, after all of them were taken.
   */
  private ArrayAnswer register(long old, long key, boolean aptpl) {
    RegisterOptions options = new RegisterOptions(aptpl, false);
    ScsiResult<Done> first = device.register(old, key, options);
    if (first instanceof ScsiResult.CheckCondition<Done> check && check.sense().isUnitAttention()) {
      report(first.unitAttentions());
      report(List.of(check.sense()));
      report(device.testUnitReady().unitAttentions());
      ScsiResult<Done> second = device.register(old, key, options);
      if (second instanceof ScsiResult.CheckCondition<Done> again
          && again.sense().isUnitAttention()) {
        // Not a conflict, which says that the old key is not there.
        report(second.unitAttentions());
        report(List.of(again.sense()));
        return unclear(second);
      }
      return done(second);
    }
    return done(first);
  }

  private ArrayAnswer capabilities() {
    ScsiResult<Capabilities> result = device.reportCapabilities();
    report(result.unitAttentions());
    return switch (result) {
      case ScsiResult.Good<Capabilities> good -> {
        Capabilities found = good.value();
        yield found.types().isEmpty() || found.types().contains(TYPE)
            ? new ArrayAnswer.Supported(found.persistThroughPowerLoss())
            : new ArrayAnswer.Unsupported(
                "no reservations of type " + TYPE + ", only " + found.types());
      }
      case ScsiResult.CheckCondition<Capabilities> check when check.sense().isCommandUnknown() ->
          // Devices older than SPC-3 have reservations and no REPORT CAPABILITIES.
          switch (device.readKeys()) {
            case ScsiResult.Good<Keys> _ -> new ArrayAnswer.Supported(false);
            case ScsiResult.CheckCondition<Keys> keys when keys.sense().isCommandUnknown() ->
                new ArrayAnswer.Unsupported(keys.sense().text());
            case ScsiResult<Keys> other -> unclear(other);
          };
      case ScsiResult.TransportError<Capabilities> error when takesNoScsi(error.errno()) ->
          new ArrayAnswer.Unsupported("SG_IO: " + org.mxfs.bindings.Errno.describe(error.errno()));
      case ScsiResult<Capabilities> other -> unclear(other);
    };
  }

  /** Whether this errno of SG_IO means a device that is no SCSI disk. */
  public static boolean takesNoScsi(int errno) {
    return errno == Errnos.ENOTTY || errno == Errnos.EINVAL || errno == Errnos.EOPNOTSUPP;
  }

  private ArrayAnswer keys(ScsiResult<Keys> result) {
    report(result.unitAttentions());
    return switch (result) {
      case ScsiResult.Good<Keys> good ->
          new ArrayAnswer.Keys(
              good.value().generation(),
              good.value().keys().stream().map(ReservationKey::new).toList());
      case ScsiResult<Keys> other -> unclear(other);
    };
  }

  /** READ FULL STATUS, or READ KEYS where the device does not know that. */
  private ArrayAnswer registrations() {
    ScsiResult<FullStatus> result = device.readFullStatus();
    report(result.unitAttentions());
    return switch (result) {
      case ScsiResult.Good<FullStatus> good ->
          new ArrayAnswer.Registrations(
              good.value().registrants().stream()
                  .map(
                      r ->
                          new ArrayAnswer.Registration(
                              new ReservationKey(r.key()),
                              "initiator " + HexFormat.of().formatHex(r.transportId())))
                  .toList());
      case ScsiResult.CheckCondition<FullStatus> check
          when check.sense().key() == SenseKey.ILLEGAL_REQUEST ->
          keys(device.readKeys()) instanceof ArrayAnswer.Keys keys
              ? new ArrayAnswer.Registrations(
                  keys.keys().stream().map(key -> new ArrayAnswer.Registration(key, "")).toList())
              : unclear(result);
      case ScsiResult<FullStatus> other -> unclear(other);
    };
  }

  private ArrayAnswer reservation(ScsiResult<Reservation> result) {
    report(result.unitAttentions());
    return switch (result) {
      case ScsiResult.Good<Reservation> good ->
          good.value()
              .holder()
              .map(h -> new ArrayAnswer.Reservation(new ReservationKey(h.key()), h.type().code()))
              .orElse(new ArrayAnswer.Reservation(ReservationKey.NONE, 0));
      case ScsiResult<Reservation> other -> unclear(other);
    };
  }

  private ArrayAnswer done(ScsiResult<Done> result) {
    report(result.unitAttentions());
    return switch (result) {
      case ScsiResult.Good<Done> _ -> new ArrayAnswer.Done();
      case ScsiResult.ReservationConflict<Done> _ -> new ArrayAnswer.Conflict();
      case ScsiResult.CheckCondition<Done> check when check.sense().isFieldRefused() ->
          new ArrayAnswer.Rejected(check.command() + ": " + check.sense().text());
      case ScsiResult.CheckCondition<Done> check when check.sense().isUnitAttention() -> {
        // Not executed (SAM-5 5.14): the state it was decided on is gone.
        report(List.of(check.sense()));
        yield new ArrayAnswer.Conflict();
      }
      case ScsiResult<Done> other -> unclear(other);
    };
  }

  private static ArrayAnswer unclear(ScsiResult<?> result) {
    return new ArrayAnswer.Unclear(result.toString());
  }

  private void report(List<Sense> senses) {
    for (Sense sense : senses) {
      attentions.accept(sense.text());
    }
  }
}
