// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import java.util.List;

/**
 * The same work done by several programs, and what their results should be to each other.
 *
 * @param name by which it is chosen on the command line, e.g. {@code netlink}
 * @param about one line for the list
 * @param contestants each is run once a round, in this order; the first of a pair is the one judged
 * @param targets what is to hold between them
 */
public record Contest(
    String name, String about, List<Contestant> contestants, List<Target> targets) {
  /** Copies the lists. */
  public Contest {
    contestants = List.copyOf(contestants);
    targets = List.copyOf(targets);
  }

  /** Which way a ratio is to be judged. */
  public enum Bound {
    /** The ratio must not exceed the limit: times. */
    AT_MOST("<="),
    /** The ratio must reach the limit: operations per second. */
    AT_LEAST(">=");

    final String sign;

    Bound(String sign) {
      this.sign = sign;
    }
  }

  /**
   * Median of {@code metric} of {@code judged}, divided by that of {@code against}, is bounded.
   *
   * @param metric a name that both contestants print
   * @param judged name of a contestant
   * @param against name of another
   */
  public record Target(String metric, String judged, String against, Bound bound, double limit) {
    boolean isMet(double ratio) {
      return bound == Bound.AT_MOST ? ratio <= limit : ratio >= limit;
    }
  }
}
