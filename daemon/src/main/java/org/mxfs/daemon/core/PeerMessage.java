// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import java.util.List;

/**
 * What daemons of one volume say to each other about ownership. The sender's key and the highest
 * epoch it knows go with every message (see the frame header in {@code org.mxfs.daemon.peer.Wire}).
 *
 * <p>The network may lose, delay, repeat and reorder all of them: no safety rests on any message
 * but the grant, and a grant is good for one request id and one key of the granter only. That a
 * request was declined, or that a node left, is a hint like the epoch in the header: the granter
 * makes its grant void by a new key.
 */
public sealed interface PeerMessage {
  /** "I want the volume." Repeated until the requester has it or gives up. */
  record OwnRequest(long requestId) implements PeerMessage {}

  /**
   * "XFS is detached here; take the reservation from the key that sends this." Good only for the
   * request it names, and only while that key holds the reservation.
   *
   * @param newEpoch the epoch the new owner starts at, or a higher one
   * @param detachMillis how long the granter took to detach XFS, for the requester's log line
   * @param waiters who waits after the grantee, in order
   */
  record OwnGrant(long requestId, long newEpoch, int detachMillis, List<Waiter> waiters)
      implements PeerMessage {
    public static final int WAITERS_MAX = 64;

    public OwnGrant {
      waiters = List.copyOf(waiters);
      if (waiters.size() > WAITERS_MAX) {
        throw new IllegalArgumentException(
            waiters.size() + " waiters in a grant, at most " + WAITERS_MAX + " fit");
      }
    }
  }

  /** "The reservation is mine now": to everybody; a hint, the array is the truth. */
  record OwnTaken(long epoch) implements PeerMessage {}

  /** "I will not take the volume with this request, now or later." */
  record OwnDecline(long requestId) implements PeerMessage {}

  /** "Not mine": with the holder's key as the sender knows it, or {@link ReservationKey#NONE}. */
  record OwnRedirect(long requestId, ReservationKey holder) implements PeerMessage {}

  /** "I own it and cannot give it up now", with the reason. Ask again later. */
  record OwnBusy(long requestId, String message) implements PeerMessage {}

  /**
   * "My registration is gone from the array and I am leaving." Sent only with the array's proof;
   * who hears it takes a grant back, and never believes it.
   */
  record Leave() implements PeerMessage {}
}
