// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/** A node that waits for the ownership: its key and the request it waits with. */
public record Waiter(ReservationKey key, long requestId) {
  public int nodeId() {
    return key.nodeId();
  }
}
