// SPDX-License-Identifier: Apache-2.0
/**
 * What the daemon decides: pure state machines, {@code step(event, now) -> actions}.
 *
 * <p>Nothing here does I/O, starts threads, reads clocks or writes logs (an ArchUnit rule keeps it
 * so); time comes in as an argument and everything else goes out as an {@link
 * org.mxfs.daemon.core.Action}. The daemon drives these machines from real edges, the simulator in
 * the tests from simulated ones: the same code in both.
 *
 * <p>{@link org.mxfs.daemon.core.ownership.Ownership} is the first machine: who has the XFS of the
 * volume mounted. Beside it stand {@code membership}, {@code fencing}, {@code recovery} and {@code
 * lock} (not used yet).
 */
@NullMarked
package org.mxfs.daemon.core;

import org.jspecify.annotations.NullMarked;
