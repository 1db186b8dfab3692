// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.scsi.CommandTransport;
import org.mxfs.scsi.ScsiDevice;

/**
 * Failures that a real disk does not produce on demand; everything else runs against one in the
 * lab.
 */
class ScsiArrayTest {
  private static final ReservationKey KEY = ReservationKey.of(1, 2);
  private static final ReservationKey VICTIM = ReservationKey.of(3, 4);
  private static final int RESERVE_IN = 0x5e;
  private static final int RESERVE_OUT = 0x5f;

  /**
   * Answers with what was prepared, and remembers what it was asked: (operation code, service
   * action).
   */
  private static final class Prepared implements CommandTransport {
    final Deque<Completion> answers = new ArrayDeque<>();
    final List<String> asked = new ArrayList<>();
    final List<byte[]> parameters = new ArrayList<>();

    @Override
    public Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout) {
      if (out.length > 0) {
        parameters.add(out);
      }
      asked.add(String.format("%02x/%02x", cdb[0], cdb[0] == 0 ? 0 : cdb[1] & 0x1f));
      return answers.isEmpty() ? good(new byte[0]) : answers.remove();
    }

    @Override
    public void close() {}
  }

  private static CommandTransport.Completion good(byte[] data) {
    return new CommandTransport.Completion(0, 0, 0, 0, new byte[0], data);
  }

  private static CommandTransport.Completion check(int key, int asc, int ascq) {
    byte[] sense = new byte[18];
    sense[0] = 0x70;
    sense[2] = (byte) key;
    sense[7] = 10;
    sense[12] = (byte) asc;
    sense[13] = (byte) ascq;
    return new CommandTransport.Completion(0, 2, 0, 0, sense, new byte[0]);
  }

  private static CommandTransport.Completion status(int status) {
    return new CommandTransport.Completion(0, status, 0, 0, new byte[0], new byte[0]);
  }

  private final Prepared device = new Prepared();
  private final List<String> attentions = new ArrayList<>();
  private final ScsiArray array =
      new ScsiArray(
          new ScsiDevice("prepared", device, ScsiDevice.Options.DEFAULT),
          (_, _) -> {},
          attentions::add);

  @Test
  void aDeviceThatDoesNotKnowReservationsIsUnsupported() {
    device.answers.add(check(5, 0x20, 0));
    device.answers.add(check(5, 0x20, 0));
    assertThat(array.perform(new ArrayCommand.ReportCapabilities()))
        .isInstanceOf(ArrayAnswer.Unsupported.class);
  }

  @Test
  void anOldDeviceThatOnlyLacksReportCapabilitiesIsSupported() {
    device.answers.add(check(5, 0x24, 0));
    device.answers.add(good(new byte[8]));
    assertThat(array.perform(new ArrayCommand.ReportCapabilities()))
        .isEqualTo(new ArrayAnswer.Supported(false));
  }

  @Test
  void aDeviceThatTakesNoScsiCommandsIsUnsupported() {
    device.answers.add(
        new CommandTransport.Completion(Errnos.ENOTTY, 0, 0, 0, new byte[0], new byte[0]));
    assertThat(array.perform(new ArrayCommand.ReportCapabilities()))
        .isInstanceOf(ArrayAnswer.Unsupported.class);
  }

  @Test
  void aDeviceThatFailsIsUnclearAndNeverTakenForOneWithoutReservations() {
    device.answers.add(check(4, 0x44, 0)); // hardware error
    assertThat(array.perform(new ArrayCommand.ReportCapabilities()))
        .isInstanceOf(ArrayAnswer.Unclear.class);
    device.answers.add(
        new CommandTransport.Completion(0, 0, 1, 0, new byte[0], new byte[0])); // no connect
    assertThat(array.perform(new ArrayCommand.ReportCapabilities()))
        .isInstanceOf(ArrayAnswer.Unclear.class);
  }

  @Test
  void registeringIsSentAgainAfterAUnitAttentionAboutReservations() {
    device.answers.add(check(6, 0x2a, 0x05)); // to REGISTER: not executed
    device.answers.add(good(new byte[0])); // to TEST UNIT READY
    assertThat(array.perform(new ArrayCommand.Register(ReservationKey.NONE, KEY, false)))
        .isEqualTo(new ArrayAnswer.Done());
    assertThat(device.asked).containsExactly("5f/00", "00/00", "5f/00");
    assertThat(attentions).hasSize(1);
  }

  /** A conflict would say that the old key is gone; who withdraws a grant goes on from there. */
  @Test
  void registeringThatMeetsUnitAttentionsOnlyDoesNotSayThatTheOldKeyIsGone() {
    for (ArrayCommand command :
        List.of(
            new ArrayCommand.Register(KEY, VICTIM, false),
            new ArrayCommand.Unregister(KEY, false))) {
      device.answers.add(check(6, 0x2a, 0x05)); // to REGISTER: not executed
      device.answers.add(good(new byte[0])); // to TEST UNIT READY
      device.answers.add(check(6, 0x2a, 0x03)); // to REGISTER again: not executed either
      assertThat(array.perform(command)).isInstanceOf(ArrayAnswer.Unclear.class);
    }
    assertThat(attentions).hasSize(4);
  }

  @Test
  void registeringNamesTheKeyThatItReplacesAndNeverIgnoresOne() {
    device.answers.add(status(0x18));
    assertThat(array.perform(new ArrayCommand.Register(KEY, VICTIM, false)))
        .isEqualTo(new ArrayAnswer.Conflict());
    device.answers.add(status(0x18));
    assertThat(array.perform(new ArrayCommand.Unregister(KEY, false)))
        .isEqualTo(new ArrayAnswer.Conflict());
    assertThat(device.asked).containsExactly("5f/00", "5f/00");
    assertThat(device.parameters.getFirst())
        .startsWith(0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4);
    assertThat(device.parameters.getLast())
        .startsWith(0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0);
  }

  @Test
  void aDeviceWithoutFullStatusStillTellsItsKeys() {
    device.answers.add(check(5, 0x24, 0));
    byte[] keys = new byte[16];
    keys[7] = 8;
    keys[8 + 3] = 1;
    keys[8 + 7] = 2;
    device.answers.add(good(keys));
    assertThat(array.perform(new ArrayCommand.ReadFullStatus()))
        .isEqualTo(new ArrayAnswer.Registrations(List.of(new ArrayAnswer.Registration(KEY, ""))));
  }

  @Test
  void preemptingIsNotSentAgainAfterAUnitAttention() {
    device.answers.add(check(6, 0x2a, 0x03));
    assertThat(array.perform(new ArrayCommand.Preempt(KEY, VICTIM)))
        .isEqualTo(new ArrayAnswer.Conflict());
    assertThat(device.asked.stream().filter("5f/04"::equals)).hasSize(1);
    assertThat(attentions).isNotEmpty();
  }

  @Test
  void preemptingWithoutAnAnswerIsUnclear() {
    device.answers.add(
        new CommandTransport.Completion(0, 0, 3, 0, new byte[0], new byte[0])); // time-out
    assertThat(array.perform(new ArrayCommand.Preempt(KEY, VICTIM)))
        .isInstanceOf(ArrayAnswer.Unclear.class);
    assertThat(device.asked.stream().filter("5f/04"::equals)).hasSize(1);
  }

  @Test
  void aConflictIsAConflict() {
    device.answers.add(status(0x18));
    assertThat(array.perform(new ArrayCommand.Reserve(KEY))).isEqualTo(new ArrayAnswer.Conflict());
  }

  @Test
  void aptplThatIsRefusedIsRejected() {
    for (int asc : List.of(0x24, 0x26)) { // tgt's, and the standard's
      device.answers.add(check(5, asc, 0));
      assertThat(array.perform(new ArrayCommand.Register(ReservationKey.NONE, KEY, true)))
          .isInstanceOf(ArrayAnswer.Rejected.class);
    }
  }

  /** LIO answers 25/00 while a LUN's mapping is away, 55/04 without memory. */
  @Test
  void aUnitThatIsAwayOrFullHasRefusedNothing() {
    for (int code : List.of(0x2500, 0x5504, 0x2002, 0x2000)) {
      for (ArrayCommand command :
          List.of(
              new ArrayCommand.Register(ReservationKey.NONE, KEY, true),
              new ArrayCommand.Unregister(KEY, true))) {
        device.answers.add(check(5, code >> 8, code & 0xff));
        assertThat(array.perform(command))
            .as("%s, %04x", command, code)
            .isInstanceOf(ArrayAnswer.Unclear.class);
      }
    }
    for (int code : List.of(0x2500, 0x5504, 0x2002)) {
      device.answers.add(check(5, code >> 8, code & 0xff));
      assertThat(array.perform(new ArrayCommand.Reserve(KEY)))
          .isInstanceOf(ArrayAnswer.Unclear.class);
    }
  }

  /** Who takes it for a disk without reservations mounts it as if it were alone. */
  @Test
  void aUnitThatIsAwayIsNotOneWithoutReservations() {
    for (int code : List.of(0x2500, 0x2002)) {
      device.answers.add(check(5, code >> 8, code & 0xff));
      assertThat(array.perform(new ArrayCommand.ReportCapabilities()))
          .isInstanceOf(ArrayAnswer.Unclear.class);
      device.answers.add(check(5, 0x20, 0));
      device.answers.add(check(5, code >> 8, code & 0xff));
      assertThat(array.perform(new ArrayCommand.ReportCapabilities()))
          .isInstanceOf(ArrayAnswer.Unclear.class);
    }
  }

  @Test
  void keysAndReservationAreRead() {
    byte[] keys = new byte[24];
    keys[3] = 9; // generation
    keys[7] = 16; // two keys
    keys[8 + 3] = 1;
    keys[8 + 7] = 2;
    keys[16 + 3] = 3;
    keys[16 + 7] = 4;
    device.answers.add(good(keys));
    assertThat(array.perform(new ArrayCommand.ReadKeys()))
        .isEqualTo(new ArrayAnswer.Keys(9, List.of(KEY, VICTIM)));
    byte[] reservation = new byte[24];
    reservation[7] = 16;
    reservation[8 + 3] = 3;
    reservation[8 + 7] = 4;
    reservation[21] = 5;
    device.answers.add(good(reservation));
    assertThat(array.perform(new ArrayCommand.ReadReservation()))
        .isEqualTo(new ArrayAnswer.Reservation(VICTIM, 5));
    device.answers.add(good(new byte[8]));
    assertThat(array.perform(new ArrayCommand.ReadReservation()))
        .isEqualTo(new ArrayAnswer.Reservation(ReservationKey.NONE, 0));
    assertThat(device.asked)
        .containsExactly(
            String.format("%02x/00", RESERVE_IN),
            String.format("%02x/01", RESERVE_IN),
            String.format("%02x/01", RESERVE_IN));
    assertThat(RESERVE_OUT).isEqualTo(RESERVE_IN + 1);
  }

  @Test
  void itIsQuietOnlyWhenTheLastCommandHasEnded() throws Exception {
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch end = new CountDownLatch(1);
    CommandTransport slow =
        new CommandTransport() {
          @Override
          public Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout) {
            begun.countDown();
            try {
              end.await();
            } catch (InterruptedException e) {
              throw new AssertionError(e);
            }
            return good(new byte[0]);
          }

          @Override
          public void close() {}
        };
    try (ScsiDevice device = new ScsiDevice("slow", slow, ScsiDevice.Options.DEFAULT);
        ScsiArray array = new ScsiArray(device, (_, _) -> {}, _ -> {})) {
      assertThat(array.quiesce(0)).isTrue();
      array.execute(new Action.Array(1, new ArrayCommand.Reserve(KEY)));
      assertThat(array.quiesce(0)).describedAs("handed over, not begun").isFalse();
      array.start();
      begun.await();
      assertThat(array.quiesce(50)).describedAs("under way").isFalse();
      end.countDown();
      assertThat(array.quiesce(30_000)).isTrue();
    }
  }
}
