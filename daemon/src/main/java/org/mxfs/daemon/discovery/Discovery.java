// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.discovery;

import java.io.Closeable;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.MulticastSocket;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.StandardSocketOptions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.AnnouncementLayout;
import org.mxfs.daemon.wire.MalformedException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Announces this node and hears the others. One thread does both: it waits for packets until the
 * next announcement is due. Multicast goes out on, and is joined on, every interface that is up (or
 * the one given), and looked at again every ten seconds, since an interface may come up after the
 * mount.
 */
public final class Discovery implements Closeable {
  public static final String DEFAULT_GROUP = "239.66.83.1";
  public static final int PORT = 7601;
  private static final long ANNOUNCE_NANOS = TimeUnit.SECONDS.toNanos(1);
  private static final long INTERFACES_NANOS = TimeUnit.SECONDS.toNanos(10);

  /** An answer to newcomers at most this often, however many there are. */
  private static final long ANSWER_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

  /** One address announces one node of a volume; some more, for who changes its interfaces. */
  private static final int PACKETS_PER_SECOND = 20;

  private static final int ADDRESSES_MAX = 256;

  /** Somebody else with our id is told of at most this often: he repeats it. */
  private static final long COLLISION_NANOS = TimeUnit.SECONDS.toNanos(1);

  private static final Logger LOG = LoggerFactory.getLogger(Discovery.class);

  /**
   * Where to announce.
   *
   * @param iface the only interface to use, or null for all
   * @param broadcast the address to broadcast to instead of multicast, or null
   */
  public record Settings(
      UUID nodeUuid,
      UUID volumeUuid,
      String host,
      int tcpPort,
      @Nullable String iface,
      String group,
      @Nullable String broadcast,
      int port) {}

  /** Called on the discovery thread; must not block. */
  public interface Listener {
    /** A node of this volume announced itself. */
    void node(ReservationKey key, InetSocketAddress tcp, String host);

    /** Somebody else uses this node's id. */
    void collision(String text);
  }

  /** What was dropped, and why. */
  public record Counters(long heard, long own, long foreign, long limited, long malformed) {}

  private final Settings settings;
  private final Listener listener;
  private final MulticastSocket socket;
  private final Thread thread;
  private final @Nullable InetAddress group;
  private final @Nullable InetAddress broadcast;
  private final Map<InetAddress, Integer> packets = new HashMap<>();
  private final Set<String> joined = new HashSet<>();
  private List<NetworkInterface> interfaces = List.of();
  private Set<InetAddress> own = Set.of();
  private final LongAdder heard = new LongAdder();
  private final LongAdder ownPackets = new LongAdder();
  private final LongAdder foreign = new LongAdder();
  private final LongAdder limited = new LongAdder();
  private final LongAdder malformed = new LongAdder();
  private volatile ReservationKey key;
  private volatile boolean closed;
  private boolean sendFailed;
  private long packetsSince = System.nanoTime();
  private long lookedAgainAt = System.nanoTime() - TimeUnit.SECONDS.toNanos(1);
  private long collisionAt = System.nanoTime() - COLLISION_NANOS;

  /** Opens the socket; {@link #start} begins. */
  public Discovery(Settings settings, ReservationKey key, Listener listener) throws IOException {
    this.settings = settings;
    this.key = key;
    this.listener = listener;
    group = settings.broadcast() == null ? InetAddress.getByName(settings.group()) : null;
    broadcast = settings.broadcast() == null ? null : InetAddress.getByName(settings.broadcast());
    if (group != null && !group.isMulticastAddress()) {
      throw new IOException("multicast=" + settings.group() + " is not a multicast address");
    }
    socket = new MulticastSocket(null);
    try {
      // Several volumes on one node share the port; multicast and broadcast reach all of them.
      socket.setReuseAddress(true);
      socket.setBroadcast(true);
      socket.bind(new InetSocketAddress(settings.port()));
      socket.setTimeToLive(1);
    } catch (IOException e) {
      socket.close();
      throw new IOException("UDP port " + settings.port() + " for discovery: " + e.getMessage(), e);
    }
    thread = Thread.ofPlatform().name("discovery").daemon().unstarted(this::run);
  }

