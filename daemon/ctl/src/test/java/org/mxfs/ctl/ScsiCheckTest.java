// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.mxfs.ctl.ScsiCheck.PathUnderCheck;
import org.mxfs.ctl.SimulatedUnit.Fault;
import org.mxfs.ctl.Step.Outcome;
import org.mxfs.scsi.HostAdapter;
import org.mxfs.scsi.ResetWorth;
import org.mxfs.scsi.ScsiDevice;

/** That the check sees what is wrong with a disk, and leaves nothing, whatever happens. */
class ScsiCheckTest {
  private static Report check(SimulatedUnit unit, int paths) {
    return begin(unit, paths).run();
  }

  private static ScsiCheck begin(SimulatedUnit unit, int paths) {
    return begin(unit, paths, "iscsi_tcp");
  }

  private static ScsiCheck begin(SimulatedUnit unit, int paths, String adapter) {
    List<PathUnderCheck> list = new ArrayList<>();
    for (int i = 0; i < paths; i++) {
      String name = "path" + i;
      list.add(
          new PathUnderCheck(
              name,
              new ScsiDevice(name, unit.path(i), ScsiDevice.Options.DEFAULT),
              new HostAdapter(i == 0 ? adapter : "virtio_scsi", "")));
    }
    return new ScsiCheck("simulated", list, true, new Random(1));
  }

  private static Outcome outcome(Report report, String id) {
    return report.steps().stream()
        .filter(step -> step.id().equals(id))
        .reduce((_, last) -> last)
        .orElseThrow(() -> new AssertionError("no step " + id + " in\n" + report.text()))
        .outcome();
  }

  private static void assertNothingLeft(SimulatedUnit unit) {
    unit.keys.remove(99);
    assertThat(unit.keys).isEmpty();
    assertThat(unit.holder).isNegative();
  }

