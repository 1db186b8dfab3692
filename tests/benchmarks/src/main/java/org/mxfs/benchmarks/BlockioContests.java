// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.mxfs.blockio.NopRing;

/**
 * Contests of block I/O.
 *
 * <p>Settings: {@code file}, a file or device that exists, is as large as is to be used, and whose
 * contents do not matter; {@code fio}, the program, if fio is to take part; {@code seconds} for
 * warming up and again for measuring, 1.5 unless said.
 */
final class BlockioContests {
  private static final int PAGE = 4096;
  private static final int LARGE = 1 << 20;

  private BlockioContests() {}

  static List<Contest> all(Map<String, String> settings) {
    List<Contest> all = new ArrayList<>();
    String seconds = settings.getOrDefault("seconds", "1.5");
    all.add(nop(seconds));
    String file = settings.get("file");
    if (file == null) {
      return all;
    }
    String fio = settings.get("fio");
    for (String pattern : List.of("randread", "randwrite")) {
      for (int depth : new int[] {1, 32, 128}) {
        all.add(load("blockio-" + pattern + "-" + depth, file, pattern, PAGE, depth, seconds, fio));
      }
    }
    for (String pattern : List.of("read", "write")) {
      all.add(load("blockio-" + pattern + "-1m", file, pattern, LARGE, 8, seconds, fio));
    }
    return all;
  }

  private static Contest nop(String seconds) {
    return new Contest(
        "blockio-nop",
        "batches of 32 io_uring requests that do nothing",
        List.of(
            Contestant.java("java", NopRing.class, seconds),
            Contestant.c("c", "blockio_nop", seconds)),
        List.of(new Contest.Target("ns", "java", "c", Contest.Bound.AT_MOST, 1.3)));
  }

  private static Contest load(
      String name,
      String file,
      String pattern,
      int bytes,
      int depth,
      String seconds,
      @Nullable String fio) {
    String[] what = {file, pattern, Integer.toString(bytes), Integer.toString(depth), seconds};
    List<Contestant> contestants = new ArrayList<>();
    List<Contest.Target> targets = new ArrayList<>();
    contestants.add(java("java", "confined", what));
    contestants.add(Contestant.c("c", "blockio_load", what));
    targets.add(new Contest.Target("iops", "java", "c", Contest.Bound.AT_LEAST, 0.95));
    if (depth == 32) {
      targets.add(new Contest.Target("p99us", "java", "c", Contest.Bound.AT_MOST, 1.2));
    }
    if (fio != null) {
      contestants.add(fio(fio, file, pattern, bytes, depth, seconds));
      targets.add(new Contest.Target("iops", "java", "fio", Contest.Bound.AT_LEAST, 0.9));
    }
    // For information: the device that any thread may use.
    contestants.add(java("shared", depth == 1 ? "waiting" : "shared", what));
    return new Contest(
        name,
        bytes + " bytes, O_DIRECT, " + pattern + ", queue depth " + depth,
        contestants,
        targets);
  }

  private static Contestant java(String name, String form, String[] what) {
    List<String> arguments = new ArrayList<>(List.of(form));
    arguments.addAll(List.of(what));
    return Contestant.java(name, BlockioLoad.class, arguments.toArray(String[]::new));
  }

  private static Contestant fio(
      String fio, String file, String pattern, int bytes, int depth, String seconds) {
    return new Contestant(
        "fio",
        List.of(
            fio,
            "--name=x",
            "--filename=" + file,
            "--rw=" + pattern,
            "--bs=" + bytes,
            "--iodepth=" + depth,
            "--ioengine=io_uring",
            "--direct=1",
            "--registerfiles=1",
            "--fixedbufs=1",
            "--norandommap",
            "--randrepeat=0",
            "--time_based",
            "--ramp_time=" + seconds,
            "--runtime=" + seconds,
            "--minimal"),
        output -> fioMetrics(output, pattern.endsWith("write")));
  }

  /** Terse output, version 3: the eighth field is the IOPS of reads, the 49th that of writes. */
  private static Map<String, Double> fioMetrics(String output, boolean write) throws IOException {
    Matcher line = Pattern.compile("(?m)^3;.*$").matcher(output);
    if (!line.find()) {
      throw new IOException("fio printed no terse line: " + output);
    }
    return Map.of("iops", Double.valueOf(line.group().split(";")[write ? 48 : 7]));
  }
}
