// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the kernel says of {@code .mxfs/lockstate}.
 *
 * @param generation another one whenever the kernel has another answer than before
 * @param map where it is; null: there is none
 * @param errno why there is none, as a positive number; 0 where there is one
 * @param reason the same in words; empty where there is one
 */
public record Lockstate(long generation, @Nullable LockstateMap map, int errno, String reason) {
  /**
   * What no later look makes another thing of, mostly: there is none (ENOENT), it was not looked
   * for yet (ENODATA), it is none of this volume (EUCLEAN) or not mxfs's own (EPERM), of a newer
   * version or in an answer that nobody here understands (EPROTO), in too many pieces (EFBIG), or
   * the module knows of none or cannot have one used (EOPNOTSUPP). The numbers are Linux'
   * (asm-generic/errno.h).
   */
  private static final Set<Integer> VERDICTS = Set.of(1, 2, 27, 61, 71, 95, 117);

  /**
   * What says that no node has a slot: there is none (ENOENT), or what is there is none for any
   * node: of no volume or damaged (EUCLEAN), not mxfs's own (EPERM), in too many pieces (EFBIG).
   * What another version of the module may understand says nothing of others.
   */
  private static final Set<Integer> NOBODYS = Set.of(1, 2, 27, 117);

  /**
   * What says that no node has ever had a slot: there is none (ENOENT), or what is there was never
   * used: not mxfs's own (EPERM), in too many pieces (EFBIG). What is damaged may have had records.
   */
  private static final Set<Integer> NEVER_USED = Set.of(1, 2, 27);

  /** An answer that nobody here understands. */
  public static final int NOT_UNDERSTOOD = 71;

  /**
   * Whether looking came to an end, so that no daemon of this mount has ever had a map; an error of
   * looking, as of the disk or for want of memory, says nothing of that.
   */
  public boolean isCertain() {
    return map != null || VERDICTS.contains(errno);
  }

  /** Whether that is a word on all nodes: nobody has a slot, so nobody was to beat. */
  public boolean isNobodys() {
    return map == null && NOBODYS.contains(errno);
  }

  /** Whether nobody has ever had a slot, so that nobody was ever shut out. */
  public boolean wasNeverUsed() {
    return map == null && NEVER_USED.contains(errno);
  }
}
