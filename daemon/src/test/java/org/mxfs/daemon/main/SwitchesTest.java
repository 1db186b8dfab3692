// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.daemon.core.fencing.FencingSettings;

/** Danger 42 of docs/takeover.md. */
class SwitchesTest {
  @TempDir Path directory;

  private final List<String> warnings = new ArrayList<>();
  private Path file;

  @BeforeEach
  void file() {
    file = directory.resolve("run/volume.switches");
  }

  private Switches mount(@Nullable String beats, @Nullable String takeover) {
    return Switches.ofMount(file, false, beats, takeover, warnings::add);
  }

  private Switches restart(@Nullable String beats, @Nullable String takeover) {
    return Switches.ofMount(file, true, beats, takeover, warnings::add);
  }

  @Test
  void whatIsSetIsUnderstoodOrRefused() {
    assertThat(Switches.parse(null, null)).isEqualTo(Switches.OFF);
    assertThat(Switches.parse("0", "false")).isEqualTo(Switches.OFF);
    assertThat(Switches.OFF.takeover()).isNull();
    assertThat(Switches.parse("1000", "true").takeover()).isEqualTo(FencingSettings.UNKNOWN_DISK);
    assertThat(Switches.parse("1", "reset").takeover()).isEqualTo(FencingSettings.RESET_ENDS_ALL);
    for (String wrong : List.of("", "1001", "-1", "x", "1 000", "00001")) {
      assertThatThrownBy(() -> Switches.parse(wrong, null))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("-Dmxfs.beats=" + wrong);
    }
    for (String wrong : List.of("", "yes", "TRUE", "reset ")) {
      assertThatThrownBy(() -> Switches.parse("1000", wrong))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("-Dmxfs.takeover=" + wrong);
    }
  }

  @Test
  void aDaemonThatIsRestartedHasWhatItsPredecessorHad() {
    Switches first = mount("1000", "reset");
    assertThat(restart("1000", "reset")).isEqualTo(first);
    assertThat(warnings).isEmpty();
    assertThat(restart(null, null)).isEqualTo(first);
    assertThat(restart("500", "true")).isEqualTo(first);
    assertThat(warnings).hasSize(2).allMatch(text -> text.contains("otherwise than at mount"));
    assertThat(mount(null, null)).as("the next mount").isEqualTo(Switches.OFF);
    assertThat(restart("1000", "reset")).isEqualTo(Switches.OFF);
  }

  @Test
  void aSettingThatIsWrongFailsAMountAndEndsNoneThatIsAtWork() {
    Switches first = mount("1000", "true");
    assertThat(restart("x", null)).isEqualTo(first);
    assertThat(restart("1000", "perhaps")).isEqualTo(first);
    assertThat(warnings).hasSize(2).allMatch(text -> text.contains("until umount"));
    assertThatThrownBy(() -> mount("x", null)).isInstanceOf(IllegalArgumentException.class);
  }

  /** An earlier version's, or what cannot be read. */
  @Test
  void whereNothingWasKeptWhatIsSetHolds() throws IOException {
    assertThat(restart("1000", "true")).isEqualTo(new Switches(1_000, "true"));
    assertThat(restart("x", "true")).isEqualTo(Switches.OFF);
    assertThat(warnings).singleElement().asString().contains("goes on without");
    Files.createDirectories(directory.resolve("run"));
    for (String odd : List.of("", "1000", "1000 perhaps", "9999 true", "1000 true more")) {
      Files.writeString(file, odd);
      assertThat(restart("500", null)).as(odd).isEqualTo(new Switches(500, "false"));
    }
  }

  @Test
  void whatCannotBeKeptIsSaidAndNothingOfAnEarlierMountIsLeft() throws IOException {
    mount("1000", "reset");
    Files.createDirectories(directory.resolve("run/volume.switches.new/in the way"));
    assertThat(mount("500", "false")).isEqualTo(new Switches(500, "false"));
    assertThat(warnings).singleElement().asString().contains("cannot be kept");
    assertThat(restart(null, null)).isEqualTo(Switches.OFF);
  }
}
