// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.scsi.CommandTransport.Completion;
import org.mxfs.scsi.Preemption.Verdict;

/** What is sent, what is never sent twice, and what is reported. */
class ScsiDeviceTest {
  private static final int UNIT_ATTENTION = 6;
  private static final ReservationType TYPE = ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY;

  private final ScriptedTransport lun = new ScriptedTransport();
  private final ScsiDevice device = ScriptedTransport.device(lun);

  @TempDir Path dir;

  @Test
  void unitAttentionsAreTakenOffAndReported() {
    lun.sense(UNIT_ATTENTION, 0x2900).sense(UNIT_ATTENTION, Sense.REGISTRATIONS_PREEMPTED).good("");
    ScsiResult<Done> result = device.testUnitReady();
    assertThat(result.isGood()).isTrue();
    assertThat(result.unitAttentions()).extracting(Sense::code).containsExactly(0x2900, 0x2a05);
    assertThat(lun.sent()).hasSize(3).containsOnly("000000000000");
  }

  @Test
  void aFloodOfUnitAttentionsEnds() {
    lun.sense(UNIT_ATTENTION, 0x2900).sense(UNIT_ATTENTION, 0x2901).sense(UNIT_ATTENTION, 0x2902);
    lun.sense(UNIT_ATTENTION, 0x2903);
    ScsiResult<Done> result = device.testUnitReady();
    assertThat(result)
        .isInstanceOfSatisfying(
            ScsiResult.CheckCondition.class, c -> assertThat(c.sense().code()).isEqualTo(0x2903));
    assertThat(result.unitAttentions()).hasSize(3);
    assertThat(lun.sent()).hasSize(4);
  }

  @Test
  void aReservationChangeSeenByAReservationCommandIsForTheCallerToJudge() {
    for (int code : new int[] {0x2a03, 0x2a04, 0x2a05}) {
      lun.sense(UNIT_ATTENTION, code);
      assertThat(device.reserve(1, TYPE))
          .isInstanceOfSatisfying(
              ScsiResult.CheckCondition.class, c -> assertThat(c.sense().code()).isEqualTo(code));
    }
    assertThat(lun.sent()).hasSize(3);
  }

  @Test
  void aReservationCommandThatMeetsAResetIsSentAgain() {
    lun.sense(UNIT_ATTENTION, 0x2900).good("");
    ScsiResult<Done> result = device.reserve(1, TYPE);
    assertThat(result.isGood()).isTrue();
    assertThat(result.unitAttentions()).hasSize(1);
    assertThat(lun.sent()).hasSize(2);
  }

  @Test
  void aConflictIsAConflictWhateverTheHostAdapterSays() {
    lun.answer(new Completion(0, 0x18, 0x11, 0, new byte[0], new byte[0]));
    assertThat(device.reserve(1, TYPE)).isInstanceOf(ScsiResult.ReservationConflict.class);
  }

  @Test
  void otherOutcomesAreToldApart() {
    lun.status(0x08).status(0x28);
    lun.answer(new Completion(0, 0, 3, 6, new byte[0], new byte[0]));
    lun.answer(new Completion(Errnos.ENODEV, 0, 0, 0, new byte[0], new byte[0]));
    lun.answer(new Completion(0, 2, 0, 0, new byte[0], new byte[0]));
    lun.sense("7f");
    lun.sense(5, 0x2400).sense(1, 0x1700);
    assertThat(device.testUnitReady())
        .isInstanceOf(ScsiResult.OtherStatus.class)
        .asString()
        .contains("BUSY");
    assertThat(device.testUnitReady())
        .isInstanceOf(ScsiResult.OtherStatus.class)
        .asString()
        .contains("TASK SET FULL");
    assertThat(device.testUnitReady())
        .isInstanceOf(ScsiResult.TransportError.class)
        .asString()
        .contains("DID_TIME_OUT");
    assertThat(device.testUnitReady())
        .isInstanceOf(ScsiResult.TransportError.class)
        .asString()
        .contains("ENODEV");
    assertThat(device.testUnitReady())
        .as("a check condition without sense")
        .isInstanceOf(ScsiResult.TransportError.class);
    assertThat(device.testUnitReady()).isInstanceOf(ScsiResult.BadAnswer.class);
    assertThat(device.testUnitReady())
        .isInstanceOf(ScsiResult.CheckCondition.class)
        .asString()
        .contains("invalid field in CDB");
    assertThat(device.testUnitReady()).as("a recovered error").isInstanceOf(ScsiResult.Good.class);
    assertThat(lun.sent()).hasSize(8);
  }

  @Test
  void orThrowNamesCommandDeviceAndSense() {
    lun.sense(5, 0x2604);
    assertThatExceptionOfType(ScsiException.class)
        .isThrownBy(() -> device.release(1, TYPE).orThrow())
        .withMessage(
            "RELEASE to scripted: CHECK CONDITION, ILLEGAL_REQUEST 26/04 (invalid release of"
                + " persistent reservation)");
  }

