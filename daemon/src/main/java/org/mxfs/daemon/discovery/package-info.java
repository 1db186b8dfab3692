// SPDX-License-Identifier: Apache-2.0
/**
 * Who else has this volume: announcements by UDP multicast or broadcast. Foreign, stale, malformed
 * and own packets are dropped and counted.
 */
@NullMarked
package org.mxfs.daemon.discovery;

import org.jspecify.annotations.NullMarked;
