/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: operations where XFS is mounted here.
 */
#ifndef _MXFS_LOCAL_LOCAL_H
#define _MXFS_LOCAL_LOCAL_H

#include "backend.h"

extern const struct mxfs_ops mxfs_local_ops;

/* Calls a function of the table. An owner takes no indirect branch for what is called most. */
#define mxfs_call(op, name, ...)                                                        \
	(likely((op)->ops == &mxfs_local_ops) ? mxfs_local_##name(__VA_ARGS__) :        \
						(op)->ops->name(__VA_ARGS__))

void mxfs_found_bind(struct inode *inode, struct mxfs_found *found) __mxfs_hot;
void mxfs_let_lower_go(struct mxfs_inode *mi) __mxfs_hot;

/* attrs.c */
int mxfs_local_getattr(struct inode *inode, struct kstat *stat, u32 mask, unsigned int flags) __mxfs_hot;
int mxfs_local_setattr(struct inode *inode, const struct iattr *iattr, struct mxfs_attrs *attr);
char *mxfs_local_get_link(struct inode *inode);
int mxfs_local_touch_link(struct inode *inode, struct mxfs_attrs *attr);
ssize_t mxfs_local_listxattr(struct inode *inode, char *list, size_t size);
int mxfs_local_get_xattr(struct inode *inode, const char *name, void *value, size_t size);
int mxfs_local_set_xattr(struct inode *inode, const char *name, const void *value, size_t size, int flags,
			 struct mxfs_attrs *attr);
struct posix_acl *mxfs_local_get_acl(struct inode *inode, int type);
int mxfs_local_set_acl(struct inode *inode, struct posix_acl *acl, int type, struct mxfs_attrs *attr);
int mxfs_local_fileattr_get(struct inode *inode, struct mxfs_fileattr *fa);
int mxfs_local_fileattr_set(struct inode *inode, struct mxfs_fileattr *fa, struct mxfs_attrs *attr);
int mxfs_local_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 len);
int mxfs_local_statfs(struct inode *inode, struct kstatfs *buf);
int mxfs_local_sync(struct super_block *sb);

/* names.c */
int mxfs_local_lookup(struct inode *dir, const struct qstr *name, struct mxfs_found *found) __mxfs_hot;
int mxfs_local_make(struct inode *dir, const struct qstr *name, const struct mxfs_new *new, struct mxfs_found *found,
		    struct mxfs_attrs *dir_attr) __mxfs_hot;
int mxfs_local_remove(struct inode *dir, struct dentry *dentry, bool is_dir, struct mxfs_attrs *dir_attr,
		      struct mxfs_attrs *attr) __mxfs_hot;
int mxfs_local_rename(struct inode *old_dir, struct dentry *old_dentry, struct inode *new_dir, struct dentry *new_dentry,
		      unsigned int flags, struct mxfs_renamed *renamed);
int mxfs_local_tmpfile(struct inode *dir, umode_t mode, unsigned int flags, struct mxfs_found *found);
int mxfs_local_iterate(struct file *file, struct dir_context *ctx, bool nofault);

/* handles.c */
int mxfs_local_open(struct inode *inode) __mxfs_hot;
int mxfs_local_know_fh(struct inode *inode);
int mxfs_local_find_fh(struct super_block *sb, u32 *fh, int words, int type, struct mxfs_found *found);
int mxfs_local_get_parent(struct inode *inode, struct mxfs_found *found);

/* quota.c: quotactl(2) is for who owns the volume */
extern const struct quotactl_ops mxfs_quota_ops;

#endif /* _MXFS_LOCAL_LOCAL_H */
