// SPDX-License-Identifier: Apache-2.0
@NullMarked
package org.mxfs.daemon.core.recovery;

import org.jspecify.annotations.NullMarked;
