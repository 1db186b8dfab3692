// SPDX-License-Identifier: Apache-2.0

/**
 * The command line tool. Each command is a class that parses and prints; what it does is in a class
 * beside it that knows nothing of command lines.
 *
 * <p>Nothing here writes data to a device. {@code scsi check} writes reservations, and takes back
 * every one it wrote.
 */
@NullMarked
package org.mxfs.ctl;

import org.jspecify.annotations.NullMarked;
