// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.Collection;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.membership.Silence;

/**
 * Safety alone: this node's key, its tenure of the reservation, the grant it has given, and how old
 * an answer of the array may be. Whatever attaches XFS, registers, unregisters or PREEMPTs is made
 * here, and nowhere else; a call that the rules forbid throws {@link BrokenRule}, which halts the
 * mount.
 *
 * <p><b>The argument.</b> Call a key <em>clean</em> while no grant from it was ever given. Nobody
 * PREEMPTs another node's key without a {@link Permit}, a grant from it (or its silence, see
 * below), so once READ RESERVATION has shown a clean key of ours as the holder, it stays so until
 * we ourselves give it away: that is {@link Hold#PROVEN}, and only in it XFS is attached. A grant
 * ends it, and it comes back in two ways only: a fresh key, clean, that the array shows as the
 * holder; or the reservation was seen with another node, and was taken anew. No message of a peer
 * ends a grant.
 *
 * <p><b>Silence.</b> Where takeover is on, there is a second reason to PREEMPT another node's key:
 * a {@link Silence} that is longer than its lease and a margin, so that its kernel serves nothing
 * any more. The victim may be owner still, in its own eyes, with writes under way. So a tenure that
 * no grant has begun is not {@link #settled} at first: until everybody who was shut out is known to
 * have ended, XFS is not attached and the volume is not given away.
 *
 * <p><b>Leaving.</b> Where takeover is on, a node that has left may stay registered, so that the
 * disk stays reserved ({@link #stay}). It attaches never again, and its slot says so: that permits
 * everybody to PREEMPT its key ({@link Permit.Left}).
 *
 * <p><b>Age.</b> An answer says what was so after its question was asked. What this node has done
 * since (given a grant, accepted one, changed its key) may have changed it, so an answer to a
 * question that is older than that is none ({@link #isEvidence}).
 */
final class TenureRules implements Cloneable {
  /** What the array has shown of the reservation, and what was done with it since. */
  enum Hold {
    NO,
    /** It is ours, and nobody may take it. */
    PROVEN,
    /** It was ours, and a grant is out: it may move at any moment. */
    GRANTED
  }

  /** The machine wanted what the rules forbid: a mistake in this program. */
  static final class BrokenRule extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final String pattern;
    private final transient Object[] values;

    /** Without a trace: exploring breaks rules by the million, and the text says which one. */
    BrokenRule(String pattern, Object[] values) {
      super(null, null, false, false);
      this.pattern = pattern;
      this.values = values;
    }

