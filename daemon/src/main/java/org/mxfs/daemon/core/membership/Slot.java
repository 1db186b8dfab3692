// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.membership;

/** A heartbeat slot as it was read. */
public sealed interface Slot {
  /** Nobody's, as it was made. */
  record Free() implements Slot {}

  record Taken(Beat beat) implements Slot {}

  /**
   * Not a record of this slot of this volume: torn, foreign, corrupt or unreadable. Never trusted.
   */
  record Damaged(String why) implements Slot {}
}
