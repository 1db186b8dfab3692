// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: .mxfs/lockstate, in which the daemons tell each other by way of the disk that they are alive.
 *
 * A file of XFS's that is written to past XFS, by device offset, by nodes that have no XFS mounted. So its blocks may never move,
 * and never become another file's while anybody knows of them. Hence:
 *
 *	It is made whole, without a name: allocated, written, flushed, immutable. Then it gets its name. A crash leaves none.
 *	It is one when at least half of its slots are records of this volume, which is the daemon's rule, too (SlotTable.isCredible()).
 *	It is made only where there is none, or where what is there is certainly no lock state of this volume: not one slot is (where it
 *	is too short, or has holes: of a node), and nothing that another version may have made. An error says nothing about what is
 *	there, a torn slot is the last thing that a node wrote before it died.
 *	It is made only by who is alone registered, as its daemon has said just now, and not after this mount has told its daemon of
 *	another.
 *	Who was told of one may be writing there. So an error of looking leaves it as it was told, and where it is certainly another
 *	one, or none, XFS is not attached before the daemon knows.
 *	It is told of only where each block is mapped, written and the file's own: bmap() says 0 for holes, for unwritten
 *	extents, and for a file that shares blocks with another (fs/xfs/xfs_aops.c: xfs_vm_bmap()).
 *	What is told was read from the device, in the very place, past every cache.
 *
 * Other nodes look for it in a probe: XFS mounted without log recovery (local/mount.c). So what has been made, or was found by log
 * recovery, is published: XFS is frozen, which writes its log home, and thawed.
 *
 * Looked at by the thread that mounts or attaches, one at a time; told to netlink and debugfs, which wait for no disk.
 */
#include <linux/bio.h>
#include <linux/crc32c.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include "compat.h"
#include "local/home.h"
#include "local/lockstate.h"
#include "local/own.h"
#include "local/validate.h"

#define MXFS_LOCKSTATE_CHUNK SZ_32K /* read and written at once */
#define MXFS_LOCKSTATE_ENOUGH (MXFS_LOCKSTATE_HEARTBEATS / 2) /* slots of this volume make it one */
#define MXFS_LOCKSTATE_JIFFIES (5 * HZ) /* nothing more is read then: a disk may take many seconds for each bad sector */
#define MXFS_ALONE_NANOS (10 * NSEC_PER_SEC) /* for so long it is true that nobody else is registered */

enum mxfs_slot {
	MXFS_SLOT_OK,
	MXFS_SLOT_DAMAGED,
	MXFS_SLOT_NEWER,
	MXFS_SLOT_OTHER, /* damaged, if it is not of another version, or of a disk with other blocks */
};

/* Why there is none. */
enum mxfs_none {
	MXFS_NONE_UNSURE, /* an error: there may be one */
	MXFS_NONE_SURE, /* what is there is not used, and left */
	MXFS_NONE_MAKE, /* it may be made */
};

static u32 mxfs_slot_bytes(struct mxfs_sb *sbi)
{
	return max_t(u32, MXFS_LOCKSTATE_RECORD, bdev_logical_block_size(file_bdev(sbi->device.pin)));
}

static u64 mxfs_lockstate_bytes(struct mxfs_sb *sbi)
{
	return (u64)MXFS_LOCKSTATE_HEARTBEATS * mxfs_slot_bytes(sbi);
}

/* As iSCSI, XFS and Java's CRC32C have it. */
static __le32 mxfs_slot_crc(const struct mxfs_heartbeat *slot)
{
	return cpu_to_le32(~crc32c(~0U, slot, offsetof(struct mxfs_heartbeat, crc)));
}

/* A slot that nobody has. */
static void mxfs_slot_free(struct mxfs_sb *sbi, struct mxfs_heartbeat *slot, u32 index)
{
	BUILD_BUG_ON(sizeof(*slot) != MXFS_LOCKSTATE_RECORD);
	memset(slot, 0, mxfs_slot_bytes(sbi));
	slot->magic = cpu_to_le32(MXFS_LOCKSTATE_MAGIC);
	slot->version = cpu_to_le16(MXFS_LOCKSTATE_VERSION);
	slot->kind = cpu_to_le16(MXFS_LOCKSTATE_HEARTBEAT);
	slot->index = cpu_to_le32(index);
	slot->slot_bytes = cpu_to_le32(mxfs_slot_bytes(sbi));
	memcpy(slot->volume, sbi->geo.uuid, MXFS_UUID_SIZE);
	slot->state = cpu_to_le32(MXFS_HEARTBEAT_FREE);
	slot->crc = mxfs_slot_crc(slot);
}

