// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.List;
import org.mxfs.bindings.Errno;

/**
 * How a command ended. Each result names the command and lists the unit attentions that were seen
 * (and taken off the device) on the way to it, oldest first: they are told once and never again, so
 * a caller must look at them.
 *
 * <p>What is known about the effect: {@link Good} – carried out; {@link ReservationConflict},
 * {@link CheckCondition} and {@link OtherStatus} – the device answered and refused (but a check
 * condition with MEDIUM ERROR, HARDWARE ERROR or ABORTED COMMAND may come after part of the work);
 * {@link TransportError} and {@link BadAnswer} – not known, ask the device.
 *
 * @param <T> what a good answer holds
 */
public sealed interface ScsiResult<T> {
  /** The command as the standard calls it. */
  String command();

  /** The unit attentions seen on the way, oldest first. */
  List<Sense> unitAttentions();

  /** Status GOOD. */
  record Good<T>(String command, T value, List<Sense> unitAttentions) implements ScsiResult<T> {
    @Override
    public String toString() {
      return command + ": GOOD, " + value + seen(unitAttentions);
    }
  }

  /**
   * Status RESERVATION CONFLICT: this initiator may not do that, or (PERSISTENT RESERVE OUT) its
   * key is not registered.
   */
  record ReservationConflict<T>(String command, List<Sense> unitAttentions)
      implements ScsiResult<T> {
    @Override
    public String toString() {
      return command + ": RESERVATION CONFLICT" + seen(unitAttentions);
    }
  }

  /** Status CHECK CONDITION. */
  record CheckCondition<T>(String command, Sense sense, List<Sense> unitAttentions)
      implements ScsiResult<T> {
    @Override
    public String toString() {
      return command + ": CHECK CONDITION, " + sense + seen(unitAttentions);
    }
  }

  /** Another status, e.g. BUSY (0x08) or TASK SET FULL (0x28): the command was not started. */
  record OtherStatus<T>(String command, int status, List<Sense> unitAttentions)
      implements ScsiResult<T> {
    @Override
    public String toString() {
      String name =
          switch (status) {
            case 0x08 -> "BUSY";
            case 0x28 -> "TASK SET FULL";
            case 0x30 -> "ACA ACTIVE";
            case 0x40 -> "TASK ABORTED";
            default -> "status 0x%02x".formatted(status);
          };
      return command + ": " + name + seen(unitAttentions);
    }
  }

  /**
   * The device did not answer: time-out, lost path, reset, or the kernel refused the request. What
   * became of the command is not known.
   *
   * @param errno of the {@code SG_IO} or {@code IOC_PR_*} call, or 0 if it returned
   * @param hostStatus {@code DID_*} of the host adapter, or 0
   * @param driverStatus of the driver, or 0
   */
  record TransportError<T>(
      String command, int errno, int hostStatus, int driverStatus, List<Sense> unitAttentions)
      implements ScsiResult<T> {
    @Override
    public String toString() {
      if (errno != 0) {
        return command
            + ": the system call failed, "
            + Errno.describe(errno)
            + seen(unitAttentions);
      }
      String host =
          switch (hostStatus) {
            case 0x00 -> "no host error";
            case 0x01 -> "DID_NO_CONNECT (no path to the device)";
            case 0x02 -> "DID_BUS_BUSY";
            case 0x03 -> "DID_TIME_OUT";
            case 0x04 -> "DID_BAD_TARGET";
            case 0x05 -> "DID_ABORT";
            case 0x07 -> "DID_ERROR";
            case 0x08 -> "DID_RESET";
            case 0x0b -> "DID_SOFT_ERROR";
            case 0x0e -> "DID_TRANSPORT_DISRUPTED";
            case 0x0f -> "DID_TRANSPORT_FAILFAST";
            case 0x14 -> "DID_TRANSPORT_MARGINAL";
            default -> "host status 0x%02x".formatted(hostStatus);
          };
      return command
          + ": no answer, "
          + host
          + ", driver status 0x%02x".formatted(driverStatus)
          + seen(unitAttentions);
    }
  }

  /** Status GOOD, with data that cannot be read. */
  record BadAnswer<T>(String command, String why, List<Sense> unitAttentions)
      implements ScsiResult<T> {
    @Override
    public String toString() {
      return command + ": unreadable answer, " + why + seen(unitAttentions);
    }
  }

  /** Whether the command was carried out. */
  default boolean isGood() {
    return this instanceof Good;
  }

  /** The value of a good result; any other becomes an exception. */
  default T orThrow() throws ScsiException {
    if (this instanceof Good<T> good) {
      return good.value();
    }
    throw new ScsiException(this);
  }

  private static String seen(List<Sense> unitAttentions) {
    return unitAttentions.isEmpty() ? "" : "; unit attentions before it: " + unitAttentions;
  }
}
