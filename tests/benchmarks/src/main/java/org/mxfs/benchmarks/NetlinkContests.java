// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.util.List;

/** Contests of the netlink library. */
final class NetlinkContests {
  private NetlinkContests() {}

  static List<Contest> all() {
    return List.of(
        new Contest(
            "netlink",
            "generic netlink request, answer and acknowledgement",
            List.of(
                Contestant.java("java", NetlinkRoundTrip.class, "2"),
                Contestant.c("c", "netlink_round_trip", "1")),
            List.of(new Contest.Target("ns", "java", "c", Contest.Bound.AT_MOST, 1.15))));
  }
}
