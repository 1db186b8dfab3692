// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi.tool;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.mxfs.scsi.BlockReservations;
import org.mxfs.scsi.DevicePaths;
import org.mxfs.scsi.HostAdapter;
import org.mxfs.scsi.Move;
import org.mxfs.scsi.PersistentReservations;
import org.mxfs.scsi.Preemption;
import org.mxfs.scsi.RegisterOptions;
import org.mxfs.scsi.ReservationType;
import org.mxfs.scsi.ScsiDevice;
import org.mxfs.scsi.ScsiResult;

/**
 * Commands to real disks, for tests in virtual machines that drive them from several nodes and
 * compare them with another implementation.
 *
 * <p>Reads one command a line, {@code DEVICE COMMAND [ARGUMENT…]}, and answers each with one line:
 * the result, which begins with the command's name. {@code pr:DEVICE} goes by the block layer's
 * requests instead of SG_IO. Keys are hexadecimal. First line of all: {@code ready}.
 */
public final class ScsiCommandLine {
  private final Map<String, PersistentReservations> open = new HashMap<>();

  private ScsiCommandLine() {}

  /** See the class. */
  public static void main(String[] args) throws IOException {
    ScsiCommandLine tool = new ScsiCommandLine();
    System.out.println("ready");
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      System.out.println(tool.answer(line.trim().split(" ")));
      System.out.flush();
    }
    tool.open.values().forEach(PersistentReservations::close);
  }

  private String answer(String[] words) {
    try {
      if (words[1].equals("paths")) {
        return DevicePaths.find(Path.of(words[0])).toString();
      }
      if (words[1].equals("adapter")) {
        return HostAdapter.of(Path.of(words[0])).toString();
      }
      return String.valueOf(run(device(words[0]), words));
    } catch (IOException | IllegalArgumentException e) {
      return "error: " + e.getMessage();
    }
  }

  private PersistentReservations device(String name) throws IOException {
    PersistentReservations device = open.get(name);
    if (device == null) {
      device =
          name.startsWith("pr:")
              ? BlockReservations.open(Path.of(name.substring(3)))
              : ScsiDevice.open(Path.of(name));
      open.put(name, device);
    }
    return device;
  }

  private static Object run(PersistentReservations d, String[] w) {
    return switch (w[1]) {
      case "keys" -> d.readKeys();
      case "reservation" -> d.readReservation();
      case "register" -> d.register(key(w, 2), key(w, 3), RegisterOptions.PLAIN);
      case "register-aptpl" -> d.register(key(w, 2), key(w, 3), new RegisterOptions(true, false));
      case "ignore" -> d.registerAndIgnoreExistingKey(key(w, 2), RegisterOptions.PLAIN);
      case "reserve" -> d.reserve(key(w, 2), type(w, 3));
      case "release" -> d.release(key(w, 2), type(w, 3));
      case "clear" -> d.clear(key(w, 2));
      case "preempt" -> preemption(d.preempt(key(w, 2), key(w, 3), type(w, 4)));
      case "abort" -> preemption(d.preemptAndAbort(key(w, 2), key(w, 3), type(w, 4)));
      default -> runScsi((ScsiDevice) d, w);
    };
  }

  private static Object runScsi(ScsiDevice d, String[] w) {
    return switch (w[1]) {
      case "inquiry" -> d.inquiry();
      case "pages" -> d.supportedVpdPages();
      case "serial" -> d.serialNumber();
      case "ids" -> d.designators();
      case "limits" -> d.blockLimits();
      case "ready" -> d.testUnitReady();
      case "capacity" -> d.readCapacity();
      case "capabilities" -> d.reportCapabilities();
      case "full" -> d.readFullStatus();
      case "move" ->
          d.registerAndMove(
              key(w, 2),
              key(w, 3),
              new Move(Integer.parseInt(w[4]), HexFormat.of().parseHex(w[5])),
              false,
              false);
      case "read" -> read(d.read(key(w, 2), number(w, 3), number(w, 4), w.length > 5));
      case "write" -> d.write(key(w, 2), blocks(w, 3), number(w, 4), w.length > 6);
      case "compare" ->
          d.compareAndWrite(
              key(w, 2),
              filled(number(w, 3), word(w, 4)),
              filled(number(w, 3), word(w, 5)),
              number(w, 3),
              w.length > 6);
      case "flush" -> d.synchronizeCache(key(w, 2), number(w, 3));
      case "reset" -> d.resetLogicalUnit();
      case "functions" -> d.taskManagementFunctions();
      case "support" -> d.commandSupport((int) key(w, 2), (int) key(w, 3));
      case "bench" -> bench(d, number(w, 2));
      default -> throw new IllegalArgumentException("unknown command " + w[1]);
    };
  }

  /** {@code count size byte}: that many blocks, filled with that byte. */
  private static byte[] blocks(String[] w, int at) {
    return filled(number(w, at) * number(w, at + 1), w[at + 2]);
  }

  private static byte[] filled(int length, String hexByte) {
    byte[] data = new byte[length];
    Arrays.fill(data, HexFormat.of().parseHex(hexByte)[0]);
    return data;
  }

  /** What was read, told by its length and the first byte, when all are the same. */
  private static Object read(ScsiResult<byte[]> result) {
    if (!(result instanceof ScsiResult.Good<byte[]> good)) {
      return result;
    }
    byte[] data = good.value();
    boolean uniform = Arrays.equals(data, filled(data.length, "%02x".formatted(data[0])));
    return good.command()
        + ": GOOD, "
        + data.length
        + (uniform ? " times %02x".formatted(data[0]) : " mixed bytes");
  }

  /** Nanoseconds that as many TEST UNIT READY took. */
  private static String bench(ScsiDevice d, int count) {
    long start = System.nanoTime();
    for (int i = 0; i < count; i++) {
      if (!d.testUnitReady().isGood()) {
        throw new IllegalArgumentException("a TEST UNIT READY failed");
      }
    }
    return Long.toString(System.nanoTime() - start);
  }

  private static String preemption(Preemption p) {
    return p.command() + " | " + p.verdict();
  }

  private static long key(String[] words, int at) {
    return Long.parseUnsignedLong(word(words, at), 16);
  }

  private static int number(String[] words, int at) {
    return Integer.parseInt(word(words, at));
  }

  /** Type 5 where none is named. */
  private static ReservationType type(String[] words, int at) {
    int code = at < words.length ? number(words, at) : 5;
    return ReservationType.of(code)
        .orElseThrow(() -> new IllegalArgumentException("no reservation type " + code));
  }

  private static String word(String[] words, int at) {
    if (at >= words.length) {
      throw new IllegalArgumentException(words[1] + " needs " + (at - 1) + " arguments");
    }
    return words[at];
  }
}
