// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import java.util.Locale;

/**
 * How what a victim had under way is ended on this disk, from what a person has set and what was
 * found. It holds from mount to umount.
 *
 * @param setting what is set
 * @param resetEndsAll whether it was found that a logical unit reset from here ends all
 * @param found what was found, in words
 */
public record FencingChoice(Setting setting, boolean resetEndsAll, String found) {
  /** {@code -Dmxfs.takeover}, where it is not off. */
  public enum Setting {
    /** A reset where it is known to end all, else waiting. */
    TRUE,
    /** A person says that a reset ends all on this disk. */
    RESET,
    /** Never a reset. */
    WAIT;

    /** As it is written. */
    public String word() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Whether a reset is sent. */
  public boolean byReset() {
    return switch (setting) {
      case TRUE -> resetEndsAll;
      case RESET -> true;
      case WAIT -> false;
    };
  }

  /** PREEMPT AND ABORT is not known to end all on any disk. */
  public FencingSettings settings() {
    return byReset() ? FencingSettings.RESET_ENDS_ALL : FencingSettings.UNKNOWN_DISK;
  }

  /** Whether a person's word is all that there is for a reset. */
  public boolean isWordAlone() {
    return byReset() && !resetEndsAll;
  }

  /** How, and why. */
  public String why() {
    return setting == Setting.TRUE
        ? found
        : "as -Dmxfs.takeover=" + setting.word() + " says; found: " + found;
  }

  @Override
  public String toString() {
    String how =
        byReset()
            ? "ended by a LOGICAL UNIT RESET"
            : "waited for, " + settings().commandLifeMillis() / 1_000 + " s";
    return "what a node that is shut out had under way is " + how + ": " + why();
  }
}