/* A newer version may have its checksum elsewhere, and slots of another size. Where they begin, these stay where they are. */
static bool mxfs_slot_is_other(struct mxfs_sb *sbi, const struct mxfs_heartbeat *slot)
{
	return slot->magic == cpu_to_le32(MXFS_LOCKSTATE_MAGIC) && !memcmp(slot->volume, sbi->geo.uuid, MXFS_UUID_SIZE) &&
	       (le16_to_cpu(slot->version) > MXFS_LOCKSTATE_VERSION || slot->slot_bytes != cpu_to_le32(mxfs_slot_bytes(sbi)));
}

static enum mxfs_slot mxfs_slot_judge(struct mxfs_sb *sbi, const struct mxfs_heartbeat *slot, u32 index)
{
	bool whole = slot->crc == mxfs_slot_crc(slot);

	if (mxfs_slot_is_other(sbi, slot))
		return whole && le16_to_cpu(slot->version) > MXFS_LOCKSTATE_VERSION ? MXFS_SLOT_NEWER : MXFS_SLOT_OTHER;
	if (slot->magic != cpu_to_le32(MXFS_LOCKSTATE_MAGIC) || !whole || memcmp(slot->volume, sbi->geo.uuid, MXFS_UUID_SIZE))
		return MXFS_SLOT_DAMAGED;
	if (slot->version != cpu_to_le16(MXFS_LOCKSTATE_VERSION) || slot->kind != cpu_to_le16(MXFS_LOCKSTATE_HEARTBEAT) ||
	    slot->index != cpu_to_le32(index) || slot->slot_bytes != cpu_to_le32(mxfs_slot_bytes(sbi)))
		return MXFS_SLOT_DAMAGED;
	return MXFS_SLOT_OK;
}

/* What was found: there is none, and why. */
static __printf(4, 5) void mxfs_lockstate_none(struct mxfs_lockstate_map *map, int err, enum mxfs_none none, const char *fmt, ...)
{
	va_list args;

	map->err = err;
	map->sure = none != MXFS_NONE_UNSURE;
	map->remake = none == MXFS_NONE_MAKE;
	map->count = 0;
	va_start(args, fmt);
	vscnprintf(map->reason, sizeof(map->reason), fmt, args);
	va_end(args);
}

/* Where the file is on the device. */
static void mxfs_lockstate_extents(struct mxfs_sb *sbi, struct inode *inode, struct mxfs_lockstate_map *map)
{
	u64 size = bdev_nr_bytes(file_bdev(sbi->device.pin)), bytes = mxfs_lockstate_bytes(sbi);
	u64 device, length, pos, block = i_blocksize(inode);
	struct mxfs_extent *last = NULL;
	sector_t number;
	int err;

	for (pos = 0; pos < bytes; pos += block) {
		number = pos >> inode->i_blkbits;
		err = bmap(inode, &number);
		device = (u64)number << inode->i_blkbits;
		length = min(block, bytes - pos);
		if (err || !number) {
			mxfs_lockstate_none(map, err ?: -EUCLEAN, MXFS_NONE_UNSURE,
					    "its blocks cannot be told, are shared with another file, or not all written");
			return;
		}
		if (device > size - length || !IS_ALIGNED(device, mxfs_slot_bytes(sbi))) {
			mxfs_lockstate_none(map, -EUCLEAN, MXFS_NONE_SURE, "it cannot be at byte %llu of the device", device);
			return;
		}
		if (last && last->device + last->length == device) {
			last->length += length;
			continue;
		}
		if (map->count == MXFS_LOCKSTATE_EXTENTS) {
			mxfs_lockstate_none(map, -EFBIG, MXFS_NONE_SURE, "it is in more than %d pieces", MXFS_LOCKSTATE_EXTENTS);
			return;
		}
		last = &map->extents[map->count++];
		*last = (struct mxfs_extent){ .file = pos, .device = device, .length = length };
	}
}

