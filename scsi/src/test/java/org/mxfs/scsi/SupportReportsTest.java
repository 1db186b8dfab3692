// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.mxfs.scsi.ScriptedTransport.hex;

import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Bytes of REPORT SUPPORTED OPERATION CODES and TASK MANAGEMENT FUNCTIONS, SPC-4. */
class SupportReportsTest {
  private final ScriptedTransport lun = new ScriptedTransport();
  private final ScsiDevice device = ScriptedTransport.device(lun);

  @Test
  void theFunctionsAreAskedForAndDecoded() {
    assertThat(lun.good("c8 01 0000")).isNotNull(); // as Linux' scsi_debug answers
    assertThat(device.taskManagementFunctions())
        .isEqualTo(
            new ScsiResult.Good<>(
                "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS to scripted",
                Set.of(
                    TaskManagementFunction.ABORT_TASK,
                    TaskManagementFunction.ABORT_TASK_SET,
                    TaskManagementFunction.LOGICAL_UNIT_RESET,
                    TaskManagementFunction.I_T_NEXUS_RESET),
                List.of()));
    assertThat(lun.sent()).containsExactly("a30d00000000000000040000");
  }

  @Test
  void eachFunctionHasItsBit() throws Exception {
    assertThat(SupportReports.functions(hex("00 00 0000"))).isEmpty();
    assertThat(SupportReports.functions(hex("08 00 0000")))
        .containsExactly(TaskManagementFunction.LOGICAL_UNIT_RESET);
    assertThat(SupportReports.functions(hex("f7 ff 0000")))
        .hasSize(10)
        .doesNotContain(TaskManagementFunction.LOGICAL_UNIT_RESET);
    assertThat(SupportReports.functions(hex("ff 07 0000")))
        .containsExactlyInAnyOrder(TaskManagementFunction.values());
  }

  @Test
  void oneCommandIsAskedForAndDecoded() throws Exception {
    lun.good("00 03 000a 5fff000000000000000000");
    assertThat(device.commandSupport(0x5f, 5))
        .isInstanceOfSatisfying(
            ScsiResult.Good.class,
            good -> assertThat(good.value()).isEqualTo(CommandSupport.STANDARD));
    assertThat(lun.sent()).containsExactly("a30c025f0005000001080000");
    assertThat(SupportReports.oneCommand(hex("00 00 0000"))).isEqualTo(CommandSupport.NOT_KNOWN);
    assertThat(SupportReports.oneCommand(hex("00 81"))).isEqualTo(CommandSupport.NOT_SUPPORTED);
    assertThat(SupportReports.oneCommand(hex("00 05 0000"))).isEqualTo(CommandSupport.VENDOR);
  }

  @Test
  void whatIsTooShortOrReservedIsRefused() {
    for (String bad : List.of("", "c8 01 00")) {
      assertThatExceptionOfType(ScsiFormatException.class)
          .isThrownBy(() -> SupportReports.functions(hex(bad)));
    }
    for (String bad : List.of("", "00", "00 02 0000", "00 07 0000")) {
      assertThatExceptionOfType(ScsiFormatException.class)
          .isThrownBy(() -> SupportReports.oneCommand(hex(bad)));
    }
  }
}
