// SPDX-License-Identifier: Apache-2.0

/**
 * The floor everything native stands on: system calls that return {@code -errno}, named errors,
 * mappings.
 *
 * <p>The only package that links native functions or turns addresses into memory. It holds no
 * policy: it never retries, never logs, never decides what an error means. What it exposes of the
 * kernel is generated from the tables in {@code src/main/abi}, each line of which the C compiler
 * has confirmed in the same build.
 */
@NullMarked
package org.mxfs.bindings;

import org.jspecify.annotations.NullMarked;
