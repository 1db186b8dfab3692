// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import org.jspecify.annotations.Nullable;

/**
 * What is to stand in a disk lock slot.
 *
 * @param number rises with every write of this master: of records of one resource that cannot both
 *     be true the one with the higher number is. A write is one sector, so a slot is old or new;
 *     the slots of one batch are written in no order
 * @param entry null: nobody's, a tombstone
 */
public record SlotWrite(int slot, long number, @Nullable Entry entry) {
  /** A granted lock. */
  public record Entry(LockId lock, ResourceId resource, Mode mode) {}
}
