// SPDX-License-Identifier: Apache-2.0
/**
 * The lock state on disk: {@code .mxfs/lockstate}, read and written by device offset, past XFS and
 * every cache. Knows where a slot is and how a record looks; who may write which is the core's
 * matter.
 */
@NullMarked
package org.mxfs.daemon.disk;

import org.jspecify.annotations.NullMarked;
