// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import org.mxfs.daemon.core.Action;

/** What a {@link Fencing} wants done, in order. */
public sealed interface FenceAction {
  /** To the array; the answer comes back as {@link FenceEvent.Answered}, with the same number. */
  record Ask(long question, FenceCommand command) implements FenceAction {}

  /** A {@link FenceEvent.Tick} then, by the clock that {@code step} is given. */
  record Wake(long atMillis) implements FenceAction {}

  /**
   * The disk is not reserved (or with another type), and so nobody is shut out of it: it has to be
   * reserved first, by the rules of ownership. The fencing goes on and looks again.
   */
  record Reserve() implements FenceAction {}

  /** The end. */
  record Done(Fenced proof) implements FenceAction {}

  /**
   * The end, without a proof: our own key is not registered any more, or was registered anew. Who
   * is registered again begins again.
   */
  record Lost() implements FenceAction {}

  record Note(Action.Level level, String text) implements FenceAction {}
}
