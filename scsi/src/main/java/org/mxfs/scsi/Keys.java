// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.List;
import java.util.stream.Collectors;

/**
 * What READ KEYS returns.
 *
 * @param generation PRGENERATION: counts REGISTER, CLEAR and PREEMPT, but not RESERVE or RELEASE;
 *     starts anew at 0 when the device loses its registrations (power loss without APTPL); unsigned
 *     32 bit
 * @param keys one for each registered path, so the same key may be there several times
 */
public record Keys(long generation, List<Long> keys) {
  /** Copies the keys. */
  public Keys {
    keys = List.copyOf(keys);
  }

  /** Whether this key is registered by any path. */
  public boolean contains(long key) {
    return keys.contains(key);
  }

  @Override
  public String toString() {
    return "generation "
        + generation
        + ", keys "
        + keys.stream().map("%016x"::formatted).collect(Collectors.joining(", ", "[", "]"));
  }
}
