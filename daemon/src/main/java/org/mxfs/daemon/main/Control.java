// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.control.ControlSocket;
import org.mxfs.daemon.control.Report;
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
  private volatile @Nullable VolumeStatus published;

  /**
   * Makes it; {@link #start} begins.
   *
   * @param log null: what is logged is not kept
   * @param clock for its thread alone
   */
  Control(
      Path runDirectory,
      Report.Mount mount,
      Peers peers,
      Sightings sightings,
      @Nullable DaemonLog log,
      BootClock clock) {
    this.mount = mount;
    this.peers = peers;
    this.sightings = sightings;
    this.log = log;
    this.clock = clock;
    socket = new ControlSocket(ControlSocket.path(runDirectory, mount.volume()), this::report);
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
