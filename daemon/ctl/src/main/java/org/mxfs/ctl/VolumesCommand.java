// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** What commands have in common that look at volumes. */
abstract class VolumesCommand implements Callable<Integer> {
  static final int HEALTHY = 0;
  static final int ATTENTION = 1;
  static final int NO_SUCH_VOLUME = 3;
  static final int NOT_ASKED = 4;

  @Spec CommandSpec spec;

  @Parameters(
      arity = "0..1",
      paramLabel = "VOLUME",
      description =
          "UUID, label, mount point or device of one volume (default: all that are mounted here)")
  @Nullable String name;

  @Option(names = "--json", description = "print the result as JSON")
  boolean json;

  private final Volumes volumes;

  // picocli fills the rest in.
  @SuppressWarnings("NullAway.Init")
  VolumesCommand(Volumes volumes) {
    this.volumes = volumes;
  }

  /**
   * What there is to say of a volume.
   *
   * @param text or JSON
   * @param isWell nothing of it needs attention
   */
  record Told(String text, boolean isWell) {}

  abstract Told tell(Volume volume);

  static String noSuch(String name, List<Volume> found) {
    return "mxfsctl: no mxfs volume "
        + Words.clean(name)
        + " is mounted here; there "
        + switch (found.size()) {
          case 0 -> "is none";
          case 1 -> "is " + StatusText.heading(found.getFirst());
          default ->
              "are\n  " + String.join("\n  ", found.stream().map(StatusText::heading).toList());
        };
  }

  @Override
  public final Integer call() {
    PrintWriter errors = spec.commandLine().getErr();
    List<Volume> found;
    try {
      found = volumes.find();
    } catch (IOException e) {
      errors.println("mxfsctl: the mounts of this machine cannot be read: " + e);
      errors.flush();
      return NOT_ASKED;
    }
    if (name != null) {
      Volume chosen = volumes.choose(found, name);
      if (chosen == null) {
        errors.println(noSuch(name, found));
        errors.flush();
        return NO_SUCH_VOLUME;
      }
      found = List.of(chosen);
    }
    PrintWriter out = spec.commandLine().getOut();
    List<Told> told = found.stream().map(this::tell).toList();
    List<String> texts = told.stream().map(Told::text).toList();
    if (json) {
      out.print(StatusJson.whole(texts));
    } else if (found.isEmpty()) {
      out.println("no mxfs volume is mounted here");
    } else {
      out.print(String.join("\n", texts));
    }
    out.flush();
    if (found.stream().anyMatch(v -> v.daemon() instanceof DaemonAnswer.Denied)) {
      return NOT_ASKED;
    }
    return told.stream().allMatch(Told::isWell) ? HEALTHY : ATTENTION;
  }
}
