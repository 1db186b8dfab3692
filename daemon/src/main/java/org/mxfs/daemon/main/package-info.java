// SPDX-License-Identifier: Apache-2.0
/**
 * The program: reads its arguments, connects the edges to the core, and runs the one loop that
 * feeds it.
 */
@NullMarked
package org.mxfs.daemon.main;

import org.jspecify.annotations.NullMarked;
