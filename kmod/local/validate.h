/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: the first look at a device (local/validate.c).
 */
#ifndef _MXFS_LOCAL_VALIDATE_H
#define _MXFS_LOCAL_VALIDATE_H

#include <linux/fs_context.h>
#include "sb.h"

int mxfs_device_read(struct block_device *bdev, u64 pos, void *buf, size_t bytes);
int mxfs_validate(struct mxfs_sb *sbi, struct fs_context *fc);
int mxfs_read_quotas(struct mxfs_sb *sbi, u16 *quotas);

#endif /* _MXFS_LOCAL_VALIDATE_H */