  @Test
  void aGoodDiskIsUsableAndEverythingIsProven() {
    for (int paths = 1; paths <= 4; paths++) {
      SimulatedUnit unit = new SimulatedUnit();
      Report report = check(unit, paths);
      assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.USABLE);
      assertThat(report.steps().stream().map(Step::outcome))
          .as(report.text())
          .doesNotContain(Outcome.FAILED, Outcome.UNSUPPORTED);
      assertThat(report.steps().stream().anyMatch(s -> s.outcome() == Outcome.NOT_TRIED))
          .isEqualTo(paths == 1);
      assertNothingLeft(unit);
    }
  }

  @Test
  void whatMxfsCanDoWithoutIsSaidAndTheDiskIsUsable() {
    SimulatedUnit unit =
        new SimulatedUnit(Fault.NO_APTPL, Fault.NO_PREEMPT_AND_ABORT, Fault.NO_UNIT_ATTENTIONS);
    Report report = check(unit, 2);
    assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.USABLE);
    for (String id : List.of("aptpl", "preempt-abort-known", "fence-abort", "fence-owner-told")) {
      assertThat(outcome(report, id)).as(id).isEqualTo(Outcome.UNSUPPORTED);
    }
    assertNothingLeft(unit);
  }

  /** Found by what each path and its unit are; the judging is ResetWorth's, tested there. */
  @Test
  void howAFencedNodesCommandsAreEndedIsToldOfEachPath() {
    SimulatedUnit lio = new SimulatedUnit();
    lio.inquiry = "4c494f2d4f524720" + "20".repeat(16) + "342e3020"; // LIO-ORG, 4.0
    Report report = check(lio, 2);
    assertThat(report.fencing())
        .extracting(Fencing::path, Fencing::adapter, each -> each.worth().ground())
        .containsExactly(
            tuple("path0", "iscsi_tcp", ResetWorth.Ground.NOT_ALL),
            tuple("path1", "virtio_scsi", ResetWorth.Ground.HYPERVISOR));
    assertThat(report.text())
        .contains("what a fenced node has under way is waited for, 303 s, by path0")
        .contains("what a fenced node has under way is waited for, 303 s, by path1");

    SimulatedUnit unknown = new SimulatedUnit();
    assertThat(check(unknown, 1).fencing())
        .singleElement()
        .satisfies(each -> assertThat(each.worth().ground()).isEqualTo(ResetWorth.Ground.UNIT));
    assertThat(unknown.log).doesNotContain("reset");
  }

  /** A disk's name is what its maker, or somebody else, has put there. */
  @Test
  void whatADiskSaysThatItIsCannotLeaveItsLine() {
    SimulatedUnit unit = new SimulatedUnit();
    unit.inquiry = "1b5b324a0a0a0a20" + "41".repeat(16) + "0d412020"; // ESC [ 2 J, line feeds
    Report report = check(unit, 1);
    assertThat(report.verdict()).isEqualTo(Verdict.USABLE);
    assertThat(report.text()).contains("?[2J").doesNotContain("\u001b").doesNotContain("\r");
    assertThat(report.steps())
        .allSatisfy(step -> assertThat(step.what() + step.found()).doesNotContain("\n"));
  }

  @Test
  void whatFencingNeedsAndIsMissingMakesTheDiskUnusable() {
    for (Fault fault :
        List.of(
            Fault.PREEMPT_DOES_NOTHING,
            Fault.PREEMPT_KEEPS_OTHER_PATHS,
            Fault.RESERVES_FOR_ANYONE,
            Fault.NO_RESERVATIONS)) {
      SimulatedUnit unit = new SimulatedUnit(fault);
      Report report = check(unit, 3);
      assertThat(report.verdict()).as(fault + "\n" + report.text()).isEqualTo(Verdict.UNUSABLE);
      assertNothingLeft(unit);
    }
  }

  @Test
  void aDiskThatOthersUseIsNotTouched() {
    SimulatedUnit unit = new SimulatedUnit();
    unit.keys.put(99, 0xf00L);
    Report report = check(unit, 2);
    assertThat(report.verdict()).isEqualTo(Verdict.REFUSED);
    assertThat(unit.keys).containsOnlyKeys(99);
    assertThat(unit.log).noneMatch(command -> command.contains(" 5f/"));
  }

  @Test
  void somebodyWhoRegistersMeanwhileEndsTheCheckAndKeepsHisKey() {
    SimulatedUnit unit = new SimulatedUnit(Fault.FOREIGNER_REGISTERS_MEANWHILE);
    Report report = check(unit, 1);
    assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.UNKNOWN);
    assertThat(unit.keys).containsEntry(99, 0xf00L);
    assertNothingLeft(unit);
  }

  @Test
  void anyOneCommandMayFailAndNothingIsLeft() {
    SimulatedUnit whole = new SimulatedUnit();
    check(whole, 2);
    assertThat(whole.log).hasSizeGreaterThan(30);
    for (int i = 0; i < whole.log.size(); i++) {
      SimulatedUnit unit = new SimulatedUnit();
      unit.failAfter = i;
      Report report = check(unit, 2);
      assertThat(report.verdict())
          .as("command %d failed: %s", i, report.text())
          .isIn(Verdict.USABLE, Verdict.UNKNOWN);
      assertNothingLeft(unit);
    }
  }

  @Test
  void anInterruptedCheckLeavesNothing() {
    SimulatedUnit unit = new SimulatedUnit();
    ScsiCheck check = begin(unit, 2);
    check.interrupt();
    assertThat(check.run().verdict()).isEqualTo(Verdict.INTERRUPTED);
    assertNothingLeft(unit);
  }

  @Test
  void theResultIsJsonWithTheSameContent() {
    Report report =
        new Report(
            "/dev/\"x\"",
            List.of("a", "b"),
            List.of(new Step("id", Outcome.PROVEN, "what\n", "")),
            List.of(
                new Fencing(
                    "a", "lpfc", new ResetWorth(false, ResetWorth.Ground.UNIT, "not \"tried\""))),
            Verdict.USABLE);
    assertThat(report.json())
        .startsWith(
            "{\"device\":\"/dev/\\\"x\\\"\",\"paths\":[\"a\",\"b\"],\"steps\":[{\"id\":\"id\","
                + "\"outcome\":\"proven\",\"what\":\"what\\u000a\",\"found\":\"\"}],"
                + "\"fencing\":[{\"path\":\"a\",\"adapter\":\"lpfc\",\"by\":\"wait\","
                + "\"ground\":\"unit\",\"why\":\"not \\\"tried\\\"\"}],"
                + "\"verdict\":\"usable\"")
        .endsWith("\"exit\":0}\n");
  }
}
