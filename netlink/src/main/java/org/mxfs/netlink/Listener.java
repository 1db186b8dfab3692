// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.io.IOException;

/**
 * Receives what answers no request: events from the kernel, and what went wrong.
 *
 * <p>Called on the socket's reader thread, one call at a time. A call that takes long delays
 * everything behind it and in the end makes the socket overrun; one that sends a request on the
 * same socket is refused.
 */
public interface Listener {
  /**
   * An event: a multicast message of a joined group, or one that the kernel sent to this port
   * unasked.
   */
  void message(Message message);

  /**
   * The kernel dropped messages because the socket was full ({@code ENOBUFS}), or one was larger
   * than the receive buffer. Ask for the state anew.
   */
  void gap();

  /** A message was refused because it does not keep its format. */
  void malformed(MalformedMessageException e);

  /**
   * The socket can receive no more; every request fails from now on. Not called when it is closed
   * in order.
   */
  void failed(IOException e);
}
