// SPDX-License-Identifier: Apache-2.0
/**
 * What comes after a node's death, in the order of F4, as types: fence, clear its records on disk,
 * clear its locks in memory, recover the journal. Each step is made from the proof of the step
 * before and from nothing else, so that none can begin too early; one that fails stays where it is,
 * to be tried again. Pure. Used where takeover is on: {@code ownership.Takeover}.
 *
 * <pre>
 *   fencing.Fenced -> ClearRecords -> RecordsCleared -> LocksCleared -> RecoverJournal -> Recovered
 * </pre>
 */
@NullMarked
package org.mxfs.daemon.core.recovery;

import org.jspecify.annotations.NullMarked;