/*
 * Somebody has, or had, this slot, or a torn record of it is the last thing that he wrote: it must not be forgotten. One that the end of
 * the file cuts off is not torn: XFS has zeros behind that end (fs/xfs/xfs_iops.c: xfs_setattr_size()).
 */
static bool mxfs_slot_is_of_a_node(struct mxfs_sb *sbi, const struct mxfs_heartbeat *slot, u64 pos, u64 size)
{
	bool whole = pos + MXFS_LOCKSTATE_RECORD <= size;

	return IS_ALIGNED(pos, mxfs_slot_bytes(sbi)) && slot->magic == cpu_to_le32(MXFS_LOCKSTATE_MAGIC) &&
	       !memcmp(slot->volume, sbi->geo.uuid, MXFS_UUID_SIZE) && (slot->key || (whole && slot->crc != mxfs_slot_crc(slot)));
}

struct mxfs_lockstate_count {
	unsigned int ok, damaged, other, newer, unreadable;
	unsigned long end; /* jiffies */
	bool late; /* past it: what is left is taken for unreadable */
	int err; /* of what is unreadable */
};

static void mxfs_lockstate_count(struct mxfs_sb *sbi, struct mxfs_lockstate_count *count, const void *slots, u64 pos, u32 bytes)
{
	u32 slot = mxfs_slot_bytes(sbi), at;

	for (at = 0; at < bytes; at += slot) {
		switch (mxfs_slot_judge(sbi, slots + at, (pos + at) / slot)) {
		case MXFS_SLOT_OK:
			count->ok++;
			break;
		case MXFS_SLOT_DAMAGED:
			count->damaged++;
			break;
		case MXFS_SLOT_OTHER:
			count->other++;
			break;
		case MXFS_SLOT_NEWER:
			count->newer++;
			break;
		}
	}
}

/* What the block layer makes of a sector that cannot be read (block/blk-core.c: blk_errors). */
static bool mxfs_is_of_the_medium(int err)
{
	return err == -EIO || err == -ENODATA || err == -EILSEQ;
}

/* One piece that lies together. Return: 0 when it was counted, or that it was too late for it; what the device says. */
static int mxfs_lockstate_read_piece(struct mxfs_sb *sbi, struct mxfs_lockstate_count *count, u64 device, u64 file, void *buf, u32 bytes)
{
	int err;

	if (time_after(jiffies, count->end)) {
		count->late = true;
		count->err = count->err ?: -ETIMEDOUT;
		count->unreadable += bytes / mxfs_slot_bytes(sbi);
		return 0;
	}
	err = mxfs_device_read(file_bdev(sbi->device.pin), device, buf, bytes);
	if (!err)
		mxfs_lockstate_count(sbi, count, buf, file, bytes);
	return err;
}

/* A sector that cannot be read hides no other: then slot by slot. Return: 0, or an error that leaves it open what is there. */
static int mxfs_lockstate_read(struct mxfs_sb *sbi, struct mxfs_lockstate_count *count, const struct mxfs_extent *extent, void *buf)
{
	u32 bytes, at, slot = mxfs_slot_bytes(sbi);
	int err, got;
	u64 done;

	for (done = 0; done < extent->length; done += bytes) {
		bytes = min_t(u64, extent->length - done, MXFS_LOCKSTATE_CHUNK);
		err = mxfs_lockstate_read_piece(sbi, count, extent->device + done, extent->file + done, buf, bytes);
		for (at = 0; err && at < bytes; at += slot) {
			got = mxfs_lockstate_read_piece(sbi, count, extent->device + done + at, extent->file + done + at, buf, slot);
			if (!got)
				continue;
			count->err = got;
			if (!mxfs_is_of_the_medium(got))
				return got;
			count->unreadable++;
		}
	}
	return 0;
}

