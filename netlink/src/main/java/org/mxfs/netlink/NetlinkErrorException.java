// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.util.Optional;
import java.util.OptionalInt;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.linux.Errnos;

/**
 * The kernel answered a request with an error. The text carries the kernel's own explanation where
 * it gave one (extended acknowledgement, {@code linux/netlink.h}).
 */
public final class NetlinkErrorException extends NetlinkException {
  private final int errno;
  private final Optional<String> kernelMessage;
  private final OptionalInt badAttributeOffset;
  private final OptionalInt missingAttribute;

  NetlinkErrorException(
      String request,
      int errno,
      Optional<String> kernelMessage,
      OptionalInt badAttributeOffset,
      OptionalInt missingAttribute) {
    super(text(request, errno, kernelMessage, badAttributeOffset, missingAttribute));
    this.errno = errno;
    this.kernelMessage = kernelMessage;
    this.badAttributeOffset = badAttributeOffset;
    this.missingAttribute = missingAttribute;
  }

  private static String text(
      String request,
      int errno,
      Optional<String> kernelMessage,
      OptionalInt badAttributeOffset,
      OptionalInt missingAttribute) {
    StringBuilder s =
        new StringBuilder("netlink ").append(request).append(": ").append(Errno.describe(errno));
    kernelMessage.ifPresent(m -> s.append(", the kernel says \"").append(m).append('"'));
    badAttributeOffset.ifPresent(
        o -> s.append(", about the attribute at byte ").append(o).append(" of the request"));
    missingAttribute.ifPresent(t -> s.append(", attribute ").append(t).append(" is missing"));
    if (errno == Errnos.EPERM) {
      s.append("; the request may need CAP_NET_ADMIN in the initial user namespace");
    }
    return s.toString();
  }

  /** The positive error number. */
  public int errno() {
    return errno;
  }

  /** The error's C name, e.g. {@code EPERM}. */
  public String errnoName() {
    return Errnos.nameOf(errno);
  }

  /** What the kernel said in words ({@code NLMSGERR_ATTR_MSG}). */
  public Optional<String> kernelMessage() {
    return kernelMessage;
  }

  /** Where in the request, in bytes from its netlink header, the offending attribute begins. */
  public OptionalInt badAttributeOffset() {
    return badAttributeOffset;
  }

  /** The type of the attribute that the request should have had. */
  public OptionalInt missingAttribute() {
    return missingAttribute;
  }
}
