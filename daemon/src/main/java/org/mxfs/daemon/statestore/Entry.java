// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import java.util.Arrays;

/** A value, with the number of the change that made it: each change of a store has a larger one. */
public final class Entry {
  private final byte[] value;
  private final long version;

  Entry(byte[] value, long version) {
    this.value = value;
    this.version = version;
  }

  /** A copy. */
  public byte[] value() {
    return value.clone();
  }

  public int length() {
    return value.length;
  }

  public long version() {
    return version;
  }

  byte[] bytes() {
    return value;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Entry entry
        && entry.version == version
        && Arrays.equals(entry.value, value);
  }

  @Override
  public int hashCode() {
    return Long.hashCode(version);
  }

  @Override
  public String toString() {
    return value.length + " bytes, version " + version;
  }
}