/* Is what is there a lock state of this volume? */
static void mxfs_lockstate_judge(struct mxfs_sb *sbi, struct mxfs_lockstate_map *map)
{
	struct mxfs_lockstate_count count = { .end = jiffies + MXFS_LOCKSTATE_JIFFIES };
	void *buf = kmalloc(MXFS_LOCKSTATE_CHUNK, GFP_KERNEL);
	unsigned int i;
	int err = buf ? 0 : -ENOMEM;

	for (i = 0; !err && i < map->count; i++)
		err = mxfs_lockstate_read(sbi, &count, &map->extents[i], buf);
	kfree(buf);
	map->damaged = count.damaged + count.other + count.unreadable;
	map->slow = count.late;
	if (err)
		mxfs_lockstate_none(map, err, MXFS_NONE_UNSURE, "it cannot be read (error %d)", -err);
	else if (count.newer)
		mxfs_lockstate_none(map, -EPROTO, MXFS_NONE_SURE, "it is of a newer version of mxfs");
	else if (count.ok < MXFS_LOCKSTATE_ENOUGH && count.ok + count.unreadable >= MXFS_LOCKSTATE_ENOUGH)
		mxfs_lockstate_none(map, count.err, MXFS_NONE_UNSURE, "%u of its %d slots cannot be read (error %d)",
				    count.unreadable, MXFS_LOCKSTATE_HEARTBEATS, -count.err);
	else if (count.ok < MXFS_LOCKSTATE_ENOUGH && count.other)
		mxfs_lockstate_none(map, -EPROTO, MXFS_NONE_SURE,
				    "it is of another version of mxfs, or has slots of another size");
	else if (count.ok < MXFS_LOCKSTATE_ENOUGH && (count.ok || count.unreadable))
		mxfs_lockstate_none(map, -EUCLEAN, MXFS_NONE_SURE, "only %u of its %d slots are records of this volume",
				    count.ok, MXFS_LOCKSTATE_HEARTBEATS);
	else if (!count.ok)
		mxfs_lockstate_none(map, -EUCLEAN, MXFS_NONE_MAKE, "what is in it is no lock state of this volume");
}

/*
 * The file is too short, or has holes. Has another version made it, or one for a disk with other blocks, or is there a node's record in
 * it? Return: 0: no, for certain; 1, 2; or an error that leaves it open.
 */
static int mxfs_lockstate_is_other(struct mxfs_sb *sbi, struct inode *inode, u64 allocated)
{
	u64 block = i_blocksize(inode), bytes = min_t(u64, i_size_read(inode), mxfs_lockstate_bytes(sbi)), pos, seen = 0;
	unsigned long end = jiffies + MXFS_LOCKSTATE_JIFFIES;
	struct block_device *bdev = file_bdev(sbi->device.pin);
	void *buf = kmalloc(block, GFP_KERNEL);
	int err = buf ? 0 : -ENOMEM;
	sector_t number;
	u64 at;

	for (pos = 0; !err && pos < bytes; pos += block) {
		number = pos >> inode->i_blkbits;
		err = bmap(inode, &number);
		if (err || !number)
			continue;
		seen += block;
		err = time_after(jiffies, end) ? -ETIMEDOUT : mxfs_device_read(bdev, (u64)number << inode->i_blkbits, buf, block);
		for (at = 0; !err && at < block; at += MXFS_LOCKSTATE_RECORD) {
			if (mxfs_slot_is_other(sbi, buf + at))
				err = 1;
			else if (mxfs_slot_is_of_a_node(sbi, buf + at, pos + at, bytes))
				err = 2;
		}
	}
	kfree(buf);
	/* bmap() says 0 for what it cannot tell, too. */
	return err ?: seen < min(allocated, round_up(bytes, block)) ? -EUCLEAN : 0;
}

