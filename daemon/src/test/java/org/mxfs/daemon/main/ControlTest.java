// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.daemon.control.Report;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.ownership.Ownership;
import org.mxfs.daemon.log.DaemonLog;
import org.mxfs.daemon.peer.Peers;

/** Real connections, a real machine, a real socket: what is asked for comes from each of them. */
class ControlTest {
  private static final UUID VOLUME = new UUID(1, 2);
  private static final ReservationKey LOW = ReservationKey.of(0x1001, 1);
  private static final ReservationKey HIGH = ReservationKey.of(0x1002, 2);
  private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

  @TempDir Path directory;

  @Test
  void theAnswerJoinsCoreConnectionsAnnouncementsAndLog() throws Exception {
    Ownership machine =
        new Ownership(new OwnershipSettings(0x1001, 1, 1, 20_000, 100, "volume", "/dev/sdx", ""));
    LinkedBlockingQueue<Event> events = new LinkedBlockingQueue<>();
    Peers.Listener listener =
        (_, event, done) -> {
          events.add(event);
          done.run();
        };
    Sightings sightings = new Sightings();
    DaemonLog log = new DaemonLog();
    try (Peers low = new Peers(VOLUME, "n1", "", LOW, LOOPBACK, 0, listener);
        Peers high = new Peers(VOLUME, "n2", "", HIGH, LOOPBACK, 0, (_, _, done) -> done.run())) {
      Report.Mount mount =
          new Report.Mount(
              "1.2",
              2,
              77,
              false,
              "volume",
              "/dev/sdx",
              8,
              0,
              false,
              0x1001,
              "n1",
              1,
              20_000,
              null);
      Control control =
          new Control(directory, mount, low, sightings, log, new BootClock(), _ -> false);
      control.start();
      control.open();
      assertThat(control.rehearse(30)).contains("\"status\":null");

      low.start();
      high.start();
      high.heard(LOW, new InetSocketAddress(LOOPBACK, low.port()), "n1");
      machine.step(new Event.Start(Predecessor.NOBODY), 0);
      Event up = Objects.requireNonNull(events.poll(30, TimeUnit.SECONDS));
      assertThat(up).isInstanceOf(Event.PeerUp.class);
      machine.step(up, 1);
      ReservationKey silent = ReservationKey.of(0x1003, 3);
      sightings.announced(0x1003, new InetSocketAddress("10.0.0.3", 7600), System.nanoTime());
      machine.step(new Event.Heard(silent, "n3"), 2);
      control.publish(machine.status());
      log.getLogger("x").warn("planted {}", "trouble");

      assertThat(control.rehearse(30))
          .contains("\"state\":\"mounting\"")
          .containsPattern(
              "\"id\":\"00001002\",\"host\":\"n2\",\"key\":\"0x0000100200000002\""
                  + ",\"connected\":true,\"mounted\":false"
                  + ",\"address\":\"127\\.0\\.0\\.1:[0-9]+\",\"heard_ms\":[0-9]{1,5},")
          .containsPattern(
              "\"id\":\"00001003\",\"host\":\"n3\",\"key\":null,\"connected\":false"
                  + ",\"mounted\":false,\"address\":\"10\\.0\\.0\\.3:7600\",\"heard_ms\":[0-9]{1,5},")
          .containsPattern("\"level\":\"warn\",\"text\":\"planted trouble\"}\\]\\}\n$");
      control.close();
    }
  }

  /** What only the policy may decide is passed on, and everything else is refused in words. */
  @Test
  void theWordOfAPersonIsPassedOnByTheOwnerForOneThatIsFenced() throws Exception {
    ReservationKey fenced = ReservationKey.of(0x1003, 3);
    ReservationKey missing = ReservationKey.of(0x1004, 4);
    ReservationKey back = ReservationKey.of(0x1005, 5);
    List<VolumeStatus.Missing> list =
        List.of(
            new VolumeStatus.Missing(fenced, "n3", VolumeStatus.Shut.FENCED, 5, 1, false),
            new VolumeStatus.Missing(missing, "n4", VolumeStatus.Shut.MISSING, 5, 1, false),
            new VolumeStatus.Missing(back, "n5", VolumeStatus.Shut.FENCED, 5, 1, true));
    List<Event> passed = new ArrayList<>();
    AtomicBoolean room = new AtomicBoolean(true);
    Report.Mount mount =
        new Report.Mount(
            "1", 2, 77, false, "volume", "/dev/x", 8, 0, false, 1, "n1", 1, 20_000, null);
    try (Peers peers = new Peers(VOLUME, "n1", "", LOW, LOOPBACK, 0, (_, _, done) -> done.run())) {
      Control control =
          new Control(
              directory,
              mount,
              peers,
              new Sightings(),
              null,
              new BootClock(),
              event -> {
                passed.add(event);
                return room.get();
              });
      assertThat(control.clearFence(fenced)).contains("does not hold");
      control.publish(status(VolumeStatus.State.MEMBER, list));
      assertThat(control.clearFence(fenced)).contains("does not hold");
      control.publish(status(VolumeStatus.State.OWNER, null));
      assertThat(control.clearFence(fenced)).contains("takeover is off");
      control.publish(status(VolumeStatus.State.OWNER, list));
      assertThat(control.clearFence(missing)).contains("not known yet");
      assertThat(control.clearFence(back)).contains("its key is registered");
      assertThat(control.clearFence(HIGH)).contains("none of those");
      assertThat(passed).isEmpty();
      assertThat(control.clearFence(fenced)).isNull();
      assertThat(passed).containsExactly(new Event.FenceCleared(fenced));
      room.set(false);
      assertThat(control.clearFence(fenced)).contains("busy");
    }
  }

  private static VolumeStatus status(
      VolumeStatus.State state, @Nullable List<VolumeStatus.Missing> missing) {
    return new VolumeStatus(
        1,
        state,
        1,
        KernelState.ATTACHED,
        true,
        LOW,
        1,
        LOW,
        1,
        null,
        List.of(),
        List.of(),
        missing);
  }
}
