// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.daemon.core.fencing.FencingChoice;

/** Dangers 42 and 58 of docs/takeover.md. */
class SwitchesTest {
  @TempDir Path directory;

  private static final long BEAT_MAX = 5_000;

  private long number = 7;
  private int asked;
  private final List<String> warnings = new ArrayList<>();
  private Path file;

  @BeforeEach
  void file() {
    file = directory.resolve("run/volume.switches");
  }

  private Switches mount(@Nullable String beats, @Nullable String takeover) throws IOException {
    return of(++number, false, BEAT_MAX, beats, takeover);
  }

  private Switches restart(@Nullable String beats, @Nullable String takeover) throws IOException {
    return of(number, true, BEAT_MAX, beats, takeover);
  }

  private Switches of(
      long mount, boolean resuming, long beatMax, @Nullable String beats, @Nullable String takeover)
      throws IOException {
    return Switches.ofMount(
        new Switches.Kept(file, mount), resuming, beatMax, beats, takeover, warnings::add);
  }

  @Test
  void whatIsSetIsUnderstoodOrRefused() {
    assertThat(Switches.parse(null, null)).isEqualTo(Switches.OFF);
    assertThat(Switches.parse("0", "false")).isEqualTo(Switches.OFF);
    assertThat(Switches.OFF.takeover()).isNull();
    assertThat(Switches.parse("1000", "true").takeover()).isEqualTo(FencingChoice.Setting.TRUE);
    assertThat(Switches.parse("1", "reset").takeover()).isEqualTo(FencingChoice.Setting.RESET);
    assertThat(Switches.parse("1", "wait").takeover()).isEqualTo(FencingChoice.Setting.WAIT);
    for (String wrong : List.of("", "1001", "-1", "x", "1 000", "00001")) {
      assertThatThrownBy(() -> Switches.parse(wrong, null))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("-Dmxfs.beats=" + wrong);
    }
    for (String wrong : List.of("", "yes", "TRUE", "reset ", "waits")) {
      assertThatThrownBy(() -> Switches.parse("1000", wrong))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("-Dmxfs.takeover=" + wrong);
    }
  }

  @Test
  void aDaemonThatIsRestartedHasWhatItsPredecessorHad() throws IOException {
    Switches first = mount("1000", "reset");
    assertThat(restart("1000", "reset")).isEqualTo(first);
    assertThat(warnings).isEmpty();
    assertThat(restart(null, null)).isEqualTo(first);
    assertThat(restart("500", "true")).isEqualTo(first);
    assertThat(warnings).hasSize(2).allMatch(text -> text.contains("otherwise than at mount"));
    assertThat(mount(null, null)).as("the next mount").isEqualTo(Switches.OFF);
    assertThat(restart("1000", "reset")).isEqualTo(Switches.OFF);
    assertThat(warnings).hasSize(3);
  }

