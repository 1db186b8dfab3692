// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Waiter;
import org.mxfs.daemon.wire.FrameLayout;
import org.mxfs.daemon.wire.MalformedException;

class FrameTest {
  private static final UUID VOLUME = new UUID(1, 2);
  private static final ReservationKey KEY = ReservationKey.of(0xfedc_ba98, 0x8000_0001L);

  private static List<Frame.Body> bodies() {
    List<Waiter> most = new ArrayList<>();
    for (int i = 0; i < PeerMessage.OwnGrant.WAITERS_MAX; i++) {
      most.add(new Waiter(ReservationKey.of(i + 1, i), 1L << i));
    }
    List<Frame.Body> bodies = new ArrayList<>();
    bodies.add(new Frame.Body.Hello("a-host", "", false));
    bodies.add(new Frame.Body.Hello("", "", false));
    bodies.add(new Frame.Body.Hello("host", "discard,logbsize=65536", true));
    bodies.add(new Frame.Body.Ping());
    for (PeerMessage message :
        List.of(
            new PeerMessage.OwnRequest(-1),
            new PeerMessage.OwnGrant(1, Long.MAX_VALUE, Integer.MAX_VALUE, List.of()),
            new PeerMessage.OwnGrant(1, 2, 3, most),
            new PeerMessage.OwnTaken(5),
            new PeerMessage.OwnDecline(6),
            new PeerMessage.OwnRedirect(7, ReservationKey.NONE),
            new PeerMessage.OwnRedirect(7, KEY),
            new PeerMessage.OwnBusy(8, "a reflinked file is mapped"),
            new PeerMessage.Leave())) {
      bodies.add(new Frame.Body.Ownership(message));
    }
    return bodies;
  }

  @Test
  void whatIsEncodedIsDecoded() throws MalformedException {
    for (Frame.Body body : bodies()) {
      byte[] bytes = Frame.encode(VOLUME, KEY, 77, body);
      assertThat(bytes.length).isLessThanOrEqualTo(FrameLayout.SIZE_MAX);
      assertThat(Frame.checkedLength(bytes)).isEqualTo(bytes.length);
      assertThat(Frame.decode(bytes, bytes.length, VOLUME)).isEqualTo(new Frame(KEY, 77, body));
    }
  }

  @Test
  void aLongReasonIsCutToWhatFits() throws MalformedException {
    byte[] bytes =
        Frame.encode(
            VOLUME,
            KEY,
            1,
            new Frame.Body.Ownership(new PeerMessage.OwnBusy(1, "x".repeat(5_000))));
    Frame frame = Frame.decode(bytes, bytes.length, VOLUME);
    assertThat(frame.body())
        .isEqualTo(
            new Frame.Body.Ownership(new PeerMessage.OwnBusy(1, "x".repeat(FrameLayout.TEXT_MAX))));
  }

  /** Danger 58 of docs/takeover.md: what is compared is what the other has said. */
  @Test
  void optionsAreToldInAFormThatIsNeverCut() throws MalformedException {
    assertThat(OwnershipSettings.OPTIONS_MAX).isLessThanOrEqualTo(FrameLayout.TEXT_MAX);
    Set<String> all = new HashSet<>();
    for (int length : List.of(0, 1, 497, 498, 499, 511, 512, 513, 700)) {
      for (String end : List.of("", "a", "b", "\u00e4", "\u00f6")) {
        for (boolean takeover : List.of(true, false)) {
          String options = OwnershipSettings.options("x".repeat(length) + end, takeover);
          byte[] bytes = Frame.encode(VOLUME, KEY, 1, new Frame.Body.Hello("h", options, true));
          assertThat(Frame.decode(bytes, bytes.length, VOLUME).body())
              .isEqualTo(new Frame.Body.Hello("h", options, true));
          assertThat(OwnershipSettings.takesOver(options)).isEqualTo(takeover);
          all.add(options);
        }
      }
    }
    assertThat(all).as("another for others").hasSize(9 * 5 * 2);
  }

  @Test
  void textFromTheNetworkStaysOneLine() throws MalformedException {
    byte[] bytes =
        Frame.encode(VOLUME, KEY, 1, new Frame.Body.Hello("evil\nhost\u001b[31m", "", false));
    assertThat(Frame.decode(bytes, bytes.length, VOLUME).body())
        .isEqualTo(new Frame.Body.Hello("evil?host?[31m", "", false));
  }

  @Test
  void anotherVolumeIsRefused() {
    byte[] bytes = Frame.encode(new UUID(0, 0), KEY, 1, new Frame.Body.Ping());
    assertThatThrownBy(() -> Frame.decode(bytes, bytes.length, VOLUME))
        .isInstanceOf(MalformedException.class)
        .hasMessageContaining("another volume");
  }

  /** Whatever bytes come, decoding ends, and ends in a frame or in MalformedException. */
  @Test
  void mutatedFramesAreDecodedOrRefused() {
    Random random = new Random(1);
    List<Frame.Body> bodies = bodies();
    int refused = 0;
    for (int round = 0; round < 50_000; round++) {
      byte[] bytes = Frame.encode(VOLUME, KEY, 1, bodies.get(random.nextInt(bodies.size())));
      int changes = 1 + random.nextInt(4);
      for (int i = 0; i < changes; i++) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
      }
      int length = random.nextInt(8) == 0 ? random.nextInt(bytes.length + 1) : bytes.length;
      try {
        assertThat(Frame.decode(bytes, length, VOLUME).key().nodeId()).isNotZero();
      } catch (MalformedException e) {
        refused++;
      }
    }
    assertThat(refused).isBetween(10_000, 50_000);
  }
}