/* With sbi->cred. It cannot be used as it is. What is in it is read once a mount, and where it is another one. */
static void mxfs_lockstate_misfit(struct mxfs_sb *sbi, struct inode *inode, u64 allocated, struct mxfs_lockstate_map *map, bool first)
{
	struct mxfs_lockstate *state = &sbi->lockstate;
	const struct mxfs_lockstate_map *seen = &state->seen;
	int other;

	if (seen->err && seen->id.ino == map->id.ino && seen->id.gen == map->id.gen && seen->size == i_size_read(inode) &&
	    seen->allocated == allocated && (seen->slow || (seen->sure && !first))) {
		*map = *seen;
		return;
	}
	map->size = i_size_read(inode);
	map->allocated = allocated;
	other = mxfs_lockstate_is_other(sbi, inode, allocated);
	map->slow = other == -ETIMEDOUT;
	if (other < 0)
		mxfs_lockstate_none(map, other, MXFS_NONE_UNSURE, "it is too short, or has holes, and cannot be read (error %d)", -other);
	else if (other == 1)
		mxfs_lockstate_none(map, -EPROTO, MXFS_NONE_SURE, "it is of another version of mxfs, or has slots of another size");
	else if (other)
		mxfs_lockstate_none(map, -EUCLEAN, MXFS_NONE_SURE, "it is too short, or has holes, and yet has records of nodes");
	else if (i_size_read(inode) < mxfs_lockstate_bytes(sbi))
		mxfs_lockstate_none(map, -EUCLEAN, MXFS_NONE_MAKE, "it has %lld bytes instead of %llu", i_size_read(inode),
				    mxfs_lockstate_bytes(sbi));
	else
		mxfs_lockstate_none(map, -EUCLEAN, MXFS_NONE_MAKE, "it has holes");
}

/* With sbi->cred. The file with a reference, or NULL where there is none of ours. */
static struct dentry *mxfs_lockstate_look(struct mxfs_sb *sbi, struct vfsmount *mnt, struct mxfs_lockstate_map *map, bool first)
{
	u64 bytes = mxfs_lockstate_bytes(sbi), blocks;
	struct dentry *found;
	struct inode *inode;
	int err;

	memset(map, 0, sizeof(*map));
	found = mxfs_own_look(mnt->mnt_root, MXFS_LOCKSTATE);
	if (found == ERR_PTR(-ENOENT)) {
		mxfs_lockstate_none(map, -ENOENT, MXFS_NONE_MAKE, "there is none");
		return NULL;
	}
	if (IS_ERR(found)) {
		err = PTR_ERR(found);
		mxfs_lockstate_none(map, err, err == -EPERM ? MXFS_NONE_SURE : MXFS_NONE_UNSURE,
				    err == -EPERM ? "what has its name is not mxfs's own" : "it cannot be looked up (error %d)", -err);
		return NULL;
	}
	inode = d_inode(found);
	map->id = (struct mxfs_file_id){ .ino = inode->i_ino, .gen = inode->i_generation };
	/* Has it a block for each of its bytes? */
	err = mxfs_own_bytes(&(struct path){ .mnt = mnt, .dentry = found }, &blocks);
	if (err)
		mxfs_lockstate_none(map, err, MXFS_NONE_UNSURE, "it cannot be looked at (error %d)", -err);
	else if (i_size_read(inode) < bytes || blocks < bytes)
		mxfs_lockstate_misfit(sbi, inode, blocks, map, first);
	else
		mxfs_lockstate_extents(sbi, inode, map);
	return found;
}

static bool mxfs_lockstate_same_place(const struct mxfs_lockstate_map *a, const struct mxfs_lockstate_map *b)
{
	return a->id.ino == b->id.ino && a->id.gen == b->id.gen && a->count == b->count &&
	       !memcmp(a->extents, b->extents, a->count * sizeof(a->extents[0]));
}

static bool mxfs_lockstate_same(const struct mxfs_lockstate_map *a, const struct mxfs_lockstate_map *b)
{
	return a->err == b->err && !strcmp(a->reason, b->reason) && mxfs_lockstate_same_place(a, b);
}

