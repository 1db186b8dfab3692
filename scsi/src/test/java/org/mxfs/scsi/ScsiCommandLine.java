// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.io.IOException;
import java.nio.file.Path;

/**
 * Commands to a real disk, for tests in virtual machines that drive it from two nodes and compare
 * it with another implementation: {@code java -cp … org.mxfs.scsi.ScsiCommandLine DEVICE COMMAND
 * [KEY [KEY]]}.
 *
 * <p>Prints the result on one line; exit status 0 when it is good, 1 when not, 2 for a wrong call.
 * Keys are hexadecimal.
 */
public final class ScsiCommandLine {
  private static final ReservationType TYPE = ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY;

  private ScsiCommandLine() {}

  /** See the class. */
  public static void main(String[] args) throws IOException {
    if (args.length < 2) {
      System.err.println(
          "usage: ScsiCommandLine DEVICE"
              + " inquiry|pages|serial|ids|ready|capacity|keys|reservation|capabilities|full|register"
              + " OLD NEW|ignore NEW|reserve KEY|release KEY|clear KEY|preempt KEY VICTIM|abort KEY"
              + " VICTIM");
      System.exit(2);
    }
    boolean good = true;
    try (ScsiDevice device = ScsiDevice.open(Path.of(args[0]))) {
      for (String command : String.join(" ", args).substring(args[0].length() + 1).split(" \\+ ")) {
        good &= run(device, ("x " + command).split(" "));
      }
    }
    System.exit(good ? 0 : 1);
  }

  private static boolean run(ScsiDevice d, String[] args) {
    ScsiResult<?> result =
        switch (args[1]) {
          case "inquiry" -> d.inquiry();
          case "pages" -> d.supportedVpdPages();
          case "serial" -> d.serialNumber();
          case "ids" -> d.designators();
          case "ready" -> d.testUnitReady();
          case "capacity" -> d.readCapacity();
          case "keys" -> d.readKeys();
          case "reservation" -> d.readReservation();
          case "capabilities" -> d.reportCapabilities();
          case "full" -> d.readFullStatus();
          case "register" -> d.register(key(args, 2), key(args, 3), RegisterOptions.PLAIN);
          case "ignore" -> d.registerAndIgnoreExistingKey(key(args, 2), RegisterOptions.PLAIN);
          case "reserve" -> d.reserve(key(args, 2), TYPE);
          case "release" -> d.release(key(args, 2), TYPE);
          case "clear" -> d.clear(key(args, 2));
          case "preempt" -> preemption(d.preempt(key(args, 2), key(args, 3), TYPE));
          case "abort" -> preemption(d.preemptAndAbort(key(args, 2), key(args, 3), TYPE));
          default -> throw new IllegalArgumentException("unknown command " + args[1]);
        };
    System.out.println(result);
    return result.isGood();
  }

  private static ScsiResult<?> preemption(Preemption p) {
    System.out.println(
        p.verdict() + " | " + p.command() + " | " + p.keys() + " | " + p.reservation());
    return p.command();
  }

  private static long key(String[] args, int at) {
    if (at >= args.length) {
      throw new IllegalArgumentException(args[1] + " needs " + (at - 1) + " keys");
    }
    return Long.parseUnsignedLong(args[at], 16);
  }
}
