// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.OwnershipSettings;

/** The XFS of the volume on this node: what the kernel was told, and what it said. */
final class Attachment {
  private final OwnershipSettings settings;
  private final Outbox out;
  private final TenureRules rules;

  private KernelState state = KernelState.DETACHED;
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
  }

  /** EV_LEAVE comes after the kernel has detached XFS and ended all operations. */
  void left() {
    become(KernelState.DETACHED);
  }

  private void become(KernelState next) {
    state = next;
    if (next == KernelState.DETACHED) {
      rules.xfsIsGone();
    } else {
      rules.xfsIsHere();
    }
  }

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
    out.add(attach);
  }

  void detachWhenDue() {
    if (out.now() < detachDue) {
      out.wakeAt(detachDue);
      return;
    }
    state = KernelState.DETACHING;
    out.add(new Action.Detach(rules.tenure(), settings.quantumMillis()));
  }

  /** The end of an ATTACH that was asked for; returns what went wrong, "" for nothing. */
  String attached(Event.Attached event) {
    if (event.errno() == 0) {
      become(KernelState.ATTACHED);
      return "";
    }
    become(KernelState.DETACHED);
    attachDue = out.now() + OwnershipSettings.BUSY_MILLIS;
    return Outbox.fill(
        "XFS of {} could not be attached at epoch {}: errno {}{}",
        settings.device(),
        event.epoch(),
        event.errno(),
        reason(event.message()));
  }

  /** XFS was attached without this daemon's asking. */
  void foundAttached() {
    become(KernelState.ATTACHED);
  }

  /** The end of a DETACH that was asked for; returns what went wrong, "" for nothing. */
  String detached(Event.Detached event) {
    if (event.errno() == 0) {
      become(KernelState.DETACHED);
      detachMillis = (int) Math.min(Integer.MAX_VALUE, event.nanos() / 1_000_000);
      return "";
    }
    become(KernelState.ATTACHED);
    detachDue = out.now() + OwnershipSettings.BUSY_MILLIS;
    return Outbox.fill(
        "node {} cannot give up the volume: detaching XFS failed with errno {}{}",
        rules.key().nodeName(),
        event.errno(),
        reason(event.message()));
  }

  /** XFS was detached without this daemon's asking. */
  void foundDetached() {
    become(KernelState.DETACHED);
  }

  private static String reason(String message) {
    return message.isEmpty() ? "" : " (" + message + ")";
  }
}
