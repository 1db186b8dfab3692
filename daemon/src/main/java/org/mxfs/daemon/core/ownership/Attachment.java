// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;

/**
 * The XFS of the volume on this node: what the kernel was told, and what it said. An answer to
 * another epoch is ignored. Where the kernel says nothing for long, or says that an attach failed
 * (which leaves open where XFS is), it is asked; until it has said "detached", XFS may be here.
 */
final class Attachment {
  /** What became of an ATTACH or a DETACH. */
  sealed interface Result {
    record Nothing() implements Result {}

    record Attached(long millis) implements Result {}

    /**
     * {@code inherited}: it was an earlier daemon that had asked. {@code late}: the lease was over,
     * and nothing is wrong with the volume.
     */
    record AttachFailed(String why, boolean inherited, boolean late) implements Result {}

    record Detached() implements Result {}

    record DetachFailed(String why) implements Result {}

    /** XFS is attached, and it was not this daemon that asked for it. */
    record Unexpected(long epoch) implements Result {}

    /** The kernel has given the mount up. */
    record Dead() implements Result {}
  }

  private static final Result NOTHING = new Result.Nothing();

  private final OwnershipSettings settings;
  private final Outbox out;
  private final TenureRules rules;

  private KernelState state = KernelState.DETACHED;

  /** What the command under way was for; 0: an earlier daemon's, of any epoch. */
  private long commandEpoch;

  private String trouble = "";

  /** Of {@link #trouble}: the kernel had no lease any more. */
  private boolean late;

  private long askDue;

  /** The number of the last question to the kernel, and of the last before the last change here. */
  private long asked;

  private long askedBefore;
  private long attachDue;
  private long detachDue;
  private int detachMillis;

  Attachment(OwnershipSettings settings, Outbox out, TenureRules rules) {
    this.settings = settings;
    this.out = out;
    this.rules = rules;
  }

  KernelState state() {
    return state;
  }

  boolean isDetached() {
    return state == KernelState.DETACHED;
  }

  int detachMillis() {
    return detachMillis;
  }

  void resume(KernelState before) {
    become(before);
    askDue = out.now() + OwnershipSettings.KERNEL_MILLIS;
  }

  /** EV_LEAVE comes after the kernel has detached XFS and ended all operations. */
  void left() {
    become(KernelState.DETACHED);
  }

  private void become(KernelState next) {
    state = next;
    askedBefore = asked;
    rules.xfs(next != KernelState.DETACHED);
  }

  // ---- commands ----

  /** Whether an attach may be tried now, after a pause where one failed. */
  boolean attachIsDue() {
    if (out.now() < attachDue) {
      out.wakeAt(attachDue);
      return false;
    }
    return true;
  }

  void attach() {
    Action.Attach attach = rules.attach();
    state = KernelState.ATTACHING;
    begin(attach.epoch());
    out.add(attach);
  }

  void detachWhenDue(long quantumMillis) {
    if (out.now() < detachDue) {
      out.wakeAt(detachDue);
      return;
    }
    detach(quantumMillis);
  }

  private void detach(long quantumMillis) {
    state = KernelState.DETACHING;
    begin(rules.tenure());
    out.add(new Action.Detach(rules.tenure(), quantumMillis));
  }

  private void begin(long epoch) {
    commandEpoch = epoch;
    askedBefore = asked;
    trouble = "";
    late = false;
    askDue = out.now() + OwnershipSettings.KERNEL_MILLIS;
  }

  /** An answer that does not come is asked for. */
  void askIfOverdue() {
    if (state != KernelState.ATTACHING && state != KernelState.DETACHING) {
      return;
    }
    if (out.now() >= askDue) {
      ask();
    }
    out.wakeAt(askDue);
  }

  private void ask() {
    askDue = out.now() + OwnershipSettings.KERNEL_MILLIS;
    out.add(new Action.AskKernel(++asked));
  }

  // ---- what the kernel says ----

