// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/**
 * The FNV-1a hash (Fowler, Noll, Vo): makes node ids out of node UUIDs, and finds the master of a
 * lock.
 */
public final class Fnv1a {
  private static final int BASIS_32 = 0x811c9dc5;
  private static final int PRIME_32 = 0x01000193;
  private static final long BASIS_64 = 0xcbf29ce484222325L;
  private static final long PRIME_64 = 0x00000100000001b3L;

  private Fnv1a() {}

  /** FNV-1a with 32 bits over all of {@code bytes}. */
  public static int hash32(byte[] bytes) {
    int hash = BASIS_32;
    for (byte b : bytes) {
      hash = (hash ^ (b & 0xff)) * PRIME_32;
    }
    return hash;
  }

  /** FNV-1a with 64 bits over all of {@code bytes}. */
  public static long hash64(byte[] bytes) {
    long hash = BASIS_64;
    for (byte b : bytes) {
      hash = (hash ^ (b & 0xff)) * PRIME_64;
    }
    return hash;
  }

  /**
   * The node id of a node UUID: FNV-1a of its 16 bytes. 0 means "no node" everywhere, so the one
   * UUID in four billion that hashes to 0 gets the offset basis instead.
   */
  public static int nodeId(byte[] nodeUuid) {
    if (nodeUuid.length != 16) {
      throw new IllegalArgumentException("a node UUID has 16 bytes, not " + nodeUuid.length);
    }
    int id = hash32(nodeUuid);
    return id == 0 ? BASIS_32 : id;
  }
}
