// SPDX-License-Identifier: Apache-2.0
/**
 * The edge to mxfs.ko: generic netlink, as described in linux/mxfs.h. Turns the kernel's events
 * into the core's and the core's actions into requests; decides nothing.
 */
@NullMarked
package org.mxfs.daemon.kernel;

import org.jspecify.annotations.NullMarked;
