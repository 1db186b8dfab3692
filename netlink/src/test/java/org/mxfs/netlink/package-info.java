// SPDX-License-Identifier: Apache-2.0

@NullMarked
package org.mxfs.netlink;

import org.jspecify.annotations.NullMarked;
