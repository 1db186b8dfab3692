/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: inodes and open files, which outlive their lower ones.
 */
#ifndef _MXFS_INODE_H
#define _MXFS_INODE_H

#include "sb.h"

/* A file without a name that is held on this node has one link in .mxfs/orphans; see local/orphan.c. */
struct mxfs_orphan {
	struct list_head entry; /* orphans.reap, once the inode is gone */
	struct llist_node done; /* orphans.reap_new, before */
	u32 seq;
};

/* A lower inode that stays until the detach, because another node holds the file. */
struct mxfs_lent {
	struct list_head entry; /* orphans.lent */
	struct dentry *lower;
};

/* A lower file that is open on behalf of an upper one, and reopened after each attach. */
struct mxfs_open {
	struct mxfs_sb *sbi;
	struct list_head lower_entry; /* bind.files while ->lower is set */
	struct file *lower;
	struct inode *inode;
	void *names; /* of a directory: where its names are read to (vfs/dir.c) */
	/* mxfs_accessed(): while this is the ctime, and until this jiffy, reading leaves atime as it is. */
	time64_t fresh_sec;
	long fresh_nsec;
	unsigned long fresh_until;
	bool told; /* XFS has told an error of write-back by the write that has i_rwsem */
};

/* Bytes of a file. */
struct mxfs_range {
	loff_t first;
	loff_t last; /* of the range, too */
};

/**
 * struct mxfs_inode - an inode that outlives its lower inode
 * @lower:	lower dentry, or NULL; set and cleared under bind.lock, and never cleared
 * while a gate is held that keeps detaching away
 * @attr_seq:	attach_seq of the last copy of the attributes
 * @kept:	it has an extra link in .mxfs/orphans that is this node's: @orphan, while it is needed
 * @shared_seq:	the attach in which it had an extra link in .mxfs/orphans that is for every node that holds it
 * (mxfs_set_shared()): in each one all of them are looked at, as another node may have removed it. Of the root: not 0 where there
 * is .mxfs, which nobody sees
 * @lent:	it is to get such a link when the volume is given up (mxfs_orphan_lend())
 * @fh:		how to find it again after the next attach (exportfs)
 * @let_go:	it was removed, has no lower inode any more and waits in removed.list; set once, under i_lock
 * @orphan:	its extra link in .mxfs/orphans, or NULL; set while detaching, under bind.lock
 * @told_entry:	opens.told while it is in this node's list of what it holds
 * @lower_wb_err: of the lower inode's wb_err, what was carried up; under bind.lock (mxfs_carry_error())
 * @changing:	what is being changed below while pages of it are above, or NULL; write-back leaves it alone. Set and cleared under i_lock, by
 * who holds invalidate_lock exclusively (mxfs_cache_hold())
 * @left_out:	how often write-back has left out what is being changed
 * @left_done:	up to which of them it has been written since; under i_lock (mxfs_cache_left_out())
 * @wb:		the lower file that the page cache of maps reads and writes through
 *
 * What stat(2) looks at comes first, so that it is in one cache line with the end of @vfs_inode (Linux 6.12,
 * x86-64): with many files each line more is a miss.
 */
struct mxfs_inode {
	struct inode vfs_inode;
	struct dentry *lower;
	u64 attr_seq;
	bool kept;
	bool lent;
	bool let_go;
	u32 shared_seq;
	struct list_head lower_entry; /* bind.inodes while ->lower is set */
	u64 ino;
	struct mxfs_orphan *orphan;
	struct list_head cached_entry;
	struct list_head told_entry;
	struct llist_node removed_entry;
	u32 fh[MXFS_FH_WORDS];
	u8 fh_type;
	u8 fh_words;
	errseq_t lower_wb_err;
	const struct mxfs_range *changing;
	atomic_t left_out, left_done;
	struct mxfs_open wb;
};

static inline struct mxfs_inode *MXFS_I(const struct inode *inode)
{
	return container_of(inode, struct mxfs_inode, vfs_inode);
}

/*
 * The root; NULL for an attach that umount asks for, when the VFS has no inode any more (mxfs_reap_all()). While an attach is
 * under way it stays what it is (mxfs_hold()).
 */
static inline struct mxfs_inode *mxfs_root(const struct mxfs_sb *sbi)
{
	const struct dentry *root = sbi->sb->s_root;

	return root ? MXFS_I(d_inode(root)) : NULL;
}

static inline struct mxfs_sb *MXFS_ISB(const struct inode *inode)
{
	return MXFS_SB(inode->i_sb);
}

static inline struct mxfs_sb *mxfs_file_sb(const struct file *file)
{
	const struct mxfs_open *open = READ_ONCE(file->private_data);

	/* On the way to the lower file anyway; the inode and its superblock are not. */
	return likely(open) ? open->sbi : MXFS_ISB(file_inode(file));
}

/* @attach_seq: of the attach. */
static inline void mxfs_set_shared(struct mxfs_inode *mi, u64 attach_seq)
{
	WRITE_ONCE(mi->shared_seq, (u32)attach_seq ?: 1);
}

static inline bool mxfs_is_shared(const struct mxfs_inode *mi)
{
	u32 seq = READ_ONCE(mi->shared_seq);

	return unlikely(seq) && (S_ISDIR(mi->vfs_inode.i_mode) || seq == ((u32)READ_ONCE(MXFS_ISB(&mi->vfs_inode)->attach_seq) ?: 1));
}

/* Links in .mxfs/orphans, which keep a file and are no names of it. */
static inline unsigned int mxfs_extra_links(const struct mxfs_inode *mi)
{
	return READ_ONCE(mi->kept) + mxfs_is_shared(mi);
}

/* The links that a program may see. */
static inline unsigned int mxfs_seen_links(const struct mxfs_inode *mi, unsigned int nlink)
{
	return nlink - min(nlink, mxfs_extra_links(mi));
}

int mxfs_inode_cache_create(void);
void mxfs_inode_cache_destroy(void);
struct inode *mxfs_alloc_inode(struct super_block *sb) __mxfs_hot;
void mxfs_free_inode(struct inode *inode) __mxfs_hot;
struct inode *mxfs_inode_get(struct super_block *sb, struct mxfs_file_id *id, bool created) __mxfs_hot;
struct mxfs_open *mxfs_get_open(struct file *file);
void mxfs_open_free(struct mxfs_open *open);
struct inode *mxfs_known(struct super_block *sb, struct mxfs_file_id *id);

#endif /* _MXFS_INODE_H */