  public void start() {
    thread.start();
  }

  /** The key to announce from now on. */
  public void setKey(ReservationKey key) {
    this.key = key;
  }

  public Counters counters() {
    return new Counters(
        heard.sum(), ownPackets.sum(), foreign.sum(), limited.sum(), malformed.sum());
  }

  /** Ends the thread and closes the socket; nothing is heard after it returns. */
  @Override
  public void close() {
    closed = true;
    socket.close();
    if (!Thread.currentThread().equals(thread)) {
      try {
        thread.join(1_000);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private void run() {
    long announceAt = System.nanoTime();
    long lookAt = announceAt;
    long answeredAt = announceAt - ANSWER_NANOS;
    boolean first = true;
    boolean answer = false;
    byte[] buffer = new byte[AnnouncementLayout.SIZE_MAX + 1];
    while (!closed) {
      try {
        long now = System.nanoTime();
        if (now - lookAt >= 0) {
          lookAt = now + INTERFACES_NANOS;
          lookAtInterfaces();
        }
        boolean answerDue = answer && now - answeredAt >= ANSWER_NANOS;
        if (now - announceAt >= 0 || answerDue) {
          announce(first);
          first = false;
          answer = false;
          answeredAt = now;
          announceAt = now + ANNOUNCE_NANOS;
        }
        long until = answer ? Math.min(announceAt, answeredAt + ANSWER_NANOS) : announceAt;
        long wait = TimeUnit.NANOSECONDS.toMillis(until - System.nanoTime());
        socket.setSoTimeout(Math.clamp(wait, 1, 1_000));
        DatagramPacket packet = new DatagramPacket(buffer, buffer.length);
        socket.receive(packet);
        answer |= receive(packet);
      } catch (SocketTimeoutException e) {
        // Time to announce.
      } catch (IOException | RuntimeException e) {
        if (!closed) {
          LOG.warn("discovery: {}", e.toString());
          pauseAfterError();
        }
      }
    }
  }

  /** A socket that fails at once must not make a busy loop. */
  private static void pauseAfterError() {
    try {
      Thread.sleep(100);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void lookAtInterfaces() throws SocketException {
    List<NetworkInterface> usable = new ArrayList<>();
    Set<InetAddress> addresses = new HashSet<>();
    Enumeration<NetworkInterface> all = NetworkInterface.getNetworkInterfaces();
    for (NetworkInterface each : Collections.list(all)) {
      each.getInetAddresses().asIterator().forEachRemaining(addresses::add);
      boolean chosen =
          settings.iface() == null
              ? each.isUp() && !each.isLoopback() && each.supportsMulticast()
              : each.getName().equals(settings.iface()) && each.isUp();
      if (chosen && each.getInetAddresses().hasMoreElements()) {
        usable.add(each);
      }
    }
    if (usable.isEmpty() && (!interfaces.isEmpty() || own.isEmpty())) {
      LOG.warn(
          "discovery: no interface {} that is up, has an address and can do multicast: other nodes"
              + " cannot be found",
          settings.iface() == null ? "" : settings.iface());
    }
    interfaces = usable;
    own = addresses;
    if (group == null) {
      return;
    }
    for (NetworkInterface each : usable) {
      if (joined.contains(each.getName())) {
        continue;
      }
      try {
        socket.joinGroup(new InetSocketAddress(group, settings.port()), each);
        joined.add(each.getName());
        LOG.debug("discovery: joined {} on {}", settings.group(), each.getName());
      } catch (IOException e) {
        LOG.warn(
            "discovery: cannot join {} on {}: {}",
            settings.group(),
            each.getName(),
            e.getMessage());
      }
    }
  }

  private void announce(boolean first) {
    byte[] bytes =
        new Announcement(
                settings.nodeUuid(),
                settings.volumeUuid(),
                key,
                settings.tcpPort(),
                settings.host(),
                first)
            .encode();
    boolean failed = false;
    if (broadcast != null) {
      failed = !send(bytes, broadcast, "broadcast");
    } else if (group != null) {
      for (NetworkInterface each : interfaces) {
        try {
          socket.setOption(StandardSocketOptions.IP_MULTICAST_IF, each);
        } catch (IOException e) {
          failed = true;
          continue;
        }
        failed |= !send(bytes, group, each.getName());
      }
    }
    sendFailed = failed;
  }

  private boolean send(byte[] bytes, InetAddress to, String where) {
    try {
      socket.send(new DatagramPacket(bytes, bytes.length, to, settings.port()));
      return true;
    } catch (IOException e) {
      if (!sendFailed && !closed) {
        LOG.warn("discovery: cannot announce to {} on {}: {}", to, where, e.getMessage());
      }
      return false;
    }
  }

  /** Returns whether the packet asks for an answer. */
  private boolean receive(DatagramPacket packet) {
    Announcement announcement;
    try {
      announcement = Announcement.decode(packet.getData(), packet.getLength());
    } catch (MalformedException e) {
      malformed.increment();
      LOG.debug("discovery: packet from {} dropped: {}", packet.getAddress(), e.getMessage());
      return false;
    }
    if (!announcement.volumeUuid().equals(settings.volumeUuid())) {
      foreign.increment();
      return false;
    }
    ReservationKey from = announcement.key();
    if (from.nodeId() == key.nodeId()) {
      if (announcement.nodeUuid().equals(settings.nodeUuid()) && isOwn(packet.getAddress())) {
        ownPackets.increment();
        return false;
      }
      collision(announcement, packet.getAddress());
      return false;
    }
    if (!isWithinLimit(packet.getAddress())) {
      limited.increment();
      return false;
    }
    heard.increment();
    listener.node(
        from, new InetSocketAddress(packet.getAddress(), announcement.port()), announcement.host());
    return announcement.wantsAnswer();
  }

  /** An address may be newer than our last look. */
  private boolean isOwn(InetAddress address) {
    long now = System.nanoTime();
    if (!own.contains(address) && now - lookedAgainAt > TimeUnit.SECONDS.toNanos(1)) {
      lookedAgainAt = now; // anybody can make us want to look
      try {
        lookAtInterfaces();
      } catch (SocketException e) {
        LOG.warn("discovery: cannot list interfaces: {}", e.getMessage());
      }
    }
    return own.contains(address);
  }

  private void collision(Announcement announcement, InetAddress address) {
    foreign.increment();
    long now = System.nanoTime();
    if (now - collisionAt < COLLISION_NANOS) {
      return;
    }
    collisionAt = now;
    listener.collision(
        "node id "
            + announcement.key().nodeName()
            + " of this node is also used by "
            + announcement.host()
            + " ("
            + address.getHostAddress()
            + ")"
            + (announcement.nodeUuid().equals(settings.nodeUuid())
                ? ", which has the same node UUID (a cloned machine?): remove /etc/mxfs/node.uuid"
                    + " on one of them"
                : ", whose other node UUID hashes to the same id: remove /etc/mxfs/node.uuid on one"
                    + " of them"));
  }

  /**
   * So many packets from one address in each second. Nothing that is said here is believed or kept:
   * an old packet, or one that lies about its sender, takes nobody's place.
   */
  private boolean isWithinLimit(InetAddress from) {
    long now = System.nanoTime();
    if (now - packetsSince > TimeUnit.SECONDS.toNanos(1)) {
      packetsSince = now;
      packets.clear();
    }
    if (packets.size() >= ADDRESSES_MAX && !packets.containsKey(from)) {
      return true; // nobody must be kept out by many invented ones
    }
    return packets.merge(from, 1, Integer::sum) <= PACKETS_PER_SECOND;
  }
}
