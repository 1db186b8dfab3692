// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Safety alone: this node's key, its tenure of the reservation, and the grant it has given.
 * Whatever attaches XFS, registers, unregisters or PREEMPTs is made here, and nowhere else; a call
 * that the rules forbid throws {@link BrokenRule}, which halts the mount.
 */
final class TenureRules {
  /** What the array has shown of the reservation, and what was done with it since. */
  enum Hold {
    NO,
    /** It is ours, and nobody may take it. */
    PROVEN,
    /** It was ours, and a grant is out: it may move at any moment. */
    GRANTED
  }

  /** The machine wanted what the rules forbid: a mistake in this program. */
  static final class BrokenRule extends IllegalStateException {
    private static final long serialVersionUID = 1;

    BrokenRule(String message) {
      super(message);
    }
  }

  private final int nodeId;
  private ReservationKey key = ReservationKey.NONE;
  private boolean registering;
  private boolean solo;
  private boolean xfsHere;
  private Hold hold = Hold.NO;
  private long epoch;
  private long tenure;
  private long tenureRequest;

  TenureRules(int nodeId) {
    this.nodeId = nodeId;
  }

  // ---- what is so ----

  ReservationKey key() {
    return key;
  }

  /** A REGISTER may have reached the array: there is something to take back. */
  boolean isRegistering() {
    return registering;
  }

  /** Highest epoch known. */
  long epoch() {
    return epoch;
  }

  /** The epoch of our own tenure; 0: none. */
  long tenure() {
    return tenure;
  }

  /** The request by which we came to hold the reservation; 0: by none. */
  long tenureRequest() {
    return tenureRequest;
  }

  boolean mayAttach() {
    return !xfsHere && (solo || hold == Hold.PROVEN);
  }

  // ---- what has become known ----

  void resume(ReservationKey before, long beforeEpoch, boolean xfs) {
    key = before;
    epoch = beforeEpoch;
    xfsHere = xfs;
  }

  void alone() {
    solo = true;
  }

  void choose(ReservationKey fresh) {
    require(fresh.nodeId() == nodeId, "key {} is not this node's", fresh);
    key = fresh;
  }

  void heardOf(long someEpoch) {
    epoch = Math.max(epoch, someEpoch);
  }

  /** READ RESERVATION shows our key as the holder. */
  void holds(long request) {
    tenureRequest = request;
  }

  /** READ KEYS shows our registration beside it: a tenure begins, or goes on. */
  void beginTenure(long generation) {
    epoch = Math.max(epoch + 1, generation);
    tenure = epoch;
    hold = Hold.PROVEN;
  }

  /** A restarted daemon finds its key as the holder and XFS attached. */
  void resumeTenure() {
    tenure = epoch;
    hold = Hold.PROVEN;
  }

  /** READ RESERVATION shows another holder, or our new key is not known yet. */
  void lost() {
    tenure = 0;
    hold = Hold.NO;
  }

  /** The grantee will not use its grant, and the array still shows our key. */
  void declined() {
    require(hold == Hold.GRANTED, "no grant is out that could be declined");
    hold = Hold.PROVEN;
  }

  void xfsIsHere() {
    xfsHere = true;
  }

  /** The kernel says that XFS is not mounted. */
  void xfsIsGone() {
    xfsHere = false;
  }

  // ---- what may be done ----

  Action.Attach attach() {
    require(mayAttach(), "ATTACH while the reservation is not known to be ours");
    if (solo && tenure == 0) {
      epoch++;
      tenure = epoch;
    }
    xfsHere = true;
    return new Action.Attach(tenure);
  }

  /** Consent: from here on the reservation may move. */
  void grant() {
    require(hold == Hold.PROVEN && !xfsHere, "a grant while XFS may be attached here");
    hold = Hold.GRANTED;
  }

  ArrayCommand.Register register(ReservationKey wanted, boolean aptpl) {
    require(!xfsHere, "REGISTER while XFS may be attached here");
    registering = true;
    return new ArrayCommand.Register(wanted, aptpl);
  }

  ArrayCommand.Unregister unregister(boolean aptpl) {
    require(!xfsHere, "unregistering while XFS may be attached here");
    hold = Hold.NO;
    return new ArrayCommand.Unregister(key, aptpl);
  }

  ArrayCommand.Preempt preempt(ReservationKey victim) {
    require(!xfsHere, "PREEMPT of {} while XFS may be attached here", victim);
    return new ArrayCommand.Preempt(key, victim);
  }

  /** Removes a registration that a dead incarnation of this node left behind. */
  ArrayCommand.Preempt tidy(ReservationKey leftover) {
    require(
        leftover.nodeId() == nodeId && !leftover.equals(key),
        "{} is not a dead incarnation of this node",
        leftover);
    return new ArrayCommand.Preempt(key, leftover);
  }

  // ---- what always holds ----

  /** Checked after every step, in production too. */
  void invariants() {
    require(
        !xfsHere || solo || hold != Hold.GRANTED, "XFS may be attached while a grant of it is out");
    require(hold == Hold.NO || tenure != 0, "the reservation is held without an epoch");
    require(!solo || hold == Hold.NO, "alone, and holder of a reservation");
  }

  private static void require(boolean so, String otherwise, Object... values) {
    if (!so) {
      throw new BrokenRule(Outbox.fill(otherwise, values));
    }
  }
}
