// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.mxfs.bindings.ErrnoException;

/**
 * A SCSI logical unit.
 *
 * <p>Unit attentions. A device that has something to tell answers the next command with a unit
 * attention and does not start that command (SAM-5 5.14). Such a command is sent again, at most
 * {@link Options#unitAttentions} times, with every unit attention listed in the result. One
 * exception: a command that changes something reservations may guard (PERSISTENT RESERVE OUT,
 * WRITE, COMPARE AND WRITE) and meets 2A/03, 2A/04 or 2A/05 (reservations or registrations
 * preempted or released) is not sent again, because the state it was decided on is gone; the caller
 * gets that CHECK CONDITION and decides anew. {@link #testUnitReady} is the way to take all of them
 * off the device first.
 *
 * <p>Nothing else is ever sent twice. {@link #preempt} is verified by reading instead.
 *
 * <p>Thread-safe; one command at a time. Calls block in the kernel for up to {@link
 * Options#timeout} (and while the kernel recovers the path): use platform threads.
 */
public final class ScsiDevice implements PersistentReservations {
  /** Bytes that one command can move: 1 MiB. */
  public static final int MAX_TRANSFER = SgIo.MAX_DATA_LENGTH;

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

  private static final int MAX_ALLOCATION = 0xfff8;

  private final String name;
  private final CommandTransport transport;
  private final CommandRunner runner;

