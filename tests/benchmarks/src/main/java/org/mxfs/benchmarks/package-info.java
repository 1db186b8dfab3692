// SPDX-License-Identifier: Apache-2.0

/**
 * Benchmarks of the native libraries, each beside a twin that does the same work in C.
 *
 * <p>{@link org.mxfs.benchmarks.Compare} runs them; {@link org.mxfs.benchmarks.Contests} is the
 * list. A contestant is always a process of its own that warms itself up, measures, and prints what
 * it measured ({@link org.mxfs.benchmarks.Contestant}); so Java and C are treated alike, and every
 * round has a JIT compilation of its own.
 */
@NullMarked
package org.mxfs.benchmarks;

import org.jspecify.annotations.NullMarked;
