// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

/**
 * The request was sent and its answer did not come: the time ran out, the socket overran, or it was
 * closed. The kernel may or may not have acted on it; find out before sending it again.
 */
public final class OutcomeUnknownException extends NetlinkException {
  OutcomeUnknownException(String message) {
    super(message);
  }
}
