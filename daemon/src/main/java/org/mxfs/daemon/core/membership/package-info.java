// SPDX-License-Identifier: Apache-2.0
/**
 * Who is alive, as the disk shows it: heartbeat slots and how long each has stood still. Pure: what
 * was read from the disk comes in, and when; nothing here reads or writes.
 */
@NullMarked
package org.mxfs.daemon.core.membership;

import org.jspecify.annotations.NullMarked;
