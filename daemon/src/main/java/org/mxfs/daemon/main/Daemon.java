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
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.blockio.BlockDevices;
import org.mxfs.daemon.array.BlockDevice;
import org.mxfs.daemon.array.DeviceNode;
import org.mxfs.daemon.array.Partition;
import org.mxfs.daemon.array.PartitionClaim;
import org.mxfs.daemon.array.ScsiArray;
import org.mxfs.daemon.array.UnitReset;
import org.mxfs.daemon.control.Report;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.DiskAnswer;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.fencing.FencingChoice;
import org.mxfs.daemon.core.ownership.Ownership;
import org.mxfs.daemon.discovery.Discovery;
import org.mxfs.daemon.disk.DiskThread;
import org.mxfs.daemon.kernel.Hello;
import org.mxfs.daemon.kernel.KernelLink;
import org.mxfs.daemon.log.DaemonLog;
import org.mxfs.daemon.log.SystemLog;
import org.mxfs.daemon.peer.Peers;
import org.mxfs.daemon.wire.FrameLayout;
import org.mxfs.netlink.OutcomeUnknownException;
import org.mxfs.scsi.HostAdapter;
import org.mxfs.scsi.ResetWorth;
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

  private static final Logger NOTES = LoggerFactory.getLogger("org.mxfs.daemon.core");

  /** The kernel waits 10 s for LEFT, and the policy has taken up to 4.5 s of them. */
  private static final long QUIET_MILLIS = 3_000;

  /** Out of the same 10 s. */
  private static final long RELEASE_MILLIS = 500;

  /** How often a partition that somebody was faster to take is tried. */
  private static final long HOLD_AGAIN_MILLIS = 5_000;

  private static final int BEATS_IN_A_LEASE = 4;

  private static final Path PROC = Path.of("/proc");

  private final Arguments.Run arguments;
  private final Paths paths;
  private final BootClock clock;
  private final Mailbox mailbox = new Mailbox();
  private final HeardLimit heardLimit = new HeardLimit();
  private volatile @Nullable IOException kernelFailure;
  private volatile boolean gap;
  private final Sightings sightings = new Sightings();

  private @Nullable Discovery discovery;
  private @Nullable Peers peers;
  private @Nullable ScsiArray array;
  private @Nullable DiskThread disk;
  private @Nullable BlockDevice device;
  private @Nullable UnitReset resets;
  private @Nullable Incarnations incarnations;
  private @Nullable Control control;
  private Switches.@Nullable Kept kept;
  private @Nullable PartitionClaim claim;

  Daemon(Arguments.Run arguments, Paths paths) throws IOException {
    this.arguments = arguments;
    this.paths = paths;
    this.clock = new BootClock();
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
    Hello hello = link.hello(arguments.uuid());
    if (hello.debug()) {
      setLevel(Level.DEBUG);
    }
    LOG.debug("hello: {} after ms={}", hello, sinceStart());
    int status = serve(link, hello, volume);
    // Nothing is closed, halt() follows: the kernel takes this daemon for dead when its netlink
    // port is
    // gone, and that must not be before the last of its threads is.
    return status;
  }

  private int serve(KernelLink link, Hello hello, String volume) throws IOException {
    Switches.Kept file =
        new Switches.Kept(paths.runDirectory().resolve(volume + ".switches"), hello.mount());
    kept = file;
    Switches switches;
    try {
      switches =
          Switches.ofMount(
              file,
              hello.predecessor().ready(),
              beatMillisMax(hello),
              System.getProperty(Switches.BEATS),
              System.getProperty(Switches.TAKEOVER),
              text -> LOG.warn("{}", text));
    } catch (IllegalArgumentException e) {
      return refuse(link, Errno.EINVAL, String.valueOf(e.getMessage()));
    } catch (IOException e) {
      return refuse(link, Errno.EIO, String.valueOf(e.getMessage()));
    }
    long beatMillis = switches.beatMillis();
    FencingChoice.Setting takeover = switches.takeover();
    NodeIdentity node;
    BlockDevice block;
    try {
      node = NodeIdentity.load(paths.nodeUuid());
      block = BlockDevice.find(paths.sys(), hello.major(), hello.minor());
    } catch (IOException e) {
      return cannotStart(link, hello, e);
    }
    device = block;

    ScsiArray commands;
    try {
      commands = openArray(block);
    } catch (IOException e) {
      return cannotStart(link, hello, e);
    }
    array = commands;
    ArrayAnswer capabilities = capabilities(block, commands);
    // Before the node is announced, by an id that follows from it.
    int partition = PartitionIds.number(block, hello.predecessor(), capabilities);
    Refusal unfit = unfit(block, capabilities);
    if (unfit == null && partition != 0 && commands != null) {
      unfit = holdOthers(block, commands, hello.predecessor().ready());
    }
    if (unfit != null) {
      return refuse(link, unfit.errno(), unfit.text());
    }
    int nodeId = node.nodeId(partition);
    try {
      startNetwork(
          hello, node, nodeId, OwnershipSettings.options(hello.xfsOptions(), takeover != null));
    } catch (IOException e) {
      return cannotStart(link, hello, e);
    }
    FencingChoice fencing;
    try {
      fencing = switches.fencing(file, hello.predecessor().ready(), () -> askDisk(block, commands));
    } catch (IOException e) {
      return refuse(
          link,
          Errno.EIO,
          "what was found of the disk cannot be kept for a daemon after this: " + e);
    }
    if (fencing != null) {
      LOG.atLevel(fencing.isWordAlone() ? Level.WARN : Level.INFO).log("fencing: {}", fencing);
    }
    Incarnations past = new Incarnations(paths.runDirectory(), volume);
    incarnations = past;
    long unixMillis = System.currentTimeMillis();
    OwnershipSettings settings =
        new OwnershipSettings(
            nodeId,
            past.next(unixMillis / 1_000),
            unixMillis << 8,
            hello.leaseMillis(),
            hello.quantumMillis(),
            volume,
            hello.device(),
            hello.xfsOptions(),
            beatMillis,
            hostName(),
            fencing == null ? null : fencing.settings());
    if (partition != 0) {
      settings = settings.onPartition(partition);
    } else if (block.partition().isPresent()) {
      settings = settings.aloneOnPartition();
    }
    Ownership machine = new Ownership(settings);
    if (commands != null) {
      commands.start();
    }
    if (commands != null && beatMillis != 0) {
      DiskThread thread =
          new DiskThread(
              bytes -> openDisk(block, bytes),
              hello.uuid(),
              (asked, answer) -> mailbox.fromArray(asked.answered(answer)));
      disk = thread;
      thread.start();
    }
    Warmup.run(beatMillis != 0);
    startControl(hello, nodeId, volume, fencing);
    LOG.debug("edges up after ms={}", sinceStart());
    Loop loop = new Loop(machine, mailbox, this::now, new Performer(link, machine));
    loop.step(new Event.Start(hello.predecessor()));
    loop.run();
    return 0;
  }

  /** A disk that does not say what it is, is waited for. */
  private FencingChoice askDisk(BlockDevice block, @Nullable ScsiArray commands) {
    FencingChoice.Setting setting = FencingChoice.Setting.TRUE;
    if (commands == null) {
      return new FencingChoice(setting, false, block + " is no SCSI disk");
    }
    HostAdapter adapter;
    try {
      adapter = HostAdapter.find(paths.sys(), block.number());
    } catch (IOException e) {
      LOG.warn("the host adapter of {} cannot be found: {}", block, e.toString());
      adapter = HostAdapter.UNKNOWN;
    }
    ResetWorth worth = commands.resetWorth(adapter);
    return new FencingChoice(setting, worth.endsAll(), worth.why());
  }

  /** A mount that reads only need not be able to write. */
  private static long beatMillisMax(Hello hello) {
    return hello.lockstate() && !hello.readOnly() ? hello.leaseMillis() / BEATS_IN_A_LEASE : 0;
  }

  /** Before the kernel is told, which kills this process as soon as it knows. */
  private void forgetSwitches() {
    Switches.Kept file = kept;
    if (file != null) {
      try {
        file.remove();
      } catch (IOException e) {
        LOG.warn("the settings of this mount stay behind, which is no harm: {}", e.toString());
      }
    }
  }

  /** Made when the first one is wanted. */
  private UnitReset resets() {
    UnitReset made = resets;
    BlockDevice block = device;
    if (made == null) {
      if (block == null) {
        throw new IllegalStateException("a reset of no device");
      }
      made =
          new UnitReset(
              () -> DeviceNode.open(paths.dev(), block),
              (question, answer) -> mailbox.fromArray(new Event.UnitReset(question, answer)));
      made.start();
      resets = made;
    }
    return made;
  }

  /**
   * On system calls: what was written has ended when the call returns, and a process is not dead
   * before its last thread has left the kernel, so nothing of this daemon lands after its successor
   * has begun.
   */
  private org.mxfs.blockio.BlockDevice openDisk(BlockDevice block, long bytes) throws IOException {
    BlockDevices.Options options =
        BlockDevices.Options.DEFAULT
            .withBackend(BlockDevices.Backend.SYSTEM_CALLS)
            .withUnregisteredBuffers()
            .withQueueDepth(1)
            .withBufferBytes(bytes);
    return DeviceNode.made(paths.dev(), block, node -> BlockDevices.open(node, options));
  }

  /** A mount that is there is not ended by what may be over in a moment: another daemon tries. */
  private int cannotStart(KernelLink link, Hello hello, IOException why) throws IOException {
    if (hello.predecessor().ready()) {
      throw why;
    }
    return refuse(link, Errno.EIO, String.valueOf(why.getMessage()));
  }

  private int refuse(KernelLink link, Errno errno, String message) throws IOException {
    LOG.error("mount fails with {}: {}", errno, message);
    forgetSwitches();
    releasePartitions();
    link.fail(errno, message);
    return 1;
  }

  // ---- the loop ----

  private final class Performer implements Loop.Surroundings {
    private final KernelLink link;
    private final Ownership machine;

    Performer(KernelLink link, Ownership machine) {
      this.link = link;
      this.machine = machine;
    }

    @Override
    public List<Event> look() throws IOException {
      IOException failure = kernelFailure;
      if (failure != null) {
        throw new IOException("the netlink socket failed: " + failure.getMessage(), failure);
      }
      if (!gap) {
        return List.of();
      }
      gap = false;
      try {
        return link.stateAsEvents();
      } catch (OutcomeUnknownException e) {
        LOG.warn("asking the kernel for its state: {}; again", e.getMessage());
        gap = true;
        mailbox.wake();
        return List.of();
      }
    }

    @Override
    public void publish(VolumeStatus status) {
      if (control != null) {
        control.publish(status);
      }
    }

    @Override
    public void perform(List<Action> actions, long now) throws IOException {
      if (peers != null && !machine.key().isNone()) {
        peers.setSelf(machine.key(), machine.epoch());
      }
      for (Action action : actions) {
        Daemon.this.perform(link, action);
      }
    }
  }

  private void perform(KernelLink link, Action action) throws IOException {
    switch (action) {
      case Action.Array command -> command(command);
      case Action.Disk asked -> {
        if (disk != null) {
          disk.execute(asked);
        } else {
          mailbox.fromArray(asked.answered(new DiskAnswer.Failed("not a SCSI disk")));
        }
      }
      case Action.ResetUnit reset -> resets().execute(reset.question());
      case Action.AskLockstate _ -> askLockstate(link);
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
      case Action.Lease lease -> link.leaseUntil(clock.toBootNanos(lease.untilMillis()));
      case Action.AskKernel ask -> askKernel(link, ask.question());
      case Action.Attach attach -> link.attach(attach.epoch(), attach.alone());
      case Action.Detach detach -> link.detach(detach.epoch(), detach.quantumMillis());
      case Action.Ready ready -> {
        link.ready(ready.role(), ready.clustered());
        if (peers != null) {
          peers.mounted();
        }
        LOG.debug("READY told after ms={}", sinceStart());
        if (control != null) {
          control.open();
        }
        Thread.ofPlatform()
            .daemon()
            .name("housekeeping")
            .start(() -> Housekeeping.run(paths.logDirectory()));
      }
      case Action.Fail fail -> {
        if (peers != null) {
          peers.close(); // the kernel kills this process as soon as it knows
        }
        closeControl();
        forgetSwitches();
        releasePartitions();
        link.fail(fail.errno(), fail.message());
      }
      case Action.Fenced fenced -> link.fenced(fenced.message());
      case Action.Left left -> leave(link, left);
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

  private void askKernel(KernelLink link, long question) throws IOException {
    try {
      if (!mailbox.fromKernel(link.status(question))) {
        LOG.warn("no room for the kernel's state; it is asked again");
      }
    } catch (OutcomeUnknownException e) {
      LOG.warn("asking the kernel for its state: {}; it is asked again", e.getMessage());
    }
  }

  private void askLockstate(KernelLink link) throws IOException {
    try {
      if (!mailbox.fromKernel(new Event.LockstateTold(link.lockstate()))) {
        LOG.warn("no room for where the lock state is; it is asked again");
      }
    } catch (OutcomeUnknownException e) {
      LOG.warn("asking the kernel for the lock state: {}; it is asked again", e.getMessage());
    }
  }

  private void command(Action.Array command) {
    if (array != null) {
      array.execute(command);
    } else {
      mailbox.fromArray(command.answered(new ArrayAnswer.Unsupported("not a SCSI disk")));
    }
  }

  private static void note(Action.Note note) {
    String text = note.text();
    switch (note.level()) {
      case DEBUG -> LOG.debug("{}", text);
      case INFO -> LOG.info("{}", text);
      case WARN ->
          NOTES.warn("{}", text); // what peers say among it, so no more of a kind than fits
      case ERROR -> LOG.error("{}", text);
    }
  }

  /** Milliseconds since the program began. */
  private long now() {
    return clock.millis();
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

  private void startNetwork(Hello hello, NodeIdentity node, int nodeId, String options)
      throws IOException {
    ReservationKey nobody = ReservationKey.of(nodeId, 0);
    String host = hostName();
    InetAddress bind = hello.iface() == null ? null : addressOf(hello.iface());
    Peers connections =
        new Peers(hello.uuid(), host, options, nobody, bind, hello.port(), mailbox::fromPeer);
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
          DeviceNode.open(paths.dev(), block),
          (command, answer) -> mailbox.fromArray(command.answered(guarded(block, answer))),
          name -> mailbox.fromArray(new Event.UnitAttention(name)));
    } catch (ErrnoException e) {
      if (ScsiArray.takesNoScsi(e.errno())) {
        LOG.debug("{} takes no SCSI commands: {}", block, e.getMessage());
        return null;
      }
      throw e;
    }
  }

  /** A target that says "no reservations" only now is broken, not this node's alone. */
  private static ArrayAnswer guarded(BlockDevice block, ArrayAnswer answer) {
    return answer instanceof ArrayAnswer.Unsupported && block.network().isPresent()
        ? new ArrayAnswer.Unclear(unguarded(block, block.network().get()))
        : answer;
  }

  private record Refusal(Errno errno, String text) {}

  private static @Nullable Refusal unsupported(@Nullable String text) {
    return text == null ? null : new Refusal(Errno.EOPNOTSUPP, text);
  }

  /**
   * What is asked before the core does, of those devices where something hangs on it; null for one
   * that takes no SCSI commands.
   */
  private static @Nullable ArrayAnswer capabilities(
      BlockDevice block, @Nullable ScsiArray commands) {
    if (commands == null) {
      return null;
    }
    return block.partition().isEmpty() && block.network().isEmpty()
        ? new ArrayAnswer.Unclear("not asked")
        : commands.perform(new ArrayCommand.ReportCapabilities());
  }

  /** Why the device cannot be used, or null. */
  private static @Nullable Refusal unfit(BlockDevice block, @Nullable ArrayAnswer capabilities) {
    if (!block.scsiBelow().isEmpty()) {
      return unsupported(
          block
              + " lies over SCSI disks "
              + block.scsiBelow()
              + ": this version speaks to a path itself, not through device-mapper or md; mount the"
              + " disk by one path, which multipathd has to leave alone (blacklist in"
              + " /etc/multipath.conf)");
    }
    return capabilities == null || capabilities instanceof ArrayAnswer.Unsupported
        ? unsupported(block.network().map(network -> unguarded(block, network)).orElse(null))
        : null;
  }

  /** What a partition with reservations needs besides. */
  private @Nullable Refusal holdOthers(BlockDevice block, ScsiArray commands, boolean resuming) {
    Partition partition = block.partition().orElseThrow();
    PartitionClaim made = PartitionClaim.none(paths.dev(), paths.sys(), PROC);
    claim = made;
    if (resuming) {
      holdAgain(block, partition, made);
      return null;
    }
    return hold(block, partition, commands, made);
  }

  /** The reservation will be of the whole disk: nobody else here may use any of it. */
  private static @Nullable Refusal hold(
      BlockDevice block, Partition partition, ScsiArray commands, PartitionClaim made) {
    List<Partition.Other> held;
    try {
      String differs = commands.tableDiffers(partition);
      if (differs != null) {
        return unsupported(block + " " + differs);
      }
      held = made.takeAll(partition);
    } catch (PartitionClaim.InUseException e) {
      return new Refusal(
          Errno.EBUSY,
          block
              + " cannot be shared: "
              + e.getMessage()
              + ". Reservations are of the whole disk and would shut this node's other use of it"
              + " out whenever another node has the volume: end that use (umount, swapoff,"
              + " dmsetup remove), or give mxfs a disk of its own");
    } catch (IOException e) {
      return new Refusal(
          Errno.EIO, block + ", a partition, cannot be looked at: " + e.getMessage());
    }
    LOG.warn(
        "{} is a partition, and the reservation covers the whole disk /dev/{}: while the volume is"
            + " mounted on any node, machines that do not have it mounted cannot write to any"
            + " partition of that disk, and on this node {} held",
        block,
        partition.disk(),
        held.isEmpty()
            ? "there is no other one to be"
            : held + (held.size() == 1 ? " is" : " are"));
    return null;
  }

  /** The mount goes on, whoever was faster than this daemon; he is waited for. */
  private void holdAgain(BlockDevice block, Partition partition, PartitionClaim made) {
    List<PartitionClaim.Missing> missing = made.takeWhatIsFree(partition);
    for (PartitionClaim.Missing each : missing) {
      LOG.warn(
          "{}, on the disk of {}, was free while there was no daemon and is not held any more ({});"
              + " what it is used for fails when another node has the volume; it is taken when it"
              + " is free again",
          each.other(),
          block,
          each.why());
    }
    if (missing.isEmpty()) {
      return;
    }
    // An open may wait for the kernel's error handler, which the loop must not.
    Thread.ofPlatform()
        .daemon()
        .name("partitions")
        .start(
            () -> {
              try {
                made.keepTrying(
                    () ->
                        BlockDevice.find(paths.sys(), block.major(), block.minor())
                            .partition()
                            .orElseThrow(() -> new IOException(block + " is no partition now")),
                    HOLD_AGAIN_MILLIS,
                    (other, change) ->
                        LOG.info(
                            "{} {}",
                            other,
                            switch (change) {
                              case HELD -> "is held again";
                              case GONE -> "is gone, and not waited for";
                            }));
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
  }

  /** Before the kernel is told that the mount is over: whoever waits for that may use them then. */
  private void releasePartitions() {
    PartitionClaim held = claim;
    if (held != null) {
      held.close(RELEASE_MILLIS);
      claim = null;
    }
  }

  /**
   * Elsewhere a device without reservations is taken for this node's alone when nobody else
   * announces it; where it comes over a network of storage, silence on ours is no proof.
   */
  private static String unguarded(BlockDevice block, String network) {
    return block
        + " comes by "
        + network
        + ", where other machines can reach it, too, and has no SCSI persistent reservations:"
        + " nothing would keep two of them from mounting it at once. Turn reservations on at the"
        + " target";
  }

  /**
   * The last duty: LEFT says that nothing of this daemon reaches the array any more, so it is said
   * only when no command is under way; else the process ends without a word, which the kernel waits
   * for.
   */
  private void leave(KernelLink link, Action.Left left) throws IOException {
    releasePartitions(); // XFS is detached, and what follows may hang
    ScsiArray commands = array;
    DiskThread beats = disk;
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(QUIET_MILLIS);
    if (commands != null && !quiesce(commands::quiesce, end)) {
      throw new IOException("a command to the array does not end: leaving without saying so");
    }
    UnitReset reset = resets;
    if (reset != null && !quiesce(reset::quiesce, end)) {
      throw new IOException("a reset of the unit does not end: leaving without saying so");
    }
    if (beats != null && !quiesce(beats::quiesce, end)) {
      throw new IOException("a heartbeat does not end: leaving without saying so");
    }
    summary();
    if (peers != null) {
      peers.close(); // what was to be sent, above all LEAVE
    }
    closeControl(); // the next mount's stands in its place
    if (!left.registered()) {
      forgetSwitches(); // else one that is started before LEFT is heard would give the key up
    }
    link.left(left.errno());
  }

  /** One end for all that is waited for: the kernel waits no longer, either. */
  static boolean quiesce(LongPredicate quiesce, long endNanos) {
    return quiesce.test(Math.max(0, TimeUnit.NANOSECONDS.toMillis(endNanos - System.nanoTime())));
  }

  // ---- what mxfsctl asks ----

  private void startControl(
      Hello hello, int nodeId, String volume, @Nullable FencingChoice fencing) {
    if (peers == null) {
      return;
    }
    Report.Mount mount =
        new Report.Mount(
            Main.VERSION,
            FrameLayout.VERSION,
            ProcessHandle.current().pid(),
            arguments.restart(),
            volume,
            hello.device(),
            hello.major(),
            hello.minor(),
            hello.readOnly(),
            nodeId,
            hostName(),
            peers.port(),
            hello.leaseMillis(),
            fencing == null
                ? null
                : new Report.Fencing(
                    fencing.byReset(),
                    fencing.settings().commandLifeMillis(),
                    fencing.setting().word(),
                    fencing.resetEndsAll(),
                    fencing.why()));
    DaemonLog log = LoggerFactory.getILoggerFactory() instanceof DaemonLog found ? found : null;
    Control made =
        new Control(
            paths.runDirectory(), mount, peers, sightings, log, clock.twin(), mailbox::fromPerson);
    control = made;
    made.start();
  }

  private void closeControl() {
    if (control != null) {
      control.close();
    }
  }

  private void summary() {
    if (discovery != null) {
      Discovery.Counters c = discovery.counters();
      LOG.info(
          "discovery: heard={} own={} foreign={} limited={} malformed={} dropped={}",
          c.heard(),
          c.own(),
          c.foreign(),
          c.limited(),
          c.malformed(),
          mailbox.dropped());
    }
    if (peers != null) {
      Peers.Counters c = peers.counters();
      LOG.info("peers: malformed={} slow={} refused={}", c.malformed(), c.slow(), c.refused());
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
    public boolean event(Event event) {
      return mailbox.fromKernel(event);
    }

    @Override
    public void gap() {
      gap = true;
      mailbox.wake();
    }

    @Override
    public void failed(IOException e) {
      kernelFailure = e;
      mailbox.wake();
    }
  }

  private final class DiscoveryEvents implements Discovery.Listener {
    @Override
    public void node(ReservationKey key, InetSocketAddress tcp, String host) {
      if (peers != null) {
        peers.heard(key, tcp, host);
      }
      sightings.announced(key.nodeId(), tcp, System.nanoTime());
      if (heardLimit.admit(key, System.nanoTime())) {
        mailbox.fromDiscovery(new Event.Heard(key, host));
      }
    }

    @Override
    public void collision(String text) {
      mailbox.fromDiscovery(new Event.Collision(text));
    }
  }
}
