// SPDX-License-Identifier: Apache-2.0
/**
 * Locks of the cluster in memory: VMS-style, mastered by a hash of the resource's name.
 *
 * <p>Nothing here does I/O, reads clocks or starts threads. Each class knows only those above it:
 *
 * <pre>
 *   Mode  ResourceType  ResourceId  ViewId  View  Mastering  LockId  ValueBlock  the vocabulary
 *   Refusal  LockSettings  Cleared  SlotWrite  LockMessage  Envelope  LockEvent  LockAction
 *   LockOutbox  Links           what leaves the machine
 *   Lock  Resource              the queues of one resource
 *   SlotPool  GrantBatch        disk record before grant
 *   LockTable                   this node as a master
 *   Holdings                    this node's own locks
 *   Deadlock                    circles, across masters
 *   LockManager                 joins them: step(event, now) -> actions
 *   RangeOwner  RangeLock  RangeIndex
 *   RangeLocks                  byte ranges: the queue behind flock, fcntl and OFD locks
 * </pre>
 */
@NullMarked
package org.mxfs.daemon.core.lock;

import org.jspecify.annotations.NullMarked;
