// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;

/**
 * The device takes no requests any more, because it was frozen or closed. This one was not sent.
 */
public final class FrozenException extends IOException {
  FrozenException(String device) {
    super(device + " is frozen or closed; the request was not sent");
  }
}
