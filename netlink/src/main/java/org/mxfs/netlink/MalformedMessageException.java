// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

/**
 * A message is not what its format promises: a length that does not fit, a missing or mistyped
 * attribute.
 */
public final class MalformedMessageException extends NetlinkException {
  MalformedMessageException(String message) {
    super(message);
  }
}
