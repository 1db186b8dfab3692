/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: what the VFS calls.
 */
#ifndef _MXFS_VFS_VFS_H
#define _MXFS_VFS_VFS_H

#include <linux/fs.h>
#include "backend.h"

/* super.c */
extern struct file_system_type mxfs_fs_type;

/* inode.c */
extern const struct inode_operations mxfs_file_iops, mxfs_dir_iops, mxfs_symlink_iops,
	mxfs_special_iops;
struct inode *mxfs_iget(struct super_block *sb, struct mxfs_found *found, bool created) __mxfs_hot;
void mxfs_evict_inode(struct inode *inode) __mxfs_hot;
int mxfs_drop_inode(struct inode *inode) __mxfs_hot;
void mxfs_free_workfn(struct work_struct *work);
void mxfs_free_all(struct mxfs_sb *sbi);
int mxfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask) __mxfs_hot;
int mxfs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask,
		 unsigned int flags) __mxfs_hot;
int mxfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr);
ssize_t mxfs_listxattr(struct dentry *dentry, char *list, size_t size);
struct posix_acl *mxfs_get_inode_acl(struct inode *inode, int type, bool rcu);
int mxfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type);
int mxfs_fileattr_get(struct dentry *dentry, struct mxfs_fileattr *fa);
int mxfs_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct mxfs_fileattr *fa);
extern const struct xattr_handler *const mxfs_xattr_handlers[];

/* dir.c */
extern const struct dentry_operations mxfs_dops;
extern const struct file_operations mxfs_dir_fops;

/* file.c */
extern const struct file_operations mxfs_file_fops;
int mxfs_open(struct inode *inode, struct file *file) __mxfs_hot;

/* export.c */
extern const struct export_operations mxfs_export_ops;

#endif /* _MXFS_VFS_VFS_H */