    @Override
    public String getMessage() {
      return Outbox.fill(pattern, values);
    }
  }

  private final int nodeId;

  /** For how long a node must have been silent to be shut out; 0: nobody is. */
  private final long silenceMillis;

  private DeadLives lives;
  private ReservationKey key = ReservationKey.NONE;

  /** The key that replaces ours, while the array has not shown whether it did. */
  private ReservationKey next = ReservationKey.NONE;

  /** The key is an earlier daemon's, and only a new one makes an end to what that left behind. */
  private boolean inherited;

  private boolean solo;
  private boolean xfsHere;
  private boolean departing;
  private Hold hold = Hold.NO;
  private long request;
  private Permit.@Nullable Granted granted;
  private long epoch;
  private long tenure;

  /** When the reading was asked for that showed our key as the holder. */
  private long oursAt;

  /** When the reading was asked for that showed our key and no other; used by one attach. */
  private long aloneAt;

  /**
   * Nobody else was registered when this mount began, nor has been since. Who is merely not seen
   * now may have given the volume away a moment ago, and come back.
   */
  private boolean cameAlone;

  /** Nobody who was shut out has anything under way. */
  private boolean settled;

  /**
   * Since the last tenure a PREEMPT has gone out for a silence: whoever grants now, the reservation
   * may be ours by that.
   */
  private boolean shutOutOne;

  /** Counts questions and what makes them old. */
  private long ticks;

  private long doubtAt;

  TenureRules(int nodeId) {
    this(nodeId, 0);
  }

  TenureRules(int nodeId, long silenceMillis) {
    this.nodeId = nodeId;
    this.silenceMillis = silenceMillis;
    lives = DeadLives.unknown(nodeId);
  }

  /** For exploring what may happen from here: what is not a number is not changed in place. */
  @Override
  public TenureRules clone() {
    try {
      return (TenureRules) super.clone();
    } catch (CloneNotSupportedException impossible) {
      throw new AssertionError(impossible);
    }
  }

  ReservationKey key() {
    return key;
  }

  /** See {@link #replaceKey}; {@link ReservationKey#NONE} when nothing is replaced. */
  ReservationKey next() {
    return next;
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

  Permit.@Nullable Granted granted() {
    return granted;
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

  // ---- the key ----

  void resume(ReservationKey before, long beforeEpoch, boolean xfs) {
    key = before;
    epoch = beforeEpoch;
    xfsHere = xfs;
    // If XFS is not here, the predecessor may have granted the volume with its key.
    inherited = !xfs && !before.isNone();
    hold = inherited ? Hold.GRANTED : Hold.NO;
  }

  /** The device has no reservations. */
  void alone() {
    solo = true;
    hold = Hold.NO;
    settled = false;
  }

  /** What is registered before we are. */
  void foundRegistered(Collection<ReservationKey> keys) {
    lives = lives.found(keys, key);
    cameAlone = key.isNone();
    sawKeys(keys);
  }

  /** READ KEYS has shown these, whatever it was asked for. */
  void sawKeys(Collection<ReservationKey> keys) {
    if (keys.stream().anyMatch(other -> other.nodeId() != nodeId)) {
      forgetAlone();
      cameAlone = false;
    }
  }

  /** That this node is alone was seen too long ago. */
  void forgetAlone() {
    aloneAt = 0;
  }

  void heardTwin() {
    lives = lives.withTwin();
  }

  boolean isDeadSelf(ReservationKey other) {
    return lives.contains(other) && !other.equals(key) && !other.equals(next);
  }

  /** The first key of this mount. */
  void choose(ReservationKey fresh) {
    require(fresh.nodeId() == nodeId, "key {} is not this node's", fresh);
    require(!xfsHere && key.isNone(), "key {} is given up while it may be registered", key);
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
    endTenure();
  }

  // ---- tenure ----

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

  /**
   * READ KEYS shows our key registered once, after {@link #sawOurs}: a tenure begins. Where others
   * may be shut out READ RESERVATION has shown our key once more after that: so the keys, and
   * PRGENERATION with them, are of a moment in which nobody else held it, and no two tenures are
   * begun on the same one.
   *
   * @param askedAt when READ KEYS was asked for
   * @param alone whether it shows no other key; believed where this mount has never seen one
   */
  void beginTenure(long askedAt, long newEpoch, boolean alone) {
    require(isEvidence(askedAt) && isOurs(), "a tenure on an answer that is too old");
    require(
        silenceMillis == 0 || oursAt > askedAt,
        "a tenure on keys that the reservation was not seen to be ours after");
    require(newEpoch > epoch, "a tenure of epoch {} after {}", newEpoch, epoch);
    epoch = newEpoch;
    tenure = epoch;
    hold = Hold.PROVEN;
    aloneAt = alone && cameAlone ? askedAt : 0;
    // Who has granted it was settled.
    settled = silenceMillis == 0 || (granted != null && !shutOutOne);
    shutOutOne = false;
    close();
  }

  /** The same, only to leave: it neither attaches nor grants, and beats no more. */
  void beginLastTenure(long askedAt, long newEpoch) {
    require(isEvidence(askedAt) && isOurs(), "a tenure on an answer that is too old");
    require(newEpoch > epoch && !xfsHere, "a last tenure of epoch {} after {}", newEpoch, epoch);
    departing = true;
    epoch = newEpoch;
    tenure = epoch;
    hold = Hold.PROVEN;
    close();
  }

  /** A restarted daemon finds its key as the holder and XFS attached, so nothing was granted. */
  void resumeTenure(long askedAt) {
    require(isEvidence(askedAt) && xfsHere && hold == Hold.NO, "nothing to resume");
    tenure = epoch;
    hold = Hold.PROVEN;
    settled = true;
  }

  boolean isSettled() {
    return settled;
  }

  /** Whether a tenure needs a second look at the reservation: see {@link #beginTenure}. */
  boolean looksTwice() {
    return silenceMillis != 0;
  }

  /** XFS may be mounted here, as far as the kernel has said. */
  boolean mayHaveXfs() {
    return xfsHere;
  }

  /**
   * Somebody who was shut out is registered again, and what it has sent since may be under way: a
   * next attach, or grant, waits for the end of that.
   */
  void unsettle() {
    require(hold == Hold.PROVEN, "nothing to be settled");
    settled = false;
  }

  /** Everybody who was shut out of the disk is known to have ended; see {@link Takeover}. */
  void settled() {
    require(hold == Hold.PROVEN && !xfsHere, "settled without a tenure");
    settled = true;
  }

  /** READ RESERVATION shows another holder after our grant: our registration went with it. */
  void lost(long askedAt) {
    require(isEvidence(askedAt) && hold == Hold.GRANTED, "lost without a grant");
    require(!inherited, "key {} goes on, with an earlier daemon's commands under way", key);
    endTenure();
  }

  /** The kernel speaks of an epoch that an earlier daemon had told it. */
  void inherit(long someEpoch) {
    epoch = Math.max(epoch, someEpoch);
    if (hold == Hold.PROVEN) {
      tenure = epoch;
    }
  }

  /**
   * An attach of an earlier daemon failed, at an epoch not known here; or a higher epoch than ours
   * is on disk: a new one is needed.
   */
  void beginAnew() {
    require(!xfsHere && hold == Hold.PROVEN, "no tenure to begin anew");
    endTenure();
  }

  private void endTenure() {
    hold = Hold.NO;
    tenure = 0;
    aloneAt = 0;
    settled = false;
    doubt();
  }

  /** Whether XFS may be mounted here, as far as the kernel has said. */
  void xfs(boolean here) {
    xfsHere = here;
  }

  // ---- requests and grants ----

  /** A request of ours is open: a grant for it may be used. */
  void open(long requestId) {
    request = requestId;
    granted = null;
  }

  /** Closed for ever, unless it has led to a PREEMPT already. */
  void close() {
    open(0);
  }

  /** What a grant permits; if anything, what was asked before is too old. Null: nothing. */
  Permit.@Nullable Granted accept(ReservationKey granter, long requestId, long newEpoch) {
    boolean fits = request != 0 && requestId == request && granter.nodeId() != nodeId;
    if (!fits || hold != Hold.NO || xfsHere || departing || newEpoch <= epoch) {
      return null;
    }
    doubt();
    cameAlone = false;
    granted = new Permit.Granted(granter, requestId, newEpoch);
    return granted;
  }

  boolean mayGrant() {
    return hold == Hold.PROVEN && !xfsHere && !departing && settled;
  }

  /** Consent: from here on the reservation may move. */
  void grant() {
    require(mayGrant(), "a grant while XFS may be attached here");
    hold = Hold.GRANTED;
    cameAlone = false;
    settled = false;
    doubt();
  }

  // ---- what may be done ----

  Action.Attach attach() {
    require(
        !xfsHere && !departing && (solo || hold == Hold.PROVEN),
        "ATTACH while the reservation is not known to be ours");
    require(solo || settled, "ATTACH while who was shut out may have writes under way");
    if (solo && tenure == 0) {
      tenure = ++epoch;
    }
    boolean alone = aloneAt != 0 && isEvidence(aloneAt);
    aloneAt = 0;
    xfsHere = true;
    return new Action.Attach(tenure, alone);
  }

  /** From {@code old}: none, our key, or a key that a dead life of this node left on our path. */
  ArrayCommand.Register register(ReservationKey old, ReservationKey wanted, boolean aptpl) {
    require(!xfsHere && !departing, "REGISTER while XFS may be attached here");
    require(wanted.equals(key) || wanted.equals(next), "REGISTER of {}, not our key", wanted);
    require(
        old.isNone() || old.equals(key) || lives.mayOverwrite(old),
        "REGISTER over {}, which may be another machine's key",
        old);
    require(hold != Hold.PROVEN, "the key of a tenure is replaced");
    doubt();
    return new ArrayCommand.Register(old, wanted, aptpl);
  }

  ArrayCommand.Unregister unregister(ReservationKey old, boolean aptpl) {
    require(!xfsHere, "unregistering while XFS may be attached here");
    require(old.nodeId() == nodeId, "unregistering another node's key {}", old);
    departing = true;
    hold = Hold.NO;
    settled = false;
    doubt();
    return new ArrayCommand.Unregister(old, aptpl);
  }

  /**
   * This node ends and stays registered, to keep the disk reserved: from here on others may take
   * the reservation, as its slot will say.
   */
  void stay() {
    require(!xfsHere, "staying registered while XFS may be attached here");
    departing = true;
    doubt();
  }

  ArrayCommand.Reserve reserve() {
    require(!xfsHere && !departing && hold == Hold.NO, "RESERVE in a tenure");
    doubt();
    return new ArrayCommand.Reserve(key);
  }

  /** Takes the reservation from the victim. */
  ArrayCommand.Preempt preempt(Permit permit) {
    boolean holds =
        switch (permit) {
          case Permit.Granted grant -> grant.equals(granted);
          case Permit.DeadLife dead -> isDeadSelf(dead.victim());
          case Permit.Silent silent -> isSilent(silent);
          case Permit.Left left -> silenceMillis != 0 && left.victim().nodeId() != nodeId;
          case Permit.ShutOut shutOut -> isShutOut(shutOut);
        };
    require(holds, "PREEMPT with {}, which does not hold", permit);
    require(!xfsHere && !departing && hold == Hold.NO, "PREEMPT ({}) in a tenure", permit);
    shutOutOne |= permit instanceof Permit.Silent || permit instanceof Permit.ShutOut;
    doubt();
    return new ArrayCommand.Preempt(key, permit.victim());
  }

  private boolean isSilent(Permit.Silent permit) {
    ReservationKey silent = permit.proof().key();
    ReservationKey victim = permit.victim();
    return silenceMillis != 0
        && permit.proof().millis() >= silenceMillis
        && silent.nodeId() != nodeId
        && victim.nodeId() == silent.nodeId()
        && victim.incarnation() <= silent.incarnation();
  }

  private boolean isShutOut(Permit.ShutOut permit) {
    return silenceMillis != 0
        && isAnotherLife(permit.proof().key())
        && permit.proof().writesBy(permit.victim());
  }

  /** Of this node it is an earlier one: a kernel mounts a device once, so that one is over. */
  private boolean isAnotherLife(ReservationKey other) {
    return other.nodeId() != nodeId || other.incarnation() < key.incarnation();
  }

  /**
   * In a tenure that is not settled: shuts out who has nothing of the reservation any more. Beside
   * XFS, too, who was shut out before and is registered again.
   */
  ArrayCommand.Preempt shutOut(Permit permit) {
    boolean holds =
        switch (permit) {
          case Permit.Silent silent -> !xfsHere && isSilent(silent);
          case Permit.ShutOut shutOut -> isShutOut(shutOut);
          case Permit.Granted _, Permit.DeadLife _, Permit.Left _ -> false;
        };
    require(hold == Hold.PROVEN && !settled, "shutting out in a tenure that is settled");
    require(holds, "PREEMPT with {}, which does not hold", permit);
    return new ArrayCommand.Preempt(key, permit.victim());
  }

  /** Removes a registration that a dead incarnation of this node left behind. */
  ArrayCommand.Preempt tidy(Permit.DeadLife dead) {
    require(isDeadSelf(dead.victim()), "{} does not hold", dead);
    return new ArrayCommand.Preempt(key, dead.victim());
  }

  // ---- what always holds ----

  /** Checked after every step, in production too. */
  void invariants() {
    require(!xfsHere || hold != Hold.GRANTED, "XFS may be attached while a grant is out");
    require(!xfsHere || !departing, "XFS may be attached while this node unregisters");
    require(hold == Hold.PROVEN || !settled, "settled without a tenure");
    require(!xfsHere || next.isNone(), "XFS may be attached while the key is replaced");
    // An earlier daemon's attach may be under way, at an epoch that the kernel has yet to tell.
    require(hold != Hold.PROVEN || tenure != 0 || xfsHere, "a tenure without an epoch");
    require(hold == Hold.NO || granted == null, "a permit to PREEMPT in a tenure");
    require(hold == Hold.NO || !solo, "alone, and holder of a reservation");
    require(granted == null || request != 0, "a permit to PREEMPT without an open request");
  }

  /** All that decides what may come, without the counters; {@code code} has 4 bits for a key. */
  long digest(ToIntFunction<ReservationKey> code) {
    long bits = lives.digest(code);
    bits = bits << 4 | code.applyAsInt(key);
    bits = bits << 4 | code.applyAsInt(next);
    bits = bits << 4 | (granted == null ? 0 : code.applyAsInt(granted.victim()));
    bits = bits << 4 | request;
    bits = bits << 1 | (hold == Hold.PROVEN ? 1 : 0);
    bits = bits << 1 | (hold == Hold.GRANTED ? 1 : 0);
    bits = bits << 1 | (xfsHere ? 1 : 0);
    bits = bits << 1 | (departing ? 1 : 0);
    bits = bits << 1 | (inherited ? 1 : 0);
    bits = bits << 1 | (solo ? 1 : 0);
    bits = bits << 1 | (settled ? 1 : 0);
    bits = bits << 1 | (shutOutOne ? 1 : 0);
    return bits << 1 | (isOurs() ? 1 : 0);
  }

  @Override
  public String toString() {
    return Outbox.fill(
        "key={} next={} hold={} xfs={} request={} granted={} ours={} dead={}{}{}{}",
        key,
        next,
        hold,
        xfsHere,
        request,
        granted == null ? "none" : granted.victim(),
        isOurs(),
        lives,
        inherited ? " inherited" : "",
        departing ? " departing" : "",
        solo ? " solo" : "");
  }

  private static void require(boolean so, String otherwise, Object... values) {
    if (!so) {
      throw new BrokenRule(otherwise, values);
    }
  }
}
