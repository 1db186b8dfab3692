// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import org.mxfs.scsi.ResetWorth;

/**
 * How what a fenced node has under way is ended, where a path is mounted.
 *
 * @param path device node
 * @param adapter the driver of its host adapter; empty: not known
 * @param worth of a LOGICAL UNIT RESET there
 */
record Fencing(String path, String adapter, ResetWorth worth) {}
