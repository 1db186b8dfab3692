// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: attributes, where XFS is mounted here.
 */
#include <linux/fiemap.h>
#include <linux/fileattr.h>
#include <linux/namei.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/uaccess.h>
#include <linux/xattr.h>
#include "local/bind.h"
#include "local/local.h"
#include "local/home.h"
#include "local/mount.h"

int mxfs_local_getattr(struct inode *inode, struct kstat *stat, u32 mask, unsigned int flags)
{
	struct path path = { .mnt = MXFS_ISB(inode)->lower, .dentry = mxfs_lower(inode) };
	int err;

	if (IS_ERR(path.dentry))
		return PTR_ERR(path.dentry);
	err = mxfs_refresh_attr(inode);
	if (err)
		return err;
	/* What vfs_getattr_nosec() prepares has been prepared for the upper inode. */
	return d_inode(path.dentry)->i_op->getattr(&nop_mnt_idmap, &path, stat, mask, flags);
}

/* What notify_change() is to do. Who may is decided there, by the attributes as they are. */
static void mxfs_lower_iattr(struct inode *linode, const struct iattr *iattr, struct iattr *lattr)
{
	int kill;

	*lattr = *iattr;
	/* ia_file is the upper file; the lower file system must not see it. */
	lattr->ia_valid &= ~ATTR_FILE;
	if (iattr->ia_valid & ATTR_SIZE) {
		/* fs/open.c: do_truncate() */
		kill = setattr_should_drop_suidgid(&nop_mnt_idmap, linode);
		if (kill && !(iattr->ia_valid & (ATTR_UID | ATTR_GID)))
			lattr->ia_valid |= kill | ATTR_FORCE;
	}
	/*
	 * notify_change() refuses both at once (fs/attr.c), and the upper call has turned the one
	 * into the other.
	 */
	if (lattr->ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID))
		lattr->ia_valid &= ~ATTR_MODE;
}

int mxfs_local_setattr(struct inode *inode, const struct iattr *iattr, struct mxfs_attrs *attr)
{
	struct dentry *lower = mxfs_lower(inode);
	struct inode *linode;
	struct iattr lattr;
	int err;

	attr->xfs = NULL;
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	linode = d_inode(lower);
	mxfs_lower_iattr(linode, iattr, &lattr);
	if (iattr->ia_valid & ATTR_SIZE) {
		err = get_write_access(linode);
		if (err)
			return err;
		/*
		 * The end of a freeze is waited for here, as by mnt_want_write(): fs/xfs/xfs_iops.c (xfs_setattr_size()) writes the page at
		 * the old end, whose own end waits in a transaction, sync(2) for the page with s_umount, and thaw_super() for that.
		 */
		sb_start_write(linode->i_sb);
	}
	inode_lock(linode);
	err = notify_change(&nop_mnt_idmap, lower, &lattr, NULL);
	inode_unlock(linode);
	if (iattr->ia_valid & ATTR_SIZE) {
		sb_end_write(linode->i_sb);
		put_write_access(linode);
	}
	attr->xfs = linode;
	return err;
}

/* A copy: the lower string may live in the lower inode, which may be gone when the VFS walks this one. */
char *mxfs_local_get_link(struct inode *inode)
{
	struct dentry *lower = mxfs_lower(inode);
	DEFINE_DELAYED_CALL(lower_done);
	const char *link;
	char *copy;

	if (IS_ERR(lower))
		return ERR_CAST(lower);
	link = vfs_get_link(lower, &lower_done);
	if (IS_ERR(link))
		return ERR_CAST(link);
	copy = kstrdup(link, GFP_KERNEL);
	do_delayed_call(&lower_done);
	return copy ?: ERR_PTR(-ENOMEM);
}

int mxfs_local_touch_link(struct inode *inode, struct mxfs_attrs *attr)
{
	struct path path = { .mnt = MXFS_ISB(inode)->lower, .dentry = mxfs_lower(inode) };

	if (IS_ERR(path.dentry))
		return PTR_ERR(path.dentry);
	touch_atime(&path);
	attr->xfs = d_inode(path.dentry);
	return 0;
}

ssize_t mxfs_local_listxattr(struct inode *inode, char *list, size_t size)
{
	struct dentry *lower = mxfs_lower(inode);

	return IS_ERR(lower) ? PTR_ERR(lower) : vfs_listxattr(lower, list, size);
}

/*
 * The VFS has asked who may, and has translated what is to be translated (a file capability of a user namespace). Here, both must
 * not happen again: the caller may be the kernel, on behalf of somebody who may not; and a capability translated twice
 * is another one.
 */
