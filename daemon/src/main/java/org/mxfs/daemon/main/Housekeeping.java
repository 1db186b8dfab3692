// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Bounds what the Java run time itself leaves beside the log: what it says on standard error, which
 * the launcher appends to {@code jvm.log}, and a report of each crash. After the mount is ready,
 * since nobody waits for it.
 */
final class Housekeeping {
  static final long SAID_MAX = 1L << 20;
  static final int REPORTS_KEPT = 5;

  private static final Logger LOG = LoggerFactory.getLogger(Housekeeping.class);

  private Housekeeping() {}

  static void run(Path logDirectory) {
    try {
      shorten(logDirectory.resolve("jvm.log"));
      thinOut(logDirectory);
    } catch (IOException | UncheckedIOException e) {
      LOG.warn("tidying {}: {}", logDirectory, e.toString());
    }
  }

  private static void shorten(Path said) throws IOException {
    try {
      if (Files.size(said) > SAID_MAX) {
        try (FileChannel file = FileChannel.open(said, StandardOpenOption.WRITE)) {
          file.truncate(0); // whoever has it open appends
        }
      }
    } catch (NoSuchFileException e) {
      // Nothing was said.
      return;
    }
  }

  private record Report(Path path, long millis) {}

  private static void thinOut(Path logDirectory) throws IOException {
    List<Report> reports = new ArrayList<>();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(logDirectory, "jvm-*.log")) {
      for (Path each : files) {
        reports.add(new Report(each, Files.getLastModifiedTime(each).toMillis()));
      }
    } catch (NoSuchFileException e) {
      return;
    }
    reports.sort(Comparator.comparingLong(Report::millis).reversed());
    for (Report each : reports.subList(Math.min(REPORTS_KEPT, reports.size()), reports.size())) {
      Files.deleteIfExists(each.path());
    }
  }
}
