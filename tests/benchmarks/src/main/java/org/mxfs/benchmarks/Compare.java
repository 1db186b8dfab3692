// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Runs contests and prints medians and ratios.
 *
 * <p>Contestants take turns, round by round, so that a machine that slows down or speeds up does so
 * for all of them. What is compared is the median over the rounds.
 */
public final class Compare {
  private static final String HELP =
      """
      usage: run [--rounds N] [--json] [--strict] [--list] [--set NAME=VALUE]... [CONTEST]...

        --rounds N         how often each contestant runs; default 7
        --json             one JSON document on standard output instead of tables
        --strict           exit status 1 if a target is missed (otherwise it is only told)
        --set NAME=VALUE   an option of a contest, e.g. --set file=/mnt/x; see --list
        --list             the contests, and what each one does
        CONTEST            names, or beginnings of names; without any, all that need no --set

      exit status: 0 done, 1 a target is missed (--strict only), 2 wrong usage or a contestant failed
      """;

  /** Values of one metric of one contestant, one a round. */
  private record Series(double[] values) {
    double median() {
      double[] sorted = values.clone();
      Arrays.sort(sorted);
      int middle = sorted.length / 2;
      return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    double least() {
      return Arrays.stream(values).min().orElseThrow();
    }

    double most() {
      return Arrays.stream(values).max().orElseThrow();
    }
  }

  private record Judged(Contest.Target target, double ratio) {
    boolean isMet() {
      return target.isMet(ratio);
    }
  }

  /** {@code series} by contestant, then by metric. */
  private record Result(
      Contest contest, Map<String, Map<String, Series>> series, List<Judged> judged) {}

  private int rounds = 7;
  private boolean json;
  private boolean strict;
  private boolean list;
  private final Map<String, String> settings = new LinkedHashMap<>();
  private final List<String> chosen = new ArrayList<>();

  private Compare() {}

  /** See {@code --help}. */
  public static void main(String[] arguments) throws InterruptedException {
    Compare compare = new Compare();
    int status;
    try {
      status = compare.parse(arguments) ? compare.go() : 0;
    } catch (IOException | IllegalArgumentException e) {
      System.err.println("run: " + e.getMessage());
      status = 2;
    }
    System.exit(status);
  }

  /** False if there is nothing left to do. */
  private boolean parse(String[] arguments) {
    for (int i = 0; i < arguments.length; i++) {
      switch (arguments[i]) {
        case "--help" -> {
          System.out.print(HELP);
          return false;
        }
        case "--rounds" -> rounds = Integer.parseInt(value(arguments, ++i));
        case "--json" -> json = true;
        case "--strict" -> strict = true;
        case "--list" -> list = true;
        case "--set" -> {
          String[] pair = value(arguments, ++i).split("=", 2);
          if (pair.length != 2) {
            throw new IllegalArgumentException("--set wants NAME=VALUE, not " + pair[0]);
          }
          settings.put(pair[0], pair[1]);
        }
        default -> {
          if (arguments[i].startsWith("-")) {
            throw new IllegalArgumentException("unknown option " + arguments[i] + "; see --help");
          }
          chosen.add(arguments[i]);
        }
      }
    }
    if (rounds < 1) {
      throw new IllegalArgumentException("--rounds " + rounds + ": at least 1");
    }
    return true;
  }

  private static String value(String[] arguments, int at) {
    if (at == arguments.length) {
      throw new IllegalArgumentException(arguments[at - 1] + " wants a value; see --help");
    }
    return arguments[at];
  }

  private int go() throws IOException, InterruptedException {
    List<Contest> contests = choose(Contests.all(settings));
    if (list) {
      contests.forEach(c -> System.out.printf("%-24s %s%n", c.name(), c.about()));
      return 0;
    }
    List<Result> results = new ArrayList<>();
    for (Contest contest : contests) {
      Result result = run(contest);
      results.add(result);
      if (!json) {
        print(result);
      }
    }
    if (json) {
      System.out.println(toJson(results));
    }
    boolean missed = results.stream().flatMap(r -> r.judged.stream()).anyMatch(j -> !j.isMet());
    return missed && strict ? 1 : 0;
  }

