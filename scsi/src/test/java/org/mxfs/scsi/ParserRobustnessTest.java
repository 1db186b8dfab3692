// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.mxfs.scsi.ScriptedTransport.hex;

import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Whatever a device sends: a value, or {@link ScsiFormatException}, soon. The inputs are mutations
 * of good ones from a fixed seed, so a failure can be repeated.
 */
@Timeout(60)
class ParserRobustnessTest {
  private static final int ROUNDS = 20_000;
  private static final long SEED = 20_261_120;

  private interface Parser {
    Object parse(byte[] data) throws ScsiFormatException;
  }

  private record Subject(String name, Parser parser, String good) {}

  private static final List<Subject> SUBJECTS =
      List.of(
          new Subject(
              "sense, fixed", Sense::decode, "70 00 06 00000000 0a 00000000 2a 05 00 000000"),
          new Subject(
              "sense, descriptor",
              Sense::decode,
              "72 05 26 04 00000014 02 06 000000000000 00 0a 80 00 0000000000000007"),
          new Subject("inquiry", Vpd::inquiry, "0000050200000002" + "41".repeat(28)),
          new Subject("page 00", Vpd::supportedPages, "00 00 0003 00 80 83"),
          new Subject("page 80", Vpd::serialNumber, "00 80 0008 2020202062656166"),
          new Subject(
              "page 83",
              Vpd::designators,
              "00 83 0020 02 01 00 08 4945542020202031 01 03 00 08 6000000000000001 51 94 00 04"
                  + " 00000001"),
          new Subject(
              "page b0",
              Vpd::blockLimits,
              "00 b0 003c 01 08 0010 00000800 00000400 00000000 ffffffff 00000100 00000008"
                  + "00".repeat(32)),
          new Subject(
              "capacity",
              Vpd::capacity,
              "00000000001fffff00000200 0003c000 00000000000000000000000000000000"),
          new Subject(
              "keys",
              PersistentReserve::keys,
              "00000007 00000010 0123456789abcdef fedcba9876543210"),
          new Subject(
              "reservation",
              PersistentReserve::reservation,
              "00000003 00000010 00000001000000ff 00000000 00 05 0000"),
          new Subject("capabilities", PersistentReserve::capabilities, "0008 0d 81 ea 01 0000"),
          new Subject(
              "full status",
              PersistentReserve::fullStatus,
              "00000002 0000003c 00000000000000aa 00000000 01 05 00000000 0001 00000004 05000000"
                  + "00000000000000bb 00000000 02 00 00000000 0000 00000008 4500000061620000"));

  @Test
  void mutatedDataGivesAValueOrAFormatException() throws Exception {
    SplittableRandom random = new SplittableRandom(SEED);
    for (Subject s : SUBJECTS) {
      byte[] good = hex(s.good);
      assertThat(s.parser.parse(good)).as(s.name).isNotNull();
      int refused = 0;
      for (int i = 0; i < ROUNDS; i++) {
        byte[] data = mutate(good, random);
        try {
          assertThat(s.parser.parse(data).toString()).isNotNull();
        } catch (ScsiFormatException e) {
          refused++;
          assertThat(e.getMessage()).isNotBlank();
        } catch (RuntimeException e) {
          throw new AssertionError(s.name + " with " + HexFormat.of().formatHex(data), e);
        }
      }
      assertThat(refused).as("refused inputs of %s", s.name).isPositive();
    }
  }

  @Test
  void aDeviceThatSendsGarbageEndsInAResultForEveryCommand() {
    SplittableRandom random = new SplittableRandom(SEED + 1);
    CommandTransport garbage =
        new CommandTransport() {
          @Override
          public Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout) {
            byte[] data = new byte[random.nextInt(inLength + 1)];
            random.nextBytes(data);
            byte[] sense = new byte[random.nextInt(30)];
            random.nextBytes(sense);
            if (sense.length > 0 && random.nextBoolean()) {
              sense[0] = (byte) (0x70 + random.nextInt(4));
            }
            int status =
                random.nextInt(3) == 0 ? 2 : random.nextInt(4) == 0 ? random.nextInt(256) : 0;
            return new Completion(
                random.nextInt(20) == 0 ? 5 : 0,
                status,
                random.nextInt(4) == 0 ? 3 : 0,
                0,
                sense,
                data);
          }

          @Override
          public void close() {}
        };
    ScsiDevice device = new ScsiDevice("garbage", garbage, ScsiDevice.Options.DEFAULT);
    for (int i = 0; i < 2_000; i++) {
      for (ScsiResult<?> result :
          Arrays.asList(
              device.inquiry(),
              device.supportedVpdPages(),
              device.serialNumber(),
              device.designators(),
              device.testUnitReady(),
              device.readCapacity(),
              device.blockLimits(),
              device.read(0, 1, 512, false),
              device.compareAndWrite(0, new byte[512], new byte[512], 512, false),
              device.readKeys(),
              device.readReservation(),
              device.reportCapabilities(),
              device.readFullStatus(),
              device.reserve(1, ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY))) {
        assertThat(result.toString()).isNotEmpty();
        assertThat(result.unitAttentions())
            .hasSizeLessThanOrEqualTo(2 * ScsiDevice.Options.DEFAULT.unitAttentions());
      }
      assertThat(device.preempt(1, 2, ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY).verdict())
          .isNotNull();
    }
  }

  private static byte[] mutate(byte[] good, SplittableRandom random) {
    byte[] data =
        Arrays.copyOf(
            good, random.nextInt(4) == 0 ? random.nextInt(good.length + 16) : good.length);
    int changes = random.nextInt(4);
    for (int i = 0; i < changes && data.length > 0; i++) {
      data[random.nextInt(data.length)] =
          (byte) (random.nextBoolean() ? random.nextInt(256) : random.nextBoolean() ? 0xff : 0);
    }
    return data;
  }
}
