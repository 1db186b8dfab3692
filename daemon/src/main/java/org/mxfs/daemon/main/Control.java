// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.control.ControlSocket;
import org.mxfs.daemon.control.Report;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.log.DaemonLog;
import org.mxfs.daemon.peer.Peers;

/**
 * What {@code mxfsctl} is told: joins what the policy thread publishes with what the edges know,
 * when somebody asks, on the thread of the control socket.
 */
final class Control {
  private final Report.Mount mount;
  private final Peers peers;
  private final @Nullable DaemonLog log;
  private final BootClock clock;
  private final Sightings sightings;
  private final ControlSocket socket;
  private final Predicate<Event> policy;
  private volatile @Nullable VolumeStatus published;

  /**
   * Makes it; {@link #start} begins.
   *
   * @param log null: what is logged is not kept
   * @param clock for its thread alone
   * @param policy takes an event of a person, unless there is no room for it
   */
  Control(
      Path runDirectory,
      Report.Mount mount,
      Peers peers,
      Sightings sightings,
      @Nullable DaemonLog log,
      BootClock clock,
      Predicate<Event> policy) {
    this.mount = mount;
    this.policy = policy;
    this.peers = peers;
    this.sightings = sightings;
    this.log = log;
    this.clock = clock;
    socket =
        new ControlSocket(
            ControlSocket.path(runDirectory, mount.volume()), this::report, this::clearFence);
  }

  void start() {
    socket.start();
  }

  /** From now on the mount is not kept waiting by it. */
  void open() {
    socket.open();
  }

  void close() {
    socket.close();
  }

  /** What its own socket answers. */
  String rehearse(int seconds) throws IOException, InterruptedException {
    return socket.rehearse(seconds);
  }

  /** By the policy thread, in each step, before what the core said to do is done. */
  void publish(VolumeStatus status) {
    published = status;
  }

  /** The policy thread decides; what would be refused for certain is said here. */
  @Nullable String clearFence(ReservationKey key) {
    VolumeStatus status = published;
    if (status == null || status.state() != VolumeStatus.State.OWNER) {
      return "this node does not hold the reservation";
    }
    List<VolumeStatus.Missing> missing = status.missing();
    if (missing == null) {
      return "takeover is off on this node, and nobody is shut out";
    }
    VolumeStatus.Missing one =
        missing.stream().filter(each -> each.key().equals(key)).findFirst().orElse(null);
    String why = one == null ? VolumeStatus.NOT_MISSING : one.refusal();
    if (why != null) {
      return why;
    }
    return policy.test(new Event.FenceCleared(key)) ? null : "the daemon is busy";
  }

  Report report() {
    VolumeStatus status = published; // before the clock is read, or it would be of the future
    long nanos = System.nanoTime();
    return new Report(
        mount, clock.millis(), status, sightings.all(peers.links(), nanos), troubles(nanos));
  }

  private List<Report.Trouble> troubles(long now) {
    List<Report.Trouble> troubles = new ArrayList<>();
    if (log != null) {
      for (DaemonLog.Trouble each : log.troubles()) {
        long ago = TimeUnit.NANOSECONDS.toMillis(Math.max(0, now - each.at()));
        troubles.add(new Report.Trouble(each.level().name(), ago, each.text()));
      }
    }
    return troubles;
  }
}
