// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.Collection;
import java.util.HashSet;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;

/**
 * Safety alone: this node's key, its tenure of the reservation, the grant it has given, and how old
 * an answer of the array may be. Whatever attaches XFS, registers, unregisters or PREEMPTs is made
 * here, and nowhere else; a call that the rules forbid throws {@link BrokenRule}, which halts the
 * mount.
 *
 * <p><b>The argument.</b> Call a key <em>clean</em> while no grant from it was ever given. Nobody
 * PREEMPTs a key without a grant from it, so once READ RESERVATION has shown a clean key of ours as
 * the holder, it stays so until we ourselves give it away: that is {@link Hold#PROVEN}, and only in
 * it XFS is attached. A grant ends it, and it comes back in two ways only: a fresh key, clean, that
 * the array shows as the holder; or the reservation was seen with another node, and was taken anew.
 * No message of a peer ends a grant.
 *
 * <p><b>Age.</b> An answer says what was so after its question was asked. What this node has done
 * since (given a grant, accepted one, changed its key) may have changed it, so an answer to a
 * question that is older than that is none ({@link #isEvidence}).
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

  /** A grant for our open request: we may PREEMPT this key, and no other. */
  record Permit(ReservationKey victim, long newEpoch) {}

  /** The machine wanted what the rules forbid: a mistake in this program. */
  static final class BrokenRule extends IllegalStateException {
    private static final long serialVersionUID = 1;

    BrokenRule(String message) {
      super(message);
    }
  }

  /** A grant may claim to be so far ahead of the array's own count and no more. */
  private static final long EPOCH_LEAP_MAX = 1 << 16;

  private final int nodeId;
  private ReservationKey key = ReservationKey.NONE;

  /** The key that replaces ours, while the array has not shown whether it did. */
  private ReservationKey next = ReservationKey.NONE;

  /**
   * Keys of this node that were registered before ours: of its dead lives, if nobody has its id.
   */
  private final Set<ReservationKey> dead = new HashSet<>();

  private boolean twin;

  /** The key is an earlier daemon's, and only a new one makes an end to what that left behind. */
  private boolean inherited;

  private boolean registering;
  private boolean solo;
  private boolean xfsHere;
  private boolean departing;
  private Hold hold = Hold.NO;
  private long request;
  private @Nullable Permit permit;
  private long epoch;
  private long tenure;

  /** When the reading was asked for that showed our key as the holder. */
  private long oursAt;

  /** Counts questions and what makes them old. */
  private long ticks;

  private long doubtAt;

  TenureRules(int nodeId) {
    this.nodeId = nodeId;
  }

  /** A copy, for exploring what may happen from here. */
  TenureRules(TenureRules other) {
    nodeId = other.nodeId;
    key = other.key;
    next = other.next;
    dead.addAll(other.dead);
    twin = other.twin;
    inherited = other.inherited;
    registering = other.registering;
    solo = other.solo;
    xfsHere = other.xfsHere;
    departing = other.departing;
    hold = other.hold;
    request = other.request;
    permit = other.permit;
    epoch = other.epoch;
    tenure = other.tenure;
    oursAt = other.oursAt;
    ticks = other.ticks;
    doubtAt = other.doubtAt;
  }

  // ---- what is so ----

  ReservationKey key() {
    return key;
  }

  /** See {@link #replaceKey}; {@link ReservationKey#NONE} when nothing is replaced. */
  ReservationKey next() {
    return next;
  }

  /** A REGISTER may have reached the array: there is something to take back. */
  boolean isRegistering() {
    return registering;
  }

  /** The highest epoch this node has had itself, or its kernel has. */
  long epoch() {
    return epoch;
  }

  /** The epoch of our own tenure; 0: none. */
  long tenure() {
    return tenure;
  }

  Hold hold() {
    return hold;
  }

  @Nullable Permit permit() {
    return permit;
  }

  boolean mayAttach() {
    return !xfsHere && !departing && (solo || hold == Hold.PROVEN);
  }

  boolean mayGrant() {
    return hold == Hold.PROVEN && !xfsHere && !departing;
  }

  // ---- the age of answers ----

  /** A question goes out: when. */
  long ask() {
    return ++ticks;
  }

  /** Whether the answer to a question of then still says something. */
  boolean isEvidence(long askedAt) {
    return askedAt > doubtAt;
  }

  private void doubt() {
    doubtAt = ++ticks;
  }

  // ---- what has become known ----

  void resume(ReservationKey before, long beforeEpoch, boolean xfs) {
    key = before;
    epoch = beforeEpoch;
    xfsHere = xfs;
    // If XFS is not here, the predecessor may have granted the volume with its key.
    inherited = !xfs && !before.isNone();
    hold = inherited ? Hold.GRANTED : Hold.NO;
  }

  void alone() {
    solo = true;
    hold = Hold.NO;
  }

  /** What is registered before we are. */
  void foundRegistered(Collection<ReservationKey> keys) {
    for (ReservationKey other : keys) {
      if (other.nodeId() == nodeId && !other.equals(key)) {
        dead.add(other);
      }
    }
  }

  /** Another machine runs under this node's id: no key with that id is known to be dead. */
  void heardTwin() {
    twin = true;
  }

  boolean isDeadSelf(ReservationKey other) {
    return !twin && dead.contains(other) && !other.equals(key) && !other.equals(next);
  }

  /** The first key of this mount. */
  void choose(ReservationKey fresh) {
    require(fresh.nodeId() == nodeId, "key {} is not this node's", fresh);
    require(!xfsHere && !registering, "key {} is given up while it may be registered", key);
    key = fresh;
  }

  /** From now on our key is to be another one: see {@link #register}. */
  void replaceKey(ReservationKey fresh) {
    require(fresh.nodeId() == nodeId && !fresh.equals(key), "key {} is not a new one", fresh);
    require(!xfsHere, "a new key while XFS may be attached here");
    next = fresh;
  }

  /**
   * The array has shown that our new key is registered, or that the old one is not and the new one
   * is what to register: grants from the old one are void either way.
   */
  void keyIsReplaced() {
    require(!next.isNone(), "no key to replace {}", key);
    key = next;
    next = ReservationKey.NONE;
    inherited = false;
    hold = Hold.NO;
    tenure = 0;
    doubt();
  }

  /** READ RESERVATION shows our key as the holder. */
  void sawOurs(long askedAt) {
    if (isEvidence(askedAt) && hold == Hold.NO) {
      oursAt = askedAt;
    }
  }

  /** Whether a tenure may begin, once READ KEYS has shown our key as well. */
  boolean isOurs() {
    return hold == Hold.NO && oursAt != 0 && isEvidence(oursAt);
  }

  /** READ KEYS shows our key registered once, after {@link #sawOurs}: a tenure begins. */
  void beginTenure(long askedAt, long generation) {
    require(isEvidence(askedAt) && isOurs(), "a tenure on an answer that is too old");
    require(hold == Hold.NO, "a tenure while a grant from {} is out", key);
    long granted = permit == null ? 0 : permit.newEpoch();
    boolean credible = granted <= generation + EPOCH_LEAP_MAX;
    epoch = Math.max(epoch + 1, Math.max(generation, credible ? granted : 0));
    tenure = epoch;
    hold = Hold.PROVEN;
    request = 0;
    permit = null;
  }

  /** A restarted daemon finds its key as the holder and XFS attached, so nothing was granted. */
  void resumeTenure(long askedAt) {
    require(isEvidence(askedAt) && xfsHere && hold == Hold.NO, "nothing to resume");
    tenure = epoch;
    hold = Hold.PROVEN;
  }

  /** READ RESERVATION shows another holder after our grant: our registration went with it. */
  void lost(long askedAt) {
    require(isEvidence(askedAt) && hold == Hold.GRANTED, "lost without a grant");
    require(!inherited, "key {} goes on, with an earlier daemon's commands under way", key);
    tenure = 0;
    hold = Hold.NO;
    doubt();
  }

  /** The kernel speaks of an epoch that an earlier daemon had told it. */
  void inherit(long someEpoch) {
    epoch = Math.max(epoch, someEpoch);
    if (hold == Hold.PROVEN) {
      tenure = epoch;
    }
  }

  /**
   * An attach of an earlier daemon failed, at an epoch not known here: the next needs a new one.
   */
  void endInherited() {
    require(!xfsHere && hold == Hold.PROVEN, "no inherited tenure to end");
    hold = Hold.NO;
    tenure = 0;
    doubt();
  }

  void xfsIsHere() {
    xfsHere = true;
  }

  /** The kernel says that XFS is not mounted. */
  void xfsIsGone() {
    xfsHere = false;
  }

  // ---- requests and grants ----

  /** A request of ours is open: a grant for it may be used. */
  void open(long requestId) {
    request = requestId;
    permit = null;
  }

  /** Closed for ever, unless it has led to a PREEMPT already. */
  void close() {
    request = 0;
    permit = null;
  }

  /** Whether this grant may be used; if so, what was asked before is too old. */
  boolean accept(ReservationKey granter, long requestId, long newEpoch) {
    if (request == 0
        || requestId != request
        || granter.nodeId() == nodeId
        || hold != Hold.NO
        || xfsHere
        || departing
        || newEpoch <= epoch) {
      return false;
    }
    permit = new Permit(granter, newEpoch);
    doubt();
    return true;
  }

  /** Consent: from here on the reservation may move. */
  void grant() {
    require(mayGrant(), "a grant while XFS may be attached here");
    hold = Hold.GRANTED;
    doubt();
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

  /** From {@code old}: none, our key, or a key that a dead life of this node left on our path. */
  ArrayCommand.Register register(ReservationKey old, ReservationKey wanted, boolean aptpl) {
    require(!xfsHere && !departing, "REGISTER while XFS may be attached here");
    require(wanted.equals(key) || wanted.equals(next), "REGISTER of {}, not our key", wanted);
    require(
        old.isNone() || old.equals(key) || (old.nodeId() == nodeId && !twin),
        "REGISTER over {}, which may be another machine's key",
        old);
    require(hold != Hold.PROVEN, "the key of a tenure is replaced");
    registering = true;
    doubt();
    return new ArrayCommand.Register(old, wanted, aptpl);
  }

  ArrayCommand.Unregister unregister(ReservationKey old, boolean aptpl) {
    require(!xfsHere, "unregistering while XFS may be attached here");
    require(old.nodeId() == nodeId, "unregistering another node's key {}", old);
    departing = true;
    hold = Hold.NO;
    doubt();
    return new ArrayCommand.Unregister(old, aptpl);
  }

  ArrayCommand.Reserve reserve() {
    require(!xfsHere && !departing && hold == Hold.NO, "RESERVE in a tenure");
    doubt();
    return new ArrayCommand.Reserve(key);
  }

  /** Of another node's key with its grant; of this node's own dead incarnation without. */
  ArrayCommand.Preempt preempt(ReservationKey victim) {
    require(
        isDeadSelf(victim) || (permit != null && permit.victim().equals(victim)),
        "PREEMPT of {} without its grant",
        victim);
    require(
        !xfsHere && !departing && hold == Hold.NO,
        "PREEMPT of {} while XFS may be attached here",
        victim);
    doubt();
    return new ArrayCommand.Preempt(key, victim);
  }

  /** Removes a registration that a dead incarnation of this node left behind. */
  ArrayCommand.Preempt tidy(ReservationKey leftover) {
    require(isDeadSelf(leftover), "{} is not a dead incarnation of this node", leftover);
    return new ArrayCommand.Preempt(key, leftover);
  }

  // ---- what always holds ----

  /** Checked after every step, in production too. */
  void invariants() {
    require(!xfsHere || hold != Hold.GRANTED, "XFS may be attached while a grant is out");
    require(!xfsHere || !departing, "XFS may be attached while this node unregisters");
    require(!xfsHere || next.isNone(), "XFS may be attached while the key is replaced");
    // An earlier daemon's attach may be under way, at an epoch that the kernel has yet to tell.
    require(
        hold != Hold.PROVEN || tenure != 0 || xfsHere, "the reservation is held without an epoch");
    require(hold == Hold.NO || permit == null, "a permit to PREEMPT in a tenure");
    require(hold == Hold.NO || !solo, "alone, and holder of a reservation");
    require(permit == null || request != 0, "a permit to PREEMPT without an open request");
  }

  /** All that decides what may come, without the counters. */
  @Override
  public String toString() {
    return Outbox.fill(
        "key={} next={} hold={} xfs={} departing={} request={} permit={} ours={} dead={}{}{}{}",
        key,
        next,
        hold,
        xfsHere,
        departing,
        request,
        permit == null ? "none" : permit.victim(),
        isOurs(),
        dead.isEmpty() ? "none" : new TreeSet<>(dead.stream().map(Object::toString).toList()),
        twin ? " twin" : "",
        inherited ? " inherited" : "",
        solo ? " solo" : "");
  }

  private static void require(boolean so, String otherwise, Object... values) {
    if (!so) {
      throw new BrokenRule(Outbox.fill(otherwise, values));
    }
  }
}
