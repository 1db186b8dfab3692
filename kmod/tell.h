/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: what the daemon is told (daemon/netlink.c). The one way from here up.
 */
#ifndef _MXFS_TELL_H
#define _MXFS_TELL_H

#include "sb.h"

void mxfs_send_want(struct mxfs_sb *sbi);
void mxfs_send_result(struct mxfs_sb *sbi, u8 event, u64 epoch, int err, u64 nanos, const char *message);

#endif /* _MXFS_TELL_H */
