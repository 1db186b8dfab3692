// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import org.jspecify.annotations.Nullable;

/** One lock as its master keeps it. */
final class Lock {
  static final int NO_SLOT = -1;

  final LockId id;
  final Resource resource;

  /** Null: not granted yet. */
  @Nullable Mode mode;

  /** Which request of its owner {@link #mode} came of. */
  long sequence;

  /** The owner was told, or will be by what stands in its link. */
  boolean told;

  /** What it was told, or told itself, last: until it hears more it can do no more. */
  @Nullable Mode toldMode;

  @Nullable Request request;
  int slot = NO_SLOT;

  /** The modes for which the owner was called back, as bits, and still is to be. */
  int called;

  /** In which pass over all locks it was called back for want of slots. */
  long reclaimedIn;

  Lock(LockId id, Resource resource) {
    this.id = id;
    this.resource = resource;
  }

  /** What waits. */
  static final class Request {
    final long sequence;
    final Mode mode;
    final boolean noQueue;
    final int priority;
    final long since;
    long ticket;
    long probeAt;
    long round;

    Request(
        long sequence,
        Mode mode,
        boolean noQueue,
        int priority,
        long ticket,
        long now,
        long probe) {
      this.sequence = sequence;
      this.mode = mode;
      this.noQueue = noQueue;
      this.priority = priority;
      this.ticket = ticket;
      this.since = now;
      this.probeAt = now + probe;
    }
  }

  /** The request, of one that waits. */
  Request wanted() {
    if (request == null) {
      throw new IllegalStateException(id + " does not wait");
    }
    return request;
  }

  @Override
  public String toString() {
    return id + ":" + mode + (request == null ? "" : ">" + request.mode);
  }
}
