// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Who has the XFS of the volume mounted: this node's side of it, as a pure state machine.
 *
 * <p><b>The rule.</b> At any instant at most one node has the XFS of a volume attached. The storage
 * array decides which: the holder of the reservation. So this machine asks the kernel to attach
 * only while it knows that its own key holds the reservation and that nobody may take it away
 * without asking.
 *
 * <p><b>Failure model.</b> The network may lose, delay, repeat and reorder messages, or be cut. A
 * node may stop at any point, or lose its daemon and get a new one. A command to the array may end
 * without saying whether it took effect; it is over, though, when the next command on the same path
 * is answered (the kernel's error handler aborts it before SG_IO returns). The array itself is
 * atomic and remembers.
 *
 * <p><b>Consent.</b> The reservation moves by PREEMPT, which needs the victim's key and no
 * cooperation; so all safety lies in who PREEMPTs when. A node PREEMPTs another node's key only
 * with a grant from that key, for a request of its own that is still open. The granter has detached
 * XFS before it grants and attaches again only after one of:
 *
 * <ul>
 *   <li>the grantee declined that request for ever, and the array still shows the granter's key;
 *   <li>the granter registered a <em>new</em> key and the array shows that one as the holder: a
 *       PREEMPT that names the old key now meets RESERVATION CONFLICT (SPC-4 5.13.11.2.3), so the
 *       grant is void wherever it is;
 *   <li>it took the reservation anew, with a grant from its holder.
 * </ul>
 *
 * A restarted daemon does not know what its predecessor granted. If it finds its key as the holder
 * and XFS detached, it takes the second way.
 *
 * <p><b>Epochs.</b> Every tenure of the reservation has an epoch, larger than every earlier one.
 * Until the epoch is on disk (the lock state file brings that) it is the larger of the highest
 * epoch heard of plus one, and the array's PRGENERATION read while holding the reservation: between
 * two tenures lies at least one PREEMPT or unregistration, and each of those counts it up. An array
 * that restarts its count has forgotten all registrations too, which ends every mount.
 *
 * <p><b>The lease.</b> The kernel lets operations start only for so long after READ KEYS has shown
 * our key (and, for the owner, READ RESERVATION our reservation). This stands in for the heartbeat
 * on disk, which a later version brings.
 */
public final class Ownership {
  private static final int TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5;
  private static final int TRANSITIONS_MAX = 16;
  private static final int TAKE_ATTEMPTS_MAX = 5;

  /** Where the machine stands with the array. The kernel's state is kept apart from it. */
  private sealed interface Phase {
    record New() implements Phase {}

    record Starting(StartStep step) implements Phase {}

    /** The device has no reservations: this node alone. */
    record Solo() implements Phase {}

    /** Registered; somebody else holds the reservation, or nobody. */
    record Member() implements Phase {}

    /** Trying RESERVE, since there is no reservation. */
    record Reserving() implements Phase {}

    /** Taking the reservation from {@code victim}: read, PREEMPT, read. */
    record Taking(ReservationKey victim, long requestId, TakeStep step, int attempts)
        implements Phase {}

    /** READ RESERVATION has just shown our key; READ KEYS gives the epoch. */
    record Confirming() implements Phase {}

    /** The reservation is ours, and no grant is out. */
    record Holding() implements Phase {}

    /** XFS is detached, a grant is out: the reservation may move at any moment. */
    record Consented(Waiter grantee, long since, boolean declined) implements Phase {}

    /** Making a grant void by changing our key. */
    record Withdrawing(ReservationKey fresh, boolean registered) implements Phase {}

    /** The reservation moved with our consent, our registration with it: register again. */
    record Rejoining(boolean registered) implements Phase {}

    record Departing(Departure why, DepartStep step, long deadline) implements Phase {}

    record Gone() implements Phase {}
  }

  private enum StartStep {
    CAPABILITIES,
    KEYS,
    REGISTER,
    REGISTERED,
    RESUME
  }

  private enum TakeStep {
    CHECK,
    PREEMPT,
    VERIFY
  }

  private enum DepartStep {
    UNREGISTER,
    VERIFY
  }

  private sealed interface Departure {
    record Umount() implements Departure {}

    record Failure(Errno errno, String message) implements Departure {}
  }

  private enum Check {
    NONE,
    KEYS,
    RESERVATION,
    /** PREEMPT of a key that a dead incarnation of this node left behind. */
    TIDY
  }

  private final OwnershipSettings settings;

  private Phase phase = new Phase.New();
  private KernelState kernel = KernelState.DETACHED;
  private Predecessor predecessor = Predecessor.NOBODY;
  private ReservationKey key = ReservationKey.NONE;
  private boolean aptpl;

  /** A REGISTER may have reached the array: there is something to take back. */
  private boolean registering;

  /** Highest epoch heard of, and the epoch of our own tenure (0: none). */
  private long epoch;

  private long tenure;

  private ReservationKey holder = ReservationKey.NONE;
  private int holderType;
  private long readDue;
  private boolean reread;

  private boolean ready;
  private boolean leaving;
  private long leaveSince;

  /** Our own wish for the volume. */
  private boolean want;

  private long wantSince;
  private long requestId;
  private long nextRequestId;
  private long requestDue;

  /** As the holder: who waits, first come first served, one entry a node. */
  private final List<Waiter> queue = new ArrayList<>();

  private boolean ownTurn;
  private long attachDue;
  private long detachDue;
  private long grantDue;
  private int detachMillis;

  private final Map<Integer, ReservationKey> peers = new TreeMap<>();
  private final Map<Integer, String> heard = new TreeMap<>();

  private @Nullable ArrayCommand pending;

  /** The phase went on while the command was under way: its answer says nothing to the new one. */
  private boolean dropAnswer;

  private Check check = Check.NONE;
  private List<ReservationKey> checkedKeys = List.of();
  private final Set<ReservationKey> tidied = new LinkedHashSet<>();
  private ReservationKey leftover = ReservationKey.NONE;
  private boolean checkNow;
  private long checkDue;
  private long checkIssued;
  private long retryDue;
  private int errors;

  /** For the hand-over's log line. */
  private ReservationKey takenFrom = ReservationKey.NONE;

  private long grantedAt;
  private long preemptedAt;
  private int fromDetachMillis;
  private boolean unreachableNoted;

  private long startedAt;
  private long now;
  private long wake = Long.MAX_VALUE;
  private List<Action> actions = new ArrayList<>();

  public Ownership(OwnershipSettings settings) {
    this.settings = settings;
    this.nextRequestId = settings.firstRequestId();
  }

  /** The key this node registers, {@link ReservationKey#NONE} before it has one. */
  public ReservationKey key() {
    return key;
  }

  /** The highest epoch heard of: goes with every message. */
  public long epoch() {
    return epoch;
  }

  /** When to send {@link Event.Tick} at the latest; {@link Long#MAX_VALUE} for never. */
  public long deadline() {
    return wake;
  }

  /** True once the daemon's work is done. */
  public boolean isGone() {
    return phase instanceof Phase.Gone;
  }

  /**
   * Takes one event and says what to do.
   *
   * @param now milliseconds on any clock that never runs backwards
   */
  public List<Action> step(Event event, long now) {
    if (now < this.now) {
      throw new IllegalArgumentException("time runs backwards: " + this.now + " to " + now);
    }
    this.now = now;
    actions = new ArrayList<>();
    if (!isGone()) {
      take(event);
      advance();
    }
    return List.copyOf(actions);
  }

  private void take(Event event) {
    switch (event) {
      case Event.Start start -> onStart(start.predecessor());
      case Event.Tick _ -> {}
      case Event.Answered answered -> onAnswer(answered.answer());
      case Event.UnitAttention attention -> onUnitAttention(attention.name());
      case Event.Want _ -> onWant();
      case Event.Attached attached -> onAttached(attached);
      case Event.Detached detached -> onDetached(detached);
      case Event.Leave _ -> onLeave();
      case Event.Heard seen -> onHeard(seen);
      case Event.Collision collision -> onCollision(collision.text());
      case Event.PeerUp up -> onPeerUp(up.key(), up.epoch());
      case Event.PeerDown down -> {
        peers.remove(down.nodeId());
        queue.removeIf(w -> w.nodeId() == down.nodeId());
      }
      case Event.Received received -> onMessage(received);
    }
  }

  // ---- events of the kernel, discovery and the peers ----

  private void onStart(Predecessor before) {
    if (!(phase instanceof Phase.New)) {
      throw new IllegalStateException("started twice");
    }
    startedAt = now;
    predecessor = before;
    key = before.key();
    epoch = before.epoch();
    kernel = before.kernel();
    if (before.ready() && before.wanting()) {
      onWant();
    }
    if (kernel == KernelState.DEAD) {
      note(
          Action.Level.ERROR, "this mount is dead already: nothing to resume, only umount is left");
      gone();
      return;
    }
    phase = new Phase.Starting(StartStep.CAPABILITIES);
    if (before.leaving()) {
      onLeave();
    }
  }

  private void onWant() {
    if (!want && kernel != KernelState.ATTACHED) {
      want = true;
      wantSince = now;
      if (phase instanceof Phase.Member) {
        readDue = now;
      }
    }
  }

  private void onAttached(Event.Attached event) {
    if (kernel != KernelState.ATTACHING) {
      onUnexpectedAttached(event);
      return;
    }
    long attachMillis = event.nanos() / 1_000_000;
    ownTurn = false;
    if (event.errno() == 0) {
      kernel = KernelState.ATTACHED;
      want = false;
      noteTaken(attachMillis);
      return;
    }
    kernel = KernelState.DETACHED;
    attachDue = now + OwnershipSettings.BUSY_MILLIS;
    String text =
        fill(
            "XFS of {} could not be attached at epoch {}: errno {}{}",
            settings.device(),
            event.epoch(),
            event.errno(),
            (event.message().isEmpty() ? "" : " (" + event.message() + ")"));
    note(Action.Level.ERROR, text);
    if (!ready && !predecessor.ready()) {
      fail(Errno.EIO, text);
    }
  }

  /**
   * XFS was attached without our asking: a command of an earlier daemon that began after HELLO had
   * told us the state. Harmless while we hold the reservation and no grant is out.
   */
  private void onUnexpectedAttached(Event.Attached event) {
    if (event.errno() != 0 || kernel == KernelState.ATTACHED) {
      note(
          Action.Level.INFO,
          "EV_ATTACHED epoch={} errno={} in state {}",
          event.epoch(),
          event.errno(),
          kernel);
      return;
    }
    if (leaving || phase instanceof Phase.Solo || phase instanceof Phase.Holding) {
      kernel = leaving ? KernelState.DETACHED : KernelState.ATTACHED;
      return;
    }
    fenced(
        fill(
            "XFS was attached at epoch {} when this node was not sure to own the volume ({})",
            event.epoch(),
            phase));
  }

  private void noteTaken(long attachMillis) {
    if (takenFrom.isNone()) {
      return;
    }
    note(
        Action.Level.INFO,
        "handover from={} to={} epoch={} wait_ms={} detach_ms={} preempt_ms={} attach_ms={}"
            + " total_ms={}",
        takenFrom.nodeName(),
        key.nodeName(),
        tenure,
        (grantedAt - wantSince),
        fromDetachMillis,
        (preemptedAt - grantedAt),
        attachMillis,
        (now - wantSince));
    takenFrom = ReservationKey.NONE;
  }

  private void onDetached(Event.Detached event) {
    if (kernel != KernelState.DETACHING) {
      // An earlier daemon asked for it; what the kernel says is so.
      note(
          Action.Level.INFO,
          "EV_DETACHED epoch={} errno={} in state {}",
          event.epoch(),
          event.errno(),
          kernel);
      if (kernel == KernelState.ATTACHED && event.errno() == 0) {
        kernel = KernelState.DETACHED;
      }
      return;
    }
    if (event.errno() == 0) {
      kernel = KernelState.DETACHED;
      detachMillis = (int) Math.min(Integer.MAX_VALUE, event.nanos() / 1_000_000);
      return;
    }
    kernel = KernelState.ATTACHED;
    want = false;
    detachDue = now + OwnershipSettings.BUSY_MILLIS;
    String text =
        fill(
            "node {} cannot give up the volume: detaching XFS failed with errno {}{}",
            key.nodeName(),
            event.errno(),
            (event.message().isEmpty() ? "" : " (" + event.message() + ")"));
    note(Action.Level.WARN, "{}; {} waiting", text, queue.size());
    for (Waiter waiter : queue) {
      send(waiter.nodeId(), new PeerMessage.OwnBusy(waiter.requestId(), text));
    }
    queue.clear();
  }

  private void onLeave() {
    if (leaving) {
      return;
    }
    leaving = true;
    leaveSince = now;
    // EV_LEAVE comes after the kernel has detached XFS and ended all operations.
    kernel = KernelState.DETACHED;
    want = false;
    note(Action.Level.INFO, "umount: leaving");
    dropRequest("leaving");
  }

  private void onHeard(Event.Heard event) {
    if (heard.put(event.key().nodeId(), event.host()) == null) {
      note(
          Action.Level.INFO,
          "node {} ({}) announces this volume",
          event.key().nodeName(),
          event.host());
    }
  }

  private void onCollision(String text) {
    if (ready || leaving || predecessor.ready()) {
      note(Action.Level.ERROR, "{}; this node was here first and stays", text);
      return;
    }
    fail(Errno.ENOTUNIQ, text);
  }

  private void onPeerUp(ReservationKey peer, long peerEpoch) {
    peers.put(peer.nodeId(), peer);
    epoch = Math.max(epoch, peerEpoch);
    if (peer.nodeId() == holder.nodeId()) {
      requestDue = now;
    }
  }

  private void onMessage(Event.Received event) {
    ReservationKey from = event.from();
    if (from.isNone() || from.nodeId() == settings.nodeId()) {
      note(Action.Level.WARN, "message from key {} refused: not another node's key", from);
      return;
    }
    long before = epoch;
    epoch = Math.max(epoch, event.epoch());
    switch (event.message()) {
      case PeerMessage.OwnRequest request -> onRequest(from, request.requestId());
      case PeerMessage.OwnGrant grant -> onGrant(from, grant, before);
      case PeerMessage.OwnTaken taken -> onTaken(from, taken.epoch(), before);
      case PeerMessage.OwnDecline decline -> onDecline(from, decline.requestId());
      case PeerMessage.OwnRedirect redirect -> {
        if (redirect.requestId() == requestId && requestId != 0) {
          // The array knows better than the peer; the request goes where the array points.
          readDue = now;
          requestDue = now + OwnershipSettings.RETRY_MILLIS / 4;
        }
      }
      case PeerMessage.OwnBusy busy -> {
        if (busy.requestId() == requestId && requestId != 0) {
          note(
              Action.Level.WARN,
              "still waiting for the volume after {} ms: {}",
              (now - wantSince),
              busy.message());
          requestDue = now + OwnershipSettings.BUSY_MILLIS;
        }
      }
      case PeerMessage.Leave _ -> onPeerLeave(from);
    }
  }

  private void onRequest(ReservationKey from, long id) {
    if (leaving && !(phase instanceof Phase.Holding) && !(phase instanceof Phase.Consented)) {
      return; // it reads the array and sees soon who holds the reservation, or that nobody does
    }
    switch (phase) {
      case Phase.Consented consented when consented.grantee().nodeId() == from.nodeId() -> {
        if (consented.grantee().requestId() == id) {
          grantDue = now;
        } else if (consented.grantee().key().equals(from) && id > consented.grantee().requestId()) {
          // The same incarnation asks with a newer request: the one we granted is closed. Whether
          // it was used
          // before it was closed only the array can say.
          phase = new Phase.Consented(consented.grantee(), consented.since(), true);
          readDue = now;
          enqueue(new Waiter(from, id));
        } else {
          enqueue(new Waiter(from, id));
        }
      }
      case Phase.Holding _,
          Phase.Consented _,
          Phase.Withdrawing _,
          Phase.Confirming _,
          Phase.Taking _,
          Phase.Reserving _ ->
          enqueue(new Waiter(from, id));
      case Phase.Member _, Phase.Rejoining _ -> {
        ReservationKey known = holder.nodeId() == settings.nodeId() ? ReservationKey.NONE : holder;
        send(from.nodeId(), new PeerMessage.OwnRedirect(id, known));
        // The requester asks the node that the array shows as the holder. If that is us, we want to
        // know.
        reread = true;
      }
      case Phase.New _, Phase.Starting _, Phase.Solo _, Phase.Departing _, Phase.Gone _ -> {}
    }
  }

  private void enqueue(Waiter waiter) {
    for (int i = 0; i < queue.size(); i++) {
      if (queue.get(i).nodeId() == waiter.nodeId()) {
        queue.set(i, waiter);
        return;
      }
    }
    if (queue.size() < PeerMessage.OwnGrant.WAITERS_MAX) {
      queue.add(waiter);
    }
  }

  private void onGrant(ReservationKey from, PeerMessage.OwnGrant grant, long knownEpoch) {
    boolean open = requestId != 0 && grant.requestId() == requestId && !leaving;
    if (phase instanceof Phase.Taking taking && taking.requestId() == grant.requestId()) {
      return; // the same grant again, while we act on it
    }
    if (!open) {
      if (!tenureOf(grant.requestId())) {
        send(from.nodeId(), new PeerMessage.OwnDecline(grant.requestId()));
      }
      return;
    }
    if (!(phase instanceof Phase.Member)) {
      return; // an open request is never declined and kept; the grant is repeated or withdrawn
    }
    if (grant.newEpoch() <= knownEpoch) {
      note(
          Action.Level.WARN,
          "grant of epoch {} from {} refused: epoch {} is known already",
          grant.newEpoch(),
          from,
          knownEpoch);
      return;
    }
    epoch = Math.max(epoch, grant.newEpoch() - 1);
    for (Waiter waiter : grant.waiters()) {
      if (waiter.nodeId() != settings.nodeId()) {
        enqueue(waiter);
      }
    }
    grantedAt = now;
    fromDetachMillis = grant.detachMillis();
    dropAnswer = pending != null && check == Check.NONE;
    phase = new Phase.Taking(from, requestId, TakeStep.CHECK, 0);
  }

  private long tenureRequest;

  /** The request by which we came to hold the reservation: its grant may still be repeated. */
  private boolean tenureOf(long id) {
    return id != 0
        && id == tenureRequest
        && (phase instanceof Phase.Confirming || phase instanceof Phase.Holding);
  }

  private void onTaken(ReservationKey from, long newEpoch, long knownEpoch) {
    if (newEpoch < knownEpoch) {
      note(
          Action.Level.DEBUG,
          "TAKEN{epoch {}} from {} is older than {}",
          newEpoch,
          from,
          knownEpoch);
      return;
    }
    epoch = Math.max(epoch, newEpoch);
    if (phase instanceof Phase.Consented) {
      readDue = now;
    } else if (phase instanceof Phase.Member && !holder.equals(from)) {
      // Not believed, only looked at: the next read of the reservation decides.
      readDue = now;
      requestDue = now;
      holder = from;
      holderType = TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
    }
  }

  private void onDecline(ReservationKey from, long id) {
    queue.removeIf(w -> w.nodeId() == from.nodeId() && w.requestId() == id);
    if (phase instanceof Phase.Consented consented
        && consented.grantee().key().equals(from)
        && consented.grantee().requestId() == id) {
      phase = new Phase.Consented(consented.grantee(), consented.since(), true);
      readDue = now;
    }
  }

  private void onPeerLeave(ReservationKey from) {
    if (from.equals(peers.get(from.nodeId()))) {
      peers.remove(from.nodeId());
    }
    heard.remove(from.nodeId());
    queue.removeIf(w -> w.key().equals(from));
    if (phase instanceof Phase.Consented consented && consented.grantee().key().equals(from)) {
      // It unregistered before it said so: its PREEMPT can no longer come.
      phase = new Phase.Consented(consented.grantee(), consented.since(), true);
    }
    if (holder.equals(from) || phase instanceof Phase.Consented) {
      readDue = now;
    }
  }

  private void onUnitAttention(String name) {
    note(Action.Level.INFO, "unit attention: {}", name);
    checkNow = true;
    if (phase instanceof Phase.Consented) {
      readDue = now;
    }
  }

  // ---- answers of the array ----

  private void onAnswer(ArrayAnswer answer) {
    ArrayCommand command = pending;
    if (command == null) {
      throw new IllegalStateException("an answer without a command: " + answer);
    }
    pending = null;
    if (dropAnswer) {
      dropAnswer = false;
      check = Check.NONE;
      return;
    }
    if (check != Check.NONE) {
      onCheck(answer);
      return;
    }
    if (leaving && !(phase instanceof Phase.Departing) && !(phase instanceof Phase.Consented)) {
      return; // whatever it was, unregistering comes next
    }
    switch (phase) {
      case Phase.Starting starting -> onStarting(starting, answer);
      case Phase.Member _ -> onMemberRead(answer);
      case Phase.Reserving _ -> {
        switch (answer) {
          case ArrayAnswer.Done _ -> {}
          case ArrayAnswer.Conflict _ ->
              checkNow = true; // another's reservation, or our key is gone
          case ArrayAnswer other -> trouble("RESERVE", other.toString());
        }
        // Whatever RESERVE said, READ RESERVATION says who holds it.
        phase = new Phase.Member();
        readDue = now;
        reread = true;
      }
      case Phase.Taking taking -> onTaking(taking, answer);
      case Phase.Confirming _ -> onConfirming(answer);
      case Phase.Consented consented -> onConsentedRead(consented, answer);
      case Phase.Withdrawing withdrawing -> onWithdrawing(withdrawing, answer);
      case Phase.Rejoining rejoining -> onRejoining(rejoining, answer);
      case Phase.Departing departing -> onDeparting(departing, answer);
      case Phase.New _, Phase.Solo _, Phase.Holding _, Phase.Gone _ ->
          throw new IllegalStateException("no command belongs to " + phase + ": " + command);
    }
  }

  private void onStarting(Phase.Starting starting, ArrayAnswer answer) {
    switch (answer) {
      case ArrayAnswer.Supported supported -> {
        aptpl = supported.aptpl();
        phase = new Phase.Starting(StartStep.KEYS);
      }
      case ArrayAnswer.Unsupported unsupported -> startSolo(unsupported.reason());
      case ArrayAnswer.Keys keys -> onStartKeys(starting, keys);
      case ArrayAnswer.Done _ -> {
        tellKey();
        phase = new Phase.Starting(StartStep.REGISTERED);
      }
      case ArrayAnswer.Reservation reservation -> onResume(reservation);
      case ArrayAnswer.Rejected rejected -> {
        if (starting.step() == StartStep.REGISTER && aptpl) {
          note(
              Action.Level.WARN,
              "the device says it supports APTPL and rejects it: registering without ({})",
              rejected.reason());
          aptpl = false;
        } else {
          trouble(starting.step().name(), rejected.reason());
        }
      }
      case ArrayAnswer.Conflict _ -> trouble(starting.step().name(), "RESERVATION CONFLICT");
      case ArrayAnswer.Unclear unclear -> trouble(starting.step().name(), unclear.reason());
    }
  }

  private void onStartKeys(Phase.Starting starting, ArrayAnswer.Keys keys) {
    if (starting.step() == StartStep.REGISTERED) {
      if (keys.keys().contains(key)) {
        lease(checkIssued);
        if (predecessor.ready()) {
          phase = new Phase.Starting(StartStep.RESUME);
        } else {
          phase = new Phase.Member();
          readDue = now;
        }
      } else {
        trouble("READ KEYS", fill("our key {} is not registered after REGISTER", key));
        phase = new Phase.Starting(StartStep.REGISTER);
      }
      return;
    }
    boolean registered = !key.isNone() && keys.keys().contains(key);
    if (predecessor.ready() && registered) {
      tellKey();
      lease(checkIssued);
      phase = new Phase.Starting(StartStep.RESUME);
      return;
    }
    if (predecessor.ready() && kernel != KernelState.DETACHED) {
      fenced(
          fill(
              "key {} is no longer registered on {}: this node was shut out while its daemon was"
                  + " dead",
              key,
              settings.device()));
      return;
    }
    key = freshKey(keys.keys());
    phase = new Phase.Starting(StartStep.REGISTER);
  }

  /** A key that no earlier incarnation of this node had, as far as the array and we remember. */
  private ReservationKey freshKey(Iterable<ReservationKey> registered) {
    long incarnation = settings.unixSeconds() + (now - startedAt) / 1_000;
    if (key.nodeId() == settings.nodeId()) {
      incarnation = Math.max(incarnation, key.incarnation() + 1);
    }
    for (ReservationKey other : registered) {
      if (other.nodeId() == settings.nodeId()) {
        incarnation = Math.max(incarnation, other.incarnation() + 1);
      }
    }
    return ReservationKey.of(settings.nodeId(), incarnation & 0xffff_ffffL);
  }

  private void onResume(ArrayAnswer.Reservation reservation) {
    holder = reservation.holder();
    holderType = reservation.type();
    if (holder.equals(key)) {
      if (kernel == KernelState.DETACHED) {
        // The predecessor may have granted the volume to somebody: make such a grant void.
        phase = new Phase.Withdrawing(freshKey(List.of()), false);
      } else {
        tenure = epoch;
        phase = new Phase.Holding();
      }
    } else if (kernel != KernelState.DETACHED) {
      fenced(
          fill(
              "the reservation of {} is held by {}, not by our {}, while XFS is attached here",
              settings.device(),
              holder,
              key));
      return;
    } else {
      phase = new Phase.Member();
    }
    note(Action.Level.INFO, "resumed: key={} epoch={} kernel={}", key, epoch, kernel);
    becomeReady(phase instanceof Phase.Holding ? Role.OWNER : Role.MEMBER, true);
  }

  private void startSolo(String reason) {
    note(
        Action.Level.WARN,
        "{} has no SCSI persistent reservations ({}): the volume is mounted on this node alone and"
            + " must not be mounted on another",
        settings.device(),
        reason);
    phase = new Phase.Solo();
  }

  private void onMemberRead(ArrayAnswer answer) {
    switch (answer) {
      case ArrayAnswer.Reservation reservation -> {
        errors = 0;
        reread = false;
        if (!holder.equals(reservation.holder())) {
          requestDue = Math.min(requestDue, now);
          unreachableNoted = false;
        }
        holder = reservation.holder();
        holderType = reservation.type();
        readDue =
            now + (ready ? OwnershipSettings.WAIT_READ_MILLIS : OwnershipSettings.REQUEST_MILLIS);
      }
      case ArrayAnswer other -> trouble("READ RESERVATION", other.toString());
    }
  }

  private void onTaking(Phase.Taking taking, ArrayAnswer answer) {
    switch (taking.step()) {
      case CHECK -> {
        switch (answer) {
          case ArrayAnswer.Reservation reservation -> {
            errors = 0;
            if (reservation.holder().equals(taking.victim())) {
              phase = withStep(taking, TakeStep.PREEMPT, taking.attempts());
            } else {
              afterTaking(taking, reservation);
            }
          }
          case ArrayAnswer other -> trouble("READ RESERVATION", other.toString());
        }
      }
      case PREEMPT -> {
        if (!(answer instanceof ArrayAnswer.Done)) {
          note(
              Action.Level.WARN,
              "PREEMPT of {}: {}; asking the array who holds it",
              taking.victim(),
              answer);
          checkNow = true;
        }
        phase = withStep(taking, TakeStep.VERIFY, taking.attempts() + 1);
      }
      case VERIFY -> {
        switch (answer) {
          case ArrayAnswer.Reservation reservation -> {
            errors = 0;
            if (reservation.holder().equals(taking.victim())) {
              stillNotTaken(taking);
            } else {
              afterTaking(taking, reservation);
            }
          }
          case ArrayAnswer other -> trouble("READ RESERVATION", other.toString());
        }
      }
    }
  }

  private static Phase.Taking withStep(Phase.Taking taking, TakeStep step, int attempts) {
    return new Phase.Taking(taking.victim(), taking.requestId(), step, attempts);
  }

  /** The reservation is not (or no longer) the victim's: ours or somebody else's. */
  private void afterTaking(Phase.Taking taking, ArrayAnswer.Reservation reservation) {
    holder = reservation.holder();
    holderType = reservation.type();
    if (holder.equals(key)) {
      preemptedAt = now;
      takenFrom = taking.requestId() == 0 ? ReservationKey.NONE : taking.victim();
      tenureRequest = taking.requestId();
      requestId = 0;
      phase = new Phase.Confirming();
      return;
    }
    note(
        Action.Level.INFO,
        "the reservation is held by {}, not by {}: asking there",
        holder,
        taking.victim());
    phase = new Phase.Member();
    readDue = now;
    requestDue = now;
  }

  /**
   * READ RESERVATION has shown the victim after a PREEMPT, so that PREEMPT is known to have had no
   * effect.
   */
  private void stillNotTaken(Phase.Taking taking) {
    if (taking.attempts() < TAKE_ATTEMPTS_MAX) {
      retryDue = now + OwnershipSettings.RETRY_MILLIS;
      phase = withStep(taking, TakeStep.CHECK, taking.attempts());
      return;
    }
    String text =
        fill(
            "PREEMPT of {} on {} had no effect {} times",
            taking.victim(),
            settings.device(),
            taking.attempts());
    note(Action.Level.ERROR, text);
    phase = new Phase.Member();
    readDue = now + OwnershipSettings.BUSY_MILLIS;
    if (taking.requestId() != 0) {
      dropRequest("taking failed");
    } else if (!ready) {
      fail(Errno.EIO, text);
    }
  }

  private void onConfirming(ArrayAnswer answer) {
    switch (answer) {
      case ArrayAnswer.Keys keys -> {
        errors = 0;
        if (!keys.keys().contains(key)) {
          fenced(fill("key {} is not registered on {} any more", key, settings.device()));
          return;
        }
        lease(checkIssued);
        epoch = Math.max(epoch + 1, keys.generation());
        tenure = epoch;
        ownTurn = true;
        phase = new Phase.Holding();
        note(
            Action.Level.DEBUG,
            "holder: key={} epoch={} generation={}",
            key,
            tenure,
            keys.generation());
        actions.add(new Action.Broadcast(new PeerMessage.OwnTaken(tenure)));
      }
      case ArrayAnswer other -> trouble("READ KEYS", other.toString());
    }
  }

  private void onConsentedRead(Phase.Consented consented, ArrayAnswer answer) {
    switch (answer) {
      case ArrayAnswer.Reservation reservation -> {
        errors = 0;
        readDue = now + OwnershipSettings.GRANT_MILLIS;
        if (!reservation.holder().equals(key)) {
          holder = reservation.holder();
          holderType = reservation.type();
          tenure = 0;
          queue.clear(); // went along with the grant
          note(
              Action.Level.DEBUG,
              "the reservation moved to {} after {} ms",
              holder,
              (now - consented.since()));
          phase = new Phase.Rejoining(false);
        } else if (consented.declined()) {
          note(
              Action.Level.DEBUG,
              "node {} declined: still the holder",
              consented.grantee().key().nodeName());
          phase = new Phase.Holding();
        } else if (now - consented.since() >= OwnershipSettings.CONSENT_MILLIS && !leaving) {
          note(
              Action.Level.WARN,
              "node {} did not take the volume within {} ms: withdrawing the grant by a new key",
              consented.grantee().key().nodeName(),
              OwnershipSettings.CONSENT_MILLIS);
          phase = new Phase.Withdrawing(freshKey(List.of()), false);
        }
      }
      case ArrayAnswer other -> trouble("READ RESERVATION", other.toString());
    }
  }

  private void onWithdrawing(Phase.Withdrawing withdrawing, ArrayAnswer answer) {
    if (!withdrawing.registered()) {
      if (!(answer instanceof ArrayAnswer.Done)) {
        trouble(fill("REGISTER of {}", withdrawing.fresh()), answer.toString());
      }
      // Done or not: READ RESERVATION shows the new key if it took effect while we held the
      // reservation.
      phase = new Phase.Withdrawing(withdrawing.fresh(), true);
      return;
    }
    switch (answer) {
      case ArrayAnswer.Reservation reservation -> {
        holder = reservation.holder();
        holderType = reservation.type();
        if (holder.equals(key)) {
          phase = new Phase.Withdrawing(withdrawing.fresh(), false);
          retryDue = now + OwnershipSettings.RETRY_MILLIS;
          return;
        }
        errors = 0;
        key = withdrawing.fresh();
        tellKey();
        tenure = 0;
        if (holder.equals(key)) {
          tenureRequest = 0;
          phase = new Phase.Confirming();
        } else {
          // The grantee was faster.
          queue.clear();
          phase = new Phase.Rejoining(false);
        }
      }
      case ArrayAnswer other -> trouble("READ RESERVATION", other.toString());
    }
  }

  private void onRejoining(Phase.Rejoining rejoining, ArrayAnswer answer) {
    if (!rejoining.registered()) {
      if (answer instanceof ArrayAnswer.Done) {
        phase = new Phase.Rejoining(true);
      } else {
        trouble(fill("REGISTER of {}", key), answer.toString());
      }
      return;
    }
    switch (answer) {
      case ArrayAnswer.Keys keys -> {
        if (keys.keys().contains(key)) {
          errors = 0;
          lease(checkIssued);
          checkNow = false;
          phase = new Phase.Member();
          readDue = now;
          note(Action.Level.DEBUG, "registered again: key={}", key);
        } else {
          trouble("READ KEYS", fill("our key {} is not registered after REGISTER", key));
          phase = new Phase.Rejoining(false);
        }
      }
      case ArrayAnswer other -> trouble("READ KEYS", other.toString());
    }
  }

  private void onDeparting(Phase.Departing departing, ArrayAnswer answer) {
    switch (departing.step()) {
      case UNREGISTER -> {
        if (answer instanceof ArrayAnswer.Done) {
          finish(departing.why(), Errno.NONE);
        } else {
          note(Action.Level.WARN, "unregistering {}: {}", key, answer);
          phase = new Phase.Departing(departing.why(), DepartStep.VERIFY, departing.deadline());
        }
      }
      case VERIFY -> {
        if (answer instanceof ArrayAnswer.Keys keys && !keys.keys().contains(key)) {
          finish(departing.why(), Errno.NONE);
        } else {
          retryDue = now + OwnershipSettings.RETRY_MILLIS;
          phase = new Phase.Departing(departing.why(), DepartStep.UNREGISTER, departing.deadline());
        }
      }
    }
  }

  /**
   * An array command went wrong: again after a pause; a mount that is not ready gives up after a
   * while.
   */
  private void trouble(String what, String why) {
    errors++;
    retryDue = now + OwnershipSettings.RETRY_MILLIS;
    String text = fill("{} on {} failed: {}", what, settings.device(), why);
    note(Action.Level.WARN, "{} ({} in a row)", text, errors);
    if (!ready && errors >= OwnershipSettings.START_ERRORS_MAX) {
      fail(Errno.EIO, text);
    }
  }

  // ---- the lease ----

  private void onCheck(ArrayAnswer answer) {
    Check done = check;
    check = Check.NONE;
    if (leaving || !(phase instanceof Phase.Member || phase instanceof Phase.Holding)) {
      // The phase went on meanwhile and does its own reading.
      return;
    }
    if (done == Check.TIDY) {
      note(Action.Level.INFO, "preempted {}, left by a dead incarnation: {}", leftover, answer);
      return;
    }
    switch (answer) {
      case ArrayAnswer.Keys keys -> {
        if (!keys.keys().contains(key)) {
          fenced(
              fill(
                  "key {} is not registered on {} any more (generation {}, {} keys left): this node"
                      + " was shut out",
                  key,
                  settings.device(),
                  keys.generation(),
                  keys.keys().size()));
        } else if (phase instanceof Phase.Holding) {
          checkedKeys = keys.keys();
          check = Check.RESERVATION;
          issue(new ArrayCommand.ReadReservation());
        } else {
          lease(checkIssued);
          tidy(keys.keys());
        }
      }
      case ArrayAnswer.Reservation reservation -> {
        if (phase instanceof Phase.Holding && !reservation.holder().equals(key)) {
          fenced(
              fill(
                  "the reservation of {} is held by {} and not by our {}, without our consent",
                  settings.device(),
                  reservation.holder(),
                  key));
        } else {
          lease(checkIssued);
          tidy(checkedKeys);
        }
      }
      case ArrayAnswer other -> {
        note(
            Action.Level.WARN,
            "no new lease: checking our {} on {}: {}",
            done.name().toLowerCase(java.util.Locale.ROOT),
            settings.device(),
            other);
        checkDue = now + Math.min(OwnershipSettings.BUSY_MILLIS, settings.leaseMillis() / 4);
      }
    }
  }

  /**
   * An incarnation of this node that lost power while it was a member is still registered. It is
   * dead, or it would be us; PREEMPT of a key that does not hold the reservation only removes that
   * registration (SPC-4 5.13.11.2.4). Each is tried once: it does no harm where it is.
   */
  private void tidy(List<ReservationKey> registered) {
    for (ReservationKey other : registered) {
      if (other.nodeId() == settings.nodeId()
          && !other.equals(key)
          && !other.equals(holder)
          && tidied.add(other)) {
        leftover = other;
        check = Check.TIDY;
        issue(new ArrayCommand.Preempt(key, other));
        return;
      }
    }
  }

  /**
   * Extends the kernel's lease, counted from when the proof was asked for, not from when it came.
   */
  private void lease(long askedAt) {
    checkDue = now + settings.leaseMillis() / 4;
    long millis = settings.leaseMillis() - (now - askedAt);
    if (millis > 0) {
      actions.add(new Action.Lease(millis));
    }
  }

  // ---- what to do next ----

  private void advance() {
    wake = Long.MAX_VALUE;
    if (leaving && now >= leaveSince + OwnershipSettings.LEAVE_MILLIS && !isGone()) {
      finish(new Departure.Umount(), Errno.ETIMEDOUT);
    }
    if (phase instanceof Phase.Departing departing && now >= departing.deadline()) {
      finish(departing.why(), Errno.ETIMEDOUT);
    }
    for (int i = 0; i <= TRANSITIONS_MAX; i++) {
      Phase before = phase;
      if (isGone()) {
        return;
      }
      if (leaving) {
        wakeAt(leaveSince + OwnershipSettings.LEAVE_MILLIS);
      }
      if (phase instanceof Phase.Departing departing) {
        wakeAt(departing.deadline());
      }
      if (pending != null || checkIfDue()) {
        // The kernel's side of holding must not wait for the array.
        if (phase instanceof Phase.Holding && kernel == KernelState.ATTACHED && !leaving) {
          serve();
        }
        return;
      }
      dispatch();
      if (phase.equals(before) || pending != null) {
        return;
      }
    }
    throw new IllegalStateException("no rest after " + TRANSITIONS_MAX + " steps: " + phase);
  }

  private boolean checkIfDue() {
    if (leaving || !(phase instanceof Phase.Member || phase instanceof Phase.Holding)) {
      return false;
    }
    if (!checkNow && now < checkDue) {
      wakeAt(checkDue);
      return false;
    }
    checkNow = false;
    checkDue = now + settings.leaseMillis() / 4;
    check = Check.KEYS;
    checkIssued = now;
    issue(new ArrayCommand.ReadKeys());
    return true;
  }

  private void dispatch() {
    if (leaving && !mayLeaveLater()) {
      departForUmount();
      return;
    }
    switch (phase) {
      case Phase.Starting starting -> goOnStarting(starting);
      case Phase.Solo _ -> goOnSolo();
      case Phase.Member _ -> goOnAsMember();
      case Phase.Reserving _ -> issueWhenDue(new ArrayCommand.Reserve(key));
      case Phase.Taking taking ->
          issueWhenDue(
              switch (taking.step()) {
                case CHECK, VERIFY -> new ArrayCommand.ReadReservation();
                case PREEMPT -> new ArrayCommand.Preempt(key, taking.victim());
              });
      case Phase.Confirming _ -> issueWhenDue(new ArrayCommand.ReadKeys());
      case Phase.Holding _ -> serve();
      case Phase.Consented consented -> goOnConsented(consented);
      case Phase.Withdrawing withdrawing ->
          issueWhenDue(
              withdrawing.registered()
                  ? new ArrayCommand.ReadReservation()
                  : new ArrayCommand.Register(withdrawing.fresh(), aptpl));
      case Phase.Rejoining rejoining ->
          issueWhenDue(
              rejoining.registered()
                  ? new ArrayCommand.ReadKeys()
                  : new ArrayCommand.Register(key, aptpl));
      case Phase.Departing departing -> {
        switch (departing.step()) {
          case UNREGISTER -> issueWhenDue(new ArrayCommand.Unregister(key, aptpl));
          case VERIFY -> issueWhenDue(new ArrayCommand.ReadKeys());
        }
      }
      case Phase.New _, Phase.Gone _ -> {}
    }
  }

  /**
   * A leaving owner lets the first waiter take the volume before it goes: that saves the waiter the
   * race.
   */
  private boolean mayLeaveLater() {
    return switch (phase) {
      case Phase.Departing _ -> true;
      case Phase.Consented consented ->
          !consented.declined() && now < leaveSince + OwnershipSettings.LEAVE_GRANT_MILLIS;
      case Phase.Holding _ ->
          ready && nextWaiter() != null && now < leaveSince + OwnershipSettings.LEAVE_GRANT_MILLIS;
      default -> false;
    };
  }

  private void departForUmount() {
    if (phase instanceof Phase.Solo || phase instanceof Phase.New || key.isNone()) {
      finish(new Departure.Umount(), Errno.NONE);
      return;
    }
    phase =
        new Phase.Departing(
            new Departure.Umount(),
            DepartStep.UNREGISTER,
            leaveSince + OwnershipSettings.LEAVE_MILLIS);
  }

  private void goOnStarting(Phase.Starting starting) {
    switch (starting.step()) {
      case CAPABILITIES -> issueWhenDue(new ArrayCommand.ReportCapabilities());
      case KEYS, REGISTERED -> issueWhenDue(new ArrayCommand.ReadKeys());
      case REGISTER -> {
        registering = true;
        issueWhenDue(new ArrayCommand.Register(key, aptpl));
      }
      case RESUME -> issueWhenDue(new ArrayCommand.ReadReservation());
    }
  }

  private void goOnSolo() {
    if (now >= checkDue) {
      // No array to ask: alone, the lease only proves that the daemon lives.
      lease(now);
    }
    wakeAt(checkDue);
    if (kernel == KernelState.ATTACHED) {
      becomeReady(Role.OWNER, false);
      return;
    }
    if (kernel != KernelState.DETACHED) {
      return;
    }
    if (!ready && !predecessor.ready()) {
      if (!heard.isEmpty()) {
        fail(
            Errno.EBUSY,
            fill(
                "{} has no SCSI persistent reservations, so one node alone may mount it, and node"
                    + " {} announces the same volume {}",
                settings.device(),
                heardNames(),
                settings.volume()));
        return;
      }
      if (now < startedAt + OwnershipSettings.LISTEN_MILLIS) {
        wakeAt(startedAt + OwnershipSettings.LISTEN_MILLIS);
        return;
      }
    }
    if (now < attachDue) {
      wakeAt(attachDue);
      return;
    }
    if (tenure == 0) {
      epoch++;
      tenure = epoch;
    }
    attach();
  }

  private String heardNames() {
    Set<String> names = new LinkedHashSet<>();
    heard.forEach((id, host) -> names.add(ReservationKey.nodeName(id) + " (" + host + ")"));
    return String.join(", ", names);
  }

  private void goOnAsMember() {
    if (holder.equals(key)) {
      requestId = 0;
      tenureRequest = 0;
      phase = new Phase.Confirming();
      return;
    }
    if (ready && !want && !reread) {
      return;
    }
    if (now >= readDue || reread) {
      issueWhenDue(new ArrayCommand.ReadReservation());
      return;
    }
    wakeAt(readDue);
    if (holder.isNone()) {
      if (want || !ready) {
        phase = new Phase.Reserving();
      }
      return;
    }
    if (holderType != TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY) {
      String text =
          fill(
              "{} is reserved by key {} with type {}, which is not mxfs's (5, Write Exclusive,"
                  + " Registrants Only)",
              settings.device(),
              holder,
              holderType);
      if (!ready) {
        fail(Errno.EBUSY, text);
      }
      return;
    }
    if (holder.nodeId() == settings.nodeId()) {
      takeFromOldSelf();
      return;
    }
    if (!ready) {
      lookForHolder();
    } else if (want) {
      request();
    }
  }

  /**
   * The reservation is held by an earlier incarnation of this node. The kernel mounts a device
   * once, so that incarnation is dead, unless another machine runs under our id: listen for one
   * first.
   */
  private void takeFromOldSelf() {
    if (now < startedAt + OwnershipSettings.LISTEN_MILLIS) {
      wakeAt(startedAt + OwnershipSettings.LISTEN_MILLIS);
      return;
    }
    note(
        Action.Level.WARN,
        "the reservation is held by {}, an earlier incarnation of this node, which is dead: taking"
            + " it over as {}",
        holder,
        key);
    phase = new Phase.Taking(holder, 0, TakeStep.CHECK, 0);
  }

  private void lookForHolder() {
    if (holder.equals(peers.get(holder.nodeId()))) {
      becomeReady(Role.MEMBER, true);
      return;
    }
    long deadline = startedAt + OwnershipSettings.PEER_WAIT_MILLIS;
    if (now < deadline) {
      wakeAt(deadline);
      return;
    }
    String host = heard.get(holder.nodeId());
    String who = fill("node {} (key {})", holder.nodeName(), holder);
    fail(
        Errno.EHOSTUNREACH,
        fill(
            "{} owns the volume and {}. Is the network blocked (firewall; iface=, broadcast=)?"
                + " Crash takeover is not in this version: if that node is off for certain, shut"
                + " its key out: sg_persist -o -G -S 1 {}; sg_persist -o -P -T 5 -K 1 -S {} {};"
                + " sg_persist -o -G -K 1 -S 0 {}; mount again",
            who,
            (host == null
                ? "is not heard on the network"
                : "(" + host + ") is heard on the network but does not accept our connection"),
            settings.device(),
            holder,
            settings.device(),
            settings.device()));
  }

  private void request() {
    if (requestId == 0) {
      requestId = nextRequestId++;
      requestDue = now;
    }
    if (now < requestDue) {
      wakeAt(requestDue);
      return;
    }
    requestDue = now + OwnershipSettings.REQUEST_MILLIS;
    wakeAt(requestDue);
    if (peers.containsKey(holder.nodeId())) {
      send(holder.nodeId(), new PeerMessage.OwnRequest(requestId));
    } else if (!unreachableNoted && now - wantSince >= OwnershipSettings.WAIT_READ_MILLIS) {
      unreachableNoted = true;
      note(
          Action.Level.WARN,
          "operations wait for the volume: its owner, node {} (key {}), is not connected",
          holder.nodeName(),
          holder);
    }
  }

  /** As the holder: attach for ourselves, or let the next waiter have it. */
  private void serve() {
    switch (kernel) {
      case DETACHED -> {
        boolean own = !leaving && (want || !ready);
        Waiter next = ready ? nextWaiter() : null;
        if (own && (ownTurn || next == null)) {
          if (now < attachDue) {
            wakeAt(attachDue);
          } else {
            attach();
            return;
          }
        }
        if (next != null && !(own && ownTurn && now >= attachDue)) {
          consent(next);
        }
      }
      case ATTACHED -> {
        becomeReady(Role.OWNER, true);
        if (nextWaiter() == null) {
          return;
        }
        if (now < detachDue) {
          wakeAt(detachDue);
          return;
        }
        kernel = KernelState.DETACHING;
        actions.add(new Action.Detach(tenure, settings.quantumMillis()));
      }
      case ATTACHING, DETACHING, DEAD -> {}
    }
  }

  private void attach() {
    kernel = KernelState.ATTACHING;
    actions.add(new Action.Attach(tenure));
  }

  private @Nullable Waiter nextWaiter() {
    queue.removeIf(w -> !peers.containsKey(w.nodeId()));
    return queue.isEmpty() ? null : queue.getFirst();
  }

  private void consent(Waiter waiter) {
    queue.remove(waiter);
    phase = new Phase.Consented(waiter, now, false);
    grantDue = now;
    readDue = now + OwnershipSettings.GRANT_MILLIS;
    ownTurn = false;
  }

  private void goOnConsented(Phase.Consented consented) {
    if (leaving) {
      wakeAt(leaveSince + OwnershipSettings.LEAVE_GRANT_MILLIS);
    }
    if (now >= grantDue && !consented.declined()) {
      grantDue = now + OwnershipSettings.GRANT_MILLIS;
      send(
          consented.grantee().nodeId(),
          new PeerMessage.OwnGrant(
              consented.grantee().requestId(), tenure + 1, detachMillis, queue));
    }
    if (now >= readDue) {
      issueWhenDue(new ArrayCommand.ReadReservation());
      return;
    }
    wakeAt(grantDue);
    wakeAt(readDue);
  }

  // ---- helpers ----

  private void issueWhenDue(ArrayCommand command) {
    if (now < retryDue) {
      wakeAt(retryDue);
      return;
    }
    issue(command);
  }

  private void issue(ArrayCommand command) {
    if (pending != null) {
      throw new IllegalStateException(command + " while " + pending + " is under way");
    }
    if (check == Check.NONE && command instanceof ArrayCommand.ReadKeys) {
      checkIssued = now;
    }
    pending = command;
    actions.add(new Action.Array(command));
  }

  private void wakeAt(long time) {
    wake = Math.min(wake, Math.max(time, now + 1));
  }

  private void send(int nodeId, PeerMessage message) {
    actions.add(new Action.Send(nodeId, message));
  }

  private void note(Action.Level level, String pattern, Object... values) {
    actions.add(new Action.Note(level, fill(pattern, values)));
  }

  /** The pattern with each {} replaced by the next value. */
  private static String fill(String pattern, Object... values) {
    StringBuilder text = new StringBuilder();
    int from = 0;
    for (Object value : values) {
      int brace = pattern.indexOf("{}", from);
      text.append(pattern, from, brace).append(value);
      from = brace + 2;
    }
    return text.append(pattern, from, pattern.length()).toString();
  }

  private void tellKey() {
    actions.add(new Action.TellKey(key));
  }

  private void becomeReady(Role role, boolean clustered) {
    if (ready) {
      return;
    }
    ready = true;
    actions.add(new Action.Ready(role, clustered));
    note(
        Action.Level.INFO,
        "ready role={} epoch={} key={} ms={}",
        (clustered ? role.name().toLowerCase(java.util.Locale.ROOT) : "solo"),
        epoch,
        key,
        (now - startedAt));
  }

  private void dropRequest(String why) {
    if (requestId == 0 || phase instanceof Phase.Taking) {
      return;
    }
    if (!holder.isNone() && holder.nodeId() != settings.nodeId()) {
      send(holder.nodeId(), new PeerMessage.OwnDecline(requestId));
    }
    note(Action.Level.DEBUG, "request {} given up: {}", requestId, why);
    requestId = 0;
  }

  private void fail(Errno errno, String message) {
    if (phase instanceof Phase.Departing || isGone()) {
      return;
    }
    note(Action.Level.ERROR, "mount fails with {}: {}", errno, message);
    Departure why = new Departure.Failure(errno, message);
    if (!registering) {
      finish(why, Errno.NONE);
      return;
    }
    dropAnswer = pending != null;
    // Unregistering also releases the reservation if we got that far.
    phase = new Phase.Departing(why, DepartStep.UNREGISTER, now + OwnershipSettings.FAIL_MILLIS);
  }

  private void fenced(String message) {
    note(Action.Level.ERROR, "fenced: {}", message);
    actions.add(new Action.Fenced(message));
    gone();
  }

  private void finish(Departure why, Errno trouble) {
    actions.add(new Action.Broadcast(new PeerMessage.Leave()));
    if (trouble != Errno.NONE) {
      note(
          Action.Level.ERROR,
          "could not take key {} back from {} in time: other nodes see it until this node mounts"
              + " again, or until sg_persist --out --register-ignore --param-sark=0 DEV on this"
              + " node",
          key,
          settings.device());
    }
    switch (why) {
      case Departure.Umount _ -> {
        actions.add(new Action.Left(trouble));
        note(Action.Level.INFO, "left ms={}", (now - leaveSince));
      }
      case Departure.Failure failure ->
          actions.add(new Action.Fail(failure.errno(), failure.message()));
    }
    gone();
  }

  private void gone() {
    phase = new Phase.Gone();
    wake = Long.MAX_VALUE;
    actions.add(new Action.Exit());
  }
}
