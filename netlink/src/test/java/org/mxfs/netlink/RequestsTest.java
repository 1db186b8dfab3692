// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Netlink;
import org.mxfs.bindings.linux.nlmsgerr;

/** More requests under way than there are places for them. */
class RequestsTest {
  private static final int MANY = 300;

  private final Requests requests = new Requests();

  private List<Requests.Pending> addMany() throws IOException {
    List<Requests.Pending> all = new ArrayList<>();
    for (int i = 0; i < MANY; i++) {
      all.add(requests.add("request " + i, 0, false));
    }
    return all;
  }

  private static Wire.Frame acknowledgement(int sequence, int errno) {
    byte[] data = new byte[nlmsgerr.SIZE];
    Numbers.s32(data, nlmsgerr.OFFSET_error, -errno);
    return new Wire.Frame(Netlink.NLMSG_ERROR, 0, sequence, 1, data, 0, data.length);
  }

  @Test
  void eachGetsItsOwnAnswerInWhateverOrder() throws Exception {
    List<Requests.Pending> all = addMany();
    for (Requests.Pending p : all.reversed()) {
      requests.answer(acknowledgement(p.sequence, p.sequence % 2 == 0 ? 0 : Errnos.EBUSY));
    }
    for (Requests.Pending p : all) {
      if (p.sequence % 2 == 0) {
        requests.await(p, Duration.ZERO);
      } else {
        assertThatExceptionOfType(NetlinkErrorException.class)
            .isThrownBy(() -> requests.await(p, Duration.ZERO))
            .withMessageContaining("request " + (p.sequence - 1))
            .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.EBUSY));
      }
    }
    assertThat(requests).hasToString("underWay=0, stale=0");
  }

  @Test
  void oneThatGaveUpIsForgottenAndTheOthersAreNot() throws Exception {
    List<Requests.Pending> all = addMany();
    for (int i = 0; i < MANY; i += 2) {
      requests.remove(all.get(i));
    }
    assertThat(requests).hasToString("underWay=" + MANY / 2 + ", stale=0");
    for (Requests.Pending p : all) {
      requests.answer(acknowledgement(p.sequence, 0));
    }
    for (int i = 0; i < MANY; i++) {
      assertThat(all.get(i).isDone()).isEqualTo(i % 2 == 1);
    }
    assertThat(requests.stale()).isEqualTo(MANY / 2);
  }

  @Test
  void theEndFailsAllAndLetsNoneIn() throws Exception {
    List<Requests.Pending> all = addMany();
    requests.end(new IOException("it is over"));
    for (Requests.Pending p : all) {
      assertThatExceptionOfType(OutcomeUnknownException.class)
          .isThrownBy(() -> requests.await(p, Duration.ofDays(1)))
          .withMessageContaining("it is over");
    }
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(() -> requests.add("late", 0, false))
        .withMessageContaining("it is over");
    assertThat(requests).hasToString("underWay=0, stale=0, ended");
  }
}
