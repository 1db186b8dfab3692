// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Every contest there is. Each library's are listed in a class of their own. */
final class Contests {
  private Contests() {}

  /**
   * @param settings of {@code --set}; a contest that lacks one it needs is left out
   */
  static List<Contest> all(Map<String, String> settings) {
    List<Contest> all = new ArrayList<>();
    all.addAll(BindingsContests.all());
    all.addAll(NetlinkContests.all());
    all.addAll(BlockioContests.all(settings));
    return all;
  }
}