  /** A device behind another transport. {@code name} is for texts. */
  public ScsiDevice(String name, CommandTransport transport, Options options) {
    this.name = name;
    this.transport = transport;
    this.runner = new CommandRunner(name, transport, options);
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
   * @throws ErrnoException if it cannot be opened for writing, or takes no SCSI commands, or is a
   *     device-mapper device: the kernel would send a command by any of its paths; see {@link
   *     DevicePaths}
   */
  public static ScsiDevice open(Path device, Options options) throws ErrnoException {
    return new ScsiDevice(device.toString(), SgIo.open(device), options);
  }

  /**
   * Opens a disk and makes sure of its number, after it was opened: its name may stand for another
   * device at any moment.
   *
   * @throws ErrnoException ENODEV if what was opened is another one; else as {@link #open(Path)}
   */
  public static ScsiDevice open(Path device, int major, int minor) throws ErrnoException {
    return new ScsiDevice(
        device.toString(), SgIo.open(device, major + ":" + minor), Options.DEFAULT);
  }

  // ---- identity and state ----

  /** TEST UNIT READY; also takes all pending unit attentions off the device, and reports them. */
  public ScsiResult<Done> testUnitReady() {
    return runner.run(Command.plain("TEST UNIT READY", new byte[6]));
  }

  /** INQUIRY, standard data. */
  public ScsiResult<Inquiry> inquiry() {
    return runner.run(Command.in("INQUIRY", inquiryCdb(false, 0, 96), 96, Vpd::inquiry));
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

  /** INQUIRY, VPD page 0xB0: how large transfers may be, and which commands there are. */
  public ScsiResult<BlockLimits> blockLimits() {
    return vpd(Vpd.BLOCK_LIMITS, Vpd::blockLimits);
  }

  private <T> ScsiResult<T> vpd(int page, Command.Decoder<T> decoder) {
    int allocation = 4096;
    return runner.run(
        Command.in(
            "INQUIRY, VPD page 0x%02x".formatted(page),
            inquiryCdb(true, page, allocation),
            allocation,
            decoder));
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
    return runner.run(Command.in("READ CAPACITY(16)", cdb, 32, Vpd::capacity));
  }

  // ---- data ----

  /**
   * READ(16).
   *
   * @param block number of the first logical block; unsigned
   * @param blocks how many, at least 1; see {@link BlockLimits#maximumTransfer}
   * @param blockSize bytes of a logical block, from {@link #readCapacity}
   * @param forceUnitAccess FUA: from the medium, past any volatile cache
   * @return {@code blocks * blockSize} bytes; fewer are a {@link ScsiResult.BadAnswer}
   * @throws IllegalArgumentException if that is more than {@link #MAX_TRANSFER}
   */
  public ScsiResult<byte[]> read(long block, int blocks, int blockSize, boolean forceUnitAccess) {
    int length = transferLength(blocks, blockSize);
    return runner.run(
        Command.in(
            "READ(16)",
            BlockCommands.read(block, blocks, forceUnitAccess),
            length,
            data -> exactly(data, length)));
  }

  private static byte[] exactly(byte[] data, int length) throws ScsiFormatException {
    if (data.length != length) {
      throw new ScsiFormatException("%d bytes came of %d".formatted(data.length, length));
    }
    return data;
  }

  /**
   * WRITE(16). Not sent again after a unit attention that says that reservations changed, as
   * reservations may be what made it right to write.
   *
   * @param block number of the first logical block; unsigned
   * @param data a whole number of logical blocks, at least one
   * @param blockSize bytes of a logical block, from {@link #readCapacity}
   * @param forceUnitAccess FUA: done only when it is on the medium
   * @throws IllegalArgumentException if the data is no whole number of blocks, or is more than
   *     {@link #MAX_TRANSFER}
   */
  public ScsiResult<Done> write(long block, byte[] data, int blockSize, boolean forceUnitAccess) {
    int blocks = wholeBlocks(data, blockSize);
    return runner.run(
        Command.out("WRITE(16)", BlockCommands.write(block, blocks, forceUnitAccess), data));
  }

  /**
   * COMPARE AND WRITE: writes if, and only if, the blocks there hold {@code expected}, in one step.
   * Where they hold something else the result is a {@link ScsiResult.CheckCondition} with {@link
   * Sense#isMiscompare}, and nothing was written. Not sent again after a unit attention that says
   * that reservations changed.
   *
   * @param block number of the first logical block; unsigned
   * @param expected a whole number of logical blocks, at most {@link
   *     BlockLimits#compareAndWriteBlocks}
   * @param data what to write, as long as {@code expected}
   * @param blockSize bytes of a logical block
   * @param forceUnitAccess FUA: done only when it is on the medium
   * @throws IllegalArgumentException if the lengths do not fit
   */
  public ScsiResult<Done> compareAndWrite(
      long block, byte[] expected, byte[] data, int blockSize, boolean forceUnitAccess) {
    int blocks = wholeBlocks(expected, blockSize);
    if (expected.length != data.length || blocks > BlockCommands.MAX_COMPARED_BLOCKS) {
      throw new IllegalArgumentException(
          "COMPARE AND WRITE of %d with %d bytes".formatted(expected.length, data.length));
    }
    byte[] both = Arrays.copyOf(expected, 2 * expected.length);
    System.arraycopy(data, 0, both, expected.length, data.length);
    return runner.run(
        Command.out(
            "COMPARE AND WRITE",
            BlockCommands.compareAndWrite(block, blocks, forceUnitAccess),
            both));
  }

  /**
   * SYNCHRONIZE CACHE(16): done when these blocks, written before, are on the medium.
   *
   * @param block number of the first logical block; unsigned
   * @param blocks how many; 0 for all to the end of the device
   */
  public ScsiResult<Done> synchronizeCache(long block, int blocks) {
    return runner.run(
        Command.plain("SYNCHRONIZE CACHE(16)", BlockCommands.synchronizeCache(block, blocks)));
  }

  private static int wholeBlocks(byte[] data, int blockSize) {
    int blocks = data.length / blockSize;
    if (transferLength(blocks, blockSize) != data.length) {
      throw new IllegalArgumentException(
          "%d bytes are no whole number of blocks of %d".formatted(data.length, blockSize));
    }
    return blocks;
  }

  private static int transferLength(int blocks, int blockSize) {
    long length = (long) blocks * blockSize;
    if (blocks < 1 || blockSize < 1 || length > MAX_TRANSFER) {
      throw new IllegalArgumentException(
          "a transfer of %d blocks of %d bytes; 1 to %d bytes are possible"
              .formatted(blocks, blockSize, MAX_TRANSFER));
    }
    return (int) length;
  }

  // ---- PERSISTENT RESERVE IN ----

  @Override
  public ScsiResult<Keys> readKeys() {
    return list("READ KEYS", PersistentReserve.READ_KEYS, PersistentReserve::keys);
  }

  @Override
  public ScsiResult<Reservation> readReservation() {
    return list(
        "READ RESERVATION", PersistentReserve.READ_RESERVATION, PersistentReserve::reservation);
  }

  /** REPORT CAPABILITIES. Devices before SPC-3 refuse it with ILLEGAL REQUEST. */
  public ScsiResult<Capabilities> reportCapabilities() {
    return runner.run(
        Command.in(
            "REPORT CAPABILITIES",
            PersistentReserve.inCdb(PersistentReserve.REPORT_CAPABILITIES, 8),
            8,
            PersistentReserve::capabilities));
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
  private <T> ScsiResult<T> list(String command, int action, Command.Decoder<T> decoder) {
    int allocation = 1024;
    ScsiResult<byte[]> first =
        runner.run(
            Command.in(
                command, PersistentReserve.inCdb(action, allocation), allocation, data -> data));
    List<Sense> seen = first.unitAttentions();
    if (first instanceof ScsiResult.Good<byte[]> good) {
      try {
        if (PersistentReserve.fullLength(good.value()) <= allocation) {
          return new ScsiResult.Good<>(first.command(), decoder.decode(good.value()), seen);
        }
      } catch (ScsiFormatException e) {
        return new ScsiResult.BadAnswer<>(first.command(), String.valueOf(e.getMessage()), seen);
      }
      return CommandRunner.withEarlier(
          runner.run(
              Command.in(
                  command,
                  PersistentReserve.inCdb(action, MAX_ALLOCATION),
                  MAX_ALLOCATION,
                  decoder)),
          seen);
    }
    return CommandRunner.retyped(first);
  }

  // ---- PERSISTENT RESERVE OUT ----

  @Override
  public ScsiResult<Done> register(long oldKey, long newKey, RegisterOptions options) {
    return out("REGISTER", PersistentReserve.REGISTER, 0, oldKey, newKey, options);
  }

  @Override
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
   * REGISTER AND MOVE: registers another I_T nexus and gives it the reservation that this one
   * holds, in one step. Conflict if this initiator does not hold it, or the other nexus does not
   * exist.
   *
   * @param key this initiator's own
   * @param newKey the key for the other nexus, not 0
   * @param to the other nexus
   * @param unregister whether this initiator's registration ends with it
   * @param persistThroughPowerLoss APTPL, as for {@link RegisterOptions}
   */
  public ScsiResult<Done> registerAndMove(
      long key, long newKey, Move to, boolean unregister, boolean persistThroughPowerLoss) {
    if (newKey == 0) {
      throw new IllegalArgumentException("REGISTER AND MOVE to key 0");
    }
    byte[] parameters =
        PersistentReserve.moveParameters(key, newKey, to, unregister, persistThroughPowerLoss);
    return runner.run(
        Command.out(
            "REGISTER AND MOVE",
            PersistentReserve.outCdb(PersistentReserve.REGISTER_AND_MOVE, 0, parameters.length),
            parameters));
  }

  @Override
  public ScsiResult<Done> reserve(long key, ReservationType type) {
    return out("RESERVE", PersistentReserve.RESERVE, type.code(), key, 0, RegisterOptions.PLAIN);
  }

  @Override
  public ScsiResult<Done> release(long key, ReservationType type) {
    return out("RELEASE", PersistentReserve.RELEASE, type.code(), key, 0, RegisterOptions.PLAIN);
  }

  @Override
  public ScsiResult<Done> clear(long key) {
    return out("CLEAR", PersistentReserve.CLEAR, 0, key, 0, RegisterOptions.PLAIN);
  }

  @Override
  public Preemption preempt(long key, long victim, ReservationType type) {
    return preempt("PREEMPT", PersistentReserve.PREEMPT, key, victim, type);
  }

  @Override
  public Preemption preemptAndAbort(long key, long victim, ReservationType type) {
    return preempt("PREEMPT AND ABORT", PersistentReserve.PREEMPT_AND_ABORT, key, victim, type);
  }

  private Preemption preempt(
      String command, int action, long key, long victim, ReservationType type) {
    Preemption.check(command, key, victim);
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
    byte[] parameters = PersistentReserve.outParameters(key, serviceActionKey, registerOptions);
    return runner.run(
        Command.out(
            command, PersistentReserve.outCdb(action, type, parameters.length), parameters));
  }

  // ---- what the unit says it has ----

  /**
   * REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS. Many units do not know the command and refuse it
   * with ILLEGAL REQUEST, LIO and tgt among them: that says nothing of the functions.
   */
  public ScsiResult<Set<TaskManagementFunction>> taskManagementFunctions() {
    return runner.run(
        Command.in(
            "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
            SupportReports.functionsCdb(),
            SupportReports.FUNCTIONS_LENGTH,
            SupportReports::functions));
  }

  /** REPORT SUPPORTED OPERATION CODES, of one command that has service actions. */
  public ScsiResult<CommandSupport> commandSupport(int operationCode, int serviceAction) {
    return runner.run(
        Command.in(
            "REPORT SUPPORTED OPERATION CODES",
            SupportReports.oneCommandCdb(operationCode, serviceAction),
            SupportReports.ONE_COMMAND_LENGTH,
            SupportReports::oneCommand));
  }

  // ---- task management ----

  /**
   * LOGICAL UNIT RESET (SAM-5 7.7): the unit ends every command of every initiator, the caller's
   * own as well, and tells each by a unit attention (29/xx). Registrations and reservations stay
   * (SPC-4 5.13). Linux sends other nodes' and its own commands again, if their initiator may still
   * do them. Sent once; safe to do again.
   *
   * <p>By the ioctl {@code SG_SCSI_RESET} with {@code SG_SCSI_RESET_DEVICE} and {@code
   * SG_SCSI_RESET_NO_ESCALATE} (drivers/scsi/scsi_error.c, scsi_ioctl_reset), which whole SCSI
   * disks, their partitions and generic nodes take; needs CAP_SYS_ADMIN and CAP_SYS_RAWIO. Blocks
   * for as long as the driver does, whatever {@link Options#timeout} says: libiscsi waits for
   * {@code lu_reset_timeout} (30 s), virtio-scsi without end. A host adapter in error recovery is
   * not waited for, as the device is open with O_NONBLOCK.
   *
   * <p>What {@link LogicalUnitReset.Done} does <em>not</em> promise:
   *
   * <ul>
   *   <li>that the target was asked. A virtual host adapter ends what its own hypervisor knows of:
   *       QEMU's virtio-scsi cancels the commands of this machine and sends no reset on, so those
   *       of other machines go on. The same holds for other adapters that are not the initiator
   *       themselves (pvscsi, RAID controllers). With iSCSI, Fibre Channel and SAS the driver's
   *       success is the target's answer FUNCTION COMPLETE.
   *   <li>that all commands had ended when the target answered. LIO and tgt answer after that (LIO:
   *       core_tmr_drain_state_list; tgt: target_mgmt_request counts what is busy), tgt for the
   *       initiators of one target only.
   *   <li>that the medium holds what was there before: a command that was ended may have been
   *       carried out, in whole or in part, until then.
   *   <li>that nothing comes later: an initiator that may still write can send anew. Shut it out
   *       first.
   * </ul>
   *
   * A driver without {@code eh_device_reset_handler} ends in {@link LogicalUnitReset.Unknown} with
   * EIO, as does everything else that goes wrong in a driver.
   */
  public LogicalUnitReset resetLogicalUnit() {
    return LogicalUnitReset.of(transport.resetLogicalUnit());
  }

  @Override
  public void close() {
    transport.close();
  }

  @Override
  public String toString() {
    return "ScsiDevice[" + name + "]";
  }
}
