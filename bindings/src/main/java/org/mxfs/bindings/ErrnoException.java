// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import java.io.IOException;
import org.mxfs.bindings.linux.Errnos;

/**
 * A system call failed. The message reads {@code call(arguments): ENAME (what it means); what to
 * do}.
 *
 * <p>Not thrown by this module's calls, which return {@code -errno}: the libraries above throw it
 * at their edge, where they know what the arguments meant and what a person can do about it.
 */
public final class ErrnoException extends IOException {
  private final String call;
  private final String arguments;
  private final int errno;
  private final String hint;

  /**
   * @param call the call's C name
   * @param arguments the arguments that matter, readable
   * @param errno the positive error number
   * @param hint what to do about it; empty for what is known of the error itself
   */
  public ErrnoException(String call, String arguments, int errno, String hint) {
    super(text(call, arguments, errno, hint.isEmpty() ? Errno.remedy(errno) : hint));
    if (errno <= 0) {
      throw new IllegalArgumentException("errno " + errno + " is not positive");
    }
    this.call = call;
    this.arguments = arguments;
    this.errno = errno;
    this.hint = hint.isEmpty() ? Errno.remedy(errno) : hint;
  }

  private static String text(String call, String arguments, int errno, String hint) {
    String what = call + "(" + arguments + "): " + Errno.describe(errno);
    return hint.isEmpty() ? what : what + "; " + hint;
  }

  /** The call's C name. */
  public String call() {
    return call;
  }

  /** The arguments that matter, readable. */
  public String arguments() {
    return arguments;
  }

  /** The positive error number. */
  public int errno() {
    return errno;
  }

  /** The error's C name, e.g. {@code ENOENT}. */
  public String errnoName() {
    return Errnos.nameOf(errno);
  }

  /** What to do about it; empty if nothing is known. */
  public String hint() {
    return hint;
  }
}
