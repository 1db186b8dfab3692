// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.wire;

import java.nio.ByteBuffer;
import java.util.UUID;

/** UUIDs as 16 bytes, in the order in which they are written (RFC 9562 section 4). */
public final class Uuids {
  private Uuids() {}

  public static byte[] bytes(UUID uuid) {
    byte[] bytes = new byte[16];
    ByteBuffer.wrap(bytes)
        .putLong(uuid.getMostSignificantBits())
        .putLong(uuid.getLeastSignificantBits());
    return bytes;
  }

  public static UUID of(byte[] bytes) {
    if (bytes.length != 16) {
      throw new IllegalArgumentException("a UUID has 16 bytes, not " + bytes.length);
    }
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    return new UUID(buffer.getLong(), buffer.getLong());
  }
}
