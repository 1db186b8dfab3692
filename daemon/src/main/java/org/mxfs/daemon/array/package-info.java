// SPDX-License-Identifier: Apache-2.0
/**
 * The edge to the storage array: persistent reservations over SG_IO. Runs one command at a time and
 * says what came of it, never more than is known; never repeats a command that may have taken
 * effect.
 */
@NullMarked
package org.mxfs.daemon.array;

import org.jspecify.annotations.NullMarked;
