// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Memory;
import org.mxfs.bindings.linux.Processes;
import org.slf4j.Logger;

/**
 * Makes the process fit to stand on the path of memory write-back: the kernel may have to write
 * mxfs's dirty pages to get memory, and that may need this daemon. Each step is done where it is
 * permitted; no guarantee depends on it.
 */
final class Residence {
  private Residence() {}

  static void take(Logger log) {
    // prctl(2) PR_SET_IO_FLUSHER is of the calling thread and those it starts: call this first.
    tell(log, "PR_SET_IO_FLUSHER", Linux.prctl(Processes.PR_SET_IO_FLUSHER, 1, 0, 0, 0));
    // MCL_ONFAULT: what was used stays; without it the whole of the JVM's mappings would be read in
    // at once.
    tell(
        log,
        "mlockall",
        Linux.mlockall(Memory.MCL_CURRENT | Memory.MCL_FUTURE | Memory.MCL_ONFAULT));
    try {
      Files.writeString(Path.of("/proc/self/oom_score_adj"), "-1000");
    } catch (IOException e) {
      log.warn("oom_score_adj: {}", e.getMessage());
    }
  }

  private static void tell(Logger log, String what, long result) {
    if (result < 0) {
      log.warn("{}: {}; going on without it", what, Errno.describe((int) -result));
    }
  }
}