/* From now on this is what is told. In the log when it is another than before. Return: whether the daemon was told of another one. */
static bool mxfs_lockstate_set(struct mxfs_sb *sbi, const struct mxfs_lockstate_map *map)
{
	struct mxfs_lockstate *state = &sbi->lockstate;
	bool same, told, wrong;

	spin_lock(&state->lock);
	same = mxfs_lockstate_same(&state->map, map);
	told = state->told;
	wrong = told && !state->answer.err && (map->err || !mxfs_lockstate_same_place(&state->answer, map));
	if (!same || !state->generation)
		state->generation++;
	state->map = *map;
	spin_unlock(&state->lock);
	if (!same && !map->err)
		mxfs_debug(sbi, MXFS_OWN "/" MXFS_LOCKSTATE ": inode %llu, %u pieces, the first at byte %llu of the device",
			   map->id.ino, map->count, map->extents[0].device);
	/* What is none of ours has a line of its own, once the log was replayed (local/own.c). */
	else if (!same && map->err != -EPERM && (map->err != -ENOENT || told))
		mxfs_warn(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " is not used: %s", map->reason);
	if (!same && !map->err && map->damaged)
		mxfs_warn(sbi, MXFS_OWN "/" MXFS_LOCKSTATE ": %u of its %d slots are torn or cannot be read", map->damaged,
			  MXFS_LOCKSTATE_HEARTBEATS);
	if (wrong)
		mxfs_err(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " is another one than the daemon was told of, or gone: XFS is not attached before it has asked again");
	return wrong;
}

void mxfs_lockstate_init(struct mxfs_sb *sbi)
{
	spin_lock_init(&sbi->lockstate.lock);
	mxfs_lockstate_none(&sbi->lockstate.map, -ENODATA, MXFS_NONE_UNSURE, "it was not looked for yet");
}

/* A look that failed says nothing of what is there: what is known stays so. */
static bool mxfs_lockstate_keeps(struct mxfs_sb *sbi, const struct mxfs_lockstate_map *map)
{
	struct mxfs_lockstate *state = &sbi->lockstate;

	if (!map->err || map->sure || state->map.err)
		return false;
	/* The name is another file's: that is certain. */
	if (map->id.ino && (map->id.ino != state->map.id.ino || map->id.gen != state->map.id.gen))
		return false;
	if (!state->keep_told)
		mxfs_warn(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " is taken to be where it was: %s", map->reason);
	state->keep_told = true;
	return true;
}

/**
 * mxfs_lockstate_probe - find the lock state without attaching
 * @sbi: the mount
 * @mnt: XFS, mounted read-only and without log recovery
 *
 * Another node may own the volume: what is found may be old, or in motion. Nothing is made of what is not found.
 */
void mxfs_lockstate_probe(struct mxfs_sb *sbi, struct vfsmount *mnt)
{
	const struct cred *old_cred = override_creds(sbi->cred);
	struct mxfs_lockstate_map map;
	struct dentry *found = mxfs_lockstate_look(sbi, mnt, &map, true);

	sbi->lockstate.seen = map;
	if (!map.err)
		mxfs_lockstate_judge(sbi, &map);
	mxfs_lockstate_set(sbi, &map);
	/* It is on the disk where whoever probes finds it. */
	sbi->lockstate.published = !map.err;
	dput(found);
	revert_creds(old_cred);
}

/* May one be made? The array's word that nobody else is registered is of the daemon that lives, and of now: logs take their time. */
static bool mxfs_lockstate_alone(struct mxfs_sb *sbi)
{
	const struct mxfs_alone *alone = &sbi->lockstate.alone;

	return alone->said && alone->portid == READ_ONCE(sbi->daemon.portid) &&
	       ktime_get_boottime_ns() - alone->at < MXFS_ALONE_NANOS;
}

static int mxfs_lockstate_fill(struct mxfs_sb *sbi, struct file *file)
{
	u32 slot = mxfs_slot_bytes(sbi), index = 0, at;
	void *buf = kmalloc(MXFS_LOCKSTATE_CHUNK, GFP_KERNEL);
	ssize_t done = 0;
	loff_t pos = 0;

	if (!buf)
		return -ENOMEM;
	while (index < MXFS_LOCKSTATE_HEARTBEATS) {
		for (at = 0; at < MXFS_LOCKSTATE_CHUNK && index < MXFS_LOCKSTATE_HEARTBEATS; at += slot)
			mxfs_slot_free(sbi, buf + at, index++);
		done = kernel_write(file, buf, at, &pos);
		if (done != at)
			break;
		done = 0;
	}
	kfree(buf);
	return done < 0 ? done : done ? -EIO : vfs_fsync(file, 0);
}

