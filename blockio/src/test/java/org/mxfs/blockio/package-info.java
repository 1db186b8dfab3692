// SPDX-License-Identifier: Apache-2.0

@NullMarked
package org.mxfs.blockio;

import org.jspecify.annotations.NullMarked;
