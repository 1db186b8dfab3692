// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.List;
import java.util.Set;

/**
 * What {@link ScsiDevice#resetLogicalUnit} is worth on a disk: whether, when it says {@link
 * LogicalUnitReset.Done}, every command of every initiator that the unit had has ended. A wrong yes
 * loses data, so there are two things to know, and what is not known is a no:
 *
 * <ol>
 *   <li>the driver of this machine's host adapter says it when the <em>unit</em> has said it. By
 *       the drivers' sources (Linux 6.12), {@link #ADAPTERS}; a driver that is not listed was not
 *       read;
 *   <li>the unit says it after the commands have ended. SAM-5 wants that of all units (7.7, 6.3.3,
 *       5.6). The standard's word is not enough: of the targets whose source was read, {@link
 *       #UNITS}, LIO does not keep it after a crash, and tgt, which does, carries out what comes
 *       after it (UNMAP); though on both a write held in flight was seen to be over first ({@code
 *       vm-lab/lab protocol scsi-iscsi}). And one that keeps registrations equal in several servers
 *       need not pass a reset on.
 * </ol>
 *
 * So today there is no disk of which it is a yes.
 *
 * @param endsAll whether all has ended
 * @param ground what decided it
 * @param why for a person: the adapter, the unit and what is known or not
 */
public record ResetWorth(boolean endsAll, Ground ground, String why) {
  /** What decided. */
  public enum Ground {
    /** Adapter and unit are known. */
    KNOWN,
    /** A hypervisor answers, and need not ask the unit. */
    HYPERVISOR,
    /** The driver of the adapter was not read, or what was read does not ask the unit. */
    ADAPTER,
    /** The unit says that it has no LOGICAL UNIT RESET. */
    NO_RESET,
    /** The unit is known, and its reset not to end all. */
    NOT_ALL,
    /** The unit is none of those that were tried. */
    UNIT,
    /** The unit did not answer what was asked. */
    NO_ANSWER
  }

  private enum Asks {
    /** Success is the unit's answer. */
    UNIT,
    /** A hypervisor answers. */
    HYPERVISOR
  }

  private record Adapter(String driver, Asks asks) {}

  /**
   * Read in Linux 6.12:
   *
   * <ul>
   *   <li>iscsi_tcp, iscsi_iser: {@code iscsi_eh_device_reset()} in libiscsi.c sends the task
   *       management request and succeeds on ISCSI_TMF_RSP_COMPLETE alone;
   *   <li>lpfc: {@code lpfc_send_taskmgmt()}, by the FCP response;
   *   <li>fcoe: {@code fc_lun_reset()} in libfc, by the response code of the FCP response;
   *   <li>qla2xxx: {@code __qla2x00_async_tm_cmd()}, {@code qla24xx_tm_iocb_entry()}, by the FCP
   *       response; chips before ISP24xx use a mailbox command ({@code qla2x00_lun_reset()}) of
   *       which the driver does not tell whether it waits for the unit: {@link #OTHER_QLOGIC};
   *   <li>virtio_scsi: the hypervisor's answer. QEMU cancels the requests of this machine and asks
   *       no disk; vhost-scsi asks LIO; from here they look the same;
   *   <li>vmw_pvscsi: {@code pvscsi_device_reset()} succeeds always;
   *   <li>scsifront (Xen), storvsc_host (Hyper-V, which has no such handler): the host's.
   * </ul>
   */
  private static final List<Adapter> ADAPTERS =
      List.of(
          new Adapter("iscsi_tcp", Asks.UNIT),
          new Adapter("iscsi_iser", Asks.UNIT),
          new Adapter("lpfc", Asks.UNIT),
          new Adapter("fcoe", Asks.UNIT),
          new Adapter("qla2xxx", Asks.UNIT),
          new Adapter("virtio_scsi", Asks.HYPERVISOR),
          new Adapter("vmw_pvscsi", Asks.HYPERVISOR),
          new Adapter("scsifront", Asks.HYPERVISOR),
          new Adapter("storvsc_host", Asks.HYPERVISOR));

  private static final String QLOGIC = "qla2xxx";

  /** Without FWI2 (qla2x00_set_isp_flags() in qla_os.c), and the one that has its own functions. */
  private static final Set<String> OTHER_QLOGIC =
      Set.of(
          "ISP2100", "ISP2200", "ISP2300", "ISP2312", "ISP2322", "ISP6312", "ISP6322", "ISPF001");

  /**
   * A target that is known, by its INQUIRY data; an empty product is any.
   *
   * @param newer it counts only where it answers REPORT SUPPORTED OPERATION CODES
   * @param lacks why it does not count; empty: it does
   */
  record Unit(
      String name, String vendor, String product, String revision, boolean newer, String lacks) {
    private boolean is(Inquiry inquiry) {
      return inquiry.vendor().equals(vendor)
          && (product.isEmpty() || inquiry.product().equals(product))
          && inquiry.revision().equals(revision);
    }
  }

