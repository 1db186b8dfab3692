// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

/**
 * A message on its way.
 *
 * @param sequence counts the sender's messages to the receiver under this view, from 1; 0: none of
 *     them, may be lost
 * @param acknowledged the last one that the sender has taken from the receiver under this view
 */
public record Envelope(ViewId view, long sequence, long acknowledged, LockMessage message) {}
