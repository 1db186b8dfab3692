// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.io.IOException;

/**
 * A request did not end well. The subclasses say how: the kernel refused it ({@link
 * NetlinkErrorException}), an answer cannot be read ({@link MalformedMessageException}), or it is
 * not known whether it took effect ({@link OutcomeUnknownException}).
 */
public sealed class NetlinkException extends IOException
    permits NetlinkErrorException, MalformedMessageException, OutcomeUnknownException {
  NetlinkException(String message) {
    super(message);
  }
}