  @Test
  void aSettingThatIsWrongFailsAMountAndEndsNoneThatIsAtWork() throws IOException {
    Switches first = mount("1000", "true");
    assertThat(restart("x", null)).isEqualTo(first);
    assertThat(restart("1000", "perhaps")).isEqualTo(first);
    assertThat(warnings).hasSize(2).allMatch(text -> text.contains("until umount"));
    assertThatThrownBy(() -> mount("x", null)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void whereNothingIsSwitchedOnNothingIsWritten() throws IOException {
    assertThat(mount(null, null)).isEqualTo(Switches.OFF);
    assertThat(mount("0", "reset")).as("no takeover without heartbeats").isEqualTo(Switches.OFF);
    assertThat(directory.resolve("run")).doesNotExist();
    assertThat(restart("1000", "true")).isEqualTo(Switches.OFF);
    assertThat(warnings).hasSize(1);
  }

  /** Danger 58: what was in force is kept, and not what was set. */
  @Test
  void aMountThatOnlyReadsStaysWithoutWhenItComesToWrite() throws IOException {
    assertThat(of(1, false, 0, "1000", "true")).isEqualTo(Switches.OFF);
    assertThat(of(1, true, 0, "1000", "true")).isEqualTo(Switches.OFF);
    assertThat(warnings).as("nothing is otherwise").isEmpty();
    assertThat(of(1, true, BEAT_MAX, "1000", "true")).isEqualTo(Switches.OFF);
    assertThat(warnings)
        .singleElement()
        .asString()
        .contains(
            "nothing is kept of this mount's heartbeats: it began without (or with ro), or "
                + file
                + " is gone",
            "until umount it stays at beats=0")
        .doesNotContain("otherwise");
    Switches writing = of(2, false, 400, "1000", "true");
    assertThat(writing).isEqualTo(new Switches(400, "true"));
    assertThat(of(2, true, 0, "1000", "true")).as("the reverse").isEqualTo(writing);
  }

  /** Danger 58: what stands there is of another mount, or cannot be read. */
  @Test
  void whatIsOfAnotherMountIsNotTaken() throws IOException {
    Files.createDirectories(directory.resolve("run"));
    for (String odd :
        List.of(
            "",
            "7",
            "7 1000",
            "8 1000 true",
            "8 1000 true reset",
            "1000 true",
            "7 9999 true",
            "7 1 true more",
            "7 1 true reset more")) {
      Files.writeString(file, odd);
      assertThat(restart("500", null)).as(odd).isEqualTo(Switches.OFF);
    }
    Files.writeString(file, "7 1000 true\n");
    assertThat(restart(null, null)).isEqualTo(new Switches(1_000, "true"));
    Files.writeString(file, "7 1000 true reset\n");
    assertThat(restart(null, null)).isEqualTo(new Switches(1_000, "true", "reset"));
    new Switches.Kept(file, 8).remove();
    assertThat(file).exists();
    new Switches.Kept(file, 7).remove();
    assertThat(file).doesNotExist();
    new Switches.Kept(file, 7).remove();
  }

  private FencingChoice fencing(Switches switches, boolean resuming, boolean found)
      throws IOException {
    Supplier<FencingChoice> ask =
        () -> {
          asked++;
          return new FencingChoice(FencingChoice.Setting.TRUE, found, "a disk");
        };
    FencingChoice choice = switches.fencing(new Switches.Kept(file, number), resuming, ask);
    assertThat(choice).isNotNull();
    return Objects.requireNonNull(choice);
  }

  /**
   * What was found as the mount began holds for each daemon of it, whatever the disk is by then.
   */
  @Test
  void theDiskIsAskedAsAMountBeginsAndNotAgain() throws IOException {
    for (boolean found : List.of(true, false)) {
      asked = 0;
      Switches first = mount("1000", "true");
      assertThat(fencing(first, false, found).byReset()).isEqualTo(found);
      assertThat(asked).isEqualTo(1);
      Switches next = restart("1000", "true");
      assertThat(warnings).isEmpty();
      assertThat(next.takeover()).isEqualTo(FencingChoice.Setting.TRUE);
      FencingChoice later = fencing(next, true, !found);
      assertThat(later.byReset()).isEqualTo(found);
      assertThat(later.isWordAlone()).isFalse();
      assertThat(fencing(restart("1000", "true"), true, !found).byReset()).isEqualTo(found);
      assertThat(asked).isEqualTo(1);
    }
    // Of a version that kept nothing.
    Files.writeString(file, number + " 1000 true\n");
    FencingChoice unknown = fencing(restart("1000", "true"), true, true);
    assertThat(unknown.byReset()).isFalse();
    assertThat(unknown.why()).contains("is not kept").doesNotContain("found when the mount began");
  }

  /** Others may have counted on heartbeats that were kept there, whatever is set by now. */
  @Test
  void whatIsKeptAndCannotBeReadIsSaid() throws IOException {
    mount("1000", "true");
    for (String lost :
        List.of(Long.toString(number), number + " 9999 true", number + " 1 true more", "")) {
      for (String set : List.of("0", "1000")) {
        warnings.clear();
        Files.writeString(file, lost);
        assertThat(restart(set, null)).as(lost).isEqualTo(Switches.OFF);
        assertThat(warnings)
            .singleElement()
            .asString()
            .contains("what is kept of this mount's heartbeats cannot be read", file.toString());
      }
    }
    Files.delete(file);
    Files.createDirectories(file);
    warnings.clear();
    assertThat(restart(null, null)).isEqualTo(Switches.OFF);
    assertThat(warnings)
        .singleElement()
        .asString()
        .contains("cannot be read", "IOException", "Is a directory");
    warnings.clear();
    Files.delete(file);
    Files.writeString(file, (number - 1) + " 1000 true\n");
    assertThat(restart(null, null)).as("of another mount").isEqualTo(Switches.OFF);
    assertThat(warnings).isEmpty();
  }

  @Test
  void nothingIsLeftOfWhatCouldNotBeKept() throws IOException {
    Files.createDirectories(file.resolve("in the way"));
    assertThatThrownBy(() -> mount("1000", "true")).isInstanceOf(IOException.class);
    assertThat(directory.resolve("run/volume.switches.new")).doesNotExist();
  }

  @Test
  void theDiskIsNotAskedWhereAPersonHasSaidHow() throws IOException {
    for (String word : List.of("reset", "wait")) {
      FencingChoice choice = fencing(mount("1000", word), false, true);
      assertThat(choice.byReset()).isEqualTo(word.equals("reset"));
      assertThat(choice.isWordAlone()).as("told with a warning").isEqualTo(word.equals("reset"));
      assertThat(fencing(restart("1000", word), true, true)).isEqualTo(choice);
    }
    assertThat(asked).isZero();
    assertThat(Switches.OFF.fencing(new Switches.Kept(file, number), false, () -> fail("asked")))
        .isNull();
  }

  @Test
  void whatWasFoundAndCannotBeKeptIsNotGoneBy() throws IOException {
    Switches first = mount("1000", "true");
    Files.createDirectories(directory.resolve("run/volume.switches.new/in the way"));
    assertThatThrownBy(() -> fencing(first, false, true)).isInstanceOf(IOException.class);
    assertThat(fencing(restart("1000", "true"), true, true).byReset()).isFalse();
  }

  @Test
  void whatAnEarlierMountHasLeftGoes() throws IOException {
    mount("1000", "true");
    assertThat(file).exists();
    mount(null, null);
    assertThat(file).doesNotExist();
  }

  @Test
  void whatCannotBeKeptIsNotSwitchedOn() throws IOException {
    mount("1000", "reset");
    Files.createDirectories(directory.resolve("run/volume.switches.new/in the way"));
    assertThatThrownBy(() -> mount("500", "false"))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("cannot be kept");
    assertThat(file).as("of the mount before").doesNotExist();
    assertThat(mount(null, null)).isEqualTo(Switches.OFF);
  }

  @Test
  void whatCannotBeDeletedIsNoHarmUnlessItIsTakenForThisMounts() throws IOException {
    Files.createDirectories(file.resolve("in the way"));
    assertThat(mount(null, null)).isEqualTo(Switches.OFF);
    assertThatThrownBy(() -> mount("1000", "true")).isInstanceOf(IOException.class);
    assertThat(restart(null, null)).isEqualTo(Switches.OFF);
  }
}