  @Test
  void aLongKeyListIsReadInFull() throws Exception {
    StringBuilder keys = new StringBuilder();
    for (int i = 1; i <= 200; i++) {
      keys.append("%016x".formatted(i));
    }
    String all = "00000001" + "%08x".formatted(1600) + keys;
    lun.sense(UNIT_ATTENTION, 0x2900)
        .good(all.substring(0, 2048))
        .sense(UNIT_ATTENTION, 0x2a05)
        .good(all);
    ScsiResult<Keys> result = device.readKeys();
    assertThat(result.orThrow().keys()).hasSize(200).endsWith(200L);
    assertThat(result.unitAttentions()).extracting(Sense::code).containsExactly(0x2900, 0x2a05);
    assertThat(lun.sent()).last().isEqualTo("5e000000000000fff800");
  }

  @Test
  void registrationsCarryTheirOptionsAndNothingElseDoes() {
    lun.good("").good("").good("");
    device.register(0x11, 0x22, RegisterOptions.PLAIN);
    device.registerAndIgnoreExistingKey(0x33, new RegisterOptions(true, false));
    device.clear(0x44);
    assertThat(lun.sent())
        .containsExactly(
            "5f000000000000001800 000000000000001100000000000000220000000000000000",
            "5f060000000000001800 000000000000000000000000000000330000000001000000",
            "5f030000000000001800 000000000000004400000000000000000000000000000000");
  }

  @Test
  void aPreemptIsVerifiedByReadingAndNeverSentTwice() {
    String ownKeyOnly = "00000002 00000008 000000000000000a";
    String heldByOwn = "00000002 00000010 000000000000000a 00000000 00 05 0000";
    String bothKeys = "00000002 00000010 000000000000000a 000000000000000b";
    String heldByVictim = "00000002 00000010 000000000000000b 00000000 00 05 0000";
    String victimOnly = "00000002 00000008 000000000000000b";
    String none = "00000002 00000000";

    lun.good("").good(ownKeyOnly).good(heldByOwn);
    assertThat(device.preempt(0xa, 0xb, TYPE).verdict()).isEqualTo(Verdict.GONE_AND_HELD);
    assertThat(lun.sent().getFirst())
        .isEqualTo("5f040500000000001800 000000000000000a000000000000000b0000000000000000");

    lun.good("").good(ownKeyOnly).good(none);
    assertThat(device.preempt(0xa, 0xb, TYPE).verdict())
        .as("the victim held nothing")
        .isEqualTo(Verdict.GONE);

    // The answer was lost, the effect was not.
    lun.answer(new Completion(0, 0, 3, 0, new byte[0], new byte[0]))
        .good(ownKeyOnly)
        .good(heldByOwn);
    Preemption lost = device.preempt(0xa, 0xb, TYPE);
    assertThat(lost.verdict()).isEqualTo(Verdict.GONE_AND_HELD);
    assertThat(lost.command()).isInstanceOf(ScsiResult.TransportError.class);

    lun.sense(5, 0x2400).good(bothKeys).good(heldByVictim);
    assertThat(device.preemptAndAbort(0xa, 0xb, TYPE).verdict())
        .as("a target that has no PREEMPT AND ABORT")
        .isEqualTo(Verdict.STILL_REGISTERED);

    lun.status(0x18).good(victimOnly).good(heldByVictim);
    assertThat(device.preempt(0xa, 0xb, TYPE).verdict()).isEqualTo(Verdict.OWN_KEY_GONE);

    lun.good("").answer(new Completion(0, 0, 1, 0, new byte[0], new byte[0])).good(none);
    Preemption unknown = device.preempt(0xa, 0xb, TYPE);
    assertThat(unknown.verdict()).isEqualTo(Verdict.UNKNOWN);
    assertThat(unknown.victimGone()).isFalse();

    assertThat(lun.sent().stream().filter(c -> c.startsWith("5f04") || c.startsWith("5f05")))
        .hasSize(6);
  }

  @Test
  void dataCommandsCarryBlockCountAndForcedUnitAccess() throws Exception {
    byte[] block = new byte[512];
    block[0] = 0x41;
    String data = HexFormat.of().formatHex(block);
    lun.good(data).good("").good("").good("").good("");
    assertThat(device.read(0x1_0000_0002L, 1, 512, true).orThrow()).isEqualTo(block);
    device.write(2, block, 512, false).orThrow();
    device.compareAndWrite(3, block, block, 512, true).orThrow();
    device.synchronizeCache(4, 8).orThrow();
    device.synchronizeCache(0, 0).orThrow();
    assertThat(lun.sent())
        .containsExactly(
            "88080000000100000002000000010000",
            "8a000000000000000002000000010000 " + data,
            "89080000000000000003000000010000 " + data + data,
            "91000000000000000004000000080000",
            "91000000000000000000000000000000");
  }

  @Test
  void aShortReadIsNoGoodAnswer() {
    lun.good("4142");
    assertThat(device.read(0, 1, 512, false))
        .isInstanceOf(ScsiResult.BadAnswer.class)
        .asString()
        .contains("2 bytes came of 512");
  }

