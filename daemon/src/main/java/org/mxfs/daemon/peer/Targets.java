// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Where nodes say that they can be reached, as heard by UDP, which anybody can say in anybody's
 * name. So one node may have several addresses here, and none of them pushes another aside: each is
 * tried, the ones that answered a handshake first, then those that failed least, then those heard
 * last. The table is bounded, in all and for each address that announces; what answered a handshake
 * is never put out for what did not.
 *
 * <p>Not thread-safe; times are of {@link System#nanoTime}.
 */
final class Targets {
  static final int MAX = 256;
  static final int PER_ADDRESS_MAX = 8;

  /** A node that was not heard for so long is not dialled. */
  static final long FORGET_NANOS = TimeUnit.SECONDS.toNanos(10);

  static final long REDIAL_NANOS = TimeUnit.MILLISECONDS.toNanos(500);
  private static final int DOUBLINGS_MAX = 2;

  /** One node at one address. */
  static final class Target {
    final int nodeId;
    final InetSocketAddress address;
    private String host;
    private long heardAt;
    private long dueAt;
    private int failures;
    private boolean verified;
    private boolean busy;

    private Target(int nodeId, InetSocketAddress address, String host, long now) {
      this.nodeId = nodeId;
      this.address = address;
      this.host = host;
      heardAt = now;
      dueAt = now;
    }

    String host() {
      return host;
    }
  }

  private final List<Target> targets = new ArrayList<>();

  /** Returns whether there is something to dial that was not there before. */
  boolean heard(int nodeId, InetSocketAddress address, String host, long now) {
    forget(now);
    Target known = find(nodeId, address);
    if (known != null) {
      known.heardAt = now;
      known.host = host;
      return false;
    }
    InetAddress from = address.getAddress();
    List<Target> same = targets.stream().filter(t -> t.address.getAddress().equals(from)).toList();
    if (same.size() >= PER_ADDRESS_MAX && !evict(same)) {
      return false;
    }
    if (targets.size() >= MAX && !evict(targets)) {
      return false;
    }
    targets.add(new Target(nodeId, address, host, now));
    return true;
  }

  /** Puts out the one that was heard longest ago of those that never answered. */
  private boolean evict(List<Target> among) {
    Target oldest =
        among.stream()
            .filter(t -> !t.verified && !t.busy)
            .min(Comparator.comparingLong(t -> t.heardAt))
            .orElse(null);
    return oldest != null && targets.remove(oldest);
  }

  private void forget(long now) {
    targets.removeIf(t -> !t.busy && now - t.heardAt > FORGET_NANOS);
  }

  private @Nullable Target find(int nodeId, InetSocketAddress address) {
    for (Target each : targets) {
      if (each.nodeId == nodeId && each.address.equals(address)) {
        return each;
      }
    }
    return null;
  }

  /** Whom to dial now, or null; to be given back with {@link #ended}. */
  @Nullable Target next(IntPredicate connected, long now) {
    forget(now);
    Target best =
        targets.stream()
            .filter(t -> t.dueAt - now <= 0 && isFree(t, connected))
            .min(
                Comparator.comparing((Target t) -> !t.verified)
                    .thenComparingInt(t -> t.failures)
                    .thenComparingLong(t -> now - t.heardAt))
            .orElse(null);
    if (best != null) {
      best.busy = true;
    }
    return best;
  }

  private boolean isFree(Target target, IntPredicate connected) {
    return !connected.test(target.nodeId)
        && targets.stream().noneMatch(t -> t.busy && t.nodeId == target.nodeId);
  }

  /** Nanoseconds until somebody may be due; {@link Long#MAX_VALUE} when there is nobody. */
  long untilDue(long now) {
    return targets.stream()
        .filter(t -> !t.busy)
        .mapToLong(t -> Math.max(0, t.dueAt - now))
        .min()
        .orElse(Long.MAX_VALUE);
  }

  /**
   * The attempt, or the connection that came of it, is over.
   *
   * @param answered whether the handshake was completed by the node that was meant
   * @return whether this is its first failure since it answered or was heard first
   */
  boolean ended(Target target, boolean answered, long now) {
    target.busy = false;
    target.verified = answered;
    target.failures = answered ? 0 : target.failures + 1;
    target.dueAt =
        now + (REDIAL_NANOS << Math.min(DOUBLINGS_MAX, Math.max(0, target.failures - 1)));
    return target.failures == 1;
  }

  int size() {
    return targets.size();
  }
}
