/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: the device, and XFS mounted on it (local/mount.c).
 */
#ifndef _MXFS_LOCAL_MOUNT_H
#define _MXFS_LOCAL_MOUNT_H

#include <linux/fs_context.h>
#include "backend.h"

int mxfs_device_open(struct mxfs_sb *sbi, const char *name, struct fs_context *fc);
int mxfs_device_writable(struct mxfs_sb *sbi, struct fs_context *fc);
void mxfs_device_close(struct mxfs_sb *sbi);
int mxfs_claim(struct mxfs_sb *sbi);
int mxfs_claim_within(struct mxfs_sb *sbi, long limit);
int mxfs_reclaim(struct mxfs_sb *sbi, const char *why);
struct vfsmount *mxfs_lower_mount(struct mxfs_sb *sbi, bool probe);
struct vfsmount *mxfs_probe(struct mxfs_sb *sbi, struct fs_context *fc, struct mxfs_found *root);
int mxfs_probe_end(struct mxfs_sb *sbi, struct vfsmount *mnt, struct fs_context *fc);
int mxfs_carry_errors(struct mxfs_sb *sbi, struct super_block *lower);

#endif /* _MXFS_LOCAL_MOUNT_H */
