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
 * <p>A write that failed, or whose outcome is not known, is done again; the step is over when each
 * is known to be on disk.
 */
public final class ClearRecords {
  private final Fenced fenced;
  private final TreeSet<Integer> left;

  /**
   * @param slots whose records name the dead incarnation, as a reading of the disk shows them that
   *     was asked for after {@code fenced} was there
   */
  public ClearRecords(Fenced fenced, Collection<Integer> slots) {
    this.fenced = fenced;
    this.left = new TreeSet<>(slots);
  }

  /** What is to be written, again and again until it is. */
  public SortedSet<Integer> left() {
    return new TreeSet<>(left);
  }

  /** This slot is on disk, cleared. */
  public void written(int slot) {
    left.remove(slot);
  }

  /** The proof, once nothing is left. */
  public @Nullable RecordsCleared done() {
    return left.isEmpty() ? new RecordsCleared(fenced) : null;
  }

  @Override
  public String toString() {
    return "ClearRecords[" + fenced.victim() + ", left " + left.size() + "]";
  }
}
