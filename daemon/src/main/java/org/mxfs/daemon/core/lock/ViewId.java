// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

/**
 * Which view a message belongs to.
 *
 * @param epoch of the volume's owner
 * @param version of the list of nodes; never used twice, also not under another epoch
 */
public record ViewId(long epoch, long version) implements Comparable<ViewId> {
  @Override
  public int compareTo(ViewId other) {
    int order = Long.compareUnsigned(epoch, other.epoch);
    return order != 0 ? order : Long.compareUnsigned(version, other.version);
  }
}
