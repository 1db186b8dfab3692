// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.mxfs.daemon.array.ScsiArray;
import org.mxfs.daemon.control.Report;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.Fnv1a;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.Waiter;
import org.mxfs.daemon.core.ownership.Ownership;
import org.mxfs.daemon.discovery.Discovery;
import org.mxfs.daemon.kernel.KernelLink;
import org.mxfs.daemon.log.DaemonLog;
import org.mxfs.daemon.log.SystemLog;
import org.mxfs.daemon.peer.Peers;
import org.mxfs.daemon.wire.Uuids;
import org.mxfs.netlink.GenericNetlink;
import org.mxfs.scsi.CommandTransport;
import org.mxfs.scsi.ScsiDevice;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/**
 * A harmless run of nearly everything, from which the AOT cache is made: the state machine, the
 * codecs, two nodes talking over loopback, announcements, a query to the kernel's generic netlink
 * controller, SCSI commands to an invented device, the log. No device and no mount is touched, and
 * nothing is left behind.
 */
final class Training {
  private static final int WAIT_SECONDS = 20;

  private Training() {}

  static void run() throws IOException, InterruptedException {
    Path directory = Files.createTempDirectory("mxfsd-train");
    try {
      log(directory);
      for (int i = 0; i < 20; i++) {
        Warmup.run(true);
        Warmup.run(false);
      }
      netlink();
      scsi();
      network();
      loop();
      control(directory);
      Housekeeping.run(directory);
      NodeIdentity.load(directory.resolve("node.uuid"));
      Incarnations incarnations = new Incarnations(directory, "volume");
      incarnations.remember(incarnations.next(1));
    } finally {
      delete(directory);
    }
  }

  private static void delete(Path directory) throws IOException {
    try (var files = Files.list(directory)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(directory);
  }

  private static void log(Path directory) {
    if (LoggerFactory.getILoggerFactory() instanceof DaemonLog log) {
      log.setLevel(Level.INFO);
      log.open(
          directory.resolve("train.log"),
          SystemLog.open(directory.resolve("none"), directory.resolve("none")));
    }
  }

  private static void netlink() throws IOException {
    try (GenericNetlink netlink = GenericNetlink.open()) {
      netlink.families();
      netlink.findFamily("mxfs");
    }
    KernelLink.rehearse();
  }

  private static void scsi() throws IOException {
    ReservationKey key = ReservationKey.of(1, 1);
    try (ScsiDevice device =
        new ScsiDevice("invented", new Invented(), ScsiDevice.Options.DEFAULT)) {
      ScsiArray array = new ScsiArray(device, (_, _) -> {}, _ -> {});
      for (ArrayCommand command :
          List.of(
              new ArrayCommand.ReportCapabilities(),
              new ArrayCommand.ReadKeys(),
              new ArrayCommand.Register(ReservationKey.NONE, key, false),
              new ArrayCommand.ReadFullStatus(),
              new ArrayCommand.ReadReservation(),
              new ArrayCommand.Reserve(key),
              new ArrayCommand.Preempt(key, ReservationKey.of(2, 2)),
              new ArrayCommand.Unregister(key, false))) {
        array.perform(command);
      }
      array.quiesce(0);
    }
  }

  /** Answers everything with GOOD and zeros: no keys, no reservation. */
  private static final class Invented implements CommandTransport {
    @Override
    public Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout) {
      byte[] data = new byte[Math.min(inLength, 8)];
      if (data.length == 8 && (cdb[1] & 0x1f) == 2) {
        data[1] = 8;
      }
      return new Completion(0, 0, 0, 0, new byte[0], data);
    }

    @Override
    public void close() {}
  }

  private static void network() throws IOException, InterruptedException {
    UUID volume = new UUID(1, 2);
    ReservationKey low = ReservationKey.of(1, 1);
    ReservationKey high = ReservationKey.of(2, 2);
    BlockingQueue<Object> heard = new LinkedBlockingQueue<>();
    InetAddress loopback = InetAddress.getLoopbackAddress();
    try (Peers one = new Peers(volume, "one", "", low, loopback, 0, new Collector(heard));
        Peers two = new Peers(volume, "two", "", high, loopback, 0, new Collector(heard))) {
      one.start();
      two.start();
      two.heard(low, new InetSocketAddress(loopback, one.port()), "one");
      expect(heard);
      expect(heard);
      for (PeerMessage message :
          List.of(
              new PeerMessage.OwnRequest(1),
              new PeerMessage.OwnGrant(1, 2, 3, List.of(new Waiter(low, 4))),
              new PeerMessage.OwnTaken(5),
              new PeerMessage.OwnDecline(1),
              new PeerMessage.OwnRedirect(1, low),
              new PeerMessage.OwnBusy(1, "busy"),
              new PeerMessage.Leave())) {
        two.send(1, message);
        expect(heard);
        one.broadcast(message);
        expect(heard);
      }
    }
    NetworkInterface lo = NetworkInterface.getByInetAddress(loopback);
    if (lo == null) {
      return;
    }
    UUID node = new UUID(3, 4);
    try (Discovery discovery =
        new Discovery(
            new Discovery.Settings(
                node,
                volume,
                "one",
                7600,
                lo.getName(),
                Discovery.DEFAULT_GROUP,
                "127.255.255.255",
                0),
            ReservationKey.of(Fnv1a.nodeId(Uuids.bytes(node)), 1),
            new Ignore())) {
      discovery.start();
      discovery.counters();
    }
  }

