// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.log;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.Logger;
import org.slf4j.event.Level;

class DaemonLogTest {
  @TempDir Path directory;

  @Test
  void linesGoToAFileThatOnlyRootAndItsGroupRead() throws IOException {
    DaemonLog log = new DaemonLog();
    Logger logger = log.getLogger("x");
    logger.info("early {}", 1);
    Path file = directory.resolve("log/volume.log");
    assertThat(log.open(file, null)).isEmpty();
    logger.warn("late {} {}", "a", "b");
    logger.debug("not shown");
    log.setLevel(Level.DEBUG);
    logger.debug("shown", new IOException("why"));
    List<String> lines = Files.readAllLines(file);
    assertThat(lines.get(0)).contains(" INFO mxfsd[").endsWith("early 1");
    assertThat(lines.get(1)).contains(" WARN mxfsd[").endsWith("late a b");
    assertThat(lines.get(2)).endsWith("shown: java.io.IOException: why");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
        .isEqualTo("rw-r-----");
    Path parent = file.getParent();
    assertThat(
            parent == null
                ? ""
                : PosixFilePermissions.toString(Files.getPosixFilePermissions(parent)))
        .isEqualTo("rwxr-x---");
  }

  @Test
  void aLogThatCannotBeOpenedIsSaidAndHarmsNobody() throws IOException {
    Path file = directory.resolve("in-the-way");
    Files.writeString(file, "");
    DaemonLog log = new DaemonLog();
    assertThat(log.open(file.resolve("volume.log"), null)).contains("in-the-way");
    log.getLogger("x").error("goes nowhere");
  }

  @Test
  void warningsGoToTheKernelLogWhereThereIsNoSyslog() throws IOException {
    Path kmsg = Files.createFile(directory.resolve("kmsg"));
    SystemLog system = SystemLog.open(directory.resolve("no-syslog"), kmsg);
    system.write(Level.INFO, "not there");
    system.write(Level.WARN, "there");
    assertThat(Files.readString(kmsg)).startsWith("<28>mxfsd[").endsWith("]: there");
  }
}
