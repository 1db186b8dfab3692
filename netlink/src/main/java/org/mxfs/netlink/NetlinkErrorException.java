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
  private final ExtendedAck ack;

  NetlinkErrorException(String request, int errno, ExtendedAck ack) {
    super("netlink " + request + ": " + Errno.describe(errno) + ack.text() + remedy(errno));
    this.errno = errno;
    this.ack = ack;
  }

  private static String remedy(int errno) {
    return switch (errno) {
      case Errnos.EPERM -> "; the request may need CAP_NET_ADMIN in the initial user namespace";
      case Errnos.ENOENT ->
          "; a family is there only while its module is loaded and its option is in the kernel";
      case Errnos.EBUSY -> "; a dump may be under way on this socket";
      default -> "";
    };
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
    return ack.message();
  }

  /** Where in the request, in bytes from its netlink header, the offending attribute begins. */
  public OptionalInt badAttributeOffset() {
    return ack.badAttributeOffset();
  }

  /** The type of the attribute that the request should have had. */
  public OptionalInt missingAttribute() {
    return ack.missingAttribute();
  }

  /**
   * Where in the request the attribute begins inside of which {@link #missingAttribute} is missing;
   * empty if that is the outer level.
   */
  public OptionalInt missingIn() {
    return ack.missingIn();
  }
}
