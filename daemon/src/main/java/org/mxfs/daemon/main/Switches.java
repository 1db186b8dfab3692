// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.fencing.FencingSettings;

/**
 * What the product has off: heartbeats and takeover, as they are set where the Java run time is
 * told its options; see docs/takeover.md.
 *
 * <p>They hold from mount to umount: whoever has beaten is held to it, and others count on it. So a
 * daemon that is started for a mount that is at work has what its predecessor had, whatever is set
 * by then, and a setting that is wrong does not end that mount.
 *
 * @param beatMillis how often this node writes its heartbeat to the lock state; 0: it has none. At
 *     most a second
 * @param takeoverWord whether a silent owner is shut out and taken over from: {@code reset} where a
 *     logical unit reset is known to end everything that is under way, {@code true} where it is
 *     waited for; {@code false}
 */
record Switches(long beatMillis, String takeoverWord) {
  static final String BEATS = "mxfs.beats";
  static final String TAKEOVER = "mxfs.takeover";

  static final Switches OFF = new Switches(0, "false");

  private static final long MAX_BEAT_MILLIS = 1_000;

  /** What is known of the disk, for fencing; null: nobody is taken over from. */
  @Nullable FencingSettings takeover() {
    return switch (takeoverWord) {
      case "true" -> FencingSettings.UNKNOWN_DISK;
      case "reset" -> FencingSettings.RESET_ENDS_ALL;
      default -> null;
    };
  }

  /**
   * As they were set.
   *
   * @param beats null: it was not
   * @param takeover null: it was not
   * @throws IllegalArgumentException when that means nothing
   */
  static Switches parse(@Nullable String beats, @Nullable String takeover) {
    String interval = beats == null ? "0" : beats;
    if (!interval.matches("[0-9]{1,4}") || Long.parseLong(interval) > MAX_BEAT_MILLIS) {
      throw new IllegalArgumentException(
          "-D"
              + BEATS
              + "="
              + beats
              + ": not a number of milliseconds from 1 to "
              + MAX_BEAT_MILLIS
              + ", or 0 for no heartbeats");
    }
    String word = takeover == null ? "false" : takeover;
    if (!word.matches("true|reset|false")) {
      throw new IllegalArgumentException(
          "-D" + TAKEOVER + "=" + takeover + ": not true, reset or false");
    }
    return new Switches(Long.parseLong(interval), word);
  }

  /**
   * Those of this mount.
   *
   * @param file keeps them for the daemons that come after, on this machine until it is off
   * @param resuming an earlier daemon had told mount(2) to return
   * @throws IllegalArgumentException when what is set means nothing, and the mount only begins
   */
  static Switches ofMount(
      Path file,
      boolean resuming,
      @Nullable String beats,
      @Nullable String takeover,
      Consumer<String> warning) {
    if (!resuming) {
      Switches set = parse(beats, takeover);
      set.keep(file, warning);
      return set;
    }
    Switches kept = kept(file);
    String wrong = "";
    Switches set = OFF;
    try {
      set = parse(beats, takeover);
    } catch (IllegalArgumentException e) {
      wrong = String.valueOf(e.getMessage());
    }
    if (kept == null) {
      if (!wrong.isEmpty()) {
        warning.accept(wrong + "; this mount goes on without heartbeats and takeover");
      }
      return set;
    }
    if (!wrong.isEmpty() || !kept.equals(set)) {
      warning.accept(
          (wrong.isEmpty() ? "heartbeats and takeover are set otherwise than at mount" : wrong)
              + "; until umount it stays at "
              + kept);
    }
    return kept;
  }

  private static @Nullable Switches kept(Path file) {
    try {
      String[] words = Files.readString(file).strip().split(" ", -1);
      return words.length == 2 ? parse(words[0], words[1]) : null;
    } catch (IOException | IllegalArgumentException e) {
      return null;
    }
  }

  /** What an earlier mount has left there must not be taken for this one's. */
  private void keep(Path file, Consumer<String> warning) {
    try {
      Path directory = file.getParent();
      if (directory != null) {
        Files.createDirectories(directory);
      }
      Files.deleteIfExists(file);
      Path made = file.resolveSibling(file.getFileName() + ".new");
      Files.writeString(made, beatMillis + " " + takeoverWord + "\n");
      Files.move(made, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      warning.accept("the settings of this mount cannot be kept for a daemon after this: " + e);
    }
  }

  @Override
  public String toString() {
    return "beats=" + beatMillis + " takeover=" + takeoverWord;
  }
}
