// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.util.List;

/** Contests of the bindings. */
final class BindingsContests {
  private BindingsContests() {}

  static List<Contest> all() {
    return List.of(
        new Contest(
            "errno",
            "a system call with its errno kept, and without",
            List.of(jmh("with", "kernelWithErrno"), jmh("without", "kernelWithoutErrno")),
            List.of(new Contest.Target("ns", "with", "without", Contest.Bound.AT_MOST, 1.3))),
        new Contest(
            "errno-empty",
            "what keeping errno adds to a C function that does nothing",
            List.of(
                jmh("thread's-own", "emptyWithErrno"),
                jmh("at-hand", "emptyWithErrnoAtHand"),
                jmh("without", "emptyWithoutErrno")),
            List.of()),
        new Contest(
            "linking",
            "first calls of a process, in milliseconds; there are three function shapes",
            List.of(Contestant.java("java", Linking.class)),
            List.of()));
  }

  private static Contestant jmh(String name, String method) {
    return Contestant.java(name, JmhRound.class, "Downcall." + method);
  }
}