  /**
   * Tried and read:
   *
   * <ul>
   *   <li>LIO: {@code core_tmr_lun_reset()} waits for commands of the device ({@code
   *       core_tmr_drain_state_list()}), but not for those of a connection that is being closed,
   *       which a crash of the initiator leads to ({@code CMD_T_FABRIC_STOP}: set in {@code
   *       iscsit_release_commands_from_conn()}, passed over in {@code __target_check_io_state()}).
   *       The product is the administrator's to choose; the revision tells its own disks (iblock,
   *       fileio, rd_mcp: 4.0) from those that programs or other disks stand behind (tcmu: 0002,
   *       pscsi: theirs, which may be another LIO's). With {@code pgr_support=0} an iblock's
   *       reservations are the lower disk's, and resets are not passed on to it. Of two resets at
   *       once older kernels answered the second too early, mended in Linux 6.4 and in stable
   *       kernels from May 2023 on (673db054d7a2, lun_reset_mutex); that it knows REPORT SUPPORTED
   *       OPERATION CODES makes it Linux 6.2 or later. Not told apart: 6.2 before 6.2.15, 6.3
   *       before 6.3.2;
   *   <li>tgt: {@code target_mgmt_request()} counts what is busy, and answers when the last has
   *       ended; of two resets at once it may never answer the first. It carries UNMAP and WRITE
   *       SAME of a node out that is shut out, so what a session sends anew when it comes back
   *       after the reset takes blocks away. The revision tells it from the iSCSI Enterprise
   *       Target, which has the same names.
   * </ul>
   */
  static final List<Unit> UNITS =
      List.of(
          new Unit(
              "LIO",
              "LIO-ORG",
              "",
              "4.0",
              true,
              "a reset does not wait for commands of a connection that the target is closing, as"
                  + " after a crash"),
          new Unit(
              "tgt",
              "IET",
              "VIRTUAL-DISK",
              "0001",
              false,
              "UNMAP and WRITE SAME of a node that is shut out are carried out, before a reset and"
                  + " after it"));

  /** Judges. */
  public static ResetWorth of(ResetEvidence evidence) {
    return of(evidence, UNITS);
  }

  /** Judges, as if these units were known. */
  static ResetWorth of(ResetEvidence evidence, List<Unit> units) {
    String driver = evidence.adapter().driver();
    String by = driver.isEmpty() ? "a host adapter without a driver's name" : driver;
    Adapter adapter =
        ADAPTERS.stream().filter(each -> each.driver().equals(driver)).findFirst().orElse(null);
    if (adapter == null) {
      return no(Ground.ADAPTER, by + ": not known whether its resets are answered by the disk");
    }
    if (adapter.asks() == Asks.HYPERVISOR) {
      return no(Ground.HYPERVISOR, by + ": a hypervisor answers resets, and need not ask the disk");
    }
    String chip = evidence.adapter().chip();
    if (driver.equals(QLOGIC) && (chip.isEmpty() || OTHER_QLOGIC.contains(chip))) {
      String which = chip.isEmpty() ? "an unknown chip" : chip;
      return no(
          Ground.ADAPTER,
          by + ", " + which + ": not known whether its resets are answered by the disk");
    }
    return ofUnit(evidence, by, units);
  }

  private static ResetWorth ofUnit(ResetEvidence evidence, String by, List<Unit> units) {
    if (!(evidence.inquiry() instanceof ScsiResult.Good<Inquiry> inquiry)) {
      return no(Ground.NO_ANSWER, "the disk does not say what it is: " + evidence.inquiry());
    }
    Inquiry said = inquiry.value();
    String name = (said.vendor() + " " + said.product() + " " + said.revision()).strip();
    boolean has = false;
    if (evidence.functions() instanceof ScsiResult.Good<Set<TaskManagementFunction>> functions) {
      has = functions.value().contains(TaskManagementFunction.LOGICAL_UNIT_RESET);
      if (!has) {
        return no(Ground.NO_RESET, name + " says that it has no LOGICAL UNIT RESET");
      }
    } else if (!isRefused(evidence.functions())) {
      return no(Ground.NO_ANSWER, name + " does not answer: " + evidence.functions());
    }
    Unit unit = units.stream().filter(each -> each.is(said)).findFirst().orElse(null);
    if (unit == null) {
      return no(
          Ground.UNIT,
          name
              + " by "
              + by
              + (has ? " says that it has LOGICAL UNIT RESET;" : ":")
              + " not tried whether that ends the commands of all machines before it is answered");
    }
    if (!unit.lacks().isEmpty()) {
      return no(Ground.NOT_ALL, unit.name() + " by " + by + ": " + unit.lacks());
    }
    if (unit.newer() && !evidence.abort().isGood()) {
      return isRefused(evidence.abort())
          ? no(
              Ground.UNIT,
              name + " is none that is known: it knows no REPORT SUPPORTED OPERATION CODES")
          : no(Ground.NO_ANSWER, name + " does not answer: " + evidence.abort());
    }
    return new ResetWorth(
        true,
        Ground.KNOWN,
        unit.name()
            + " by "
            + by
            + ": a reset is answered by the disk, when the commands of all machines have ended");
  }

  /** The unit knows no such command. */
  private static boolean isRefused(ScsiResult<?> result) {
    return result instanceof ScsiResult.CheckCondition<?> check && check.sense().isCommandUnknown();
  }

  private static ResetWorth no(Ground ground, String why) {
    return new ResetWorth(false, ground, why);
  }
}