/* It could not be made. A full volume may have no room for an inode, either. */
static void mxfs_lockstate_failed(struct mxfs_sb *sbi, struct mxfs_lockstate_map *map, int err)
{
	struct path root = { .mnt = sbi->lower, .dentry = sbi->lower->mnt_root };
	struct kstatfs fs;

	/* -EPERM says that what is there is none of ours. */
	if (err == -EPERM)
		err = -EACCES;
	if (err == -ENOSPC && !vfs_statfs(&root, &fs))
		mxfs_lockstate_none(map, err, MXFS_NONE_SURE, "the volume is too full to make it: it takes %llu bytes, and %llu are free",
				    mxfs_lockstate_bytes(sbi), (u64)fs.f_bavail * fs.f_bsize);
	else
		mxfs_lockstate_none(map, err, MXFS_NONE_SURE, "it cannot be made (error %d)", -err);
}

/* The file, whole and flushed, without a name yet. */
static int mxfs_lockstate_write(struct mxfs_sb *sbi, struct file *file, struct mxfs_lockstate_map *map)
{
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = d_inode(dentry);
	int err;

	err = mxfs_own_plain(dentry) ?: vfs_fallocate(file, 0, 0, mxfs_lockstate_bytes(sbi)) ?: mxfs_lockstate_fill(sbi, file);
	if (err) {
		mxfs_lockstate_failed(sbi, map, err);
		return err;
	}
	memset(map, 0, sizeof(*map));
	map->id = (struct mxfs_file_id){ .ino = inode->i_ino, .gen = inode->i_generation };
	mxfs_lockstate_extents(sbi, inode, map);
	if (!map->err)
		mxfs_lockstate_judge(sbi, map);
	if (!map->err && map->damaged)
		mxfs_lockstate_none(map, -EIO, MXFS_NONE_SURE, "it was made, and does not read as it was written");
	return map->err;
}

/* With sbi->cred. Nobody knows of any, and this node is alone. */
static void mxfs_lockstate_make(struct mxfs_sb *sbi, struct mxfs_lockstate_map *map)
{
	struct path dir = { .mnt = sbi->lower, .dentry = mxfs_own_dir(sbi, "open", true) };
	struct file *file;
	int err;

	err = PTR_ERR_OR_ZERO(dir.dentry);
	if (err) {
		mxfs_lockstate_failed(sbi, map, err);
		return;
	}
	/* Not in .mxfs itself, which is immutable. */
	file = kernel_tmpfile_open(&nop_mnt_idmap, &dir, S_IFREG | 0600, O_RDWR | O_LARGEFILE, sbi->cred);
	dput(dir.dentry);
	err = PTR_ERR_OR_ZERO(file);
	if (err) {
		mxfs_lockstate_failed(sbi, map, err);
		return;
	}
	err = mxfs_lockstate_write(sbi, file, map);
	if (!err) {
		err = mxfs_own_place(sbi, file, MXFS_LOCKSTATE) ?: vfs_fsync(file, 0);
		if (err)
			mxfs_lockstate_failed(sbi, map, err);
	}
	__fput_sync(file);
	if (!err)
		mxfs_info(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " was made: %llu bytes in %u pieces", mxfs_lockstate_bytes(sbi),
			  map->count);
}

/*
 * So that other nodes find it, and know which quotas are on. Return: 0, also when that has to be tried again at the next attach; an error
 * where XFS does not go on.
 */
static int mxfs_lockstate_publish(struct mxfs_sb *sbi)
{
	int err = mxfs_write_home(sbi);

	if (!err) {
		sbi->lockstate.published = !sbi->lockstate.map.err;
		sbi->device.home_due = false;
		return 0;
	}
	if (err == -ESHUTDOWN)
		return -EIO;
	if (!sbi->lockstate.freeze_told)
		mxfs_warn(sbi, "what other nodes read without XFS's log cannot be written home yet (%pe)", ERR_PTR(err));
	sbi->lockstate.freeze_told = true;
	return 0;
}

