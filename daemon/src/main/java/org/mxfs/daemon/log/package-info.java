// SPDX-License-Identifier: Apache-2.0
/**
 * The daemon's log: an SLF4J provider that writes one line each to a file under /var/log/mxfs and
 * to the system log. Never blocks on, and never writes to, an mxfs mount.
 */
@NullMarked
package org.mxfs.daemon.log;

import org.jspecify.annotations.NullMarked;
