// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.mxfs.scsi.ResetWorth.Ground.ADAPTER;
import static org.mxfs.scsi.ResetWorth.Ground.HYPERVISOR;
import static org.mxfs.scsi.ResetWorth.Ground.KNOWN;
import static org.mxfs.scsi.ResetWorth.Ground.NOT_ALL;
import static org.mxfs.scsi.ResetWorth.Ground.NO_ANSWER;
import static org.mxfs.scsi.ResetWorth.Ground.NO_RESET;
import static org.mxfs.scsi.ResetWorth.Ground.UNIT;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.mxfs.scsi.ResetWorth.Ground;

/** The whole table: what is known, and that all else is waited for. */
class ResetWorthTest {
  private enum Answer {
    /** LURS is set; the command is described. */
    YES,
    /** LURS is not set; the command is not supported. */
    NO,
    /** ILLEGAL REQUEST. */
    REFUSED,
    /** Something else than an answer. */
    LOST
  }

  private static final Inquiry LIO = new Inquiry(0, 0, 6, "LIO-ORG", "a name", "4.0");
  private static final Inquiry TGT = new Inquiry(0, 0, 5, "IET", "VIRTUAL-DISK", "0001");
  private static final Inquiry ARRAY = new Inquiry(0, 0, 6, "MAKER", "ARRAY", "9.1");

  /** The two of the real table, as if nothing were to be said against them. */
  private static final List<ResetWorth.Unit> COUNTED =
      List.of(
          new ResetWorth.Unit("LIO", "LIO-ORG", "", "4.0", true, ""),
          new ResetWorth.Unit("tgt", "IET", "VIRTUAL-DISK", "0001", false, ""));

  private static final Set<TaskManagementFunction> ALL = Set.of(TaskManagementFunction.values());
  private static final Set<TaskManagementFunction> OTHERS =
      Set.of(TaskManagementFunction.ABORT_TASK, TaskManagementFunction.TARGET_RESET);

  private static <T> ScsiResult<T> answer(Answer answer, T yes, T no) {
    return switch (answer) {
      case YES -> new ScsiResult.Good<>("a command", yes, List.of());
      case NO -> new ScsiResult.Good<>("a command", no, List.of());
      case REFUSED -> sense(SenseKey.ILLEGAL_REQUEST);
      case LOST -> lost();
    };
  }

  private static <T> ScsiResult<T> sense(SenseKey key) {
    return new ScsiResult.CheckCondition<>(
        "a command", new Sense(key, 0x20, 0, false, OptionalLong.empty()), List.of());
  }

  private static <T> ScsiResult<T> lost() {
    return new ScsiResult.TransportError<>("a command", 0, 3, 0, List.of());
  }

  private static ResetEvidence evidence(
      HostAdapter adapter, ScsiResult<Inquiry> inquiry, Answer functions, Answer codes) {
    return new ResetEvidence(
        adapter,
        inquiry,
        answer(functions, ALL, OTHERS),
        answer(codes, CommandSupport.STANDARD, CommandSupport.NOT_SUPPORTED));
  }

  private static ResetWorth judge(
      HostAdapter adapter, ScsiResult<Inquiry> inquiry, Answer functions, Answer codes) {
    return ResetWorth.of(evidence(adapter, inquiry, functions, codes), COUNTED);
  }

  private static ResetWorth judge(String driver, Inquiry inquiry, Answer functions, Answer codes) {
    return judge(
        new HostAdapter(driver, ""),
        new ScsiResult.Good<>("INQUIRY", inquiry, List.of()),
        functions,
        codes);
  }

  private record Row(String driver, Inquiry unit, Answer functions, Answer codes, Ground ground) {}

