// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

/**
 * The six modes of a lock, as the VMS lock manager has them ("VMS Internals and Data Structures",
 * chapter on lock management; the kernel's fs/dlm has the same matrix).
 *
 * <p>All that is asked of modes follows from the one table below.
 */
public enum Mode {
  // What goes with it: . . . . . . . . NL CR CW PR PW EX
  /** Null: interest only. Keeps the resource and its value block. */
  NL(0, "yyyyyy"),
  /** Concurrent read. */
  CR(1, "yyyyy."),
  /** Concurrent write. */
  CW(2, "yyy..."),
  /** Protected read: shared. */
  PR(3, "yy.y.."),
  /** Protected write: one writer beside readers that do not mind. */
  PW(4, "yy...."),
  /** Exclusive. */
  EX(5, "y.....");

  private final int column;
  private final String together;

  Mode(int column, String together) {
    this.column = column;
    this.together = together;
  }

  /** Two locks on one resource may be held in these modes at once. */
  public boolean isCompatible(Mode other) {
    return together.charAt(other.column) == 'y';
  }

  /**
   * A holder of {@code other} gives up, and gains nothing, by converting to this mode: whatever
   * goes with {@code other} goes with this. Such a conversion is never refused and never waits. PR
   * and CW are in neither order.
   */
  public boolean isWithin(Mode other) {
    for (Mode third : values()) {
      if (other.isCompatible(third) && !isCompatible(third)) {
        return false;
      }
    }
    return true;
  }

  /** The strongest mode that is within both: CR for PR and CW, else the weaker of the two. */
  public Mode common(Mode other) {
    Mode common = NL;
    for (Mode third : values()) {
      if (third.isWithin(this) && third.isWithin(other)) {
        common = third; // they are declared from weak to strong
      }
    }
    return common;
  }

  /** The holder may write the value block: no other holder may at that time. */
  public boolean mayWriteValue() {
    return !isCompatible(CW) && !isCompatible(PR);
  }

  /** While somebody holds this mode, nobody else can have written the value block. */
  public boolean keepsValue() {
    return !isCompatible(PW);
  }

  /** Its column, and row, in the table: from 0. */
  int index() {
    return column;
  }

  /** One bit, for sets of modes. */
  int bit() {
    return 1 << column;
  }
}
