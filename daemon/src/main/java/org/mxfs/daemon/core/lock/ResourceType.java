// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

/** What is locked. The codes are part of messages and of disk records. */
public enum ResourceType {
  /** A file: who may grant flock, fcntl and OFD locks on it. */
  INODE(1),
  /** A range of a file: the queue for byte ranges while more than one node wants them. */
  EXTENT(2),
  /** Who hands out inodes of an allocation group in advance. */
  ALLOCATION_GROUP(3),
  /** Who recovers what a dead node left. */
  JOURNAL(4),
  /** Who grows, freezes or trims the volume. */
  SUPERBLOCK(5);

  private final int code;

  ResourceType(int code) {
    this.code = code;
  }

  public int code() {
    return code;
  }

  static ResourceType of(int code) {
    for (ResourceType type : values()) {
      if (type.code == code) {
        return type;
      }
    }
    throw new IllegalArgumentException("resource type " + code + " does not exist");
  }
}
