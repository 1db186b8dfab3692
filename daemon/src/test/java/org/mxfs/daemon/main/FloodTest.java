// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.ownership.Ownership;
import org.mxfs.daemon.peer.Peers;
import org.mxfs.daemon.wire.FrameLayout;
import org.mxfs.daemon.wire.Layout;

/** Real connections that say as much as they can, and the policy thread that others need, too. */
@Timeout(60)
class FloodTest {
  private static final UUID VOLUME = new UUID(1, 2);
  private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();
  private static final int SECONDS = 4;

  /** As much as its socket takes, from when the first of it was written. */
  private static void flood(int node, int port, CountDownLatch begun) {
    try (Socket socket = new Socket()) {
      socket.bind(new InetSocketAddress("127.0.0." + node, 0));
      socket.connect(new InetSocketAddress(LOOPBACK, port));
      OutputStream out = socket.getOutputStream();
      out.write(frame(node, FrameLayout.HELLO, FrameLayout.HELLO_LAYOUT));
      byte[] request = frame(node, FrameLayout.OWN_REQUEST, FrameLayout.REQUEST_LAYOUT);
      begun.countDown();
      while (true) {
        out.write(request);
      }
    } catch (IOException e) {
      return; // the end of the test
    }
  }

  private static byte[] frame(int node, int type, Layout layout) {
    byte[] bytes = new byte[FrameLayout.HEADER.size() + layout.size()];
    var buffer = Layout.wrap(bytes, 0, bytes.length);
    FrameLayout.LENGTH.put(buffer, 0, bytes.length);
    FrameLayout.MAGIC_FIELD.put(buffer, 0, FrameLayout.MAGIC);
    FrameLayout.VERSION_FIELD.put(buffer, 0, FrameLayout.VERSION);
    FrameLayout.TYPE.put(buffer, 0, type);
    FrameLayout.VOLUME_UUID.putUuid(buffer, 0, VOLUME);
    FrameLayout.KEY.put(buffer, 0, ReservationKey.of(node, 1).value());
    return bytes;
  }

  /** The policy thread with a device that has no reservations, and what it was seen to do. */
  private static final class Policy {
    final CompletableFuture<Mailbox> mailbox = new CompletableFuture<>();
    final CompletableFuture<Void> ended = new CompletableFuture<>();
    final AtomicInteger steps = new AtomicInteger();
    final Map<String, Long> noted = new ConcurrentHashMap<>();

    void run() {
      try {
        Mailbox own = new Mailbox();
        BootClock clock = new BootClock();
        Ownership machine =
            new Ownership(new OwnershipSettings(1, 1, 1, 20_000, 100, "flooded", "flooded", ""));
        Loop loop =
            new Loop(
                machine,
                own,
                clock::millis,
                new Loop.Surroundings() {
                  @Override
                  public List<Event> look() {
                    return List.of();
                  }

                  @Override
                  public void publish(VolumeStatus status) {
                    // Nobody asks.
                  }

                  @Override
                  public void perform(List<Action> actions, long now) {
                    steps.incrementAndGet();
                    for (Action action : actions) {
                      Policy.this.perform(own, action);
                    }
                  }
                });
        mailbox.complete(own);
        loop.step(new Event.Start(Predecessor.NOBODY));
        loop.run();
        ended.complete(null);
      } catch (IOException | RuntimeException e) {
        ended.completeExceptionally(e);
      }
    }

    private void perform(Mailbox own, Action action) {
      switch (action) {
        case Action.Array command ->
            own.fromArray(command.answered(new ArrayAnswer.Unsupported("none")));
        case Action.Attach attach -> own.fromKernel(new Event.Attached(attach.epoch(), 0, 1, ""));
        case Action.Note note when note.text().contains("unit attention") ->
            noted.put(note.text(), System.nanoTime());
        default -> {}
      }
    }
  }

  @Test
  void twoBusyConnectionsDoNotKeepThePolicyThreadFromOthers() throws Exception {
    Policy policy = new Policy();
    Thread.ofPlatform().name("policy").start(policy::run);
    Mailbox mailbox = policy.mailbox.get(30, TimeUnit.SECONDS);
    AtomicInteger fromOther = new AtomicInteger();
    List<Long> waits = new ArrayList<>();
    List<Thread> floods = new ArrayList<>();
    try (Peers peers =
            new Peers(
                VOLUME,
                "one",
                "",
                ReservationKey.of(1, 1),
                LOOPBACK,
                0,
                (generation, event, done) -> {
                  if (event instanceof Event.Received received && received.from().nodeId() == 9) {
                    fromOther.incrementAndGet();
                  }
                  mailbox.fromPeer(generation, event, done);
                });
        Peers other =
            new Peers(
                VOLUME,
                "nine",
                "",
                ReservationKey.of(9, 1),
                LOOPBACK,
                0,
                (_, _, done) -> done.run())) {
      peers.start();
      other.start();
      CountDownLatch begun = new CountDownLatch(2);
      for (int node : new int[] {2, 3}) {
        floods.add(Thread.ofPlatform().daemon().start(() -> flood(node, peers.port(), begun)));
      }
      begun.await();
      other.heard(ReservationKey.of(1, 1), new InetSocketAddress(LOOPBACK, peers.port()), "one");
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
      for (int i = 0; System.nanoTime() < end; i++) {
        String name = "number " + HexFormat.of().toHexDigits(i);
        long asked = System.nanoTime();
        mailbox.fromArray(new Event.UnitAttention(name));
        other.send(1, new PeerMessage.OwnTaken(i));
        TimeUnit.MILLISECONDS.sleep(20);
        Long at = policy.noted.get("unit attention: " + name);
        while (at == null) {
          TimeUnit.MILLISECONDS.sleep(1);
          at = policy.noted.get("unit attention: " + name);
        }
        waits.add(TimeUnit.NANOSECONDS.toMillis(at - asked));
      }
      int steps = policy.steps.get();
      assertThat(steps).describedAs("steps").isGreaterThan(100);
      // The flood itself is read at a pace: a second's worth at once, then that much a second.
      assertThat(steps).isLessThan(2 * (2 + SECONDS + 4) * 200 + 3 * waits.size() + 200);
      assertThat(waits.stream().mapToLong(w -> w).max().orElse(Long.MAX_VALUE))
          .describedAs("longest wait of the array's lane, ms")
          .isLessThan(1_000);
      assertThat(fromOther.get()).describedAs("messages of the third node").isGreaterThan(10);
    } finally {
      mailbox.fromKernel(new Event.Leave());
      policy.ended.get(30, TimeUnit.SECONDS);
      for (Thread each : floods) {
        each.join(10_000);
        assertThat(each.isAlive()).isFalse();
      }
    }
  }
}
