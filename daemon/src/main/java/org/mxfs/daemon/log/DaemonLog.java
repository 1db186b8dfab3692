// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.log;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.ILoggerFactory;
import org.slf4j.Logger;
import org.slf4j.event.Level;

/**
 * Where log lines go: to a file of the volume, and to the system log. Lines before {@link #open}
 * are kept, a bounded number of them. A sink that fails is left out from then on; logging never
 * fails its caller.
 */
public final class DaemonLog implements ILoggerFactory {
  private static final int EARLY_MAX = 200;
  private static final Set<PosixFilePermission> DIRECTORY =
      PosixFilePermissions.fromString("rwxr-x---");
  private static final Set<PosixFilePermission> FILE = PosixFilePermissions.fromString("rw-r-----");

  private record Line(Level level, String text) {}

  private final ConcurrentMap<String, Logger> loggers = new ConcurrentHashMap<>();
  private final ReentrantLock lock = new ReentrantLock();
  private final Deque<Line> early = new ArrayDeque<>();
  private final long pid = ProcessHandle.current().pid();
  private boolean opened;
  private @Nullable OutputStream file;
  private @Nullable SystemLog system;
  private volatile Level level = Level.INFO;

  @Override
  public Logger getLogger(String name) {
    return loggers.computeIfAbsent(name, n -> new LineLogger(n, this));
  }

  /** Lines below this level are dropped. */
  public void setLevel(Level level) {
    this.level = level;
  }

  boolean isEnabled(Level asked) {
    return asked.toInt() >= level.toInt();
  }

  /**
   * Opens the file (0640, in a directory that is made 0750 when it is not there) and the system
   * log, and writes what has been logged so far.
   *
   * @return what could not be opened, or an empty text
   */
  public String open(Path path, @Nullable SystemLog systemLog) {
    String trouble = "";
    lock.lock();
    try {
      system = systemLog;
      try {
        Path directory = path.toAbsolutePath().getParent();
        if (directory != null && !Files.isDirectory(directory)) {
          Files.createDirectories(directory);
          // Not by a file attribute at creation, which the umask would narrow further.
          Files.setPosixFilePermissions(directory, DIRECTORY);
        }
        file = Files.newOutputStream(path, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        Files.setPosixFilePermissions(path, FILE);
      } catch (IOException e) {
        trouble = "log file " + path + ": " + e;
      }
      opened = true;
      for (Line line : early) {
        writeLocked(line);
      }
      early.clear();
    } finally {
      lock.unlock();
    }
    return trouble;
  }

  void write(Level lineLevel, String text) {
    Line line = new Line(lineLevel, text);
    lock.lock();
    try {
      if (opened) {
        writeLocked(line);
      } else if (early.size() < EARLY_MAX) {
        early.add(line);
      }
    } finally {
      lock.unlock();
    }
  }

  private void writeLocked(Line line) {
    OutputStream out = file;
    if (out != null) {
      String stamp = Instant.ofEpochMilli(System.currentTimeMillis()).toString();
      String text = stamp + " " + line.level() + " mxfsd[" + pid + "]: " + line.text() + "\n";
      try {
        out.write(text.getBytes(StandardCharsets.UTF_8));
      } catch (IOException e) {
        file = null;
        if (system != null) {
          system.write(Level.ERROR, "the log file cannot be written any more: " + e);
        }
      }
    }
    if (system != null) {
      system.write(line.level(), line.text());
    }
  }
}
