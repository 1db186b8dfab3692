// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.util.List;

/**
 * What the fuzzer calls with every input it invents: the first byte chooses the parser, the rest is
 * what a device sent.
 *
 * <p>A value or {@link ScsiFormatException} is right; anything else that is thrown is a finding,
 * and so is a value whose text cannot be made, and a list longer than its bytes can hold. Loops
 * show as the fuzzer's own time-out.
 */
public final class FormatFuzzer {
  /** A parser of one format. */
  interface Parser {
    Object parse(byte[] data) throws ScsiFormatException;
  }

  /** One format, and good data of it to begin with. */
  record Format(Parser parser, String seed) {}

  static final List<Format> FORMATS =
      List.of(
          new Format(Sense::decode, "f00006000000070a000000002a0500000000"),
          new Format(Sense::decode, "72052604000000140206000000000000000a80000000000000000007"),
          new Format(Vpd::inquiry, "0000050200000002" + "41".repeat(28)),
          new Format(Vpd::supportedPages, "00000003008083"),
          new Format(Vpd::serialNumber, "008000082020202062656166"),
          new Format(
              Vpd::designators,
              "00830020020100084945542020202031010300086000000000000001519400040000000100000000"),
          new Format(
              Vpd::blockLimits,
              "00b0003c010800100000080000000400" + "00000000ffffffff00000100" + "00".repeat(36)),
          new Format(
              Vpd::capacity, "00000000001fffff000002000003c00000000000000000000000000000000000"),
          new Format(PersistentReserve::keys, "00000007000000100123456789abcdeffedcba9876543210"),
          new Format(
              PersistentReserve::reservation, "000000030000001000000001000000ff0000000000050000"),
          new Format(PersistentReserve::capabilities, "00080d81ea010000"),
          new Format(SupportReports::functions, "c8010000"),
          new Format(SupportReports::oneCommand, "0003000a5fff0000000000000000"),
          new Format(
              PersistentReserve::fullStatus,
              "000000020000003c00000000000000aa00000000010500000000000100000004050000"
                  + "0000000000000000bb000000000200000000000000000000084500000061620000"));

  private FormatFuzzer() {}

  /** Jazzer's entry point. */
  public static void fuzzerTestOneInput(byte[] input) {
    if (input.length == 0) {
      return;
    }
    Format format = FORMATS.get((input[0] & 0xff) % FORMATS.size());
    byte[] data = java.util.Arrays.copyOfRange(input, 1, input.length);
    try {
      Object value = format.parser.parse(data);
      require(value.toString().length() <= 64 * (data.length + 64), "a text without bounds");
      require(entries(value) <= data.length, "more entries than bytes");
    } catch (ScsiFormatException e) {
      require(!String.valueOf(e.getMessage()).isBlank(), "a refusal without a reason");
    }
  }

  private static int entries(Object value) {
    return switch (value) {
      case List<?> list -> list.size();
      case Keys keys -> keys.keys().size();
      case FullStatus status -> status.registrants().size();
      default -> 0;
    };
  }

  private static void require(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }
}
