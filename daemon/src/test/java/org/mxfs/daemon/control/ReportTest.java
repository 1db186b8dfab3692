// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.control;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;

class ReportTest {
  private static final Report.Mount MOUNT =
      new Report.Mount(
          "1.2", 2, 77, true, "uuid", "/dev/x", 8, 16, false, 0x1001, "n1", 7600, 20_000, null);

  private static final ReservationKey SELF = ReservationKey.of(0x1001, 1);
  private static final ReservationKey OTHER = ReservationKey.of(0x1002, 2);

  private static VolumeStatus status(String otherHost) {
    return status(otherHost, null);
  }

  private static VolumeStatus status(
      String otherHost, @Nullable List<VolumeStatus.Missing> missing) {
    return new VolumeStatus(
        900,
        VolumeStatus.State.MEMBER,
        400,
        KernelState.DETACHED,
        true,
        SELF,
        7,
        OTHER,
        21_000,
        new VolumeStatus.Wish(700, VolumeStatus.Reason.OWNER_HAS_IT, OTHER),
        List.of(new VolumeStatus.Waiting(OTHER, 950)),
        List.of(
            new VolumeStatus.Neighbour(0x1002, OTHER, otherHost, true, ""),
            new VolumeStatus.Neighbour(
                0x1003, ReservationKey.NONE, "n3", false, "speaks version 9")),
        missing);
  }

  private static String json(String otherHost) {
    return new Report(
            MOUNT,
            1_000,
            status(otherHost),
            List.of(new Report.Sighting(0x1002, "10.0.0.2:7600", 30)),
            List.of(new Report.Trouble("WARN", 12, "line")))
        .json();
  }

  @Test
  void aReportIsAsTheDocumentationSays() {
    String node2 =
        "\"key\":\"0x0000100200000002\",\"id\":\"00001002\",\"host\":\"n2\",\"self\":false";
    assertThat(json("n2"))
        .isEqualTo(
            "{\"schema\":1"
                + ",\"daemon\":{\"version\":\"1.2\",\"pid\":77,\"up_ms\":1000,\"restarted\":true}"
                + ",\"volume\":{\"uuid\":\"uuid\",\"device\":\"/dev/x\",\"major\":8,\"minor\":16"
                + ",\"read_only\":false}"
                + ",\"node\":{\"id\":\"00001001\",\"host\":\"n1\",\"port\":7600"
                + ",\"key\":\"0x0000100100000001\",\"protocol\":2}"
                + ",\"fencing\":null"
                + ",\"status\":{\"stepped_ms\":100,\"state\":\"member\",\"state_ms\":600"
                + ",\"xfs\":\"detached\",\"ready\":true,\"epoch\":7"
                + (",\"holder\":{" + node2 + "}")
                + ",\"lease_ms\":20000,\"lease_left_ms\":20000"
                + (",\"waiting\":{\"ms\":300,\"why\":\"owner_has_it\",\"for\":{" + node2 + "}}")
                + (",\"waiters\":[{\"ms\":50," + node2 + "}]")
                + ",\"peers\":[{\"id\":\"00001002\",\"host\":\"n2\",\"key\":\"0x0000100200000002\""
                + ",\"connected\":true,\"mounted\":true,\"address\":\"10.0.0.2:7600\""
                + ",\"heard_ms\":30,\"protocol\":2,\"trouble\":null}"
                + ",{\"id\":\"00001003\",\"host\":\"n3\",\"key\":null,\"connected\":false"
                + ",\"mounted\":false,\"address\":null,\"heard_ms\":null,\"protocol\":null"
                + ",\"trouble\":\"speaks version 9\"}]"
                + ",\"takeover\":false,\"missing\":[]}"
                + ",\"log\":[{\"ms\":12,\"level\":\"warn\",\"text\":\"line\"}]}");
  }

  @Test
  void whoIsMissingIsToldWithWhatIsKnownOfIt() {
    VolumeStatus.Missing marked =
        new VolumeStatus.Missing(OTHER, "old", VolumeStatus.Shut.FENCED, 9, 400, false);
    VolumeStatus.Missing bare =
        new VolumeStatus.Missing(
            ReservationKey.of(0x1009, 3), "", VolumeStatus.Shut.SHUT_OUT, 0, 1_000, false);
    VolumeStatus status = status("n2", List.of(marked, bare));
    assertThat(new Report(MOUNT, 1_000, status, List.of(), List.of()).json())
        .contains(
            "\"takeover\":true,\"missing\":[{\"key\":\"0x0000100200000002\",\"id\":\"00001002\""
                + ",\"host\":\"old\",\"state\":\"fenced\",\"ms\":600,\"epoch\":9"
                + ",\"refusal\":null},{\"key\":\"0x0000100900000003\",\"id\":\"00001009\""
                + ",\"host\":null,\"state\":\"shut_out\",\"ms\":0,\"epoch\":null"
                + ",\"refusal\":\"it is not known yet");
  }

  @Test
  void beforeTheFirstStepThereIsNoStatus() {
    assertThat(new Report(MOUNT, 3, null, List.of(), List.of()).json())
        .contains("\"key\":null")
        .contains("\"status\":null,\"log\":[]");
  }

  @Test
  void howNodesAreFencedIsToldWhereTakeoverIsOn() {
    Report.Fencing fencing =
        new Report.Fencing(
            true, 303_000, "reset", false, "as -Dmxfs.takeover=reset says; found: a disk");
    Report.Mount mount =
        new Report.Mount(
            "1.2", 2, 77, true, "uuid", "/dev/x", 8, 16, false, 0x1001, "n1", 7600, 20_000,
            fencing);
    assertThat(new Report(mount, 3, null, List.of(), List.of()).json())
        .contains(
            ",\"fencing\":{\"by\":\"reset\",\"life_ms\":303000,\"setting\":\"reset\",\"found\":\"wait\",\"why\":\"as"
                + " -Dmxfs.takeover=reset says; found: a disk\"},\"status\":null");
  }

  @Test
  void whatOthersSayCannotLeaveItsString() {
    String json = json("a\"b\\c\n\u001b[2J\u009b\u202e");
    assertThat(json).contains("a\\\"b\\\\c\\u000a\\u001b[2J\\u009b\\u202e");
    assertThat(json.chars()).allMatch(c -> c >= ' ' && c <= '~');
  }
}
