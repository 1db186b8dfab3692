// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Where the program begins. */
public final class Main {
  static final String VERSION = "0.2.0";

  private Main() {}

  /** See {@link Arguments#USAGE}. */
  public static void main(String[] words) {
    int status =
        switch (Arguments.parse(List.of(words))) {
          case Arguments.Help _ -> {
            System.out.print(Arguments.USAGE);
            yield 0;
          }
          case Arguments.Version _ -> {
            System.out.println("mxfsd " + VERSION);
            yield 0;
          }
          case Arguments.Wrong wrong -> {
            System.err.println("mxfsd: " + wrong.why() + "\n\n" + Arguments.USAGE);
            yield 2;
          }
          case Arguments.Train _ -> train();
          case Arguments.Run run -> run(run);
        };
    System.out.flush();
    System.err.flush();
    Runtime.getRuntime().halt(status);
  }

  private static int run(Arguments.Run run) {
    FailStop.install();
    try {
      return new Daemon(run, Paths.SYSTEM).run();
    } catch (IOException | RuntimeException e) {
      Logger log = LoggerFactory.getLogger(Main.class);
      log.error("the daemon ends: {}", e.getMessage() == null ? e.toString() : e.getMessage());
      log.debug("where", e);
      return 1;
    }
  }

  private static int train() {
    try {
      Training.run();
      System.out.println("mxfsd: training done");
      return 0;
    } catch (IOException | InterruptedException | RuntimeException e) {
      System.err.println("mxfsd: training failed: " + e);
      e.printStackTrace();
      return 1;
    }
  }
}
