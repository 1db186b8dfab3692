// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;

class FailStopTest {
  /** A daemon one of whose threads fails, with a hook that never ends, as the real one has. */
  static final class Program {
    private Program() {}

    public static void main(String[] words) {
      FailStop.install();
      Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(Program::forever));
      Thread.ofPlatform()
          .name("array")
          .start(
              () -> {
                throw new LinkageError("made by a test");
              });
      forever();
    }

    private static void forever() {
      while (true) {
        LockSupport.park();
      }
    }
  }

  @Test
  void aThrowableThatNobodyCatchesEndsTheProcess() throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                Program.class.getName())
            .redirectErrorStream(true)
            .start();
    try {
      assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
      assertThat(process.exitValue()).isEqualTo(FailStop.STATUS);
    } finally {
      process.destroyForcibly();
    }
  }
}
