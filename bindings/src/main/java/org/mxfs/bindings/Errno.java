// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import org.mxfs.bindings.linux.Errnos;

/** Help around {@code -errno} results. */
public final class Errno {
  private Errno() {}

  /**
   * Passes a good result through.
   *
   * @param result what a call returned: {@code >= 0}, or {@code -errno}
   * @throws ErrnoException if it is negative; {@code arguments} and {@code hint} as there
   */
  public static long check(long result, String call, String arguments, String hint)
      throws ErrnoException {
    if (result < 0) {
      throw new ErrnoException(call, arguments, (int) -result, hint);
    }
    return result;
  }

  /** As {@link #check(long, String, String, String)}, with nothing to recommend. */
  public static long check(long result, String call, String arguments) throws ErrnoException {
    return check(result, call, arguments, "");
  }

  /** As {@link #check(long, String, String, String)} for a call that returns an {@code int}. */
  public static int check(int result, String call, String arguments, String hint)
      throws ErrnoException {
    return (int) check((long) result, call, arguments, hint);
  }

  /** As {@link #check(int, String, String, String)}, with nothing to recommend. */
  public static int check(int result, String call, String arguments) throws ErrnoException {
    return (int) check((long) result, call, arguments, "");
  }

  /**
   * The name and, for the errors these libraries meet, what it means: {@code "ENOENT (no such
   * file)"}.
   */
  public static String describe(int errno) {
    String meaning =
        switch (errno) {
          case Errnos.EPERM -> "operation not permitted";
          case Errnos.ENOENT -> "no such file, family or object";
          case Errnos.EINTR -> "interrupted";
          case Errnos.EIO -> "input/output error";
          case Errnos.ENXIO -> "no such device or address";
          case Errnos.EBADF -> "bad file descriptor";
          case Errnos.EAGAIN -> "not now, try again";
          case Errnos.ENOMEM -> "out of memory, or over a memory limit";
          case Errnos.EACCES -> "permission denied";
          case Errnos.EFAULT -> "bad address";
          case Errnos.EBUSY -> "device or resource busy";
          case Errnos.EEXIST -> "exists already";
          case Errnos.ENODEV -> "no such device";
          case Errnos.ENOTBLK -> "not a block device";
          case Errnos.EINVAL -> "invalid argument";
          case Errnos.EMFILE -> "too many open files";
          case Errnos.ENOTTY -> "the device does not know this request";
          case Errnos.ENOSPC -> "no space left";
          case Errnos.EROFS -> "read-only";
          case Errnos.ERANGE -> "result too large";
          case Errnos.ENOSYS -> "the kernel does not have this call";
          case Errnos.ENODATA -> "no data";
          case Errnos.EBADE -> "invalid exchange; the storage refused it: reservation conflict";
          case Errnos.EREMOTEIO -> "remote input/output error; the storage refused the command";
          case Errnos.EMSGSIZE -> "message too long";
          case Errnos.EOPNOTSUPP -> "not supported";
          case Errnos.EADDRINUSE -> "address in use";
          case Errnos.ENOBUFS -> "no buffer space: messages were lost";
          case Errnos.ETIMEDOUT -> "timed out";
          case Errnos.ECONNREFUSED -> "connection refused: nobody there";
          case Errnos.EALREADY -> "already in progress";
          case Errnos.ECANCELED -> "cancelled";
          default -> "";
        };
    String name = Errnos.nameOf(errno);
    return meaning.isEmpty() ? name : name + " (" + meaning + ")";
  }

  /**
   * What can be done about an error whatever the call was, or nothing. Who made the call often
   * knows better.
   */
  static String remedy(int errno) {
    return switch (errno) {
      case Errnos.EMFILE -> "raise the limit of open files (ulimit -n)";
      case Errnos.ENFILE -> "raise the machine's limit of open files (fs.file-max)";
      case Errnos.ENOSYS -> "a newer kernel, or a seccomp filter that lets the call through";
      case Errnos.ENOMEM -> "see the memory and locked memory limits (ulimit -v, ulimit -l)";
      case Errnos.EPERM -> "it wants a privilege (capabilities), or a seccomp filter forbids it";
      case Errnos.EACCES -> "see owner and mode, and the container's device rules";
      default -> "";
    };
  }
}
