// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.recovery;

import java.util.Collection;
import java.util.SortedSet;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.fencing.Fenced;

/**
 * Step 2: the lock records that the dead incarnation alone wrote. It cannot write them any more, so
 * another may. Its heartbeat slot is no part of it: that one remembers it.
 *
 * <p>Which these are is known from a reading of the disk that was asked for after the proof was
 * there: what the dead one wrote last may come after any before.
 *
 * <p>A write that failed, or whose outcome is not known, is done again; the step is over when each
 * is known to be on disk.
 */
public final class ClearRecords {
  private final Fenced fenced;
  private final long lastReading;
  private final TreeSet<Integer> left = new TreeSet<>();
  private boolean isRead;

  /**
   * @param lastReading the number of the last reading that was asked for; later ones have larger
   *     numbers
   */
  public ClearRecords(Fenced fenced, long lastReading) {
    this.fenced = fenced;
    this.lastReading = lastReading;
  }

  /**
   * A reading of the disk.
   *
   * @param slots whose records name the dead incarnation
   * @return false if it is too old, or another has counted
   */
  public boolean read(long reading, Collection<Integer> slots) {
    if (reading <= lastReading || isRead) {
      return false;
    }
    isRead = true;
    left.addAll(slots);
    return true;
  }

  /** What is to be written, again and again until it is. */
  public SortedSet<Integer> left() {
    return new TreeSet<>(left);
  }

  /** This slot is on disk, cleared. */
  public void written(int slot) {
    left.remove(slot);
  }

  /** The proof, once the disk was read and nothing is left. */
  public @Nullable RecordsCleared done() {
    return isRead && left.isEmpty() ? new RecordsCleared(fenced) : null;
  }

  @Override
  public String toString() {
    return "ClearRecords[" + fenced.victim() + (isRead ? ", left " + left.size() : "") + "]";
  }
}
