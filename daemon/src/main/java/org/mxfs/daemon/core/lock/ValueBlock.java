// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.Arrays;

/**
 * What the holders of a resource tell each other through it: 64 bytes, written by a holder of PW or
 * EX when it converts down or releases.
 *
 * <p>It lives as long as somebody has a lock on the resource, in NL at least. When the only one who
 * may have written it dies, or when those who are left cannot know whether theirs is the last one,
 * it is not valid until it is written again.
 */
public final class ValueBlock {
  public static final int SIZE = 64;

  /** Of a resource that was never written. */
  public static final ValueBlock NONE = new ValueBlock(0, true, new byte[SIZE]);

  private final long version;
  private final boolean valid;
  private final byte[] bytes;

  /**
   * @param version how often it was written or became invalid
   */
  public ValueBlock(long version, boolean valid, byte[] bytes) {
    if (bytes.length != SIZE) {
      throw new IllegalArgumentException(
          "a value block has " + SIZE + " bytes, not " + bytes.length);
    }
    this.version = version;
    this.valid = valid;
    this.bytes = bytes.clone();
  }

  public long version() {
    return version;
  }

  public boolean isValid() {
    return valid;
  }

  public byte[] bytes() {
    return bytes.clone();
  }

  ValueBlock invalidated() {
    return new ValueBlock(version + 1, false, bytes);
  }

  ValueBlock doubted() {
    return new ValueBlock(version, false, bytes);
  }

  /** The later of two; of the same one the opinion that it is not valid. */
  static ValueBlock later(ValueBlock a, ValueBlock b) {
    if (a.version != b.version) {
      return a.version > b.version ? a : b;
    }
    return a.valid ? b : a;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ValueBlock that
        && version == that.version
        && valid == that.valid
        && Arrays.equals(bytes, that.bytes);
  }

  @Override
  public int hashCode() {
    return Long.hashCode(version) * 31 + Arrays.hashCode(bytes);
  }

  @Override
  public String toString() {
    return "value " + version + (valid ? "" : " (not valid)");
  }
}
