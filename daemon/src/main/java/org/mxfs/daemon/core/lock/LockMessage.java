// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What lock managers of two nodes say to each other. Each goes in an {@link Envelope}, which says
 * under which view, and keeps the order.
 *
 * <p>The first four go from the one who wants a lock to the master of its resource. A lock's number
 * is its owner's; a {@code sequence} counts what was asked about that lock, and names the request
 * as well as the state that came of it.
 */
public sealed interface LockMessage {
  /** A new lock. */
  record Acquire(
      long lock, long sequence, ResourceId resource, Mode mode, boolean noQueue, int priority)
      implements LockMessage {}

  /**
   * Another mode for a lock that is held. To a mode within the held one it is a statement: the
   * sender has given up the rest.
   *
   * @param value what the sender wrote, which held PW or EX
   */
  record Convert(
      long lock,
      long sequence,
      ResourceId resource,
      Mode mode,
      boolean noQueue,
      int priority,
      @Nullable ValueBlock value)
      implements LockMessage {}

  /** "I hold it no more." A statement; nobody answers. */
  record Release(long lock, long sequence, ResourceId resource, @Nullable ValueBlock value)
      implements LockMessage {}

  /** "I want the request of this sequence no more." It is answered as a request, either way. */
  record Cancel(long lock, long sequence, ResourceId resource) implements LockMessage {}

  /**
   * The request waits.
   *
   * @param ticket its place in the order of arrival, to be kept if the master changes
   */
  record Queued(long lock, long sequence, long ticket) implements LockMessage {}

  record Granted(long lock, long sequence, Mode mode, ValueBlock value) implements LockMessage {}

  record Refused(long lock, long sequence, Refusal reason) implements LockMessage {}

  /**
   * The blocking callback (BAST): somebody wants {@code wanted} and what came of {@code sequence}
   * is in the way.
   *
   * @param reclaim nobody wants the resource, but disk slots have run out: give it back if it is
   *     idle
   */
  record Blocking(long lock, long sequence, Mode wanted, boolean reclaim) implements LockMessage {}

  /** First under a new view, to everybody: "I can hear you now". */
  record Hello() implements LockMessage {}

  /** Says nothing; the envelope acknowledges. */
  record Ack() implements LockMessage {}

  /**
   * A lock of the sender, to the master under the new view.
   *
   * @param held null: nothing yet
   * @param value as the sender knows it from when {@code held} was granted
   */
  record Restate(
      long lock,
      ResourceId resource,
      @Nullable Mode held,
      long heldSequence,
      ValueBlock value,
      @Nullable Pending pending)
      implements LockMessage {}

  /**
   * A request that was not answered.
   *
   * @param ticket from {@link Queued}, or {@link #NO_TICKET}
   */
  record Pending(long sequence, Mode mode, boolean noQueue, int priority, long ticket) {
    public static final long NO_TICKET = Long.MAX_VALUE;
  }

  /** How the sender of {@link RestateValue} knows a value block. */
  enum Source {
    /** As its master under the view before, who knew all that was written. */
    MASTER,

    /** As a master who was still being told, or from one: there may be a later one. */
    HEARSAY,

    /** It wrote it, or gave up the right to write it, and was not told that this was heard. */
    WRITER
  }

  /**
   * A value block that the sender knows of.
   *
   * @param writer who could have written since, as far as a {@link Source#MASTER} knew
   */
  record RestateValue(ResourceId resource, ValueBlock value, Source source, @Nullable LockId writer)
      implements LockMessage {}

  /** The sender has stated everything that concerns the receiver. */
  record Restated() implements LockMessage {}

  /**
   * The sender grants again under this view, and its records of all that was stated to it are on
   * disk: those of the masters before are worth nothing any more.
   */
  record Recorded() implements LockMessage {}

  /**
   * Looks for a circle: see {@link Deadlock}.
   *
   * @param initiator which request wants to know
   * @param round counts the initiator's attempts
   * @param confirming the second time around, along {@code path}
   * @param atHome to the node of the blocker of the last hop (of the hop at {@code position}), else
   *     to the master of {@code waiter}
   */
  record Probe(
      Waiter initiator,
      long round,
      boolean confirming,
      boolean atHome,
      int position,
      Waiter waiter,
      List<Hop> path)
      implements LockMessage {
    public static final int PATH_MAX = 32;

    public Probe {
      path = List.copyOf(path);
      if (path.size() > PATH_MAX) {
        throw new IllegalArgumentException("a path of " + path.size() + " hops");
      }
    }
  }

  /** A request that waits. */
  record Waiter(LockId lock, long sequence, ResourceId resource, int priority) {}

  /**
   * {@code waiter} waits for {@code blocker}.
   *
   * @param blockerSequence of the grant that is in the way, or of the request that stands before it
   * @param toBeGrantedOnly the blocker stands before the waiter and need not be given up again
   */
  record Hop(Waiter waiter, LockId blocker, long blockerSequence, boolean toBeGrantedOnly) {}
}
