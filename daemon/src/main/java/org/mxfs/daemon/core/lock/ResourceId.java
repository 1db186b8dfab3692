// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import org.mxfs.daemon.core.Fnv1a;

/**
 * The name of a resource, and its binary form of 24 bytes, little-endian: U64 number, U32
 * generation, U16 type, U16 zero, U64 start. The number comes first: FNV-1a mixes early bytes best.
 *
 * @param number inode, allocation group, or node id whose journal it is; 0 for the superblock
 * @param generation of the inode, else 0
 * @param start first byte of an extent, else 0
 */
public record ResourceId(ResourceType type, long number, int generation, long start)
    implements Comparable<ResourceId> {
  public static final int SIZE = 24;

  public static final ResourceId SUPERBLOCK = new ResourceId(ResourceType.SUPERBLOCK, 0, 0, 0);

  public ResourceId {
    boolean file = type == ResourceType.INODE || type == ResourceType.EXTENT;
    if (!file && generation != 0) {
      throw new IllegalArgumentException(type + " with generation " + generation);
    }
    if ((type != ResourceType.EXTENT && start != 0) || start < 0) {
      throw new IllegalArgumentException(type + " with start " + start);
    }
    if (type == ResourceType.SUPERBLOCK && number != 0) {
      throw new IllegalArgumentException("superblock " + number);
    }
  }

  public static ResourceId inode(long inode, int generation) {
    return new ResourceId(ResourceType.INODE, inode, generation, 0);
  }

  public static ResourceId extent(long inode, int generation, long start) {
    return new ResourceId(ResourceType.EXTENT, inode, generation, start);
  }

  public static ResourceId allocationGroup(int number) {
    return new ResourceId(ResourceType.ALLOCATION_GROUP, Integer.toUnsignedLong(number), 0, 0);
  }

  public static ResourceId journal(int nodeId) {
    return new ResourceId(ResourceType.JOURNAL, Integer.toUnsignedLong(nodeId), 0, 0);
  }

  public byte[] bytes() {
    byte[] bytes = new byte[SIZE];
    put(bytes, 0, number, 8);
    put(bytes, 8, generation, 4);
    put(bytes, 12, type.code(), 2);
    put(bytes, 16, start, 8);
    return bytes;
  }

  /**
   * The opposite of {@link #bytes}.
   *
   * @throws IllegalArgumentException these bytes are the name of nothing
   */
  public static ResourceId of(byte[] bytes) {
    if (bytes.length != SIZE) {
      throw new IllegalArgumentException(
          "a resource id has " + SIZE + " bytes, not " + bytes.length);
    }
    if (get(bytes, 14, 2) != 0) {
      throw new IllegalArgumentException("a resource id with something between its fields");
    }
    return new ResourceId(
        ResourceType.of((int) get(bytes, 12, 2)),
        get(bytes, 0, 8),
        (int) get(bytes, 8, 4),
        get(bytes, 16, 8));
  }

  public int hash32() {
    return Fnv1a.hash32(bytes());
  }

  public long hash64() {
    return Fnv1a.hash64(bytes());
  }

  @Override
  public int compareTo(ResourceId other) {
    int order = type.compareTo(other.type);
    if (order == 0) {
      order = Long.compareUnsigned(number, other.number);
    }
    if (order == 0) {
      order = Integer.compareUnsigned(generation, other.generation);
    }
    return order != 0 ? order : Long.compare(start, other.start);
  }

  private static void put(byte[] bytes, int at, long value, int size) {
    for (int i = 0; i < size; i++) {
      bytes[at + i] = (byte) (value >>> (8 * i));
    }
  }

  private static long get(byte[] bytes, int at, int size) {
    long value = 0;
    for (int i = size - 1; i >= 0; i--) {
      value = value << 8 | (bytes[at + i] & 0xff);
    }
    return value;
  }
}
