// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

/**
 * Task management functions (SAM-5 7), with the bit of REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS
 * (SPC-4) that says that a unit has it.
 */
public enum TaskManagementFunction {
  ABORT_TASK(0, 7),
  ABORT_TASK_SET(0, 6),
  CLEAR_ACA(0, 5),
  CLEAR_TASK_SET(0, 4),
  LOGICAL_UNIT_RESET(0, 3),
  QUERY_TASK(0, 2),
  TARGET_RESET(0, 1),
  WAKEUP(0, 0),
  QUERY_ASYNCHRONOUS_EVENT(1, 2),
  QUERY_TASK_SET(1, 1),
  I_T_NEXUS_RESET(1, 0);

  private final int at;
  private final int bit;

  TaskManagementFunction(int at, int bit) {
    this.at = at;
    this.bit = bit;
  }

  boolean isIn(Parameters data) throws ScsiFormatException {
    return data.bit(at, bit);
  }
}
