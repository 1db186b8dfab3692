// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.util.Optional;
import java.util.OptionalInt;
import org.mxfs.bindings.linux.Netlink;

/**
 * What the kernel adds to an error ({@code enum nlmsgerr_attrs}, {@code linux/netlink.h}).
 *
 * @param message in words
 * @param badAttributeOffset where in the request, in bytes from its netlink header, the offending
 *     attribute begins
 * @param missingAttribute the type of the attribute that the request should have had
 * @param missingIn where in the request, likewise, the attribute begins inside of which it is
 *     missing; empty for the outer level
 */
record ExtendedAck(
    Optional<String> message,
    OptionalInt badAttributeOffset,
    OptionalInt missingAttribute,
    OptionalInt missingIn) {
  static final ExtendedAck NONE =
      new ExtendedAck(
          Optional.empty(), OptionalInt.empty(), OptionalInt.empty(), OptionalInt.empty());

  static ExtendedAck of(Attributes a) throws MalformedMessageException {
    return new ExtendedAck(
        a.findString(Netlink.NLMSGERR_ATTR_MSG),
        number(a, Netlink.NLMSGERR_ATTR_OFFS),
        number(a, Netlink.NLMSGERR_ATTR_MISS_TYPE),
        number(a, Netlink.NLMSGERR_ATTR_MISS_NEST));
  }

  private static OptionalInt number(Attributes a, int type) throws MalformedMessageException {
    return a.has(type) ? OptionalInt.of(a.s32(type)) : OptionalInt.empty();
  }

  /** As the end of a sentence that says what failed. */
  String text() {
    StringBuilder s = new StringBuilder();
    message.ifPresent(m -> s.append(", the kernel says \"").append(m).append('"'));
    badAttributeOffset.ifPresent(
        o -> s.append(", about the attribute at byte ").append(o).append(" of the request"));
    missingAttribute.ifPresent(t -> s.append(", attribute ").append(t).append(" is missing"));
    missingIn.ifPresent(o -> s.append(" inside the attribute at byte ").append(o));
    return s.toString();
  }
}
