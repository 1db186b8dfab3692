// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import org.mxfs.daemon.core.ArrayAnswer;

/** What happens to a {@link Fencing}. */
public sealed interface FenceEvent {
  /** Once, first. */
  record Start() implements FenceEvent {}

  /** The moment of a {@link FenceAction.Wake} is there; harmless at any other. */
  record Tick() implements FenceEvent {}

  /** The answer to the command of this number. */
  record Answered(long question, ArrayAnswer answer) implements FenceEvent {}

  /** This node sends a REGISTER, for whatever reason: the fencing is given up. */
  record Registering() implements FenceEvent {}
}
