// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * What is read of a disk and of the way to it, for {@link ResetWorth} to judge.
 *
 * @param adapter by which this machine reaches the unit
 * @param inquiry standard INQUIRY data
 * @param functions REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS
 * @param abort what REPORT SUPPORTED OPERATION CODES says of PREEMPT AND ABORT; that there is an
 *     answer at all tells LIO's versions apart
 */
public record ResetEvidence(
    HostAdapter adapter,
    ScsiResult<Inquiry> inquiry,
    ScsiResult<Set<TaskManagementFunction>> functions,
    ScsiResult<CommandSupport> abort) {
  private static final int PERSISTENT_RESERVE_OUT = 0x5f;

  /**
   * Three commands that change nothing and that no reservation of type 5 refuses. A unit that does
   * not answer one is not asked the next: each would wait for its time-out.
   */
  public static ResetEvidence read(ScsiDevice device, HostAdapter adapter) {
    ScsiResult<Inquiry> inquiry = device.inquiry();
    ScsiResult<Set<TaskManagementFunction>> functions =
        inquiry.isGood() ? device.taskManagementFunctions() : CommandRunner.retyped(inquiry);
    boolean answers = functions.isGood() || functions instanceof ScsiResult.CheckCondition;
    ScsiResult<CommandSupport> abort =
        answers
            ? device.commandSupport(PERSISTENT_RESERVE_OUT, PersistentReserve.PREEMPT_AND_ABORT)
            : CommandRunner.retyped(functions);
    return new ResetEvidence(adapter, inquiry, functions, abort);
  }

  /** Those that the commands met: they are told once. */
  public List<Sense> unitAttentions() {
    Set<Sense> all = new LinkedHashSet<>(inquiry.unitAttentions());
    all.addAll(functions.unitAttentions());
    all.addAll(abort.unitAttentions());
    return List.copyOf(all);
  }
}
