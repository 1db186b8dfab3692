// SPDX-License-Identifier: Apache-2.0
/**
 * What {@code mxfsctl} asks: a unix domain socket for each mounted volume, readable by root alone.
 * One line comes in, one JSON object goes out. {@code status} is answered from what the policy
 * thread has published; it asks nothing of it and changes nothing, so it is answered also when that
 * one is stuck. {@code fence-clear} is passed on to the policy thread, which decides.
 */
@NullMarked
package org.mxfs.daemon.control;

import org.jspecify.annotations.NullMarked;
