// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.daemon.array.BlockDevice;
import org.mxfs.daemon.array.ScsiArray;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.ownership.Ownership;
import org.mxfs.daemon.discovery.Discovery;
import org.mxfs.daemon.kernel.Hello;
import org.mxfs.daemon.kernel.KernelLink;
import org.mxfs.daemon.log.DaemonLog;
import org.mxfs.daemon.log.SystemLog;
import org.mxfs.daemon.peer.Peers;
import org.mxfs.scsi.DevicePaths;
import org.mxfs.scsi.ScsiDevice;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/**
 * One daemon: the edges, and the one loop that feeds {@link Ownership} and does what it says. All
 * policy runs on the loop's thread; the edges' threads only put events into its queue.
 *
 * <p>Fail-stop: when the kernel cannot be told something, the process ends. The kernel then freezes
 * the mount and starts a new daemon, which is told the state; nothing here tries to go on with a
 * state that is not sure.
 */
final class Daemon {
  private static final Logger LOG = LoggerFactory.getLogger(Daemon.class);

  private final Arguments.Run arguments;
  private final Paths paths;
  private final long startNanos;
  private final LinkedBlockingQueue<Event> queue = new LinkedBlockingQueue<>();
  private volatile @Nullable IOException kernelFailure;
  private volatile boolean gap;

  private @Nullable KernelLink kernel;
  private @Nullable Discovery discovery;
  private @Nullable Peers peers;
  private @Nullable ScsiArray array;
  private @Nullable Incarnations incarnations;

  Daemon(Arguments.Run arguments, Paths paths, long startNanos) {
    this.arguments = arguments;
    this.paths = paths;
    this.startNanos = startNanos;
  }

  /** Runs until the volume is unmounted, the mount fails, or this node is shut out. */
  int run() throws IOException {
    String volume = arguments.uuid().toString();
    openLog(volume);
    LOG.info(
        "starting: version={} device={} volume={}{} jvm_ms={}",
        Main.VERSION,
        arguments.device(),
        volume,
        arguments.restart() ? " restart" : "",
        jvmMillis());
    Residence.take(LOG);
    outliveSignals(volume);

    KernelLink link = new KernelLink(new KernelEvents());
    kernel = link;
    try {
      Hello hello = link.hello(arguments.uuid());
      if (hello.debug()) {
        setLevel(Level.DEBUG);
      }
      LOG.debug("hello: {} after ms={}", hello, sinceStart());
      return serve(link, hello, volume);
    } finally {
      close();
    }
  }

  private int serve(KernelLink link, Hello hello, String volume) throws IOException {
    NodeIdentity node;
    BlockDevice block;
    try {
      node = NodeIdentity.load(paths.nodeUuid());
      block =
          BlockDevice.find(
              paths.sys(),
              paths.dev(),
              DevicePaths::number,
              Path.of(hello.device()),
              hello.major(),
              hello.minor());
      startNetwork(hello, node);
    } catch (IOException e) {
      return refuse(link, Errno.EIO, String.valueOf(e.getMessage()));
    }
    Incarnations past = new Incarnations(paths.runDirectory(), volume);
    incarnations = past;
    long unixMillis = System.currentTimeMillis();
    Ownership machine =
        new Ownership(
            new OwnershipSettings(
                node.nodeId(),
                past.next(unixMillis / 1_000),
                unixMillis << 8,
                hello.leaseMillis(),
                hello.quantumMillis(),
                volume,
                hello.device()));

    ScsiArray commands = openArray(block);
    array = commands;
    if (commands != null) {
      String unfit = unfit(block, commands);
      if (unfit != null) {
        return refuse(link, Errno.EOPNOTSUPP, unfit);
      }
      commands.start();
    } else if (!block.scsiBelow().isEmpty()) {
      return refuse(link, Errno.EOPNOTSUPP, overScsi(block));
    }
    Warmup.run();
    LOG.debug("edges up after ms={}", sinceStart());
    step(link, machine, new Event.Start(hello.predecessor()));
    loop(link, machine);
    return 0;
  }

  private int refuse(KernelLink link, Errno errno, String message) throws IOException {
    LOG.error("mount fails with {}: {}", errno, message);
    link.fail(errno, message);
    return 1;
  }

  // ---- the loop ----

  private void loop(KernelLink link, Ownership machine) throws IOException {
    while (!machine.isGone()) {
      Event event = next(machine);
      if (kernelFailure != null) {
        throw new IOException("the netlink socket failed: " + kernelFailure.getMessage());
      }
      if (gap) {
        gap = false;
        queue.add(link.stateAsEvent());
      }
      step(link, machine, event);
    }
  }

