// SPDX-License-Identifier: Apache-2.0
/**
 * A small journaled key/value store on blocks of a disk: what the nodes of a volume have to
 * remember beyond the life of each of them (epochs, who was fenced, what a recovery is about to do,
 * keys). Knows block devices and nothing of mxfs; one writer at a time, which others have to see
 * to.
 */
@NullMarked
package org.mxfs.daemon.statestore;

import org.jspecify.annotations.NullMarked;