  @Test
  void whatIsKnownAndNothingElseEndsAll() {
    List<Row> table = new ArrayList<>();
    for (String known : List.of("iscsi_tcp", "iscsi_iser", "lpfc", "fcoe")) {
      for (Answer functions : List.of(Answer.YES, Answer.REFUSED)) {
        // Whether LIO says that it has that command is of no matter, that it says something is.
        table.add(new Row(known, LIO, functions, Answer.YES, KNOWN));
        table.add(new Row(known, LIO, functions, Answer.NO, KNOWN));
        table.add(new Row(known, LIO, functions, Answer.REFUSED, UNIT));
        table.add(new Row(known, LIO, functions, Answer.LOST, NO_ANSWER));
        for (Answer codes : Answer.values()) {
          table.add(new Row(known, TGT, functions, codes, KNOWN));
          table.add(new Row(known, ARRAY, functions, codes, UNIT));
        }
      }
      for (Inquiry unit : List.of(LIO, TGT, ARRAY)) {
        for (Answer codes : Answer.values()) {
          table.add(new Row(known, unit, Answer.NO, codes, NO_RESET));
          table.add(new Row(known, unit, Answer.LOST, codes, NO_ANSWER));
        }
      }
    }
    for (Inquiry unit : List.of(LIO, TGT, ARRAY)) {
      for (Answer functions : Answer.values()) {
        for (Answer codes : Answer.values()) {
          for (String guest : List.of("virtio_scsi", "vmw_pvscsi", "scsifront", "storvsc_host")) {
            table.add(new Row(guest, unit, functions, codes, HYPERVISOR));
          }
          for (String strange :
              List.of("", "mpt3sas", "megaraid_sas", "tcm_loopback", "scsi_debug", "iscsi_tcp2")) {
            table.add(new Row(strange, unit, functions, codes, ADAPTER));
          }
        }
      }
    }
    for (Row row : table) {
      ResetWorth worth = judge(row.driver, row.unit, row.functions, row.codes);
      assertThat(worth.ground()).as("%s: %s", row, worth).isEqualTo(row.ground);
      assertThat(worth.endsAll()).as("%s: %s", row, worth).isEqualTo(row.ground == KNOWN);
      assertThat(worth.why()).isNotBlank();
    }
  }

  /**
   * LIO passes commands of a connection over that it is closing, tgt lets discards of a node that
   * is shut out through; docs/takeover.md.
   */
  @Test
  void noUnitThatIsKnownCounts() {
    for (ResetWorth.Unit known : ResetWorth.UNITS) {
      String product = known.product().isEmpty() ? "a name" : known.product();
      Inquiry unit = new Inquiry(0, 0, 6, known.vendor(), product, known.revision());
      for (Answer functions : List.of(Answer.YES, Answer.REFUSED)) {
        for (Answer codes : Answer.values()) {
          ResetWorth worth =
              ResetWorth.of(
                  evidence(
                      new HostAdapter("iscsi_tcp", ""),
                      new ScsiResult.Good<>("INQUIRY", unit, List.of()),
                      functions,
                      codes));
          assertThat(worth.ground()).as("%s: %s", unit, worth).isEqualTo(NOT_ALL);
          assertThat(worth.endsAll()).as("%s: %s", unit, worth).isFalse();
          assertThat(worth.why()).isEqualTo(known.name() + " by iscsi_tcp: " + known.lacks());
        }
      }
    }
  }

  /** Each has a part of a known unit's data. */
  @Test
  void aUnitIsKnownByAllOfItsInquiryData() {
    for (Inquiry other :
        List.of(
            new Inquiry(0, 0, 6, "LIO-ORG", "TCMU device", "0002"),
            new Inquiry(0, 0, 6, "LIO-ORG", "IBLOCK", "4.1"),
            new Inquiry(0, 0, 6, "LIO-ORG2", "IBLOCK", "4.0"),
            new Inquiry(0, 0, 6, "", "LIO-ORG", "4.0"),
            new Inquiry(0, 0, 5, "IET", "VIRTUAL-DISK", "0"),
            new Inquiry(0, 0, 5, "IET", "VIRTUAL-DISK2", "0001"),
            new Inquiry(0, 0, 5, "MXFS", "LABDISK 1", "0001"),
            new Inquiry(0, 0, 5, "SCST_BIO", "disk", "330"))) {
      ResetWorth worth = judge("iscsi_tcp", other, Answer.REFUSED, Answer.YES);
      assertThat(worth.ground()).as("%s", other).isEqualTo(UNIT);
      assertThat(worth.endsAll()).isFalse();
      assertThat(worth.why()).contains(other.vendor(), other.product(), "iscsi_tcp");
    }
  }

