// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.List;
import org.mxfs.daemon.core.ReservationKey;

/** What a {@link LockManager} wants done, in order. */
public sealed interface LockAction {
  record Send(ReservationKey to, Envelope envelope) implements LockAction {}

  /** Write to disk; the answer is {@link LockEvent.Persisted}. One at a time. */
  record Persist(long batch, List<SlotWrite> writes) implements LockAction {
    public Persist {
      writes = List.copyOf(writes);
    }
  }

  /** This node's lock is held in this mode. */
  record Granted(long lock, Mode mode, ValueBlock value) implements LockAction {}

  /** This node's request is over; a lock that was held before is still held as it was. */
  record Refused(long lock, Refusal reason) implements LockAction {}

  /** Somebody wants what this node holds: write back, then convert down or release. */
  record Blocking(long lock, Mode wanted, boolean reclaim) implements LockAction {}

  /** As a master this node grants again. */
  record GraceEnded(ViewId view) implements LockAction {}

  /** As a master this node has nothing left of it, on disk or in memory: journals may follow. */
  record LocksCleared(ReservationKey victim) implements LockAction {}

  /** A mistake, or a disk that does not take records: nothing is granted here any more. */
  record Halted(String why) implements LockAction {}
}
