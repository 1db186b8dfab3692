// SPDX-License-Identifier: Apache-2.0

package org.mxfs.benchmarks;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Locale;
import org.mxfs.bindings.linux.Genetlink;
import org.mxfs.netlink.Attributes;
import org.mxfs.netlink.Family;
import org.mxfs.netlink.GenericNetlink;
import org.mxfs.netlink.Message;

/**
 * Asks the controller for the family {@code nlctrl} with an acknowledgement and finds the family's
 * number in the answer. Twin: {@code netlink_round_trip.c}.
 */
public final class NetlinkRoundTrip {
  private NetlinkRoundTrip() {}

  /**
   * Warms up, then measures; prints {@code ns}, the mean of one round trip, and {@code cpu_ns}, the
   * processor time that it cost, of all threads of this JVM.
   *
   * @param arguments how many seconds to measure; the warm-up takes twice as long
   */
  public static void main(String[] arguments) throws IOException {
    double seconds = Double.parseDouble(arguments[0]);
    try (GenericNetlink netlink = GenericNetlink.open()) {
      run(netlink, 2 * seconds);
      long cpu = cpuNanos();
      long start = System.nanoTime();
      long done = run(netlink, seconds);
      long taken = System.nanoTime() - start;
      System.out.printf(
          Locale.ROOT,
          "ns %.1f%ncpu_ns %.1f%n",
          (double) taken / done,
          (double) (cpuNanos() - cpu) / done);
    }
  }

  private static long cpuNanos() {
    return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getProcessCpuTime();
  }

  /** Returns how many round trips were made. */
  private static long run(GenericNetlink netlink, double seconds) throws IOException {
    long start = System.nanoTime();
    long limit = (long) (seconds * 1e9);
    long done = 0;
    do {
      for (int i = 0; i < 100; i++, done++) {
        roundTrip(netlink);
      }
    } while (System.nanoTime() - start < limit);
    return done;
  }

  private static void roundTrip(GenericNetlink netlink) throws IOException {
    Attributes ask = Attributes.builder().string(Genetlink.CTRL_ATTR_FAMILY_NAME, "nlctrl").build();
    List<Message> answers = netlink.request(Family.CONTROLLER, Genetlink.CTRL_CMD_GETFAMILY, ask);
    if (answers.size() != 1
        || answers.getFirst().attributes().u16(Genetlink.CTRL_ATTR_FAMILY_ID)
            != Genetlink.GENL_ID_CTRL) {
      throw new IOException("a wrong answer: " + answers);
    }
  }
}
