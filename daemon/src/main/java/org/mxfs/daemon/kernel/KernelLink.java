// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.kernel;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.mxfs.Mxfs;
import org.mxfs.bindings.mxfs.MxfsAttribute;
import org.mxfs.bindings.mxfs.MxfsCommand;
import org.mxfs.bindings.mxfs.MxfsFlag;
import org.mxfs.bindings.mxfs.MxfsRole;
import org.mxfs.bindings.mxfs.MxfsState;
import org.mxfs.bindings.mxfs.mxfs_extent;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.LockstateMap;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Role;
import org.mxfs.daemon.wire.Uuids;
import org.mxfs.netlink.Attributes;
import org.mxfs.netlink.Family;
import org.mxfs.netlink.GenericNetlink;
import org.mxfs.netlink.Listener;
import org.mxfs.netlink.MalformedMessageException;
import org.mxfs.netlink.Message;
import org.mxfs.netlink.NetlinkErrorException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The daemon's side of {@code linux/mxfs.h}: one socket, whose port speaks for one mount.
 *
 * <p>Events may be lost when the socket overflows. After a gap {@link Events#gap} tells, and what
 * was said is asked for anew with {@link #stateAsEvents}. What the kernel says right behind its
 * answer to HELLO is kept until that answer was read.
 */
public final class KernelLink implements Closeable {
  private static final Logger LOG = LoggerFactory.getLogger(KernelLink.class);

  /** The kernel acknowledges at once: what takes longer than this is broken. */
  private static final GenericNetlink.Options OPTIONS =
      new GenericNetlink.Options(256 << 10, 16 << 10, Duration.ofSeconds(5));

  /** What comes without having been asked for; called on the reader thread. */
  public interface Events {
    /** False when there is no room for it now: it is lost. */
    boolean event(Event event);

    /** Messages were lost. */
    void gap();

    /** The socket is dead: nothing more can be told to or heard from the kernel. */
    void failed(IOException e);
  }

  /** What the kernel may say before the mount's number is known here: far more than it does. */
  private static final int EARLY_MAX = 64;

  /** An ATTACH or DETACH that was not answered by its event yet. */
  private record Asked(boolean attach, long epoch) {}

  private final Events events;
  private final GenericNetlink netlink;
  private final Family family;
  private final ReentrantLock greeting = new ReentrantLock();
  private final List<Message> early = new ArrayList<>();
  private volatile long mount = -1;
  private volatile boolean greeted;
  private volatile @Nullable Asked asked;

  /** Whether the module is one that knows of the lock state. */
  private volatile boolean knowsLockstate;

  /** Opens the socket and finds the family, which exists while the module is loaded. */
  public KernelLink(Events events) throws IOException {
    this.events = events;
    netlink = GenericNetlink.open(OPTIONS, new Incoming());
    try {
      family = ofThisVersion(netlink.family(Mxfs.MXFS_GENL_NAME));
    } catch (IOException e) {
      netlink.close();
      throw e;
    }
  }

  /** On a family that stands for the module's, in tests. */
  KernelLink(Events events, Family family) throws IOException {
    this.events = events;
    this.family = family;
    netlink = GenericNetlink.open(OPTIONS, new Incoming());
  }

  /** After an upgrade the module that is loaded may still be the one of before. */
  static Family ofThisVersion(Family family) throws ContractException {
    if (family.version() != Mxfs.MXFS_GENL_VERSION) {
      throw new ContractException(
          "the loaded module has version "
              + family.version()
              + " of its contract with the daemon, this daemon version "
              + Mxfs.MXFS_GENL_VERSION
              + "; unmount all mxfs volumes of this machine and unload the module (rmmod mxfs), and"
              + " the next mount loads the one that is installed");
    }
    return family;
  }

  /** Says HELLO for the volume; from now on this port speaks for its mount. */
  public Hello hello(UUID uuid) throws IOException {
    Message reply =
        netlink.requestOne(
            family,
            MxfsCommand.MXFS_CMD_HELLO,
            Attributes.builder().bytes(MxfsAttribute.MXFS_A_UUID, Uuids.bytes(uuid)).build());
    return greeted(Hello.of(reply.attributes()), uuid);
  }

  /** Who the answer to HELLO says we are; now what came behind it can be told. */
  Hello greeted(Hello hello, UUID uuid) throws ContractException {
    if (!hello.uuid().equals(uuid)) {
      throw new ContractException("HELLO was answered for another volume");
    }
    asked =
        switch (hello.predecessor().kernel()) {
          case ATTACHING -> new Asked(true, hello.predecessor().epoch());
          case DETACHING -> new Asked(false, hello.predecessor().epoch());
          case DETACHED, ATTACHED, DEAD -> null;
        };
    knowsLockstate = hello.lockstate();
    greeting.lock();
    try {
      mount = hello.mount();
      early.forEach(this::take);
      early.clear();
      greeted = true;
    } finally {
      greeting.unlock();
    }
    return hello;
  }

  /** A message that answers no request; on the reader thread, or on HELLO's for the early ones. */
  void incoming(Message message) {
    if (!greeted) {
      greeting.lock();
      try {
        if (!greeted) {
          if (early.size() < EARLY_MAX) {
            early.add(message);
          } else {
            events.gap();
          }
          return;
        }
      } finally {
        greeting.unlock();
      }
    }
    take(message);
  }

  private void take(Message message) {
    try {
      if (message.family() != family.id()
          || message.attributes().u32(MxfsAttribute.MXFS_A_MOUNT) != mount) {
        throw new ContractException("not for this mount: " + message);
      }
      Event event = decode(message);
      Asked open = asked;
      boolean answered =
          switch (event) {
            case Event.Attached attached -> new Asked(true, attached.epoch()).equals(open);
            case Event.Detached detached -> new Asked(false, detached.epoch()).equals(open);
            default -> false;
          };
      // Before it is told: who is told may answer with the next command.
      if (answered) {
        asked = null;
      }
      if (!events.event(event)) {
        if (answered) {
          asked = open;
        }
        events.gap();
      }
    } catch (MalformedMessageException | ContractException e) {
      refused(e);
    }
  }

  private static void refused(IOException e) {
    LOG.error("message of the kernel refused: {}", e.getMessage());
  }

  public void key(ReservationKey key) throws IOException {
    request(MxfsCommand.MXFS_CMD_KEY, a -> a.u64(MxfsAttribute.MXFS_A_KEY, key.value()));
  }

  /**
   * Operations may start until then. An instant, so that whatever holds this daemon up between its
   * look at the clock and the kernel's receipt lengthens nothing.
   *
   * @param bootNanos nanoseconds of {@code CLOCK_BOOTTIME}
   */
  public void leaseUntil(long bootNanos) throws IOException {
    request(MxfsCommand.MXFS_CMD_LEASE, a -> a.u64(MxfsAttribute.MXFS_A_LEASE_END, bootNanos));
  }

  /**
   * A refusal of the kernel comes back as the event that would have ended the command.
   *
   * @param alone whether the array, asked for this, shows our key and no other: then the kernel may
   *     make the lock state where there is none
   */
  public void attach(long epoch, boolean alone) throws IOException {
    asked = new Asked(true, epoch);
    try {
      request(
          MxfsCommand.MXFS_CMD_ATTACH,
          a -> {
            a.u64(MxfsAttribute.MXFS_A_EPOCH, epoch);
            if (alone && knowsLockstate) {
              a.u32(MxfsAttribute.MXFS_A_ALONE, 1);
            }
          });
    } catch (NetlinkErrorException e) {
      asked = null;
      tell(new Event.Attached(epoch, e.errno(), 0, refusal(e)));
    }
  }

  /** See {@link #attach}. */
  public void detach(long epoch, long quantumMillis) throws IOException {
    asked = new Asked(false, epoch);
    try {
      request(
          MxfsCommand.MXFS_CMD_DETACH,
          a ->
              a.u64(MxfsAttribute.MXFS_A_EPOCH, epoch)
                  .u32(MxfsAttribute.MXFS_A_QUANTUM_MS, quantumMillis));
    } catch (NetlinkErrorException e) {
      asked = null;
      tell(new Event.Detached(epoch, e.errno(), 0, refusal(e)));
    }
  }

  private void tell(Event event) throws IOException {
    if (!events.event(event)) {
      throw new IOException("no room to tell " + event);
    }
  }

  private static String refusal(NetlinkErrorException e) {
    return "the kernel refused the command: " + e.kernelMessage().orElse(e.errnoName());
  }

  public void ready(Role role, boolean clustered) throws IOException {
    int value =
        switch (role) {
          case MEMBER -> MxfsRole.MXFS_ROLE_MEMBER;
          case OWNER -> MxfsRole.MXFS_ROLE_OWNER;
        };
    request(
        MxfsCommand.MXFS_CMD_READY,
        a ->
            a.u32(MxfsAttribute.MXFS_A_ROLE, value)
                .u32(MxfsAttribute.MXFS_A_CLUSTERED, clustered ? 1 : 0));
  }

  public void fail(Errno errno, String message) throws IOException {
    request(
        MxfsCommand.MXFS_CMD_FAIL,
        a ->
            a.u32(MxfsAttribute.MXFS_A_ERRNO, errno.number())
                .string(MxfsAttribute.MXFS_A_MESSAGE, oneLine(message)));
  }

  public void fenced(String message) throws IOException {
    request(
        MxfsCommand.MXFS_CMD_FENCED, a -> a.string(MxfsAttribute.MXFS_A_MESSAGE, oneLine(message)));
  }

  public void left(Errno errno) throws IOException {
    request(MxfsCommand.MXFS_CMD_LEFT, a -> a.u32(MxfsAttribute.MXFS_A_ERRNO, errno.number()));
  }

  /** Where {@code .mxfs/lockstate} is, or why there is none: what the kernel has found last. */
  public Lockstate lockstate() throws IOException {
    if (!knowsLockstate) {
      return new Lockstate(0, null, Errnos.EOPNOTSUPP, "the kernel module does not know of it");
    }
    return understood(
        netlink
            .requestOne(
                family,
                MxfsCommand.MXFS_CMD_LOCKSTATE,
                Attributes.builder().u32(MxfsAttribute.MXFS_A_MOUNT, mount).build())
            .attributes());
  }

  /** What cannot be understood, the next daemon would not understand either: no beats, then. */
  static Lockstate understood(Attributes answer) {
    try {
      return lockstate(answer);
    } catch (MalformedMessageException | ContractException e) {
      return new Lockstate(
          0, null, Lockstate.NOT_UNDERSTOOD, "the kernel's answer: " + e.getMessage());
    }
  }

  /** The same from the kernel's answer. */
  static Lockstate lockstate(Attributes a) throws MalformedMessageException, ContractException {
    long generation = a.u64(MxfsAttribute.MXFS_A_GENERATION);
    if (!a.has(MxfsAttribute.MXFS_A_EXTENTS)) {
      return new Lockstate(
          generation,
          null,
          (int) a.u32(MxfsAttribute.MXFS_A_ERRNO),
          a.findString(MxfsAttribute.MXFS_A_MESSAGE).orElse(""));
    }
    byte[] bytes = a.bytes(MxfsAttribute.MXFS_A_EXTENTS);
    long slots = a.u32(MxfsAttribute.MXFS_A_SLOTS);
    long slotBytes = a.u32(MxfsAttribute.MXFS_A_SLOT_BYTES);
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
    List<LockstateMap.Extent> extents = new ArrayList<>();
    long end = 0;
    for (int at = 0; at + mxfs_extent.SIZE <= bytes.length; at += mxfs_extent.SIZE) {
      LockstateMap.Extent extent =
          new LockstateMap.Extent(
              buffer.getLong(at + mxfs_extent.OFFSET_file),
              buffer.getLong(at + mxfs_extent.OFFSET_device),
              buffer.getLong(at + mxfs_extent.OFFSET_length));
      extents.add(extent);
      end = extent.file() + extent.length();
    }
    if (bytes.length % mxfs_extent.SIZE != 0 || end != slots * slotBytes) {
      throw new ContractException(
          "a lock state of " + slots + " slots of " + slotBytes + " bytes at " + extents);
    }
    return new Lockstate(generation, new LockstateMap((int) slotBytes, extents), 0, "");
  }

  /** Where XFS is now, as the kernel says, in answer to a question of that number. */
  public Event.Status status(long question) throws IOException {
    Attributes a =
        netlink
            .requestOne(
                family,
                MxfsCommand.MXFS_CMD_STATUS,
                Attributes.builder().u32(MxfsAttribute.MXFS_A_MOUNT, mount).build())
            .attributes();
    return new Event.Status(
        question,
        Hello.kernelState(a.u32(MxfsAttribute.MXFS_A_STATE)),
        a.u64(MxfsAttribute.MXFS_A_EPOCH),
        (a.u32(MxfsAttribute.MXFS_A_FLAGS) & MxfsFlag.MXFS_FLAG_LEAVING) != 0);
  }

  /**
   * What the kernel says now, after messages were lost, as the events that may have been among
   * them.
   */
  public List<Event> stateAsEvents() throws IOException {
    Message reply =
        netlink.requestOne(
            family,
            MxfsCommand.MXFS_CMD_STATUS,
            Attributes.builder().u32(MxfsAttribute.MXFS_A_MOUNT, mount).build());
    Asked open = asked;
    List<Event> told =
        open == null
            ? stateAsEvents(reply.attributes(), false, -1)
            : stateAsEvents(reply.attributes(), open.attach(), open.epoch());
    if (told.stream().anyMatch(e -> e instanceof Event.Attached || e instanceof Event.Detached)) {
      asked = null;
    }
    LOG.info("after lost messages the kernel says {}", told);
    return told;
  }

  /**
   * The same from the kernel's answer.
   *
   * @param attach what was asked for last and is not answered: ATTACH, else DETACH
   * @param askedEpoch its epoch; negative when nothing is open
   */
  static List<Event> stateAsEvents(Attributes a, boolean attach, long askedEpoch)
      throws MalformedMessageException, ContractException {
    KernelState state = Hello.kernelState(a.u32(MxfsAttribute.MXFS_A_STATE));
    List<Event> told = new ArrayList<>();
    if (askedEpoch >= 0) {
      switch (state) {
        case ATTACHED ->
            told.add(
                attach
                    ? new Event.Attached(askedEpoch, 0, 0, "")
                    : new Event.Detached(askedEpoch, Errnos.EBUSY, 0, "the reason was lost"));
        case DETACHED ->
            told.add(
                attach
                    ? new Event.Attached(askedEpoch, Errnos.EIO, 0, "the reason was lost")
                    : new Event.Detached(askedEpoch, 0, 0, ""));
        case ATTACHING, DETACHING, DEAD -> {} // its event is still to come, or nothing is
      }
    }
    long flags = a.u32(MxfsAttribute.MXFS_A_FLAGS);
    if ((flags & MxfsFlag.MXFS_FLAG_WANT) != 0) {
      told.add(new Event.Want());
    }
    // No command is accepted any more: what is detached stays so.
    if ((flags & MxfsFlag.MXFS_FLAG_LEAVING) != 0 && state == KernelState.DETACHED) {
      told.add(new Event.Leave());
    }
    return told;
  }

  private void request(int command, Consumer<Attributes.Builder> fill) throws IOException {
    Attributes.Builder builder = Attributes.builder().u32(MxfsAttribute.MXFS_A_MOUNT, mount);
    fill.accept(builder);
    netlink.request(family, command, builder.build());
  }

  /** Fit for the kernel log: one line, and no longer than the kernel takes. */
  static String oneLine(String message) {
    String line = message.replaceAll("[^\\x20-\\x7e]+", " ");
    byte[] bytes = line.getBytes(StandardCharsets.US_ASCII);
    int most = Mxfs.MXFS_MESSAGE_MAX - 1;
    return bytes.length <= most ? line : line.substring(0, most);
  }

  /** The event that a message is. */
  static Event decode(Message message) throws MalformedMessageException, ContractException {
    Attributes a = message.attributes();
    return switch (message.command()) {
      case MxfsCommand.MXFS_EV_WANT -> new Event.Want();
      case MxfsCommand.MXFS_EV_LEAVE -> new Event.Leave();
      case MxfsCommand.MXFS_EV_ATTACHED ->
          new Event.Attached(
              a.u64(MxfsAttribute.MXFS_A_EPOCH),
              (int) a.u32(MxfsAttribute.MXFS_A_ERRNO),
              a.u64(MxfsAttribute.MXFS_A_NANOS),
              a.findString(MxfsAttribute.MXFS_A_MESSAGE).orElse(""));
      case MxfsCommand.MXFS_EV_DETACHED ->
          new Event.Detached(
              a.u64(MxfsAttribute.MXFS_A_EPOCH),
              (int) a.u32(MxfsAttribute.MXFS_A_ERRNO),
              a.u64(MxfsAttribute.MXFS_A_NANOS),
              a.findString(MxfsAttribute.MXFS_A_MESSAGE).orElse(""));
      default ->
          throw new ContractException(
              "unexpected message " + MxfsCommand.nameOf(message.command()));
    };
  }

  /**
   * Encodes and decodes one message of each kind without sending any, so that the classes for it
   * are loaded before they are needed in a hurry.
   */
  public static void rehearse() throws IOException {
    byte[] uuid = new byte[Mxfs.MXFS_UUID_SIZE];
    Attributes reply =
        Attributes.builder()
            .u32(MxfsAttribute.MXFS_A_MOUNT, 1)
            .bytes(MxfsAttribute.MXFS_A_UUID, uuid)
            .string(MxfsAttribute.MXFS_A_DEVICE, "none")
            .u32(MxfsAttribute.MXFS_A_DEV_MAJOR, 1)
            .u32(MxfsAttribute.MXFS_A_DEV_MINOR, 1)
            .u32(MxfsAttribute.MXFS_A_FLAGS, MxfsFlag.MXFS_FLAG_RESTART)
            .u16(MxfsAttribute.MXFS_A_PORT, Mxfs.MXFS_DEFAULT_PORT)
            .u32(MxfsAttribute.MXFS_A_LEASE_MS, Mxfs.MXFS_DEFAULT_LEASE_MS)
            .u32(MxfsAttribute.MXFS_A_QUANTUM_MS, Mxfs.MXFS_DEFAULT_QUANTUM_MS)
            .u32(MxfsAttribute.MXFS_A_STATE, MxfsState.MXFS_STATE_ATTACHED)
            .u64(MxfsAttribute.MXFS_A_KEY, 1)
            .u64(MxfsAttribute.MXFS_A_EPOCH, 1)
            .u32(MxfsAttribute.MXFS_A_ERRNO, 0)
            .u64(MxfsAttribute.MXFS_A_NANOS, 1)
            .string(MxfsAttribute.MXFS_A_MESSAGE, oneLine("rehearsal"))
            .build();
    if (Hello.of(reply).predecessor().kernel() != KernelState.ATTACHED) {
      throw new ContractException("HELLO was not read as it was written");
    }
    for (int event = MxfsCommand.MXFS_EV_WANT; event <= MxfsCommand.MXFS_EV_LEAVE; event++) {
      decode(new Message(0, event, Mxfs.MXFS_GENL_VERSION, 0, 0, 0, reply));
    }
  }

  @Override
  public void close() {
    netlink.close();
  }

  private final class Incoming implements Listener {
    @Override
    public void message(Message message) {
      incoming(message);
    }

    @Override
    public void gap() {
      LOG.warn("messages of the kernel were lost; asking for its state");
      events.gap();
    }

    @Override
    public void malformed(MalformedMessageException e) {
      refused(e);
    }

    @Override
    public void failed(IOException e) {
      events.failed(e);
    }
  }
}
