// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/** What {@link org.mxfs.daemon.core.ownership.Ownership} wants done, in order. */
public sealed interface Action {
  /** Issue to the array; the answer comes back as {@link Event.Answered}, with the same number. */
  record Array(long question, ArrayCommand command) implements Action {
    public Event.Answered answered(ArrayAnswer answer) {
      return new Event.Answered(question, answer);
    }
  }

  /** The key of this node from now on: to the kernel, to discovery, to the peers. */
  record TellKey(ReservationKey key) implements Action {}

  /**
   * Kernel: operations may start until then, on the clock that {@code step} is given. An instant
   * and not a duration: whatever delays it on its way must not lengthen it.
   */
  record Lease(long untilMillis) implements Action {}

  /**
   * @param alone the array, asked just now, shows our key and no other: the lock state may be made
   *     where there is none
   */
  record Attach(long epoch, boolean alone) implements Action {}

  record Detach(long epoch, long quantumMillis) implements Action {}

  /** Kernel: where is XFS? The reply comes back as {@link Event.Status}, with the same number. */
  record AskKernel(long question) implements Action {}

  /** Issue to the disk; the answer comes back with the same number. */
  record Disk(long question, DiskCommand command) implements Action {
    public Event.DiskAnswered answered(DiskAnswer answer) {
      return new Event.DiskAnswered(question, answer);
    }
  }

  /** LOGICAL UNIT RESET; the answer comes back with the same number. */
  record ResetUnit(long question) implements Action {}

  /** Kernel: where is the lock state? The reply comes back as {@link Event.LockstateTold}. */
  record AskLockstate() implements Action {}

  /** Kernel: mount(2) may return. */
  record Ready(Role role, boolean clustered) implements Action {}

  /** Kernel: mount(2) fails, or the mount shuts down. */
  record Fail(Errno errno, String message) implements Action {}

  record Fenced(String message) implements Action {}

  /**
   * Left.
   *
   * @param registered whether a key of this node stays on the array, or may: whoever comes after in
   *     this mount has to know what it is for
   */
  record Left(Errno errno, boolean registered) implements Action {}

  record Send(int nodeId, PeerMessage message) implements Action {}

  record Broadcast(PeerMessage message) implements Action {}

  record Note(Level level, String text) implements Action {}

  /** The daemon's work is done. */
  record Exit() implements Action {}

  /** How loud a {@link Note} is. */
  enum Level {
    DEBUG,
    INFO,
    WARN,
    ERROR
  }
}
