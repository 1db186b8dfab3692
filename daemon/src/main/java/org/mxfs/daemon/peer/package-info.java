// SPDX-License-Identifier: Apache-2.0
/**
 * The edge to the daemons of the other nodes: one TCP connection a pair, framed messages. Decides
 * nothing about ownership; a connection that breaks the format is closed and counted.
 */
@NullMarked
package org.mxfs.daemon.peer;

import org.jspecify.annotations.NullMarked;
