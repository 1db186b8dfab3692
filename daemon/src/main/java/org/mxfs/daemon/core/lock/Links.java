// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Brings messages to the other nodes of a view: each once, in order, whatever happens to the
 * connection, as long as the view lasts.
 *
 * <p>A message is kept until the peer has acknowledged it. What was lost with a connection, or came
 * before the peer had this view, is sent again; the receiver takes the next one in sequence only.
 * Messages of another view are refused: a new view begins with nothing under way.
 */
final class Links {
  private static final long RESEND_MILLIS = 1_000;
  private static final long ACK_MILLIS = 200;
  private static final int ACK_EVERY = 16;

  private static final class Link {
    final Deque<Envelope> kept = new ArrayDeque<>();
    long sent;
    long received;
    int unacknowledged;
    long acknowledgeAt = Long.MAX_VALUE;
    long resendAt = Long.MAX_VALUE;
  }

  private final ReservationKey self;
  private final LockOutbox out;
  private final Set<ReservationKey> connected = new HashSet<>();
  private final Map<ReservationKey, Link> links = new LinkedHashMap<>();
  private final Deque<LockMessage> toSelf = new ArrayDeque<>();
  private @Nullable View view;
  private long refused;

  Links(ReservationKey self, LockOutbox out) {
    this.self = self;
    this.out = out;
  }

  /** Nothing of an earlier view counts any more. */
  void begin(View next) {
    view = next;
    links.clear();
    toSelf.clear();
    for (ReservationKey node : next.nodes()) {
      if (!node.equals(self)) {
        links.put(node, new Link());
      }
    }
  }

  /** What was said under this view and perhaps not heard. */
  List<LockMessage> unheard() {
    List<LockMessage> messages = new ArrayList<>();
    links.values().forEach(link -> link.kept.forEach(e -> messages.add(e.message())));
    return messages;
  }

  boolean isQuiet() {
    return links.values().stream().allMatch(link -> link.kept.isEmpty());
  }

  boolean hasWork() {
    return links.values().stream()
        .anyMatch(link -> !link.kept.isEmpty() || link.unacknowledged > 0);
  }

  /** How much waits for {@code peer}'s acknowledgement. */
  int backlog(ReservationKey peer) {
    Link link = links.get(peer);
    return link == null ? 0 : link.kept.size();
  }

  /** Envelopes that were not taken: of another view, twice, out of order, from strangers. */
  long refused() {
    return refused;
  }

  void send(ReservationKey to, LockMessage message) {
    if (to.equals(self)) {
      toSelf.add(message);
      return;
    }
    Link link = links.get(to);
    if (link == null) {
      return; // of an earlier view: it has nothing here any more
    }
    boolean mayBeLost = message instanceof LockMessage.Ack || message instanceof LockMessage.Probe;
    Envelope envelope = new Envelope(id(), mayBeLost ? 0 : ++link.sent, link.received, message);
    if (!mayBeLost) {
      link.kept.add(envelope);
      link.resendAt = Math.min(link.resendAt, out.now() + RESEND_MILLIS);
    }
    transmit(to, link, envelope);
  }

  boolean hasOwn() {
    return !toSelf.isEmpty();
  }

  /** The next message of this node to itself. */
  @Nullable LockMessage pollOwn() {
    return toSelf.poll();
  }

  /** The message, if it is to be taken. */
  @Nullable LockMessage take(ReservationKey from, Envelope envelope) {
    Link link = links.get(from);
    if (link == null || !envelope.view().equals(id())) {
      refused++;
      return null;
    }
    boolean some = false;
    while (!link.kept.isEmpty() && link.kept.element().sequence() <= envelope.acknowledged()) {
      link.kept.remove();
      some = true;
    }
    if (some) {
      link.resendAt = link.kept.isEmpty() ? Long.MAX_VALUE : out.now() + RESEND_MILLIS;
    }
    if (envelope.sequence() == 0) {
      return envelope.message();
    }
    if (envelope.sequence() != link.received + 1) {
      refused++;
      // Sent again because our acknowledgement was lost, perhaps.
      link.acknowledgeAt = Math.min(link.acknowledgeAt, out.now() + ACK_MILLIS);
      link.unacknowledged = Math.max(link.unacknowledged, 1);
      return null;
    }
    link.received++;
    link.unacknowledged++;
    link.acknowledgeAt = Math.min(link.acknowledgeAt, out.now() + ACK_MILLIS);
    if (envelope.message() instanceof LockMessage.Hello) {
      resend(from, link); // what it could not take before
    }
    return envelope.message();
  }

  void up(ReservationKey peer) {
    connected.add(peer);
    Link link = links.get(peer);
    if (link != null) {
      resend(peer, link);
    }
  }

  void down(ReservationKey peer) {
    connected.remove(peer);
  }

  /** Sends what is due. */
  void endOfStep() {
    links.forEach(
        (peer, link) -> {
          if (link.resendAt <= out.now()) {
            resend(peer, link);
          }
          if (link.unacknowledged >= ACK_EVERY || link.acknowledgeAt <= out.now()) {
            send(peer, new LockMessage.Ack());
          }
        });
  }

  private void resend(ReservationKey to, Link link) {
    link.resendAt = link.kept.isEmpty() ? Long.MAX_VALUE : out.now() + RESEND_MILLIS;
    for (Envelope kept : link.kept) {
      transmit(to, link, new Envelope(kept.view(), kept.sequence(), link.received, kept.message()));
    }
  }

  private void transmit(ReservationKey to, Link link, Envelope envelope) {
    if (connected.contains(to)) {
      out.add(new LockAction.Send(to, envelope));
      link.unacknowledged = 0;
      link.acknowledgeAt = Long.MAX_VALUE;
    }
  }

  private ViewId id() {
    if (view == null) {
      throw new IllegalStateException("no view yet");
    }
    return view.id();
  }
}
