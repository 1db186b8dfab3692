// SPDX-License-Identifier: Apache-2.0
/**
 * Shutting one dead incarnation out of the disk, and knowing that it is. Pure: the answers of the
 * array come in, and when; what is to be asked goes out. Used where takeover is on: {@code
 * ownership.Takeover}.
 *
 * <p>{@link org.mxfs.daemon.core.fencing.Proof} alone keeps safety and alone makes a {@link
 * org.mxfs.daemon.core.fencing.Fenced}; {@link org.mxfs.daemon.core.fencing.Fencing} decides when
 * what is asked, and can at worst be slow. A {@link
 * org.mxfs.daemon.core.fencing.FenceCommand.Preempt} is a wish: whoever carries it out asks the
 * rules of ownership, which alone may PREEMPT.
 *
 * <pre>
 *   FencingSettings  FencingChoice  FenceCommand  End  Fenced
 *   Proof                                       safety
 *   FenceEvent  FenceAction  Fencing            step(event, now) -> actions
 *   Unaccounted                                 who was fenced and has not come back
 * </pre>
 */
@NullMarked
package org.mxfs.daemon.core.fencing;

import org.jspecify.annotations.NullMarked;
