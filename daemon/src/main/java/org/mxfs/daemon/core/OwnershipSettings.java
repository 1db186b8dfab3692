// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.fencing.FencingSettings;
import org.mxfs.daemon.core.membership.Silence;

/**
 * What {@link org.mxfs.daemon.core.ownership.Ownership} is told before it starts.
 *
 * @param nodeId this node, never 0
 * @param unixSeconds wall clock at the start: the incarnation of a node that registers for the
 *     first time
 * @param firstRequestId where request ids begin; never below one that an earlier daemon of this
 *     node used
 * @param volume volume UUID, for messages
 * @param device device name, for messages
 * @param xfsOptions of this mount, in one form: all nodes need the same
 * @param beatMillis how often this node writes its heartbeat; 0: it has none, and does not ask for
 *     the lock state
 * @param host for messages in heartbeats
 * @param takeover what is known of the disk, for fencing; null: a silent owner is waited for
 * @param partition the number of the partition that the volume is on, which all nodes' keys tell
 *     ({@link ReservationKey#ofPartition}); 0: a whole disk, or a node id that tells none
 * @param alone the volume is on a partition of a device that had no reservations when the node id
 *     was chosen, so that the id tells no partition: no key may be made of it
 */
public record OwnershipSettings(
    int nodeId,
    long unixSeconds,
    long firstRequestId,
    long leaseMillis,
    long quantumMillis,
    String volume,
    String device,
    String xfsOptions,
    long beatMillis,
    String host,
    @Nullable FencingSettings takeover,
    int partition,
    boolean alone) {
  /**
   * How long a mount listens before it believes that no other machine runs under this node's id, or
   * shares a device that has no reservations. Others answer a newcomer at once, so this is many
   * times a network round trip.
   */
  public static final long LISTEN_MILLIS = 1_000;

  /** How long a mount looks for the node that holds the reservation: five announcement rounds. */
  public static final long PEER_WAIT_MILLIS = 5_000;

  /** How often an unanswered request is repeated. */
  public static final long REQUEST_MILLIS = 500;

  /**
   * How often a node that waits reads who holds the reservation, in case it heard nothing of a
   * change.
   */
  public static final long WAIT_READ_MILLIS = 1_000;

  /** How often an unanswered grant is repeated and the array asked whether it was used. */
  public static final long GRANT_MILLIS = 250;

  /** After so long without an outcome a grant is withdrawn. */
  public static final long CONSENT_MILLIS = 3_000;

  /** Pause after an error of the array or of the kernel before the same thing is tried again. */
  public static final long RETRY_MILLIS = 200;

  /** After so long without an answer of the kernel it is asked for its state. */
  public static final long KERNEL_MILLIS = 5_000;

  /** How long a failed mount waits for the kernel to let go of XFS before it unregisters. */
  public static final long LET_GO_MILLIS = 20_000;

  /** How often a registration that something is in the way of is tried. */
  public static final int REGISTER_ROUNDS_MAX = 3;

  /** Pause after an attach or a detach that failed. */
  public static final long BUSY_MILLIS = 1_000;

  /** What has to be left of the lease for an attach: the kernel looks at it once more. */
  public static final long ATTACH_MARGIN_MILLIS = 200;

  /** How many errors of the array in a row end a mount that is not ready yet. */
  public static final int START_ERRORS_MAX = 10;

  /** Pause after a PREEMPT that had no effect several times in a row. */
  public static final long TAKE_AGAIN_MILLIS = 5_000;

  /** How often a node that waits for the volume is told what for. */
  public static final long TELL_MILLIS = 10_000;

  /** How long a leaving owner waits for the first waiter to take the volume. */
  public static final long LEAVE_GRANT_MILLIS = 2_000;

  /** How long leaving may take in all. */
  public static final long LEAVE_MILLIS = 4_500;

  /** How long a failed mount may spend on taking its registration back. */
  public static final long FAIL_MILLIS = 3_000;

  /** How long a tenure waits for its epoch to be on disk. */
  public static final long DISK_MILLIS = 5_000;

  /** How long giving the volume away, or leaving, waits for the last record of a slot. */
  public static final long LAST_RECORD_MILLIS = 1_000;

  /** On a whole disk. */
  public OwnershipSettings(
      int nodeId,
      long unixSeconds,
      long firstRequestId,
      long leaseMillis,
      long quantumMillis,
      String volume,
      String device,
      String xfsOptions,
      long beatMillis,
      String host,
      @Nullable FencingSettings takeover) {
    this(
        nodeId,
        unixSeconds,
        firstRequestId,
        leaseMillis,
        quantumMillis,
        volume,
        device,
        xfsOptions,
        beatMillis,
        host,
        takeover,
        0,
        false);
  }

  /** Without heartbeats and takeover. */
  public OwnershipSettings(
      int nodeId,
      long unixSeconds,
      long firstRequestId,
      long leaseMillis,
      long quantumMillis,
      String volume,
      String device,
      String xfsOptions) {
    this(
        nodeId,
        unixSeconds,
        firstRequestId,
        leaseMillis,
        quantumMillis,
        volume,
        device,
        xfsOptions,
        0,
        "",
        null);
  }

  /** No longer than a HELLO takes, in characters of one byte. */
  public static final int OPTIONS_MAX = 512;

  /** How {@link #options} says that this node takes over; no option of XFS's. */
  public static final String TAKEOVER = "mxfs.takeover";

  /**
   * What all nodes need the same, as it goes to the others: XFS's options, and whether this node
   * takes over. One without it attaches in a tenure of which it does not know whether everybody who
   * was shut out has ended, and who waits for it sees no heartbeat: that are mounts that only read,
   * and those by an mxfs.ko that does not tell of the lock state, too.
   */
  public static String options(String xfsOptions, boolean takeover) {
    String all =
        !takeover ? xfsOptions : xfsOptions.isEmpty() ? TAKEOVER : TAKEOVER + "," + xfsOptions;
    String visible = all.replaceAll("[^\\x20-\\x7e]", "?");
    if (all.equals(visible) && all.length() <= OPTIONS_MAX) {
      return all;
    }
    // As much as a HELLO takes; what does not go over as it is goes into the number at the end.
    byte[] bytes = new byte[2 * all.length()];
    for (int i = 0; i < all.length(); i++) {
      bytes[2 * i] = (byte) (all.charAt(i) >> 8);
      bytes[2 * i + 1] = (byte) all.charAt(i);
    }
    String number = String.format(Locale.ROOT, ",#%016x", Fnv1a.hash64(bytes));
    return visible.substring(0, Math.min(visible.length(), OPTIONS_MAX - number.length())) + number;
  }

  /** As other nodes are told. */
  public String options() {
    return options(xfsOptions, takeover != null);
  }

  /** Whether a node that says this takes over. */
  public static boolean takesOver(String options) {
    return options.equals(TAKEOVER) || options.startsWith(TAKEOVER + ",");
  }

  /** With heartbeats. */
  public OwnershipSettings withBeats(long millis, String name) {
    return new OwnershipSettings(
        nodeId,
        unixSeconds,
        firstRequestId,
        leaseMillis,
        quantumMillis,
        volume,
        device,
        xfsOptions,
        millis,
        name,
        takeover,
        partition,
        alone);
  }

  /** On a partition: with the node id that tells it. */
  public OwnershipSettings onPartition(int number) {
    return new OwnershipSettings(
        ReservationKey.ofPartition(nodeId, number),
        unixSeconds,
        firstRequestId,
        leaseMillis,
        quantumMillis,
        volume,
        device,
        xfsOptions,
        beatMillis,
        host,
        takeover,
        number,
        false);
  }

  /** On a partition of a device without reservations. */
  public OwnershipSettings aloneOnPartition() {
    return new OwnershipSettings(
        nodeId,
        unixSeconds,
        firstRequestId,
        leaseMillis,
        quantumMillis,
        volume,
        device,
        xfsOptions,
        beatMillis,
        host,
        takeover,
        0,
        true);
  }

  public OwnershipSettings {
    if (nodeId == 0) {
      throw new IllegalArgumentException("node id 0 means no node");
    }
    if (leaseMillis <= 0) {
      throw new IllegalArgumentException("lease of " + leaseMillis + " ms");
    }
    if (partition != 0 && ReservationKey.ofPartition(nodeId, partition) != nodeId) {
      throw new IllegalArgumentException("a node id of another partition than " + partition);
    }
    if (partition != 0 && alone) {
      throw new IllegalArgumentException("alone, by a node id that tells partition " + partition);
    }
    if (takeover != null && beatMillis == 0) {
      throw new IllegalArgumentException("takeover without heartbeats");
    }
  }

  /** For how long a node with our lease must have been silent to be shut out; 0: nobody is. */
  public long silenceMillis() {
    return takeover == null ? 0 : Silence.least(leaseMillis, beatMillis);
  }
}
