// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.Set;

/**
 * Encodings of REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, two
 * service actions of MAINTENANCE IN (SPC-4).
 */
final class SupportReports {
  private static final int MAINTENANCE_IN = 0xa3;
  private static final int OPERATION_CODES = 0x0c;
  private static final int TASK_MANAGEMENT = 0x0d;

  /** REPORTING OPTIONS: one command, by operation code and service action. */
  private static final int ONE_WITH_SERVICE_ACTION = 2;

  /** Of one command: the longest CDB usage data there is, and its four bytes of header. */
  static final int ONE_COMMAND_LENGTH = 4 + 260;

  static final int FUNCTIONS_LENGTH = 4;

  private SupportReports() {}

  static byte[] oneCommandCdb(int operationCode, int serviceAction) {
    return ByteBuffer.allocate(12)
        .put(0, (byte) MAINTENANCE_IN)
        .put(1, (byte) OPERATION_CODES)
        .put(2, (byte) ONE_WITH_SERVICE_ACTION)
        .put(3, (byte) operationCode)
        .putShort(4, (short) serviceAction)
        .putInt(6, ONE_COMMAND_LENGTH)
        .array();
  }

  static byte[] functionsCdb() {
    return ByteBuffer.allocate(12)
        .put(0, (byte) MAINTENANCE_IN)
        .put(1, (byte) TASK_MANAGEMENT)
        .putInt(6, FUNCTIONS_LENGTH)
        .array();
  }

  static CommandSupport oneCommand(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("REPORT SUPPORTED OPERATION CODES data", data);
    p.require(0, 2); // LIO sends no more of a command that it does not have
    int support = p.u8(1) & 7;
    return switch (support) {
      case 0 -> CommandSupport.NOT_KNOWN;
      case 1 -> CommandSupport.NOT_SUPPORTED;
      case 3 -> CommandSupport.STANDARD;
      case 5 -> CommandSupport.VENDOR;
      default ->
          throw new ScsiFormatException(
              "REPORT SUPPORTED OPERATION CODES data: SUPPORT " + support);
    };
  }

  static Set<TaskManagementFunction> functions(byte[] data) throws ScsiFormatException {
    Parameters p = new Parameters("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS data", data);
    p.require(0, FUNCTIONS_LENGTH);
    Set<TaskManagementFunction> found = EnumSet.noneOf(TaskManagementFunction.class);
    for (TaskManagementFunction each : TaskManagementFunction.values()) {
      if (each.isIn(p)) {
        found.add(each);
      }
    }
    return found;
  }
}