  private Event next(Ownership machine) {
    long deadline = machine.deadline();
    try {
      if (deadline == Long.MAX_VALUE) {
        return queue.take();
      }
      Event event = queue.poll(Math.max(0, deadline - now()), TimeUnit.MILLISECONDS);
      return event == null ? new Event.Tick() : event;
    } catch (InterruptedException e) {
      throw new IllegalStateException("nobody interrupts the loop", e);
    }
  }

  private void step(KernelLink link, Ownership machine, Event event) throws IOException {
    if (LOG.isDebugEnabled() && !(event instanceof Event.Tick)) {
      LOG.debug("event {}", event);
    }
    List<Action> actions = machine.step(event, now());
    if (peers != null && !machine.key().isNone()) {
      peers.setSelf(machine.key(), machine.epoch());
    }
    for (Action action : actions) {
      perform(link, action);
    }
  }

  private void perform(KernelLink link, Action action) throws IOException {
    switch (action) {
      case Action.Array command -> command(command.command());
      case Action.TellKey tell -> {
        if (incarnations != null) {
          try {
            incarnations.remember(tell.key().incarnation());
          } catch (IOException e) {
            LOG.warn("the incarnation cannot be remembered: {}", e.toString());
          }
        }
        link.key(tell.key());
        if (discovery != null) {
          discovery.setKey(tell.key());
        }
      }
      case Action.Lease lease -> link.lease(lease.millis());
      case Action.Attach attach -> link.attach(attach.epoch());
      case Action.Detach detach -> link.detach(detach.epoch(), detach.quantumMillis());
      case Action.Ready ready -> {
        link.ready(ready.role(), ready.clustered());
        LOG.debug("READY told after ms={}", sinceStart());
      }
      case Action.Fail fail -> link.fail(fail.errno(), fail.message());
      case Action.Fenced fenced -> link.fenced(fenced.message());
      case Action.Left left -> link.left(left.errno());
      case Action.Send send -> {
        if (LOG.isDebugEnabled()) {
          LOG.debug("to {}: {}", ReservationKey.nodeName(send.nodeId()), send.message());
        }
        if (peers != null) {
          peers.send(send.nodeId(), send.message());
        }
      }
      case Action.Broadcast broadcast -> {
        if (peers != null) {
          peers.broadcast(broadcast.message());
        }
      }
      case Action.Note note -> note(note);
      case Action.Exit _ -> {}
    }
  }

  private void command(ArrayCommand command) {
    if (array != null) {
      array.execute(command);
    } else {
      queue.add(new Event.Answered(new ArrayAnswer.Unsupported("not a SCSI disk")));
    }
  }

  private static void note(Action.Note note) {
    String text = note.text();
    switch (note.level()) {
      case DEBUG -> LOG.debug("{}", text);
      case INFO -> LOG.info("{}", text);
      case WARN -> LOG.warn("{}", text);
      case ERROR -> LOG.error("{}", text);
    }
  }

  /** Milliseconds since the program began. */
  private long now() {
    return (System.nanoTime() - startNanos) / 1_000_000;
  }

  private long sinceStart() {
    return now();
  }

  // ---- edges ----

  private void openLog(String volume) {
    if (LoggerFactory.getILoggerFactory() instanceof DaemonLog log) {
      if (arguments.debug()) {
        log.setLevel(Level.DEBUG);
      }
      String trouble =
          log.open(
              paths.logDirectory().resolve(volume + ".log"),
              SystemLog.open(paths.devLog(), paths.kmsg()));
      if (!trouble.isEmpty()) {
        LOG.warn("{}", trouble);
      }
    }
  }

  private static void setLevel(Level level) {
    if (LoggerFactory.getILoggerFactory() instanceof DaemonLog log) {
      log.setLevel(level);
    }
  }

  private void startNetwork(Hello hello, NodeIdentity node) throws IOException {
    ReservationKey nobody = ReservationKey.of(node.nodeId(), 0);
    String host = hostName();
    InetAddress bind = hello.iface() == null ? null : addressOf(hello.iface());
    Peers connections = new Peers(hello.uuid(), host, nobody, bind, hello.port(), new PeerEvents());
    peers = connections;
    connections.start();
    String group = hello.multicast();
    Discovery announcer =
        new Discovery(
            new Discovery.Settings(
                node.uuid(),
                hello.uuid(),
                host,
                connections.port(),
                hello.iface(),
                group == null ? Discovery.DEFAULT_GROUP : group,
                hello.broadcast(),
                Discovery.PORT),
            nobody,
            new DiscoveryEvents());
    discovery = announcer;
    announcer.start();
    LOG.info("node {} ({}) listens on TCP port {}", nobody.nodeName(), host, connections.port());
  }

