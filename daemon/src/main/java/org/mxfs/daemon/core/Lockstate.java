// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

import org.jspecify.annotations.Nullable;

/**
 * What the kernel says of {@code .mxfs/lockstate}.
 *
 * @param generation another one whenever the kernel has another answer than before
 * @param map where it is; null: there is none
 * @param errno why there is none, as a positive number; 0 where there is one
 * @param reason the same in words; empty where there is one
 */
public record Lockstate(long generation, @Nullable LockstateMap map, int errno, String reason) {}