  Result on(Event.Attached event) {
    if (state != KernelState.ATTACHING || !isOfCommand(event.epoch())) {
      noteUnexpected("ATTACHED", event.epoch(), event.errno());
      ask();
      return NOTHING;
    }
    if (event.errno() != 0) {
      // Where XFS is now the error does not say.
      trouble = text("could not be attached", event.epoch(), event.errno(), event.message());
      late = event.errno() == Errno.ETIME.number();
      ask();
      return NOTHING;
    }
    return attached(event.epoch(), event.nanos() / 1_000_000);
  }

  Result on(Event.Detached event) {
    if (state != KernelState.DETACHING || !isOfCommand(event.epoch())) {
      noteUnexpected("DETACHED", event.epoch(), event.errno());
      ask();
      return NOTHING;
    }
    if (event.errno() != 0) {
      become(KernelState.ATTACHED);
      detachDue = out.now() + OwnershipSettings.BUSY_MILLIS;
      return new Result.DetachFailed(
          Outbox.fill(
              "node {} cannot give up the volume: detaching XFS failed with errno {}{}",
              rules.key().nodeName(),
              event.errno(),
              reason(event.message())));
    }
    detachMillis = (int) Math.min(Integer.MAX_VALUE, event.nanos() / 1_000_000);
    become(KernelState.DETACHED);
    return new Result.Detached();
  }

  Result on(Event.Status status) {
    if (status.state() == KernelState.DEAD) {
      state = KernelState.DEAD;
      return new Result.Dead();
    }
    if (status.question() <= askedBefore) {
      return NOTHING; // from before the command under way, or its end: not what became of it
    }
    return switch (state) {
      case ATTACHING ->
          switch (status.state()) {
            case ATTACHED -> attached(status.epoch(), out.now() - askDue);
            case DETACHED -> attachFailed(status.epoch());
            case ATTACHING, DETACHING, DEAD -> NOTHING;
          };
      case DETACHING -> {
        switch (status.state()) {
          case DETACHED -> {
            become(KernelState.DETACHED);
            yield new Result.Detached();
          }
          case ATTACHED -> detach(settings.quantumMillis()); // it failed, and that was lost
          case ATTACHING, DETACHING, DEAD -> {}
        }
        yield NOTHING;
      }
      case ATTACHED -> {
        if (status.state() != KernelState.DETACHED) {
          yield NOTHING;
        }
        become(KernelState.DETACHED);
        yield new Result.Detached();
      }
      case DETACHED -> {
        if (status.state() == KernelState.DETACHED) {
          yield NOTHING;
        }
        become(status.state());
        askDue = out.now() + OwnershipSettings.KERNEL_MILLIS;
        commandEpoch = 0;
        yield new Result.Unexpected(status.epoch());
      }
      case DEAD -> NOTHING;
    };
  }

  /** An earlier daemon's command may be of an epoch that HELLO did not tell yet. */
  private boolean isOfCommand(long epoch) {
    return commandEpoch == 0 || epoch == commandEpoch;
  }

  private Result attached(long epoch, long millis) {
    if (commandEpoch == 0) {
      rules.inherit(epoch);
    }
    become(KernelState.ATTACHED);
    return new Result.Attached(Math.max(0, millis));
  }

  private Result attachFailed(long epoch) {
    String why =
        trouble.isEmpty()
            ? text("could not be attached", epoch, 0, "its end was not heard of")
            : trouble;
    trouble = "";
    become(KernelState.DETACHED);
    attachDue = out.now() + OwnershipSettings.BUSY_MILLIS;
    return new Result.AttachFailed(why, commandEpoch == 0, late);
  }

  private void noteUnexpected(String event, long epoch, int errno) {
    out.note(
        Action.Level.INFO,
        "EV_{} epoch={} errno={} in state {} of epoch {}: asking the kernel",
        event,
        epoch,
        errno,
        state,
        commandEpoch);
  }

  private String text(String what, long epoch, int errno, String message) {
    return Outbox.fill(
        "XFS of {} {} at epoch {}: errno {}{}",
        settings.device(),
        what,
        epoch,
        errno,
        reason(message));
  }

  private static String reason(String message) {
    return message.isEmpty() ? "" : " (" + message + ")";
  }
}
