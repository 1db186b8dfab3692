// SPDX-License-Identifier: Apache-2.0
@NullMarked
package org.mxfs.daemon.core.fencing;

import org.jspecify.annotations.NullMarked;