  @Test
  void aMiscompareIsToldWithItsOffset() {
    lun.sense("f0 00 0e 00000010 0a 00000000 1d 00 00 000000");
    assertThat(device.compareAndWrite(0, new byte[512], new byte[512], 512, false))
        .isInstanceOfSatisfying(
            ScsiResult.CheckCondition.class,
            c -> {
              assertThat(c.sense().isMiscompare()).isTrue();
              assertThat(c.sense().information()).hasValue(16);
            });
  }

  @Test
  void aWriteThatMeetsLostReservationsIsNotSentAgainAndAReadIs() {
    lun.sense(UNIT_ATTENTION, Sense.RESERVATIONS_RELEASED);
    assertThat(device.write(0, new byte[512], 512, false))
        .isInstanceOf(ScsiResult.CheckCondition.class);
    lun.sense(UNIT_ATTENTION, Sense.RESERVATIONS_PREEMPTED);
    assertThat(device.compareAndWrite(0, new byte[512], new byte[512], 512, false))
        .isInstanceOf(ScsiResult.CheckCondition.class);
    lun.sense(UNIT_ATTENTION, Sense.REGISTRATIONS_PREEMPTED).good("00".repeat(512));
    assertThat(device.read(0, 1, 512, false).isGood()).isTrue();
    assertThat(lun.sent()).hasSize(4);
  }

  @Test
  void transfersThatCannotBeAreRefusedBeforeAnythingIsSent() {
    byte[] tooLong = new byte[ScsiDevice.MAX_TRANSFER + 512];
    assertThatIllegalArgumentException().isThrownBy(() -> device.read(0, 0, 512, false));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> device.read(0, Integer.MAX_VALUE, 4096, false));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> device.write(0, new byte[513], 512, false));
    assertThatIllegalArgumentException().isThrownBy(() -> device.write(0, tooLong, 512, false));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> device.compareAndWrite(0, new byte[512], new byte[1024], 512, false));
    assertThatIllegalArgumentException()
        .isThrownBy(
            () -> device.compareAndWrite(0, new byte[256 * 512], new byte[256 * 512], 512, false));
    assertThat(lun.sent()).isEmpty();
  }

  @Test
  void aPreemptOfNobodyOrOfOneselfIsRefused() {
    assertThatIllegalArgumentException().isThrownBy(() -> device.preempt(1, 0, TYPE));
    assertThatIllegalArgumentException().isThrownBy(() -> device.preempt(1, 1, TYPE));
    assertThat(lun.sent()).isEmpty();
  }

  @Test
  void whatIsNoScsiDiskIsRefusedWithTheReason() throws Exception {
    Path file = Files.createFile(dir.resolve("file"));
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> ScsiDevice.open(file))
        .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.ENOTTY))
        .withMessageContaining("SG_GET_VERSION_NUM")
        .withMessageContaining("no SCSI disk");
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> ScsiDevice.open(dir.resolve("missing")))
        .satisfies(e -> assertThat(e.errnoName()).isEqualTo("ENOENT"));
  }

  @Test
  void aResetIsDoneOnlyWhenTheKernelSaysSo() {
    lun.reset(0);
    assertThat(device.resetLogicalUnit()).isEqualTo(new LogicalUnitReset.Done());
  }

  /** Before the driver was asked: nothing was sent. */
  @Test
  void aResetThatTheKernelRefusesIsToldFromOneThatFails() {
    int[] before = {
      Errnos.EACCES, Errnos.EAGAIN, Errnos.ENODEV, Errnos.ENOTTY, Errnos.EINVAL, Errnos.EBADF
    };
    for (int errno : before) {
      lun.reset(errno);
      assertThat(device.resetLogicalUnit()).isEqualTo(new LogicalUnitReset.Refused(errno));
    }
    for (int errno : new int[] {Errnos.EIO, Errnos.EINTR, Errnos.ETIMEDOUT, Errnos.ENOMEM}) {
      lun.reset(errno);
      assertThat(device.resetLogicalUnit()).isEqualTo(new LogicalUnitReset.Unknown(errno));
    }
  }

  @Test
  void aResetIsSentOnce() {
    lun.reset(Errnos.EIO);
    assertThat(device.resetLogicalUnit())
        .hasToString("LOGICAL UNIT RESET: outcome unknown, EIO (input/output error)");
    assertThat(lun.sent()).containsExactly("reset");
  }

  @Test
  void aTransportThatCannotResetSaysSo() {
    CommandTransport plain =
        new CommandTransport() {
          @Override
          public Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout) {
            throw new AssertionError("nothing is to be executed");
          }

          @Override
          public void close() {}
        };
    ScsiDevice cannot = new ScsiDevice("plain", plain, ScsiDevice.Options.DEFAULT);
    assertThat(cannot.resetLogicalUnit()).isEqualTo(new LogicalUnitReset.Refused(Errnos.ENOTTY));
  }
}
