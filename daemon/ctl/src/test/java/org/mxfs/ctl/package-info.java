// SPDX-License-Identifier: Apache-2.0

@NullMarked
package org.mxfs.ctl;

import org.jspecify.annotations.NullMarked;