/* With sbi->cred. What is there now; what is in it is looked at once a mount, and where it is another one. */
static void mxfs_lockstate_find(struct mxfs_sb *sbi, struct mxfs_lockstate_map *map, bool first)
{
	struct mxfs_lockstate *state = &sbi->lockstate;
	struct dentry *found = mxfs_lockstate_look(sbi, sbi->lower, map, first);
	const struct mxfs_lockstate_map seen = *map;
	/* A disk that takes its time for each bad sector is asked once; what an error has left open, again. */
	bool again = mxfs_lockstate_same(&state->seen, map) &&
		     (state->map.slow || (!first && (!state->map.err || state->map.sure))), there;

	if (!map->err && again) {
		*map = state->map;
	} else if (!map->err) {
		there = !state->map.err && mxfs_lockstate_same_place(&state->map, map);
		if (!there)
			state->published = false;
		mxfs_lockstate_judge(sbi, map);
		if (there && mxfs_lockstate_keeps(sbi, map))
			*map = state->map;
	} else if (mxfs_lockstate_keeps(sbi, map)) {
		*map = state->map;
	}
	state->seen = seen;
	dput(found);
	/* Tried in vain, and still none: why it could not be made is the better answer. */
	if (map->remake && state->tried && state->map.err)
		*map = state->map;
}

/* With sbi->cred. One that is used never moves, and is nobody's quota: a crash may have left it otherwise. */
static void mxfs_lockstate_keep(struct mxfs_sb *sbi, const struct mxfs_file_id *id)
{
	struct dentry *found = mxfs_own_look(sbi->lower->mnt_root, MXFS_LOCKSTATE);
	int err;

	if (IS_ERR(found))
		return;
	err = d_inode(found)->i_ino == id->ino && d_inode(found)->i_generation == id->gen ? mxfs_own_keep(found) : 0;
	if (err)
		mxfs_warn(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " cannot be made immutable (%pe)", ERR_PTR(err));
	dput(found);
}

/**
 * mxfs_lockstate_attach - look at the lock state
 * @sbi: the mount, attaching: XFS is mounted, the gates are closed, and nothing was made on it yet
 *
 * Return: 0; -ESTALE when the daemon was told of another one, and may be writing there.
 */
int mxfs_lockstate_attach(struct mxfs_sb *sbi)
{
	const struct cred *old_cred = override_creds(sbi->cred);
	struct mxfs_lockstate_map map;
	bool other;

	mxfs_lockstate_find(sbi, &map, !sb_rdonly(sbi->lower->mnt_sb) && !sbi->change.begun);
	other = mxfs_lockstate_set(sbi, &map);
	revert_creds(old_cred);
	return other ? -ESTALE : 0;
}

/**
 * mxfs_lockstate_begin - make the lock state where that is due, and show it, and which quotas are on, to other nodes
 * @sbi: the mount, attaching, after mxfs_lockstate_attach(); .mxfs is there
 *
 * Without it the volume is mounted all the same.
 *
 * Return: 0; -EIO when XFS does not go on.
 */
int mxfs_lockstate_begin(struct mxfs_sb *sbi)
{
	struct mxfs_lockstate *state = &sbi->lockstate;
	struct mxfs_lockstate_map map = state->map;
	const struct cred *old_cred;

	if (sb_rdonly(sbi->lower->mnt_sb))
		return 0;
	if (!map.err && !sbi->change.begun) {
		old_cred = override_creds(sbi->cred);
		mxfs_lockstate_keep(sbi, &map.id);
		revert_creds(old_cred);
	}
	/* Once a mount. Not where this node has been told of one: it may be writing there. */
	if (map.remake && !state->tried && !READ_ONCE(state->told) && mxfs_lockstate_alone(sbi)) {
		state->tried = true;
		state->published = false;
		old_cred = override_creds(sbi->cred);
		mxfs_lockstate_make(sbi, &map);
		mxfs_lockstate_set(sbi, &map);
		revert_creds(old_cred);
		state->seen = map;
	}
	if ((map.err || state->published) && !sbi->device.home_due)
		return 0;
	return mxfs_lockstate_publish(sbi);
}
