// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.scsi.CommandTransport;
import org.mxfs.scsi.ScsiDevice;

/** What a driver does not produce on demand; that a reset ends what is in flight the lab shows. */
@Timeout(60)
class UnitResetTest {
  /** Says what it was told to, once it may. */
  private static final class Driver implements CommandTransport {
    final CountDownLatch mayEnd = new CountDownLatch(1);
    final CountDownLatch begun = new CountDownLatch(1);
    final AtomicBoolean closed = new AtomicBoolean();
    volatile int errno;

    @Override
    public Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout) {
      // Status GOOD: no keys at all.
      return new Completion(0, 0, 0, 0, new byte[0], new byte[8]);
    }

    @Override
    public int resetLogicalUnit() {
      begun.countDown();
      try {
        mayEnd.await();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
      return errno;
    }

    @Override
    public void close() {
      closed.set(true);
    }
  }

  private record Answered(long question, ArrayAnswer answer) {}

  private final Driver driver = new Driver();
  private final AtomicInteger opened = new AtomicInteger();
  private final BlockingQueue<Answered> answers = new LinkedBlockingQueue<>();

  private ScsiDevice device() {
    opened.incrementAndGet();
    return new ScsiDevice("scripted", driver, ScsiDevice.Options.DEFAULT);
  }

  @Test
  void onlyWhatTheDriverSaysIsDone() throws IOException {
    driver.mayEnd.countDown();
    try (UnitReset reset = new UnitReset(this::device, (_, _) -> {})) {
      assertThat(reset.perform()).isEqualTo(new ArrayAnswer.Done());
      driver.errno = Errnos.EAGAIN;
      assertThat(reset.perform()).isInstanceOf(ArrayAnswer.Rejected.class);
      driver.errno = Errnos.EIO;
      assertThat(reset.perform()).isInstanceOf(ArrayAnswer.Unclear.class);
      assertThat(opened).hasValue(1);
    }
  }

  @Test
  void aDeviceThatCannotBeOpenedIsTriedAgain() throws IOException {
    driver.mayEnd.countDown();
    AtomicInteger tries = new AtomicInteger();
    UnitReset.Opener opener =
        () -> {
          if (tries.incrementAndGet() == 1) {
            throw new IOException("no such device");
          }
          return device();
        };
    try (UnitReset reset = new UnitReset(opener, (_, _) -> {})) {
      assertThat(reset.perform())
          .as("nothing was sent")
          .isEqualTo(new ArrayAnswer.Rejected("the device cannot be opened: no such device"));
      assertThat(reset.perform()).isEqualTo(new ArrayAnswer.Done());
    }
  }

  /** Danger 46 of docs/takeover.md: LEFT says that nothing is under way any more. */
  @Test
  void whoLeavesIsToldWhetherAResetIsUnderWay() throws Exception {
    try (UnitReset reset =
        new UnitReset(
            this::device, (number, answer) -> answers.add(new Answered(number, answer)))) {
      assertThat(reset.quiesce(0)).isTrue();
      reset.execute(7);
      assertThat(reset.quiesce(0)).describedAs("handed over, not begun").isFalse();
      reset.start();
      driver.begun.await();
      assertThat(reset.quiesce(50)).describedAs("under way").isFalse();
      driver.mayEnd.countDown();
      assertThat(reset.quiesce(30_000)).isTrue();
      assertThat(answers.poll(30, TimeUnit.SECONDS))
          .isEqualTo(new Answered(7, new ArrayAnswer.Done()));
    }
  }

  /** Danger 34: the lease is asked for while a reset hangs. */
  @Test
  void theArrayIsAskedWhileAResetIsUnderWay() throws Exception {
    BlockingQueue<ArrayAnswer> keys = new LinkedBlockingQueue<>();
    try (UnitReset reset =
            new UnitReset(
                this::device, (number, answer) -> answers.add(new Answered(number, answer)));
        ScsiArray array =
            new ScsiArray(
                new ScsiDevice("scripted", new Driver(), ScsiDevice.Options.DEFAULT),
                (_, answer) -> keys.add(answer),
                _ -> {})) {
      array.start();
      reset.start();
      reset.execute(7);
      driver.begun.await();
      array.execute(new Action.Array(1, new ArrayCommand.ReadKeys()));
      assertThat(keys.poll(30, TimeUnit.SECONDS)).isInstanceOf(ArrayAnswer.Keys.class);
      assertThat(answers).as("it hangs").isEmpty();
      driver.mayEnd.countDown();
      assertThat(answers.poll(30, TimeUnit.SECONDS))
          .isEqualTo(new Answered(7, new ArrayAnswer.Done()));
    }
  }
}
