// SPDX-License-Identifier: Apache-2.0
/**
 * What {@code mxfsctl} asks: a unix domain socket for each mounted volume, readable by root alone.
 * One line comes in, one JSON object goes out. It answers from what the policy thread has published
 * and asks nothing of it, so that it answers also when that one is stuck; it changes nothing.
 */
@NullMarked
package org.mxfs.daemon.control;

import org.jspecify.annotations.NullMarked;
