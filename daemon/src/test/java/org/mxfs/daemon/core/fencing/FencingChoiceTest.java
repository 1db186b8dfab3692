// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.mxfs.daemon.core.fencing.FencingChoice.Setting.RESET;
import static org.mxfs.daemon.core.fencing.FencingChoice.Setting.TRUE;
import static org.mxfs.daemon.core.fencing.FencingChoice.Setting.WAIT;

import org.junit.jupiter.api.Test;

class FencingChoiceTest {
  private record Row(
      FencingChoice.Setting setting, boolean found, boolean byReset, boolean wordAlone) {}

  @Test
  void whatIsSetAndWhatIsFoundDecideTogether() {
    for (Row row :
        new Row[] {
          new Row(TRUE, true, true, false),
          new Row(TRUE, false, false, false),
          new Row(RESET, true, true, false),
          new Row(RESET, false, true, true),
          new Row(WAIT, true, false, false),
          new Row(WAIT, false, false, false),
        }) {
      FencingChoice choice = new FencingChoice(row.setting, row.found, "a disk");
      assertThat(choice.byReset()).as("%s", row).isEqualTo(row.byReset);
      assertThat(choice.isWordAlone()).as("%s", row).isEqualTo(row.wordAlone);
      assertThat(choice.settings())
          .as("%s", row)
          .isEqualTo(row.byReset ? FencingSettings.RESET_ENDS_ALL : FencingSettings.UNKNOWN_DISK);
    }
  }

  @Test
  void theLogSaysHowAndWhoseWordItIs() {
    assertThat(new FencingChoice(TRUE, true, "LIO by iscsi_tcp"))
        .hasToString(
            "what a node that is shut out had under way is ended by a LOGICAL UNIT RESET: LIO by"
                + " iscsi_tcp");
    assertThat(new FencingChoice(TRUE, false, "virtio_scsi"))
        .hasToString(
            "what a node that is shut out had under way is waited for, 303 s: virtio_scsi");
    assertThat(new FencingChoice(RESET, false, "virtio_scsi"))
        .hasToString(
            "what a node that is shut out had under way is ended by a LOGICAL UNIT RESET: as"
                + " -Dmxfs.takeover=reset says; found: virtio_scsi");
  }
}