  private List<Contest> choose(List<Contest> all) {
    for (String name : chosen) {
      if (all.stream().noneMatch(c -> c.name().startsWith(name))) {
        throw new IllegalArgumentException(
            "no contest '"
                + name
                + "'; there are "
                + all.stream().map(Contest::name).collect(Collectors.joining(", "))
                + " (some are there only with their --set, see Contests)");
      }
    }
    return all.stream()
        .filter(c -> chosen.isEmpty() || chosen.stream().anyMatch(c.name()::startsWith))
        .toList();
  }

  private Result run(Contest contest) throws IOException, InterruptedException {
    Map<String, Map<String, double[]>> values = new LinkedHashMap<>();
    for (int round = 0; round < rounds; round++) {
      for (Contestant contestant : contest.contestants()) {
        for (Map.Entry<String, Double> metric : contestant.run().entrySet()) {
          values.computeIfAbsent(contestant.name(), _ -> new LinkedHashMap<>())
                  .computeIfAbsent(metric.getKey(), _ -> new double[rounds])[round] =
              metric.getValue();
        }
      }
    }
    Map<String, Map<String, Series>> series = new LinkedHashMap<>();
    values.forEach(
        (contestant, metrics) -> {
          Map<String, Series> of = new LinkedHashMap<>();
          metrics.forEach((metric, list) -> of.put(metric, new Series(list)));
          series.put(contestant, of);
        });
    List<Judged> judged = new ArrayList<>();
    for (Contest.Target target : contest.targets()) {
      judged.add(
          new Judged(
              target,
              find(series, target.judged(), target.metric()).median()
                  / find(series, target.against(), target.metric()).median()));
    }
    return new Result(contest, series, judged);
  }

  private static Series find(
      Map<String, Map<String, Series>> series, String contestant, String metric)
      throws IOException {
    Map<String, Series> metrics = series.get(contestant);
    Series found = metrics == null ? null : metrics.get(metric);
    if (found == null) {
      throw new IOException(contestant + " printed no " + metric);
    }
    return found;
  }

  private void print(Result result) {
    System.out.printf(
        "%n%s: %s (%d rounds)%n", result.contest.name(), result.contest.about(), rounds);
    System.out.printf(
        "  %-16s %-14s %12s %12s %12s%n", "contestant", "metric", "median", "least", "most");
    result.series.forEach(
        (contestant, metrics) ->
            metrics.forEach(
                (metric, s) ->
                    System.out.printf(
                        Locale.ROOT,
                        "  %-16s %-14s %12.2f %12.2f %12.2f%n",
                        contestant,
                        metric,
                        s.median(),
                        s.least(),
                        s.most())));
    for (Judged j : result.judged) {
      System.out.printf(
          Locale.ROOT,
          "  %s / %s, %s: %.3f, target %s %.2f: %s%n",
          j.target.judged(),
          j.target.against(),
          j.target.metric(),
          j.ratio,
          j.target.bound().sign,
          j.target.limit(),
          j.isMet() ? "met" : "MISSED");
    }
  }

  // Names here are letters, digits, spaces and punctuation without quotes or backslashes.
  private String toJson(List<Result> results) {
    return results.stream()
        .map(
            r ->
                "{\"contest\":\"%s\",\"rounds\":%d,\"medians\":{%s},\"targets\":[%s]}"
                    .formatted(
                        r.contest.name(), rounds, jsonMedians(r.series), jsonTargets(r.judged)))
        .collect(Collectors.joining(",\n", "[", "]"));
  }

  private static String jsonMedians(Map<String, Map<String, Series>> series) {
    return series.entrySet().stream()
        .map(
            c ->
                "\"%s\":{%s}"
                    .formatted(
                        c.getKey(),
                        c.getValue().entrySet().stream()
                            .map(m -> "\"%s\":%s".formatted(m.getKey(), m.getValue().median()))
                            .collect(Collectors.joining(","))))
        .collect(Collectors.joining(","));
  }

  private static String jsonTargets(List<Judged> judged) {
    return judged.stream()
        .map(
            j ->
                ("{\"metric\":\"%s\",\"judged\":\"%s\",\"against\":\"%s\",\"ratio\":%.4f,"
                        + "\"bound\":\"%s\",\"limit\":%s,\"met\":%b}")
                    .formatted(
                        j.target.metric(),
                        j.target.judged(),
                        j.target.against(),
                        j.ratio,
                        j.target.bound().sign,
                        j.target.limit(),
                        j.isMet()))
        .collect(Collectors.joining(","));
  }
}
