// SPDX-License-Identifier: Apache-2.0

/** Benchmarks of what {@code org.mxfs.blockio} does not show to others. */
@NullMarked
package org.mxfs.blockio;

import org.jspecify.annotations.NullMarked;
