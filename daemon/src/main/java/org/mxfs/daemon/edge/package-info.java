// SPDX-License-Identifier: Apache-2.0
/** What edges share: how they execute what the core asks for. Knows no edge and nothing else. */
@NullMarked
package org.mxfs.daemon.edge;

import org.jspecify.annotations.NullMarked;
