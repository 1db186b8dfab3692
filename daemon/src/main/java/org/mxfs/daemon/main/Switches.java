// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.fencing.FencingChoice;

/**
 * What the product has off: heartbeats and takeover, as they are set where the Java run time is
 * told its options; see docs/takeover.md.
 *
 * <p>They hold from mount to umount: whoever has beaten is held to it, and others count on it. So a
 * daemon that is started for a mount that is at work has what its predecessor had, whatever is set
 * by then, and a setting that is wrong does not end that mount. A mount that began with {@code ro}
 * began without, and stays so when it becomes {@code rw}. What was found of the disk holds as long,
 * so that a reset does not count under one daemon and not under the next.
 *
 * @param beatMillis how often this node writes its heartbeat to the lock state; 0: it has none. At
 *     most a second
 * @param takeoverWord whether a silent owner is shut out and taken over from, and how what it had
 *     under way is ended: {@code true}, as is found out of the disk; {@code reset}, by a logical
 *     unit reset, which a person says ends all; {@code wait}, never by one; {@code false}
 * @param foundWord with {@code true}, what was found of the disk: {@code reset} ends all, or {@code
 *     wait}; empty: it was not asked
 */
record Switches(long beatMillis, String takeoverWord, String foundWord) {
  static final String BEATS = "mxfs.beats";
  static final String TAKEOVER = "mxfs.takeover";

  static final Switches OFF = new Switches(0, "false");

  private static final long MAX_BEAT_MILLIS = 1_000;
  private static final String RESET = "reset";
  private static final String WAIT = "wait";
  private static final String NOT_ASKED = "";

  Switches(long beatMillis, String takeoverWord) {
    this(beatMillis, takeoverWord, NOT_ASKED);
  }

