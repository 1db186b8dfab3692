// SPDX-License-Identifier: Apache-2.0
/**
 * Layouts of what goes over the network, and of a heartbeat slot on disk, each written down once:
 * the same table gives the code its offsets and docs/daemon.md its tables (a test compares them).
 * Never does I/O.
 */
@NullMarked
package org.mxfs.daemon.wire;

import org.jspecify.annotations.NullMarked;
