// SPDX-License-Identifier: Apache-2.0

/**
 * Generic netlink: families and groups by name, typed attributes, acknowledged requests, dumps,
 * events.
 *
 * <p>{@link org.mxfs.netlink.GenericNetlink} is the socket; {@link org.mxfs.netlink.Attributes} is
 * what messages carry.
 *
 * <p>This package never assumes that a message arrived: an overrun is reported as a gap, and a
 * request whose answer may have been lost fails as "outcome unknown" instead of being repeated. Its
 * parsers never read outside their message, never loop, and throw {@link
 * org.mxfs.netlink.MalformedMessageException} and nothing else. It knows no family but the kernel's
 * own controller.
 */
@NullMarked
package org.mxfs.netlink;

import org.jspecify.annotations.NullMarked;
