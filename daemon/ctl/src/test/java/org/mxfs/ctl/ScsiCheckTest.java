// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import java.io.IOException;
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
    return begin(behind, adapter, false);
  }

  private static ScsiCheck begin(List<SimulatedUnit> behind, String adapter, boolean byMultipath) {
    List<PathUnderCheck> list = new ArrayList<>();
    for (int i = 0; i < behind.size(); i++) {
      String name = "path" + i;
      list.add(
          new PathUnderCheck(
              name,
              new ScsiDevice(name, behind.get(i).path(i), ScsiDevice.Options.DEFAULT),
              new HostAdapter(i == 0 ? adapter : "virtio_scsi", ""),
              byMultipath));
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

  /** RESERVE of SPC-2: another machine has the disk, whatever it can do. */
  @Test
  void aDiskThatIsReservedByAnOldCommandIsRefused() {
    SimulatedUnit unit = new SimulatedUnit(Fault.RESERVED_BY_AN_OLD_COMMAND);
    Report report = check(unit, 2);
    assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.REFUSED);
    assertThat(report.text()).contains("held by a RESERVE of another machine");
    assertThat(unit.log).noneMatch(command -> command.contains(" 5f/"));
  }

  /** What mxfs itself does not take for a disk without reservations: its mount fails. */
  @Test
  void aUnitThatIsAwayIsNotSaidToHaveNoReservations() {
    SimulatedUnit unit = new SimulatedUnit(Fault.UNIT_IS_AWAY);
    Report report = check(unit, 1);
    assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.UNKNOWN);
    assertThat(report.text()).doesNotContain("it has none");
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

  /** By what else is known they are one. */
  @Test
  void oneUnitWhoseRegistrationsDoNotShowOnItsOtherPathIsNotUsable() {
    for (String serial : List.of("", "30", "31")) {
      for (boolean byMultipath : List.of(true, false)) {
        for (int paths = 2; paths <= 3; paths++) {
          SimulatedUnit first = new SimulatedUnit();
          SimulatedUnit other = new SimulatedUnit();
          first.serial = "30";
          other.serial = serial;
          List<SimulatedUnit> behind =
              paths == 2 ? List.of(first, other) : List.of(first, first, other);
          Report report = begin(behind, "iscsi_tcp", byMultipath).run();
          boolean one = byMultipath || serial.equals("30");
          assertThat(report.verdict())
              .as(report.text())
              .isEqualTo(one ? Verdict.UNUSABLE : Verdict.UNKNOWN);
          assertThat(report.text()).contains("do not mount");
          assertThat(report.text().contains("before this is explained")).isEqualTo(!one);
          assertNothingLeft(first);
          assertThat(other.log).noneMatch(command -> command.contains(" 5f/"));
        }
      }
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
    List<IOException> why = new ArrayList<>();
    assertThat(ScsiCheckCommand.adapter(Path.of("/missing/disk"), why::add))
        .isEqualTo(HostAdapter.UNKNOWN);
    assertThat(why).hasSize(1);
    ScsiCheck check = begin(new SimulatedUnit(), 1, "");
    check.adapterNotFound(Path.of("/missing/disk"), why.getFirst());
    Report report = check.run();
    assertThat(report.verdict()).isEqualTo(Verdict.USABLE);
    assertThat(report.text())
        .containsSubsequence(
            "note", "the host adapter of /missing/disk cannot be looked up", "ENOENT");
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
    for (SimulatedUnit.Failure failure : SimulatedUnit.Failure.values()) {
      for (int i = 0; i < whole.log.size(); i++) {
        SimulatedUnit unit = new SimulatedUnit();
        unit.failAfter = i;
        unit.failure = failure;
        Report report = check(unit, 2);
        assertThat(report.verdict())
            .as("command %d failed, %s: %s", i, failure, report.text())
            .isIn(Verdict.USABLE, Verdict.UNKNOWN);
        assertThat(report.steps())
            .as("command %d failed, %s: %s", i, failure, report.text())
            .noneMatch(
                step -> step.outcome() == Outcome.UNSUPPORTED && !step.id().endsWith("-told"));
        assertNothingLeft(unit);
      }
    }
  }

  /** A path by which something was put there dies; others, to that unit or to another, answer. */
  @Test
  void whatIsLeftBehindByAPathThatDiesIsSaidWithThePathThatHasIt() {
    int left = 0;
    for (int outs = 1; outs < 20; outs++) {
      SimulatedUnit one = new SimulatedUnit();
      for (List<SimulatedUnit> behind : List.of(List.of(one, one, one), twoUnits(GLOBAL))) {
        behind.forEach(unit -> unit.outsOfFirstPath = -1);
        behind.getFirst().outsOfFirstPath = outs;
        Report report = begin(behind, "iscsi_tcp").run();
        if (!behind.getFirst().keys.isEmpty()) {
          left++;
          String at = behind.getLast().equals(behind.getFirst()) ? "path1" : "path0";
          assertThat(report.verdict()).as(report.text()).isEqualTo(Verdict.LEFT_BEHIND);
          assertThat(report.text())
              .contains("--register-ignore --param-sark=1 " + at + ", then")
              .contains("--clear --param-rk=1 " + at + ".");
        }
      }
    }
    assertThat(left).isGreaterThan(5);
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
