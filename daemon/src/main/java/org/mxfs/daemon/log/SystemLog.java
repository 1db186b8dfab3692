// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.log;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Sockets;
import org.slf4j.event.Level;

/**
 * The system log: {@code /dev/log} where a syslog daemon listens (RFC 3164 lines in datagrams),
 * else the kernel's ring buffer, {@code /dev/kmsg}, for what is at least a warning.
 */
public final class SystemLog {
  /** syslog(3): LOG_DAEMON. */
  private static final int FACILITY = 3 << 3;

  // unix(7): the family, the socket type, and struct sockaddr_un: 2 bytes of family, 108 of path.
  private static final int AF_UNIX = 1;
  private static final int SOCK_DGRAM = 2;
  private static final int SOCKADDR_SIZE = 110;
  private static final int PATH_MAX = 107;

  /** A kmsg record holds less than a page. */
  private static final int TEXT_MAX = 900;

  private final int socket;
  private final @Nullable OutputStream kernel;
  private final MemorySegment buffer = Arena.ofAuto().allocate(2 * TEXT_MAX);
  private final long pid = ProcessHandle.current().pid();

  private SystemLog(int socket, @Nullable OutputStream kernel) {
    this.socket = socket;
    this.kernel = kernel;
  }

  /** Opens what is there; a log that goes nowhere when nothing is. */
  public static SystemLog open(Path devLog, Path kmsg) {
    int fd = Files.exists(devLog) ? connect(devLog) : -1;
    if (fd >= 0) {
      return new SystemLog(fd, null);
    }
    try {
      return new SystemLog(-1, Files.newOutputStream(kmsg, StandardOpenOption.WRITE));
    } catch (IOException e) {
      return new SystemLog(-1, null);
    }
  }

  private static int connect(Path path) {
    byte[] name = path.toString().getBytes(StandardCharsets.UTF_8);
    if (name.length > PATH_MAX) {
      return -1;
    }
    int fd = Linux.socket(AF_UNIX, SOCK_DGRAM | Sockets.SOCK_CLOEXEC | Sockets.SOCK_NONBLOCK, 0);
    if (fd < 0) {
      return fd;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = arena.allocate(SOCKADDR_SIZE);
      address.set(ValueLayout.JAVA_SHORT_UNALIGNED, 0, (short) AF_UNIX);
      MemorySegment.copy(name, 0, address, ValueLayout.JAVA_BYTE, 2, name.length);
      int result = Linux.connect(fd, address, SOCKADDR_SIZE);
      if (result < 0) {
        Linux.close(fd);
        return result;
      }
    }
    return fd;
  }

  /**
   * Called under the log's lock. What the system does not take at once is dropped: the file has it.
   */
  void write(Level level, String text) {
    int severity =
        switch (level) {
          case ERROR -> 3;
          case WARN -> 4;
          case INFO -> 6;
          case DEBUG, TRACE -> 7;
        };
    String clipped = text.length() <= TEXT_MAX ? text : text.substring(0, TEXT_MAX);
    byte[] line =
        ("<" + (FACILITY | severity) + ">mxfsd[" + pid + "]: " + clipped)
            .getBytes(StandardCharsets.UTF_8);
    int length = Math.min(line.length, (int) buffer.byteSize());
    if (socket >= 0) {
      MemorySegment.copy(line, 0, buffer, ValueLayout.JAVA_BYTE, 0, length);
      Linux.write(socket, buffer, length);
    } else if (kernel != null && severity <= 4) {
      try {
        kernel.write(line, 0, length);
      } catch (IOException e) {
        // The kernel limits how much user space may log; the file has the line.
        return;
      }
    }
  }
}
