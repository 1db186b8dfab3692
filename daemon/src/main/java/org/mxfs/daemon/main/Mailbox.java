// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.jctools.queues.atomic.MpscAtomicArrayQueue;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Event;

/**
 * What waits for the policy thread: four bounded lanes, each filled by any number of threads
 * without a lock and emptied by the one that made this object. The kernel's lane is served before
 * the array's, that before what comes from the network, of which peers and discovery take turns:
 * whatever strangers send, what safety and local operations need waits for one step at most.
 *
 * <p>A full lane is each edge's own matter. The kernel repeats what it said when it is asked for
 * its state; announcements come again by themselves; the array's thread and the connections'
 * threads wait, which for a connection means that its peer's socket fills up.
 */
final class Mailbox {
  static final int KERNEL_MAX = 256;
  static final int ARRAY_MAX = 64;
  static final int PEERS_MAX = 1024;
  static final int DISCOVERY_MAX = 256;

  /** How long a thread that met a full lane waits before it looks again. */
  private static final long FULL_NANOS = 1_000_000;

  /**
   * One event.
   *
   * @param generation of the connection that it came from, 0 for what is no peer's
   * @param done to be run when the event was dealt with; gives the connection its credit back
   */
  record Mail(Event event, long generation, Runnable done) {}

  private static void nothing() {}

  private final Thread owner = Thread.currentThread();
  private final MpscAtomicArrayQueue<Mail> kernel = new MpscAtomicArrayQueue<>(KERNEL_MAX);
  private final MpscAtomicArrayQueue<Mail> array = new MpscAtomicArrayQueue<>(ARRAY_MAX);
  private final MpscAtomicArrayQueue<Mail> peers = new MpscAtomicArrayQueue<>(PEERS_MAX);
  private final MpscAtomicArrayQueue<Mail> discovery = new MpscAtomicArrayQueue<>(DISCOVERY_MAX);
  private final LongAdder dropped = new LongAdder();
  private boolean discoveryFirst;
  private volatile boolean woken;

  /** False when the lane is full: the event is lost, and the kernel's state is to be asked for. */
  boolean fromKernel(Event event) {
    return offer(kernel, new Mail(event, 0, Mailbox::nothing));
  }

  /** Waits while the lane is full. */
  void fromArray(Event event) {
    put(array, new Mail(event, 0, Mailbox::nothing));
  }

  /** False when the lane is full: whoever asked is told. */
  boolean fromPerson(Event event) {
    return offer(array, new Mail(event, 0, Mailbox::nothing));
  }

  /** See {@link #fromArray}. */
  void fromPeer(long generation, Event event, Runnable done) {
    put(peers, new Mail(event, generation, done));
  }

  /** Dropped, and counted, when the lane is full: who announces does so again. */
  void fromDiscovery(Event event) {
    if (!offer(discovery, new Mail(event, 0, Mailbox::nothing))) {
      dropped.increment();
    }
  }

  /** How many announcements found no room. */
  long dropped() {
    return dropped.sum();
  }

  /** Ends a wait of the policy thread, now or the next one. */
  void wake() {
    woken = true;
    LockSupport.unpark(owner);
  }

  private boolean offer(MpscAtomicArrayQueue<Mail> lane, Mail mail) {
    if (!lane.offer(mail)) {
      return false;
    }
    // Unconditional: an unpark that nobody needs costs less than the fence to find that out.
    LockSupport.unpark(owner);
    return true;
  }

  private void put(MpscAtomicArrayQueue<Mail> lane, Mail mail) {
    while (!offer(lane, mail)) {
      if (Thread.currentThread().equals(owner)) {
        throw new IllegalStateException("the policy thread must not wait for itself");
      }
      LockSupport.parkNanos(this, FULL_NANOS);
    }
  }

  /**
   * The next event; null after so many nanoseconds without one, or after {@link #wake}. Only for
   * the thread that made this object.
   */
  @Nullable Mail take(long nanos) {
    long end = System.nanoTime() + nanos;
    while (true) {
      Mail mail = poll();
      if (mail != null) {
        return mail;
      }
      if (woken) {
        woken = false;
        return null;
      }
      long left = end - System.nanoTime();
      if (left <= 0) {
        return null;
      }
      LockSupport.parkNanos(this, left);
    }
  }

  private @Nullable Mail poll() {
    Mail mail = kernel.poll();
    if (mail == null) {
      mail = array.poll();
    }
    if (mail == null) {
      mail = discoveryFirst ? discovery.poll() : peers.poll();
      if (mail == null) {
        mail = discoveryFirst ? peers.poll() : discovery.poll();
      }
      discoveryFirst = !discoveryFirst;
    }
    return mail;
  }
}
