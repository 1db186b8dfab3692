// SPDX-License-Identifier: Apache-2.0

@NullMarked
package org.mxfs.benchmarks;

import org.jspecify.annotations.NullMarked;
