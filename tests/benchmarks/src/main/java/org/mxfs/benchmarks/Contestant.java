// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * A program that measures itself: it prints lines of {@code METRIC VALUE} on its standard output
 * and ends with status 0. Other lines are ignored.
 *
 * @param name how it is called in the table, e.g. {@code java}, {@code c}
 * @param command what is executed
 * @param reader makes metrics of what it prints
 */
public record Contestant(String name, List<String> command, Reader reader) {
  private static final long LIMIT_SECONDS = 120;

  /** Makes metrics, by name, of a program's output. */
  @FunctionalInterface
  public interface Reader {
    /**
     * @throws IOException if the output is not what it should be
     */
    Map<String, Double> read(String output) throws IOException;
  }

  /** Copies the command. */
  public Contestant {
    command = List.copyOf(command);
  }

  /** A class of this module with a main method, in a JVM with its JIT compilers on. */
  public static Contestant java(String name, Class<?> main, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of(
            "-XX:+UseSerialGC",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow", // JMH's own; without it a warning a run
            "-cp",
            System.getProperty("java.class.path"),
            main.getName()));
    command.addAll(List.of(arguments));
    return new Contestant(name, command, Contestant::lines);
  }

  /** A program made of {@code src/main/c/PROGRAM.c}. */
  public static Contestant c(String name, String program, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("benchmarks.twins"), program).toString());
    command.addAll(List.of(arguments));
    return new Contestant(name, command, Contestant::lines);
  }

  /**
   * Runs it once.
   *
   * @throws IOException if it cannot be started, fails, takes too long or prints no metric
   */
  Map<String, Double> run() throws IOException, InterruptedException {
    Process process;
    try {
      process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    } catch (IOException e) {
      throw new IOException(name + " cannot be started: " + e.getMessage(), e);
    }
    try {
      process.getOutputStream().close();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
        throw new IOException(name + " did not end within " + LIMIT_SECONDS + " s: " + command);
      }
      if (process.exitValue() != 0) {
        throw new IOException(
            name + " ended with status " + process.exitValue() + ": " + command + "\n" + output);
      }
      Map<String, Double> metrics = reader.read(output);
      if (metrics.isEmpty()) {
        throw new IOException(name + " printed no metric: " + command + "\n" + output);
      }
      return metrics;
    } finally {
      process.destroyForcibly();
    }
  }

  private static Map<String, Double> lines(String output) {
    Map<String, Double> metrics = new LinkedHashMap<>();
    output
        .lines()
        .map(line -> line.strip().split("\\s+"))
        .filter(words -> words.length == 2 && words[1].matches("-?[0-9.]+(e[-+]?[0-9]+)?"))
        .forEach(words -> metrics.put(words[0], Double.valueOf(words[1])));
    return metrics;
  }
}