  private static void expect(BlockingQueue<Object> heard) throws IOException, InterruptedException {
    if (heard.poll(WAIT_SECONDS, TimeUnit.SECONDS) == null) {
      throw new IOException("nothing came over loopback within " + WAIT_SECONDS + " s");
    }
  }

  private record Collector(BlockingQueue<Object> heard) implements Peers.Listener {
    @Override
    public void peer(long generation, Event event, Runnable done) {
      if (!(event instanceof Event.PeerDown)) {
        heard.add(event);
      }
      done.run();
    }
  }

  /** The policy thread and its mailbox, with a machine whose first command ends it. */
  private static void loop() throws IOException {
    Mailbox mailbox = new Mailbox();
    BootClock clock = new BootClock();
    Ownership machine =
        new Ownership(new OwnershipSettings(1, 1, 1, 20_000, 100, "training", "training", ""));
    ReservationKey peer = ReservationKey.of(2, 2);
    mailbox.fromPeer(1, new Event.PeerUp(peer, 0, "peer", "", true), () -> {});
    mailbox.fromPeer(1, new Event.Received(peer, 0, new PeerMessage.OwnRequest(1)), () -> {});
    mailbox.fromPeer(1, new Event.PeerDown(2), () -> {});
    mailbox.fromArray(new Event.UnitAttention("training"));
    mailbox.fromKernel(new Event.Leave());
    new HeardLimit().admit(peer, System.nanoTime());
    mailbox.fromDiscovery(new Event.Heard(peer, "two"));
    Loop loop =
        new Loop(
            machine,
            mailbox,
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
                for (Action action : actions) {
                  if (action instanceof Action.Array command) {
                    mailbox.fromArray(command.answered(new ArrayAnswer.Unsupported("none")));
                  }
                }
                clock.toBootNanos(now);
              }
            });
    loop.step(new Event.Start(Predecessor.NOBODY));
    loop.run();
  }

  /** A member that waits, asked over its socket. */
  private static void control(Path directory) throws IOException, InterruptedException {
    ReservationKey peer = ReservationKey.of(2, 2);
    VolumeStatus status =
        new VolumeStatus(
            1,
            VolumeStatus.State.MEMBER,
            1,
            KernelState.DETACHED,
            true,
            ReservationKey.of(1, 1),
            1,
            peer,
            2,
            new VolumeStatus.Wish(1, VolumeStatus.Reason.OWNER_HAS_IT, peer),
            List.of(new VolumeStatus.Waiting(peer, 1)),
            List.of(new VolumeStatus.Neighbour(2, peer, "two", true, "")),
            null);
    Sightings sightings = new Sightings();
    sightings.announced(2, new InetSocketAddress(InetAddress.getLoopbackAddress(), 1), 1);
    Report.Mount mount =
        new Report.Mount(
            Main.VERSION, 1, 1, false, "volume", "training", 1, 1, false, 1, "one", 1, 1, null);
    DaemonLog log = LoggerFactory.getILoggerFactory() instanceof DaemonLog found ? found : null;
    LoggerFactory.getLogger(Training.class).warn("a line of the log");
    try (Peers peers =
        new Peers(
            new UUID(1, 2),
            "one",
            "",
            ReservationKey.of(1, 1),
            InetAddress.getLoopbackAddress(),
            0,
            new Collector(new LinkedBlockingQueue<>()))) {
      Control control =
          new Control(directory, mount, peers, sightings, log, new BootClock(), _ -> false);
      control.publish(status);
      control.start();
      control.open();
      String answer = control.rehearse(WAIT_SECONDS);
      control.close();
      if (!answer.contains("\"state\":\"member\"")) {
        throw new IOException("the control socket answered " + answer);
      }
    }
  }

  private record Ignore() implements Discovery.Listener {
    @Override
    public void node(ReservationKey key, InetSocketAddress tcp, String host) {}

    @Override
    public void collision(String text) {}
  }
}
