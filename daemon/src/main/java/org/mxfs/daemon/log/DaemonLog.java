// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.log;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
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
 *
 * <p>Bounded: a file that has become too long is renamed, a few such are kept; and of what
 * strangers on the network can cause, {@link LineLimit} lets so many lines through.
 */
public final class DaemonLog implements ILoggerFactory {
  private static final int EARLY_MAX = 200;

  /** Bytes after which the file is renamed. */
  static final long FILE_MAX = 4L << 20;

  /** Renamed files that are kept, NAME.1 the newest. */
  static final int KEPT = 3;

  /** Whoever logs what came from the network, by the beginning of the logger's name. */
  private static final String[] FACING_STRANGERS = {
    "org.mxfs.daemon.peer.", "org.mxfs.daemon.discovery.", "org.mxfs.daemon.core"
  };

  private static final Set<PosixFilePermission> DIRECTORY =
      PosixFilePermissions.fromString("rwxr-x---");
  private static final Set<PosixFilePermission> FILE = PosixFilePermissions.fromString("rw-r-----");

  /** Warnings and errors that are remembered. */
  static final int TROUBLES_KEPT = 5;

  private static final int TROUBLE_MAX = 600;

  private record Line(Level level, String text) {}

  /** A warning or an error that was logged; {@code at} is of {@link System#nanoTime}. */
  public record Trouble(Level level, long at, String text) {}

  private final ConcurrentMap<String, Logger> loggers = new ConcurrentHashMap<>();
  private final ReentrantLock lock = new ReentrantLock();
  private final Deque<Line> early = new ArrayDeque<>();
  private final Deque<Trouble> troubles = new ArrayDeque<>();
  private final long pid = ProcessHandle.current().pid();
  private boolean opened;
  private final LineLimit limit = new LineLimit();
  private final long fileMax;
  private @Nullable OutputStream file;
  private @Nullable Path path;
  private long written;
  private @Nullable SystemLog system;
  private volatile Level level = Level.INFO;

  public DaemonLog() {
    this(FILE_MAX);
  }

  DaemonLog(long fileMax) {
    this.fileMax = fileMax;
  }

  @Override
  public Logger getLogger(String name) {
    return loggers.computeIfAbsent(name, n -> new LineLogger(n, this));
  }

  /** Lines below this level are dropped. */
  public void setLevel(Level level) {
    this.level = level;
  }

  /** The last warnings and errors, the oldest first; of the same text only the last one. */
  public List<Trouble> troubles() {
    lock.lock();
    try {
      return List.copyOf(troubles);
    } finally {
      lock.unlock();
    }
  }

  private void rememberLocked(Line line) {
    if (line.level().toInt() < Level.WARN.toInt()) {
      return;
    }
    String text = line.text();
    String kept = text.length() <= TROUBLE_MAX ? text : text.substring(0, TROUBLE_MAX) + "…";
    troubles.removeIf(t -> t.text().equals(kept));
    if (troubles.size() >= TROUBLES_KEPT) {
      troubles.removeFirst();
    }
    troubles.addLast(new Trouble(line.level(), System.nanoTime(), kept));
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
        this.path = path;
        openFile(path);
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

  private void openFile(Path path) throws IOException {
    file = Files.newOutputStream(path, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    Files.setPosixFilePermissions(path, FILE);
    written = Files.size(path);
  }

  /** The oldest goes, each other one gets the next number, and the file begins anew. */
  private void rotate(OutputStream full, Path path) throws IOException {
    full.close();
    for (int i = KEPT; i > 0; i--) {
      Path older = i == 1 ? path : numbered(path, i - 1);
      if (Files.exists(older)) {
        Files.move(older, numbered(path, i), StandardCopyOption.REPLACE_EXISTING);
      }
    }
    openFile(path);
  }

  private static Path numbered(Path path, int number) {
    return path.resolveSibling(path.getFileName() + "." + number);
  }

  /**
   * Writes a line.
   *
   * @param logger who says it
   * @param pattern the text before values were put into it: its kind
   */
  void write(String logger, Level lineLevel, String pattern, String text) {
    Line line = new Line(lineLevel, text);
    lock.lock();
    try {
      if (lineLevel.toInt() > Level.DEBUG.toInt() && facesStrangers(logger)) {
        long leftOut = limit.admit(kind(pattern, text), System.nanoTime());
        if (leftOut < 0) {
          return;
        }
        if (leftOut > 0) {
          line = new Line(lineLevel, text + " (" + leftOut + " lines like this were left out)");
        }
      }
      rememberLocked(line);
      if (opened) {
        writeLocked(line);
      } else if (early.size() < EARLY_MAX) {
        early.add(line);
      }
    } finally {
      lock.unlock();
    }
  }

  /** A line without a pattern is told by its first words, without names and numbers. */
  private static String kind(String pattern, String text) {
    if (!pattern.equals("{}")) {
      return pattern;
    }
    StringBuilder kind = new StringBuilder();
    String[] words = text.split(" ", 4);
    for (int i = 0; i < Math.min(3, words.length); i++) {
      boolean plain = words[i].chars().allMatch(c -> c < '0' || c > '9');
      kind.append(plain ? words[i] : "#").append(' ');
    }
    return kind.toString();
  }

  private static boolean facesStrangers(String logger) {
    for (String each : FACING_STRANGERS) {
      if (logger.startsWith(each)) {
        return true;
      }
    }
    return false;
  }

  private void writeLocked(Line line) {
    OutputStream out = file;
    if (out != null) {
      String stamp = Instant.ofEpochMilli(System.currentTimeMillis()).toString();
      String text = stamp + " " + line.level() + " mxfsd[" + pid + "]: " + line.text() + "\n";
      byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
      try {
        Path at = path;
        if (at != null && written + bytes.length > fileMax) {
          rotate(out, at);
          out = file;
        }
        if (out != null) {
          out.write(bytes);
          written += bytes.length;
        }
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
