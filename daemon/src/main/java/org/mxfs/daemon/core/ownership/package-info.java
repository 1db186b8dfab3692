// SPDX-License-Identifier: Apache-2.0
/**
 * Who has the XFS of the volume mounted: this node's side of it.
 *
 * <p>{@link org.mxfs.daemon.core.ownership.TenureRules} alone keeps the one rule; only what it
 * hands out may attach XFS, register, unregister or PREEMPT. Everything else here decides
 * <em>when</em>, and can at worst be slow. Each class knows only those above it:
 *
 * <pre>
 *   Outbox  Permit  Phase       what leaves the machine; the vocabulary
 *   DeadLives  TenureRules      safety
 *   Situation  HolderView  Neighbours  WaitQueue
 *   ArrayDialogue  Attachment   the two that are commanded, the array and the kernel
 *   Pulse                       the third, the disk
 *   Guard                       who was shut out and is not accounted for
 *   Departure                   the ways out
 *   KeyTidier  Registrar        keys: dead ones off the array, our own onto it
 *   LeaseKeeper
 *   Takeover                    who is silent is shut out, and has ended
 *   Claim  Joining
 *   Handover
 *   Overview                    where it stands, for people
 *   Ownership                   joins them: step(event, now) -> actions
 * </pre>
 */
@NullMarked
package org.mxfs.daemon.core.ownership;

import org.jspecify.annotations.NullMarked;
