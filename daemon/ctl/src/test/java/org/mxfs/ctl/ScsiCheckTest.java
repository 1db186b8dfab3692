// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.mxfs.ctl.ScsiCheck.PathUnderCheck;
import org.mxfs.ctl.SimulatedUnit.Fault;
import org.mxfs.ctl.Step.Outcome;
import org.mxfs.scsi.DevicePaths;
import org.mxfs.scsi.HostAdapter;
import org.mxfs.scsi.ResetWorth;
import org.mxfs.scsi.ScsiDevice;

/** That the check sees what is wrong with a disk, and leaves nothing, whatever happens. */
class ScsiCheckTest {
  /** NAA 6 of a company; NAA 3, assigned locally. */
  private static final String GLOBAL = "010300086001400000000001";

  private static final String LOCAL = "010300083000000100000001";

  private static Report check(SimulatedUnit unit, int paths) {
    return begin(unit, paths).run();
  }

  private static ScsiCheck begin(SimulatedUnit unit, int paths) {
    return begin(unit, paths, "iscsi_tcp");
  }

  private static ScsiCheck begin(SimulatedUnit unit, int paths, String adapter) {
    return begin(Collections.nCopies(paths, unit), adapter);
  }

  private static ScsiCheck begin(List<SimulatedUnit> behind, String adapter) {
    List<PathUnderCheck> list = new ArrayList<>();
    for (int i = 0; i < behind.size(); i++) {
      String name = "path" + i;
      list.add(
          new PathUnderCheck(
              name,
              new ScsiDevice(name, behind.get(i).path(i), ScsiDevice.Options.DEFAULT),
              new HostAdapter(i == 0 ? adapter : "virtio_scsi", "")));
    }
    return new ScsiCheck("simulated", list, true, new Random(1));
  }

  /** Two units by one path each, both with this device identification. */
  private static List<SimulatedUnit> twoUnits(String designators) {
    List<SimulatedUnit> units = List.of(new SimulatedUnit(), new SimulatedUnit());
    units.forEach(unit -> unit.designators = designators);
    return units;
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
        .contains("what a fenced node has under way would be waited for, 303 s, by path0")
        .contains("what a fenced node has under way would be waited for, 303 s, by path1")
        .contains("; takeover is off in this version");

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

  /** Two disks that are taken for paths of one. */
  @Test
  void whoIsRegisteredOnTheOtherPathIsSeen() {
    List<SimulatedUnit> units = twoUnits(GLOBAL);
    units.get(1).keys.put(99, 0xf00L);
    Report report = begin(units, "iscsi_tcp").run();
    assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.REFUSED);
    assertThat(units.get(1).keys).containsOnlyKeys(99);
    for (SimulatedUnit unit : units) {
      assertThat(unit.log).noneMatch(command -> command.contains(" 5f/"));
    }
  }

  /** tgt's name by numbers is equal in all tgts; a name of the world can be given twice as well. */
  @Test
  void twoDisksOfOneNameAreFoundOutBeforeTheSecondIsTouched() {
    for (String name : List.of(GLOBAL, LOCAL, "")) {
      List<SimulatedUnit> units = twoUnits(name);
      Report report = begin(units, "iscsi_tcp").run();
      assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.UNKNOWN);
      assertThat(outcome(report, "one-unit")).isEqualTo(Outcome.FAILED);
      assertThat(units.get(1).log).noneMatch(command -> command.contains(" 5f/"));
      units.forEach(ScsiCheckTest::assertNothingLeft);
    }
  }

  /** As dm-multipath joins them, which goes by its own rules. */
  @Test
  void pathsToOneUnitNeedNoNameThatIsUniqueInTheWorld() {
    for (String name : List.of(LOCAL, "")) {
      SimulatedUnit unit = new SimulatedUnit();
      unit.designators = name;
      Report report = check(unit, 2);
      assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.USABLE);
      assertThat(outcome(report, "one-unit")).isEqualTo(Outcome.PROVEN);
      assertThat(report.text()).contains("no name that is unique in the world");
      assertNothingLeft(unit);
    }
  }

  @Test
  void pathsWithDifferentNamesAreOfDifferentUnits() {
    List<SimulatedUnit> units = twoUnits(GLOBAL);
    units.get(1).designators = GLOBAL.replace("01400", "01401");
    Report report = begin(units, "iscsi_tcp").run();
    assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.UNUSABLE);
    for (SimulatedUnit unit : units) {
      assertThat(unit.log).noneMatch(command -> command.contains(" 5f/"));
    }
  }

  @Test
  void anAdapterThatCannotBeFoundIsNotKnown() {
    assertThat(ScsiCheckCommand.adapter(Path.of("/missing/disk"))).isEqualTo(HostAdapter.UNKNOWN);
  }

  @Test
  void thatMultipathIsNotMountedIsSaidWithTheVerdict() {
    for (DevicePaths.Kind kind : DevicePaths.Kind.values()) {
      for (Verdict verdict : Verdict.values()) {
        boolean said = kind == DevicePaths.Kind.MULTIPATH && verdict == Verdict.USABLE;
        DevicePaths found = new DevicePaths("dm-0", kind, List.of(), List.of());
        String remark = ScsiCheckCommand.remark(found, verdict);
        assertThat(remark.contains("does not mount device-mapper multipath")).isEqualTo(said);
        Report report =
            new Report("/dev/dm-0", List.of(), List.of(), List.of(), verdict, "").adding(remark);
        assertThat(report.text().contains("multipathd has to leave alone")).isEqualTo(said);
        assertThat(report.json().contains("multipathd has to leave alone")).isEqualTo(said);
      }
    }
  }

  @Test
  void whatMayBeAnotherPathIsSaidWithTheVerdict() {
    DevicePaths found =
        new DevicePaths(
            "sdb",
            DevicePaths.Kind.SCSI_DISK,
            List.of(Path.of("/dev/sdb")),
            List.of(Path.of("/dev/sdc")));
    assertThat(ScsiCheckCommand.remark(found, Verdict.USABLE))
        .isEqualTo(
            "/dev/sdc may be another path to it, by a name that is not unique in the world, or"
                + " another disk: it was not tried.");
    assertThat(ScsiCheckCommand.remark(found, Verdict.REFUSED)).isEmpty();
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
            Verdict.USABLE,
            "");
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
