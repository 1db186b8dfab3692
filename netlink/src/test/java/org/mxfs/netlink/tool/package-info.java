// SPDX-License-Identifier: Apache-2.0

/**
 * Test programs that are run on a machine of the lab, with nothing but the library's public API.
 */
@NullMarked
package org.mxfs.netlink.tool;

import org.jspecify.annotations.NullMarked;