  @Test
  void aQlogicChipHasToBeOneWhoseResetsWereRead() {
    ScsiResult<Inquiry> lio = new ScsiResult.Good<>("INQUIRY", LIO, List.of());
    for (String chip : List.of("ISP2422", "ISP2432", "ISP2532", "ISP8031", "ISP2071", "ISP2261")) {
      assertThat(judge(new HostAdapter("qla2xxx", chip), lio, Answer.REFUSED, Answer.YES).ground())
          .as(chip)
          .isEqualTo(KNOWN);
    }
    for (String chip :
        List.of("", "ISP2100", "ISP2200", "ISP2300", "ISP2312", "ISP2322", "ISP6312", "ISPF001")) {
      assertThat(judge(new HostAdapter("qla2xxx", chip), lio, Answer.REFUSED, Answer.YES).ground())
          .as(chip)
          .isEqualTo(ADAPTER);
    }
  }

  @Test
  void aUnitThatDoesNotSayWhatItIsIsNotKnown() {
    HostAdapter iscsi = new HostAdapter("iscsi_tcp", "");
    for (ScsiResult<Inquiry> none :
        List.of(
            ResetWorthTest.<Inquiry>lost(),
            ResetWorthTest.<Inquiry>sense(SenseKey.ILLEGAL_REQUEST),
            new ScsiResult.BadAnswer<Inquiry>("INQUIRY", "4 bytes", List.of()))) {
      assertThat(judge(iscsi, none, Answer.YES, Answer.YES).ground()).isEqualTo(NO_ANSWER);
    }
    // Of the others ILLEGAL REQUEST alone says that the unit has no such command.
    ResetWorth busy =
        ResetWorth.of(
            new ResetEvidence(
                iscsi,
                new ScsiResult.Good<>("INQUIRY", TGT, List.of()),
                sense(SenseKey.ABORTED_COMMAND),
                answer(Answer.YES, CommandSupport.STANDARD, CommandSupport.STANDARD)),
            COUNTED);
    assertThat(busy.ground()).isEqualTo(NO_ANSWER);
    // Nor does it where the unit is away, or this machine may not use it.
    for (Sense away :
        List.of(
            new Sense(SenseKey.ILLEGAL_REQUEST, 0x25, 0, false, OptionalLong.empty()),
            new Sense(SenseKey.ILLEGAL_REQUEST, 0x20, 2, false, OptionalLong.empty()))) {
      assertThat(
              ResetWorth.of(
                      new ResetEvidence(
                          iscsi,
                          new ScsiResult.Good<>("INQUIRY", TGT, List.of()),
                          new ScsiResult.CheckCondition<>("a command", away, List.of()),
                          answer(Answer.YES, CommandSupport.STANDARD, CommandSupport.STANDARD)),
                      COUNTED)
                  .ground())
          .isEqualTo(NO_ANSWER);
    }
  }

  @Test
  void whatIsReadIsThreeCommandsAndTellsTheirUnitAttentions() {
    ScriptedTransport lun =
        new ScriptedTransport()
            .good("0000060200000002" + "4c494f2d4f524720" + "20".repeat(16) + "342e3020")
            .sense(6, 0x2a03)
            .sense(5, 0x2000)
            .good("00 03 000a 5fff000000000000000000");
    ResetEvidence read =
        ResetEvidence.read(ScriptedTransport.device(lun), new HostAdapter("iscsi_tcp", ""));
    assertThat(lun.sent()).hasSize(4);
    assertThat(read.unitAttentions()).hasSize(1).allMatch(Sense::isReservationLost);
    assertThat(ResetWorth.of(read, COUNTED).endsAll()).isTrue();
    assertThat(ResetWorth.of(read).ground()).isEqualTo(NOT_ALL);
  }

  @Test
  void aUnitThatDoesNotAnswerIsNotAskedOn() {
    ScriptedTransport dead =
        new ScriptedTransport()
            .answer(new CommandTransport.Completion(0, 0, 3, 0, new byte[0], new byte[0]));
    ResetEvidence read =
        ResetEvidence.read(ScriptedTransport.device(dead), new HostAdapter("iscsi_tcp", ""));
    assertThat(dead.sent()).hasSize(1);
    assertThat(ResetWorth.of(read).ground()).isEqualTo(NO_ANSWER);
    ScriptedTransport dies =
        new ScriptedTransport()
            .good("0000060200000002" + "4c494f2d4f524720" + "20".repeat(16) + "342e3020")
            .answer(new CommandTransport.Completion(0, 0, 3, 0, new byte[0], new byte[0]));
    read = ResetEvidence.read(ScriptedTransport.device(dies), new HostAdapter("iscsi_tcp", ""));
    assertThat(dies.sent()).hasSize(2);
    assertThat(ResetWorth.of(read).ground()).isEqualTo(NO_ANSWER);
  }
}