  private static InetAddress addressOf(String iface) throws IOException {
    NetworkInterface found = NetworkInterface.getByName(iface);
    if (found == null) {
      throw new IOException("iface=" + iface + ": no such network interface");
    }
    for (InetAddress address : Collections.list(found.getInetAddresses())) {
      if (address instanceof java.net.Inet4Address) {
        return address;
      }
    }
    throw new IOException("iface=" + iface + " has no IPv4 address");
  }

  private static String hostName() {
    try {
      return Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
    } catch (IOException e) {
      try {
        return InetAddress.getLocalHost().getHostName();
      } catch (UnknownHostException u) {
        return "unknown";
      }
    }
  }

  /** The array behind the device, or null for a device that takes no SCSI commands. */
  private @Nullable ScsiArray openArray(BlockDevice block) throws IOException {
    try {
      return new ScsiArray(
          ScsiDevice.open(block.node()),
          answer -> queue.add(new Event.Answered(answer)),
          name -> queue.add(new Event.UnitAttention(name)));
    } catch (ErrnoException e) {
      if (ScsiArray.takesNoScsi(e.errno())) {
        LOG.debug("{} takes no SCSI commands: {}", block.node(), e.getMessage());
        return null;
      }
      throw e;
    }
  }

  /** Why a device with SCSI behind it cannot be used, or null. */
  private static @Nullable String unfit(BlockDevice block, ScsiArray commands) {
    if (!block.scsiBelow().isEmpty()) {
      return overScsi(block);
    }
    if (block.partition()
        && commands.perform(new ArrayCommand.ReportCapabilities())
            instanceof ArrayAnswer.Supported) {
      return block.node()
          + " is a partition: reservations are of the whole disk, so mxfs needs the whole disk";
    }
    return null;
  }

  private static String overScsi(BlockDevice block) {
    return block.node()
        + " lies over SCSI disks "
        + block.scsiBelow()
        + ": this version speaks to a path itself, not through device-mapper or md; mount the disk";
  }

  private void close() {
    if (discovery != null) {
      Discovery.Counters c = discovery.counters();
      LOG.info(
          "discovery: heard={} own={} foreign={} stale={} malformed={}",
          c.heard(),
          c.own(),
          c.foreign(),
          c.stale(),
          c.malformed());
      discovery.close();
    }
    if (peers != null) {
      peers.close();
    }
    if (array != null) {
      array.close();
    }
    if (kernel != null) {
      kernel.close();
    }
  }

  /**
   * The kernel ends this daemon, by LEAVE or by SIGKILL; SIGTERM must not end the mount. The JVM
   * answers SIGTERM by running its shutdown hooks: this one never returns, and all other threads go
   * on. {@link Main} therefore ends the process with {@code halt}, which waits for no hook.
   */
  private static void outliveSignals(String volume) {
    Runtime.getRuntime()
        .addShutdownHook(
            Thread.ofPlatform()
                .name("signal")
                .unstarted(
                    () -> {
                      LOG.warn(
                          "asked to end by a signal; going on, since volume {} is mounted: umount"
                              + " ends this daemon",
                          volume);
                      while (true) {
                        LockSupport.park();
                      }
                    }));
  }

  private static long jvmMillis() {
    return ProcessHandle.current()
        .info()
        .startInstant()
        .map(start -> System.currentTimeMillis() - start.toEpochMilli())
        .orElse(-1L);
  }

  // ---- events of the edges ----

  private final class KernelEvents implements KernelLink.Events {
    @Override
    public void event(Event event) {
      queue.add(event);
    }

    @Override
    public void gap() {
      gap = true;
      queue.add(new Event.Tick());
    }

    @Override
    public void failed(IOException e) {
      kernelFailure = e;
      queue.add(new Event.Tick());
    }
  }

  private final class DiscoveryEvents implements Discovery.Listener {
    @Override
    public void node(ReservationKey key, InetSocketAddress tcp, String host) {
      if (peers != null) {
        peers.heard(key, tcp, host);
      }
      queue.add(new Event.Heard(key, host));
    }

    @Override
    public void collision(String text) {
      queue.add(new Event.Collision(text));
    }
  }

  private final class PeerEvents implements Peers.Listener {
    @Override
    public void up(ReservationKey key, long epoch) {
      queue.add(new Event.PeerUp(key, epoch));
    }

    @Override
    public void down(int nodeId) {
      queue.add(new Event.PeerDown(nodeId));
    }

    @Override
    public void received(ReservationKey from, long epoch, PeerMessage message) {
      queue.add(new Event.Received(from, epoch, message));
    }
  }
}
