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
  void theLastWarningsAndErrorsAreRememberedOnceEach() {
    DaemonLog log = new DaemonLog();
    Logger logger = log.getLogger("x");
    for (int i = 0; i < DaemonLog.TROUBLES_KEPT + 1; i++) {
      logger.warn("trouble {}", i);
      logger.info("no trouble {}", i);
    }
    logger.warn("trouble {}", 2);
    logger.error("x".repeat(100_000));
    assertThat(log.troubles())
        .extracting(t -> t.level() + " " + t.text().substring(0, Math.min(9, t.text().length())))
        .containsExactly(
            "WARN trouble 3",
            "WARN trouble 4",
            "WARN trouble 5",
            "WARN trouble 2",
            "ERROR xxxxxxxxx");
    assertThat(log.troubles().getLast().text().length()).isLessThan(1_000);
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
  void aFileThatHasBecomeTooLongIsRenamedAndAFewAreKept() throws IOException {
    DaemonLog log = new DaemonLog(2_000);
    Path file = directory.resolve("volume.log");
    assertThat(log.open(file, null)).isEmpty();
    Logger logger = log.getLogger("x");
    for (int i = 0; i < 1_000; i++) {
      logger.info("line {}", i);
    }
    try (var files = Files.list(directory)) {
      List<Path> all = files.toList();
      assertThat(all).hasSize(1 + DaemonLog.KEPT);
      for (Path each : all) {
        assertThat(Files.size(each)).isLessThanOrEqualTo(2_000);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(each)))
            .isEqualTo("rw-r-----");
      }
    }
    assertThat(Files.readAllLines(file).getLast()).endsWith("line 999");
    assertThat(Files.readAllLines(directory.resolve("volume.log.1"))).isNotEmpty();
  }

  @Test
  void aFileOfAnEarlierDaemonCounts() throws IOException {
    Path file = directory.resolve("volume.log");
    Files.writeString(file, "x".repeat(1_990) + "\n");
    DaemonLog log = new DaemonLog(2_000);
    assertThat(log.open(file, null)).isEmpty();
    log.getLogger("x").info("new");
    assertThat(Files.readAllLines(file)).hasSize(1);
  }

  @Test
  void whatStrangersCauseIsWrittenSoOftenAndCounted() throws IOException {
    DaemonLog log = new DaemonLog();
    Path file = directory.resolve("volume.log");
    assertThat(log.open(file, null)).isEmpty();
    Logger peers = log.getLogger("org.mxfs.daemon.peer.Connection");
    Logger core = log.getLogger("org.mxfs.daemon.core");
    for (int i = 0; i < 1_000; i++) {
      peers.warn("connection with {} closed", i);
      core.warn("{}", "grant of epoch " + i + " refused");
    }
    peers.warn("another kind");
    log.getLogger("org.mxfs.daemon.main.Daemon").warn("{}", "ours");
    List<String> lines = Files.readAllLines(file);
    assertThat(lines).hasSize(2 * LineLimit.BURST + 2);
    assertThat(lines.getLast()).endsWith("ours");
  }

  @Test
  void howManyLinesWereLeftOutIsSaidWithTheNextOne() {
    LineLimit limit = new LineLimit();
    long now = 1;
    for (int i = 0; i < LineLimit.BURST; i++) {
      assertThat(limit.admit("a", now)).isZero();
    }
    for (int i = 0; i < 7; i++) {
      assertThat(limit.admit("a", now)).isNegative();
    }
    assertThat(limit.admit("b", now)).isZero();
    assertThat(limit.admit("a", now + LineLimit.AGAIN_NANOS)).isEqualTo(7);
    assertThat(limit.admit("a", now + LineLimit.AGAIN_NANOS)).isNegative();
    for (int i = 0; i < 10_000; i++) {
      limit.admit("kind " + i, now);
    }
    assertThat(limit.admit("one more", now)).isNegative();
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
