// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.util.List;

/** Contests of the bindings. */
final class BindingsContests {
  private BindingsContests() {}

  static List<Contest> all() {
    return List.of(
        errno("errno", "a system call with its errno kept, and without", "Downcall.kernel"),
        errno("errno-empty", "a C function that does nothing, likewise", "Downcall.empty"));
  }

  private static Contest errno(String name, String about, String benchmark) {
    return new Contest(
        name,
        about,
        List.of(
            Contestant.java("with", JmhRound.class, benchmark + "WithErrno"),
            Contestant.java("without", JmhRound.class, benchmark + "WithoutErrno")),
        List.of(new Contest.Target("ns", "with", "without", Contest.Bound.AT_MOST, 1.3)));
  }
}
