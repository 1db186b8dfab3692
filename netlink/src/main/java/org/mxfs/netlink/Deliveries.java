// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * What is still to be told to the listener, in the order in which it came off the socket.
 *
 * <p>Whoever reads the socket adds; only the reader thread delivers. Bounded, like the socket's own
 * buffer, and with the same outcome: what does not fit is dropped, and the listener is told of a
 * gap in its place.
 */
final class Deliveries {
  private record Delivery(Consumer<Listener> what, int bytes) {}

  private final Listener listener;
  private final long limit;
  private final Queue<Delivery> queue = new ConcurrentLinkedQueue<>();
  private final AtomicLong queued = new AtomicLong();

  /** From the first drop until everything queued was delivered. */
  private volatile boolean overflowed;

  /**
   * @param limit bytes of messages that may wait
   */
  Deliveries(Listener listener, long limit) {
    this.listener = listener;
    this.limit = limit;
  }

  /** Adds a message of so many bytes. One thread at a time. */
  void add(int bytes, Consumer<Listener> what) {
    if (overflowed) {
      return;
    }
    if (queued.get() + bytes > limit) {
      overflowed = true;
      queue.add(new Delivery(Listener::gap, 0));
      return;
    }
    queued.addAndGet(bytes);
    queue.add(new Delivery(what, bytes));
  }

  /** Adds a gap. One thread at a time, the same as for {@link #add}. */
  void addGap() {
    if (!overflowed) {
      queue.add(new Delivery(Listener::gap, 0));
    }
  }

  boolean isEmpty() {
    return queue.isEmpty();
  }

  /** Tells the listener everything; for the reader thread only. Returns whether there was any. */
  boolean deliver() {
    boolean any = false;
    for (@Nullable Delivery next = queue.poll(); next != null; next = queue.poll()) {
      queued.addAndGet(-next.bytes);
      if (queue.isEmpty()) {
        // Nothing was added since the drop: what comes from here on is behind the gap.
        overflowed = false;
      }
      any = true;
      next.what.accept(listener);
    }
    return any;
  }
}
