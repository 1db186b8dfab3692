// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/** What happens to {@link org.mxfs.daemon.core.ownership.Ownership}. */
public sealed interface Event {
  /** Once, first. */
  record Start(Predecessor predecessor) implements Event {}

  /** Time has passed: the deadline that the machine named is there. */
  record Tick() implements Event {}

  /** The answer to the array command of this number. */
  record Answered(long question, ArrayAnswer answer) implements Event {}

  /** The device reported a unit attention on the way (SPC-4 5.14.7: 29/00, 2A/03, 2A/04, 2A/05). */
  record UnitAttention(String name) implements Event {}

  /** Kernel: an operation waits for ownership. */
  record Want() implements Event {}

  /** Kernel: the end of an ATTACH; {@code errno} 0 is success. */
  record Attached(long epoch, int errno, long nanos, String message) implements Event {}

  /** Kernel: the end of a DETACH; {@code errno} 0 is success. */
  record Detached(long epoch, int errno, long nanos, String message) implements Event {}

  /**
   * Kernel: where XFS was when the question of this number was asked, of which epoch, and whether
   * umount has begun.
   */
  record Status(long question, KernelState state, long epoch, boolean leaving) implements Event {}

  /** The answer to the disk command of this number. */
  record DiskAnswered(long question, DiskAnswer answer) implements Event {}

  /** The answer to the reset of this number: done, rejected or unclear. */
  record UnitReset(long question, ArrayAnswer answer) implements Event {}

  /** A person says that this incarnation, which was shut out, is off for certain. */
  record FenceCleared(ReservationKey key) implements Event {}

  /** Kernel: where the lock state is, or why there is none. */
  record LockstateTold(Lockstate lockstate) implements Event {}

  /** Kernel: umount; XFS is detached, operations have ended. */
  record Leave() implements Event {}

  /** Discovery: another node announces this volume. */
  record Heard(ReservationKey key, String host) implements Event {}

  /** Discovery: another machine uses this node's id; the text says which. */
  record Collision(String text) implements Event {}

  /**
   * A connection to this node is up, or its key has changed.
   *
   * @param options of its mount, in one form; see {@link OwnershipSettings#options()}
   * @param mounted whether mount(2) has returned there
   */
  record PeerUp(ReservationKey key, long epoch, String host, String options, boolean mounted)
      implements Event {}

  record PeerDown(int nodeId) implements Event {}

  /** A node that says so has another version of mxfs and cannot be connected; the text says how. */
  record OtherVersion(int nodeId, String text) implements Event {}

  record Received(ReservationKey from, long epoch, PeerMessage message) implements Event {}
}
