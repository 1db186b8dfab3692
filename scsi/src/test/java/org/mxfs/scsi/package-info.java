// SPDX-License-Identifier: Apache-2.0

@NullMarked
package org.mxfs.scsi;

import org.jspecify.annotations.NullMarked;
