// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Queue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Pr;
import org.mxfs.bindings.linux.pr_read_keys;
import org.mxfs.bindings.linux.pr_read_reservation;
import org.mxfs.scsi.Preemption.Verdict;

/**
 * What is asked of the kernel, and what its answers become. The answers here are those that no
 * device of a test machine gives on demand; real ones are asked in the lab.
 */
class BlockReservationsTest {
  private static final ReservationType TYPE = ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY;

  /** A kernel that answers as told, and fills in what it is told to have. */
  private static final class ToldKernel implements BlockReservations.Requests {
    final Queue<Integer> answers = new ArrayDeque<>();
    final List<String> asked = new ArrayList<>();
    long[] keys = {};
    int generation;
    long holder;
    int type;
    boolean closed;

    @Override
    @SuppressWarnings("restricted") // the kernel writes to an address, too
    public int send(long request, MemorySegment argument) {
      if (request == Pr.IOC_PR_READ_KEYS) {
        int room = pr_read_keys.num_keys(argument, 0);
        asked.add("keys, room " + room);
        MemorySegment list =
            MemorySegment.ofAddress(pr_read_keys.keys_ptr(argument, 0)).reinterpret(8L * room);
        for (int i = 0; i < Math.min(room, keys.length); i++) {
          list.setAtIndex(ValueLayout.JAVA_LONG, i, keys[i]);
        }
        pr_read_keys.num_keys(argument, 0, keys.length);
        pr_read_keys.generation(argument, 0, generation);
      } else if (request == Pr.IOC_PR_READ_RESERVATION) {
        asked.add("reservation");
        pr_read_reservation.key(argument, 0, holder);
        pr_read_reservation.generation(argument, 0, generation);
        pr_read_reservation.type(argument, 0, type);
      } else {
        asked.add(
            "%x %s"
                .formatted(
                    request, HexFormat.of().formatHex(argument.toArray(ValueLayout.JAVA_BYTE))));
      }
      Integer answer = answers.poll();
      return answer == null ? 0 : answer;
    }

    @Override
    public void close() {
      closed = true;
    }
  }

  private final ToldKernel kernel = new ToldKernel();
  private final BlockReservations device = new BlockReservations("told", kernel);

  @TempDir Path dir;

  @Test
  void requestsCarryTheirKeysAndTheKernelsNumbersOfTypes() {
    device.register(1, 2, RegisterOptions.PLAIN);
    device.registerAndIgnoreExistingKey(3, new RegisterOptions(true, false));
    device.reserve(4, TYPE);
    device.release(5, ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS);
    device.clear(6);
    assertThat(kernel.asked)
        .containsExactly(
            "401870c8 010000000000000002000000000000000000000000000000",
            "401870c8 000000000000000003000000000000000100000000000000",
            "401070c9 04000000000000000300000000000000",
            "401070ca 05000000000000000600000000000000",
            "401070cd 06000000000000000000000000000000");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> device.register(1, 2, new RegisterOptions(false, true)));
  }

  @Test
  void keysAndReservationAreRead() throws Exception {
    kernel.keys = new long[] {7, -1};
    kernel.generation = -2;
    assertThat(device.readKeys().orThrow()).isEqualTo(new Keys(0xfffffffeL, List.of(7L, -1L)));
    assertThat(device.readReservation().orThrow().holder()).isEmpty();
    kernel.holder = 7;
    kernel.type = Pr.PR_WRITE_EXCLUSIVE_REG_ONLY;
    assertThat(device.readReservation().orThrow())
        .isEqualTo(
            new Reservation(0xfffffffeL, java.util.Optional.of(new Reservation.Holder(7, TYPE))));
    kernel.type = 99;
    assertThat(device.readReservation()).isInstanceOf(ScsiResult.BadAnswer.class);
  }

  @Test
  void aLongKeyListIsReadInFull() throws Exception {
    kernel.keys = new long[200];
    kernel.keys[199] = 9;
    assertThat(device.readKeys().orThrow().keys()).hasSize(200).endsWith(9L);
    assertThat(kernel.asked).containsExactly("keys, room 128", "keys, room 65536");
  }

  @Test
  void aPreemptIsVerifiedByReadingAndNeverSentTwice() {
    kernel.keys = new long[] {0xa};
    kernel.holder = 0xa;
    kernel.type = Pr.PR_WRITE_EXCLUSIVE_REG_ONLY;
    assertThat(device.preempt(0xa, 0xb, TYPE).verdict()).isEqualTo(Verdict.GONE_AND_HELD);
    assertThat(kernel.asked)
        .containsExactly(
            "401870cb 0a000000000000000b000000000000000300000000000000",
            "keys, room 128",
            "reservation");
    kernel.answers.add(Pr.PR_STS_IOERR);
    kernel.keys = new long[] {0xa, 0xb};
    assertThat(device.preemptAndAbort(0xa, 0xb, TYPE).verdict())
        .isEqualTo(Verdict.STILL_REGISTERED);
    assertThatIllegalArgumentException().isThrownBy(() -> device.preempt(1, 1, TYPE));
  }

  @Test
  void aKernelThatCannotReadLeavesThePreemptUnknown() {
    kernel.answers.add(0);
    kernel.answers.add(-Errnos.ENOTTY);
    kernel.answers.add(-Errnos.ENOTTY);
    Preemption p = device.preempt(0xa, 0xb, TYPE);
    assertThat(p.verdict()).isEqualTo(Verdict.UNKNOWN);
    assertThat(p.command().isGood()).isTrue();
    assertThat(p.keys()).asString().contains("ENOTTY");
  }

  @Test
  void everyStatusOfTheKernelIsToldApart() {
    kernel.answers.add(Pr.PR_STS_RESERVATION_CONFLICT);
    kernel.answers.add(Pr.PR_STS_PATH_FAILED);
    kernel.answers.add(Pr.PR_STS_RETRY_PATH_FAILURE);
    kernel.answers.add(Pr.PR_STS_PATH_FAST_FAILED);
    kernel.answers.add(Pr.PR_STS_IOERR);
    kernel.answers.add(-Errnos.EINVAL);
    assertThat(device.reserve(1, TYPE)).isInstanceOf(ScsiResult.ReservationConflict.class);
    for (String text :
        new String[] {
          "DID_NO_CONNECT", "DID_TRANSPORT_DISRUPTED", "DID_TRANSPORT_FAILFAST", "EIO", "EINVAL"
        }) {
      assertThat(device.reserve(1, TYPE))
          .isInstanceOf(ScsiResult.TransportError.class)
          .asString()
          .contains(text);
    }
  }

  @Test
  void aClosedDeviceIsAskedNothing() {
    device.close();
    device.close();
    assertThat(device.reserve(1, TYPE)).asString().contains("EBADF");
    assertThat(kernel.asked).isEmpty();
    assertThat(kernel.closed).isTrue();
  }

  @Test
  void aFileHasNoReservations() throws Exception {
    try (BlockReservations file = BlockReservations.open(Files.createFile(dir.resolve("file")))) {
      assertThat(file.reserve(1, TYPE)).asString().contains("ENOTTY");
      assertThat(file.readKeys()).asString().contains("ENOTTY");
    }
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> BlockReservations.open(dir.resolve("missing")))
        .satisfies(e -> assertThat(e.errnoName()).isEqualTo("ENOENT"));
  }
}
