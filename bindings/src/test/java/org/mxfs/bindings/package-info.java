// SPDX-License-Identifier: Apache-2.0

@NullMarked
package org.mxfs.bindings;

import org.jspecify.annotations.NullMarked;
