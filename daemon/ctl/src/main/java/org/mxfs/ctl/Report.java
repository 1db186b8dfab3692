// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.List;

/**
 * What a check found.
 *
 * @param device as it was named
 * @param paths device nodes of all its paths
 * @param steps in the order in which they were done
 * @param fencing by path; empty where it was not found out
 * @param verdict the end of it
 * @param remark what is to be said with the verdict, may be empty
 */
record Report(
    String device,
    List<String> paths,
    List<Step> steps,
    List<Fencing> fencing,
    Verdict verdict,
    String remark) {
  Report {
    paths = List.copyOf(paths);
    steps = List.copyOf(steps);
    fencing = List.copyOf(fencing);
  }

  /** The same, with one remark more; may be empty. */
  Report adding(String another) {
    String both = (remark + " " + another).strip();
    return new Report(device, paths, steps, fencing, verdict, both);
  }

  private String meaning() {
    return (verdict.meaning() + " " + remark).strip();
  }

  /** For a person. */
  String text() {
    StringBuilder text = new StringBuilder();
    text.append(device);
    if (!paths.isEmpty()) {
      text.append(", ").append(paths.size() == 1 ? "1 path: " : paths.size() + " paths: ");
      text.append(String.join(", ", paths));
    }
    text.append('\n');
    for (Step step : steps) {
      text.append("  %-13s  %s".formatted(step.outcome().word(), step.what()));
      text.append(step.found().isEmpty() ? "\n" : "\n%17s%s\n".formatted("", step.found()));
    }
    return text.append('\n')
        .append(verdict.title())
        .append(": ")
        .append(meaning())
        .append('\n')
        .toString();
  }

  /** For a script; docs/mxfsctl.md describes it. */
  String json() {
    StringBuilder json = new StringBuilder("{\"device\":").append(Json.string(device));
    json.append(",\"paths\":").append(Json.list(paths, Json::string));
    json.append(",\"steps\":").append(Json.list(steps, Report::json));
    json.append(",\"fencing\":").append(Json.list(fencing, Report::json));
    json.append(",\"verdict\":")
        .append(Json.string(verdict.name().toLowerCase(java.util.Locale.ROOT)));
    json.append(",\"meaning\":").append(Json.string(meaning()));
    return json.append(",\"exit\":").append(verdict.exitStatus()).append("}\n").toString();
  }

  private static String json(Step step) {
    return "{\"id\":%s,\"outcome\":%s,\"what\":%s,\"found\":%s}"
        .formatted(
            Json.string(step.id()),
            Json.string(step.outcome().name().toLowerCase(java.util.Locale.ROOT)),
            Json.string(step.what()),
            Json.string(step.found()));
  }

  private static String json(Fencing fencing) {
    return "{\"path\":%s,\"adapter\":%s,\"by\":%s,\"ground\":%s,\"why\":%s}"
        .formatted(
            Json.string(fencing.path()),
            Json.string(fencing.adapter()),
            Json.string(fencing.worth().endsAll() ? "reset" : "wait"),
            Json.string(fencing.worth().ground().name().toLowerCase(java.util.Locale.ROOT)),
            Json.string(fencing.worth().why()));
  }
}
