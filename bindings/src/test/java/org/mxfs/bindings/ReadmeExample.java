// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Processes;
import org.mxfs.bindings.linux.pollfd;

/** The README's example; {@link ReadmeTest} runs it. */
final class ReadmeExample {
  private ReadmeExample() {}

  static void main() throws ErrnoException {
    // README begins
    try (Arena arena = Arena.ofConfined()) {
      int fd = Errno.check(Linux.eventfd2(0, Processes.EFD_CLOEXEC), "eventfd", "0");
      MemorySegment one = arena.allocateFrom(ValueLayout.JAVA_LONG, 1);
      Errno.check(Linux.write(fd, one, Long.BYTES), "write", "eventfd");

      MemorySegment polled = arena.allocate(pollfd.SIZE, pollfd.ALIGN); // struct pollfd
      pollfd.fd(polled, 0, fd);
      pollfd.events(polled, 0, Processes.POLLIN);
      int ready = Linux.ppoll(polled, 1, MemorySegment.NULL, MemorySegment.NULL, 0);
      System.out.println(ready + " ready"); // >= 0, or -errno

      Errno.check(Linux.close(fd), "close", "eventfd");
      Errno.check(Linux.close(-1), "close", "-1");
    } catch (ErrnoException e) {
      System.out.println(e.getMessage()); // close(-1): EBADF (bad file descriptor)
    }
    // README ends
  }
}
