// SPDX-License-Identifier: Apache-2.0

/** Programs for machines with a real disk; they use what any user of the library has. */
@NullMarked
package org.mxfs.scsi.tool;

import org.jspecify.annotations.NullMarked;