  /** Null: nobody is taken over from. */
  FencingChoice.@Nullable Setting takeover() {
    return switch (takeoverWord) {
      case "true" -> FencingChoice.Setting.TRUE;
      case RESET -> FencingChoice.Setting.RESET;
      case WAIT -> FencingChoice.Setting.WAIT;
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
    if (!word.matches("true|reset|wait|false")) {
      throw new IllegalArgumentException(
          "-D" + TAKEOVER + "=" + takeover + ": not true, reset, wait or false");
    }
    return new Switches(Long.parseLong(interval), word);
  }

  /** As far as a mount can have them that beats at most so often. */
  private Switches inForce(long beatMillisMax) {
    long millis = Math.min(beatMillis, beatMillisMax);
    return millis == 0 ? OFF : new Switches(millis, takeoverWord);
  }

  /** That differ in what can be set. */
  private boolean isSetAs(Switches other) {
    return beatMillis == other.beatMillis && takeoverWord.equals(other.takeoverWord);
  }

  /**
   * How what a node that is shut out had under way is ended in this mount. The disk is asked where
   * that decides it and as the mount begins: a disk that hangs costs a time-out.
   *
   * @param kept as for {@link #ofMount}
   * @param resuming as for it
   * @param ask the disk
   * @return null: nobody is taken over from
   * @throws IOException when what was found cannot be kept
   */
  @Nullable FencingChoice fencing(Kept kept, boolean resuming, Supplier<FencingChoice> ask)
      throws IOException {
    FencingChoice.Setting setting = takeover();
    if (setting == null) {
      return null;
    }
    if (setting != FencingChoice.Setting.TRUE) {
      return new FencingChoice(setting, false, "nothing, as the disk was not asked");
    }
    if (resuming) {
      if (foundWord.equals(NOT_ASKED)) {
        return new FencingChoice(
            setting, false, "not known: what an earlier version of the daemon found is not kept");
      }
      boolean found = foundWord.equals(RESET);
      return new FencingChoice(
          setting, found, "found when the mount began; the log of that time says why");
    }
    FencingChoice asked = ask.get();
    kept.keep(new Switches(beatMillis, takeoverWord, asked.byReset() ? RESET : WAIT));
    return asked;
  }

  /**
   * Where those of one mount stand, while something is switched on. It is named after the volume
   * and says which mount it is of: what an earlier mount has left there is nobody's.
   *
   * @param mount its number, of which there is one while the module is loaded
   */
  record Kept(Path file, long mount) {
    /** Null: nothing is kept of this mount, or what is cannot be read. */
    private @Nullable Switches read() {
      try {
        return readStrictly();
      } catch (IOException e) {
        return null;
      }
    }

    /**
     * Null: nothing is kept of this mount.
     *
     * @throws IOException when something is, or may be, and cannot be read
     */
    private @Nullable Switches readStrictly() throws IOException {
      String text;
      try {
        text = Files.readString(file).strip();
      } catch (NoSuchFileException e) {
        return null;
      }
      String[] words = text.split(" ", -1);
      if (words[0].matches("[0-9]{1,19}") && !words[0].equals(Long.toString(mount))) {
        return null; // of a mount before
      }
      try {
        if (words.length == 3) {
          return parse(words[1], words[2]);
        }
        if (words.length == 4 && words[3].matches("reset|wait")) {
          Switches set = parse(words[1], words[2]);
          return new Switches(set.beatMillis, set.takeoverWord, words[3]);
        }
      } catch (IllegalArgumentException e) {
        throw new IOException(file + ": " + e.getMessage(), e);
      }
      throw new IOException(file + ": \"" + text + "\"");
    }

    private void begin(Switches inForce) throws IOException {
      try {
        Files.deleteIfExists(file);
      } catch (IOException e) {
        if (read() != null) {
          throw e; // of a mount with this number, before the module was loaded anew
        }
      }
      if (!inForce.equals(OFF)) {
        keep(inForce);
      }
    }

    private void keep(Switches inForce) throws IOException {
      Path directory = file.getParent();
      if (directory != null) {
        Files.createDirectories(directory);
      }
      Path made = file.resolveSibling(file.getFileName() + ".new");
      String words = mount + " " + inForce.beatMillis + " " + inForce.takeoverWord;
      String found = inForce.foundWord.equals(NOT_ASKED) ? "" : " " + inForce.foundWord;
      try {
        Files.writeString(made, words + found + "\n");
        Files.move(made, file, StandardCopyOption.ATOMIC_MOVE);
      } catch (IOException e) {
        try {
          Files.deleteIfExists(made);
        } catch (IOException left) {
          e.addSuppressed(left);
        }
        throw e;
      }
    }

    /** No daemon comes after this one that needs it. */
    void remove() throws IOException {
      if (read() != null) {
        Files.deleteIfExists(file);
      }
    }
  }

  /**
   * Those in force in this mount.
   *
   * @param kept for the daemons that come after, on this machine until it is off
   * @param resuming an earlier daemon had told mount(2) to return
   * @param beatMillisMax how often it may beat at most; 0: it can have no heartbeat
   * @throws IllegalArgumentException when what is set means nothing, and the mount only begins
   * @throws IOException when what is switched on cannot be kept: the next daemon would not do what
   *     others count on
   */
  static Switches ofMount(
      Kept kept,
      boolean resuming,
      long beatMillisMax,
      @Nullable String beats,
      @Nullable String takeover,
      Consumer<String> warning)
      throws IOException {
    if (!resuming) {
      Switches inForce = parse(beats, takeover).inForce(beatMillisMax);
      try {
        kept.begin(inForce);
      } catch (IOException e) {
        throw new IOException(
            "heartbeats and takeover of this mount cannot be kept for a daemon after this: " + e,
            e);
      }
      return inForce;
    }
    Switches begun = null;
    String otherwise = "";
    try {
      begun = kept.readStrictly();
    } catch (IOException e) {
      otherwise = "what is kept of this mount's heartbeats cannot be read: " + e;
    }
    Switches inForce = begun == null ? OFF : begun;
    try {
      if (otherwise.isEmpty() && !inForce.isSetAs(parse(beats, takeover).inForce(beatMillisMax))) {
        // Nothing is kept of a mount that has none.
        otherwise =
            inForce.equals(OFF)
                ? "nothing is kept of this mount's heartbeats: it began without (or with ro), or "
                    + kept.file()
                    + " is gone"
                : "heartbeats and takeover are set otherwise than at mount";
      }
    } catch (IllegalArgumentException e) {
      otherwise = String.valueOf(e.getMessage());
    }
    if (!otherwise.isEmpty()) {
      warning.accept(otherwise + "; until umount it stays at " + inForce);
    }
    return inForce;
  }

  @Override
  public String toString() {
    return "beats=" + beatMillis + " takeover=" + takeoverWord;
  }
}