int mxfs_local_get_xattr(struct inode *inode, const char *name, void *value, size_t size)
{
	struct dentry *lower = mxfs_lower(inode);

	return IS_ERR(lower) ? PTR_ERR(lower) : __vfs_getxattr(lower, d_inode(lower), name, value, size);
}

/* What xattr_permission() asks (fs/xattr.c), by the attributes as they are now. */
static int mxfs_may_set_xattr(struct inode *linode, const char *name)
{
	if (IS_IMMUTABLE(linode) || IS_APPEND(linode))
		return -EPERM;
	if (!strcmp(name, XATTR_NAME_CAPS) && !capable_wrt_inode_uidgid(&nop_mnt_idmap, linode, CAP_SETFCAP))
		return -EPERM;
	if (strncmp(name, XATTR_USER_PREFIX, XATTR_USER_PREFIX_LEN))
		return 0;
	if (S_ISDIR(linode->i_mode) && (linode->i_mode & S_ISVTX) && !inode_owner_or_capable(&nop_mnt_idmap, linode))
		return -EPERM;
	return generic_permission(&nop_mnt_idmap, linode, MAY_WRITE);
}

/* With both inodes locked. */
static int mxfs_xattr_set_lower(struct dentry *lower, const char *name, const void *value, size_t size, int flags)
{
	struct inode *linode = d_inode(lower);
	int err = mxfs_may_set_xattr(linode, name);

	if (err)
		return err;
	/* As __vfs_setxattr_noperm(): a write has to look again whether there is a capability to take away. */
	if (!strncmp(name, XATTR_SECURITY_PREFIX, XATTR_SECURITY_PREFIX_LEN))
		linode->i_flags &= ~S_NOSEC;
	if (!value)
		return __vfs_removexattr(&nop_mnt_idmap, lower, name);
	return __vfs_setxattr(&nop_mnt_idmap, lower, linode, name, value, size, flags);
}

int mxfs_local_set_xattr(struct inode *inode, const char *name, const void *value, size_t size, int flags,
			 struct mxfs_attrs *attr)
{
	struct dentry *lower = mxfs_lower(inode);
	int err;

	attr->xfs = NULL;
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	attr->xfs = d_inode(lower);
	inode_lock(d_inode(lower));
	err = mxfs_xattr_set_lower(lower, name, value, size, flags);
	inode_unlock(d_inode(lower));
	return err;
}

struct posix_acl *mxfs_local_get_acl(struct inode *inode, int type)
{
	struct dentry *lower = mxfs_lower(inode);

	return IS_ERR(lower) ? ERR_CAST(lower) : get_inode_acl(d_inode(lower), type);
}

int mxfs_local_set_acl(struct inode *inode, struct posix_acl *acl, int type, struct mxfs_attrs *attr)
{
	struct dentry *lower = mxfs_lower(inode);
	const char *name = posix_acl_xattr_name(type);

	attr->xfs = NULL;
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	attr->xfs = d_inode(lower);
	if (acl)
		return vfs_set_acl(&nop_mnt_idmap, lower, name, acl);
	return vfs_remove_acl(&nop_mnt_idmap, lower, name);
}

int mxfs_local_fileattr_get(struct inode *inode, struct mxfs_fileattr *fa)
{
	struct dentry *lower = mxfs_lower(inode);

	return IS_ERR(lower) ? PTR_ERR(lower) : vfs_fileattr_get(lower, fa);
}

int mxfs_local_fileattr_set(struct inode *inode, struct mxfs_fileattr *fa, struct mxfs_attrs *attr)
{
	struct dentry *lower = mxfs_lower(inode);

	attr->xfs = NULL;
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	attr->xfs = d_inode(lower);
	return vfs_fileattr_set(&nop_mnt_idmap, lower, fa);
}

int mxfs_local_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 len)
{
	struct dentry *lower = mxfs_lower(inode);
	struct inode *linode;
	int err;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	linode = d_inode(lower);
	if (!linode->i_op->fiemap)
		return -EOPNOTSUPP;
	pagefault_disable();
	err = linode->i_op->fiemap(linode, info, start, len);
	pagefault_enable();
	return err;
}

int mxfs_local_statfs(struct inode *inode, struct kstatfs *buf)
{
	struct path path = { .mnt = MXFS_ISB(inode)->lower, .dentry = mxfs_lower(inode) };

	return IS_ERR(path.dentry) ? PTR_ERR(path.dentry) : vfs_statfs(&path, buf);
}

int mxfs_local_sync(struct super_block *sb)
{
	struct mxfs_sb *sbi = MXFS_SB(sb);
	struct super_block *lower = sbi->lower->mnt_sb;
	int err = mxfs_sync_lower(lower);

	mxfs_carry_errors(sbi, lower);
	return err;
}
