// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: generic netlink, the module's side of the contract in include/uapi/linux/mxfs.h.
 *
 * Commands run under one mutex with those of most families of the machine (net/netlink/genetlink.c: genl_mutex), so none here waits for a disk, a
 * daemon or an operation: what takes time is begun, and done by the mount's thread or by work. Of our own locks, none that is taken
 * here is held anywhere across such a wait.
 */
#include <linux/netlink.h>
#include <net/genetlink.h>
#include "daemon/daemon.h"
#include "options.h"
#include "role/attach.h"
#include "role/lease.h"

#define MXFS_RESULT_JIFFIES (HZ / 20) /* until a result that the daemon's socket had no room for is sent again */

static LIST_HEAD(mxfs_mounts);
static DEFINE_MUTEX(mxfs_mounts_lock); /* the list, and portid/hello of its members */
static struct genl_family mxfs_genl;

/* Is the volume mounted by another device? */
static struct mxfs_sb *mxfs_same_volume(struct mxfs_sb *sbi)
{
	struct mxfs_sb *other;

	list_for_each_entry(other, &mxfs_mounts, list)
		if (!memcmp(other->geo.uuid, sbi->geo.uuid, MXFS_UUID_SIZE))
			return other;
	return NULL;
}

/**
 * mxfs_netlink_add - let a daemon find the mount
 * @sbi: the mount, validated
 * @fc: where mount(8) reads messages
 *
 * A volume is mounted by one device. By a second path to the same disk another daemon would register, find the first one's
 * key, and take it for what a dead life of this node had left. XFS sees that only while it is attached, and not with nouuid.
 *
 * Return: 0 or -EBUSY.
 */
int mxfs_netlink_add(struct mxfs_sb *sbi, struct fs_context *fc)
{
	struct mxfs_sb *other;

	mutex_lock(&mxfs_mounts_lock);
	other = mxfs_same_volume(sbi);
	if (other) {
		mxfs_err(sbi, "not mounted: the volume %pU is mounted on this node by %s", sbi->geo.uuid, other->source);
		errorf(fc, "mxfs: %s: the volume %pU is mounted on this node by %s", sbi->source, sbi->geo.uuid,
		       other->source);
	} else {
		list_add_tail(&sbi->list, &mxfs_mounts);
	}
	mutex_unlock(&mxfs_mounts_lock);
	return other ? -EBUSY : 0;
}

void mxfs_netlink_del(struct mxfs_sb *sbi)
{
	mutex_lock(&mxfs_mounts_lock);
	list_del_init(&sbi->list);
	mutex_unlock(&mxfs_mounts_lock);
}

/* Returns the mount with a reference. */
static struct mxfs_sb *mxfs_find(u32 id)
{
	struct mxfs_sb *sbi, *found = NULL;

	mutex_lock(&mxfs_mounts_lock);
	list_for_each_entry(sbi, &mxfs_mounts, list)
		if (sbi->id == id) {
			found = sbi;
			refcount_inc(&found->ref);
			break;
		}
	mutex_unlock(&mxfs_mounts_lock);
	return found;
}

static void mxfs_count_refused(struct mxfs_sb *sbi)
{
	spin_lock(&sbi->stats_lock);
	sbi->stats.refused++;
	spin_unlock(&sbi->stats_lock);
}

/* The mount that a message is about, with a reference, if the sender is its daemon. */
static struct mxfs_sb *mxfs_of(struct genl_info *info)
{
	struct mxfs_sb *sbi;

	if (GENL_REQ_ATTR_CHECK(info, MXFS_A_MOUNT))
		return ERR_PTR(-EINVAL);
	sbi = mxfs_find(nla_get_u32(info->attrs[MXFS_A_MOUNT]));
	if (!sbi) {
		GENL_SET_ERR_MSG(info, "no such mount");
		return ERR_PTR(-ENODEV);
	}
	if (sbi->daemon.portid != info->snd_portid) {
		mxfs_count_refused(sbi);
		mxfs_sb_put(sbi);
		GENL_SET_ERR_MSG(info, "only the daemon that said HELLO speaks for this mount");
		return ERR_PTR(-EPERM);
	}
	return sbi;
}

/* Which must be the same on all nodes: the daemons compare them. Those for quotas are the volume's own. */
static int mxfs_put_xfs_options(struct sk_buff *skb, struct mxfs_sb *sbi)
{
	char text[MXFS_MESSAGE_MAX];

	mxfs_xfs_options_text(&sbi->opts, text, sizeof(text));
	return *text ? nla_put_string(skb, MXFS_A_XFS_OPTIONS, text) : 0;
}

static int mxfs_put_mount(struct sk_buff *skb, struct mxfs_sb *sbi)
{
	u32 flags = 0;

	if (sbi->rdonly)
		flags |= MXFS_FLAG_RDONLY;
	if (sbi->opts.debug)
		flags |= MXFS_FLAG_DEBUG;
	if (sbi->stats.daemon_starts > 1)
		flags |= MXFS_FLAG_RESTART;
	if (atomic_read(&sbi->waiters))
		flags |= MXFS_FLAG_WANT;
	if (sbi->change.unused)
		flags |= MXFS_FLAG_LEAVING;
	flags |= MXFS_FLAG_LOCKSTATE;

	if (nla_put_u32(skb, MXFS_A_MOUNT, sbi->id) ||
	    nla_put(skb, MXFS_A_UUID, MXFS_UUID_SIZE, sbi->geo.uuid) ||
	    nla_put_string(skb, MXFS_A_DEVICE, sbi->source) ||
	    nla_put_u32(skb, MXFS_A_DEV_MAJOR, MAJOR(sbi->dev)) ||
	    nla_put_u32(skb, MXFS_A_DEV_MINOR, MINOR(sbi->dev)) ||
	    nla_put_u32(skb, MXFS_A_FLAGS, flags) ||
	    nla_put_u16(skb, MXFS_A_PORT, sbi->opts.port) ||
	    nla_put_u32(skb, MXFS_A_LEASE_MS, sbi->opts.lease_ms) ||
	    nla_put_u32(skb, MXFS_A_QUANTUM_MS, sbi->opts.quantum_ms) ||
	    nla_put_u32(skb, MXFS_A_ROLE, sbi->role) ||
	    nla_put_u32(skb, MXFS_A_STATE, mxfs_told_state(sbi)) ||
	    nla_put_u64_64bit(skb, MXFS_A_KEY, sbi->key, MXFS_A_PAD) ||
	    nla_put_u64_64bit(skb, MXFS_A_EPOCH, sbi->epoch, MXFS_A_PAD))
		return -EMSGSIZE;
	if ((sbi->opts.iface && nla_put_string(skb, MXFS_A_IFACE, sbi->opts.iface)) ||
	    (sbi->opts.multicast && nla_put_string(skb, MXFS_A_MULTICAST, sbi->opts.multicast)) ||
	    (sbi->opts.broadcast && nla_put_string(skb, MXFS_A_BROADCAST, sbi->opts.broadcast)))
		return -EMSGSIZE;
	return mxfs_put_xfs_options(skb, sbi);
}

static int mxfs_put_stats(struct sk_buff *skb, struct mxfs_sb *sbi)
{
	struct mxfs_stats stats;
	int cpu;

	spin_lock(&sbi->stats_lock);
	stats = sbi->stats;
	spin_unlock(&sbi->stats_lock);
	for_each_possible_cpu(cpu) {
		stats.through_bytes_read += per_cpu_ptr(sbi->cpu, cpu)->bytes_read;
		stats.through_bytes_written += per_cpu_ptr(sbi->cpu, cpu)->bytes_written;
	}
	return nla_put(skb, MXFS_A_STATS, sizeof(stats), &stats);
}

static int mxfs_reply(struct genl_info *info, struct mxfs_sb *sbi, u8 cmd, bool stats)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!skb)
		return -ENOMEM;
	hdr = genlmsg_put_reply(skb, info, &mxfs_genl, 0, cmd);
	if (!hdr || mxfs_put_mount(skb, sbi) || (stats && mxfs_put_stats(skb, sbi))) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
}

static int mxfs_do_hello(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi, *found = NULL;
	int err = -ENODEV;

	if (GENL_REQ_ATTR_CHECK(info, MXFS_A_UUID))
		return -EINVAL;
	mutex_lock(&mxfs_mounts_lock);
	list_for_each_entry(sbi, &mxfs_mounts, list) {
		if (memcmp(sbi->geo.uuid, nla_data(info->attrs[MXFS_A_UUID]), MXFS_UUID_SIZE))
			continue;
		if (sbi->daemon.pid != task_tgid(current)) {
			mxfs_count_refused(sbi);
			err = -EPERM;
			continue;
		}
		found = sbi;
		refcount_inc(&found->ref);
		found->daemon.portid = info->snd_portid;
		found->daemon.hello = true;
		/* It was told of no lock state yet, and its predecessor's last write has ended. */
		spin_lock(&found->lockstate.lock);
		found->lockstate.answer.err = -ENODATA;
		spin_unlock(&found->lockstate.lock);
		break;
	}
	mutex_unlock(&mxfs_mounts_lock);
	if (!found) {
		if (err == -EPERM)
			GENL_SET_ERR_MSG(
				info, "this process was not started by the mount with this UUID");
		else
			GENL_SET_ERR_MSG(info, "no mount with this UUID waits for a daemon");
		return err;
	}
	err = mxfs_reply(info, found, MXFS_CMD_HELLO, false);
	mxfs_sb_put(found);
	return err;
}

static int mxfs_do_key(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi;

	if (GENL_REQ_ATTR_CHECK(info, MXFS_A_KEY))
		return -EINVAL;
	sbi = mxfs_of(info);
	if (IS_ERR(sbi))
		return PTR_ERR(sbi);
	sbi->key = nla_get_u64(info->attrs[MXFS_A_KEY]);
	if (!sbi->orphans.key)
		sbi->orphans.key = sbi->key;
	mxfs_sb_put(sbi);
	return 0;
}

static int mxfs_do_lease(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, MXFS_A_LEASE_END))
		return -EINVAL;
	sbi = mxfs_of(info);
	if (IS_ERR(sbi))
		return PTR_ERR(sbi);
	err = mxfs_lease_set(sbi, nla_get_u64(info->attrs[MXFS_A_LEASE_END]));
	if (err) {
		mxfs_count_refused(sbi);
		GENL_SET_ERR_MSG(info, "the lease ends further away than any lease does");
	}
	mxfs_sb_put(sbi);
	return err;
}

static int mxfs_refused(struct genl_info *info, struct mxfs_sb *sbi, u64 epoch, int err)
{
	if (err)
		mxfs_count_refused(sbi);
	if (err == -ESTALE)
		GENL_SET_ERR_MSG_FMT(info, "epoch %llu is stale: the present one is %llu", epoch, sbi->epoch);
	else if (err == -EBUSY)
		GENL_SET_ERR_MSG(info, "another command is to come");
	else if (err == -ESHUTDOWN)
		GENL_SET_ERR_MSG(info, "the volume is being unmounted");
	return err;
}

static int mxfs_do_attach(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi;
	bool alone;
	u64 epoch;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, MXFS_A_EPOCH))
		return -EINVAL;
	sbi = mxfs_of(info);
	if (IS_ERR(sbi))
		return PTR_ERR(sbi);
	epoch = nla_get_u64(info->attrs[MXFS_A_EPOCH]);
	alone = info->attrs[MXFS_A_ALONE] && nla_get_u32(info->attrs[MXFS_A_ALONE]);
	err = mxfs_refused(info, sbi, epoch, mxfs_command(sbi, MXFS_DO_ATTACH, epoch, 0, alone));
	mxfs_sb_put(sbi);
	return err;
}

static int mxfs_do_detach(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi;
	u32 quantum;
	u64 epoch;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, MXFS_A_EPOCH))
		return -EINVAL;
	sbi = mxfs_of(info);
	if (IS_ERR(sbi))
		return PTR_ERR(sbi);
	quantum = info->attrs[MXFS_A_QUANTUM_MS] ? nla_get_u32(info->attrs[MXFS_A_QUANTUM_MS]) :
						   sbi->opts.quantum_ms;
	epoch = nla_get_u64(info->attrs[MXFS_A_EPOCH]);
	err = mxfs_refused(info, sbi, epoch, mxfs_command(sbi, MXFS_DO_DETACH, epoch, quantum, false));
	mxfs_sb_put(sbi);
	return err;
}

static int mxfs_do_ready(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi;
	u32 role;

	if (GENL_REQ_ATTR_CHECK(info, MXFS_A_ROLE))
		return -EINVAL;
	role = nla_get_u32(info->attrs[MXFS_A_ROLE]);
	sbi = mxfs_of(info);
	if (IS_ERR(sbi))
		return PTR_ERR(sbi);
	sbi->role = role;
	if (info->attrs[MXFS_A_CLUSTERED])
		sbi->clustered = nla_get_u32(info->attrs[MXFS_A_CLUSTERED]);
	WRITE_ONCE(sbi->daemon.ready, true);
	WRITE_ONCE(sbi->frozen, false);
	wake_up_all(&sbi->wait);
	mxfs_sb_put(sbi);
	return 0;
}

static void mxfs_take_message(struct genl_info *info, char *buf)
{
	if (info->attrs[MXFS_A_MESSAGE])
		nla_strscpy(buf, info->attrs[MXFS_A_MESSAGE], MXFS_MESSAGE_MAX);
	else
		strscpy(buf, "the daemon gave no reason", MXFS_MESSAGE_MAX);
}

static int mxfs_do_fail(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, MXFS_A_ERRNO))
		return -EINVAL;
	sbi = mxfs_of(info);
	if (IS_ERR(sbi))
		return PTR_ERR(sbi);
	err = nla_get_u32(info->attrs[MXFS_A_ERRNO]);
	mxfs_take_message(info, sbi->daemon.fail_msg);
	WRITE_ONCE(sbi->daemon.fail_err, err && err <= MAX_ERRNO ? -err : -EIO);
	wake_up_all(&sbi->wait);
	if (READ_ONCE(sbi->sb->s_root) && READ_ONCE(sbi->daemon.ready)) {
		WRITE_ONCE(sbi->change.disowned, true);
		mxfs_shutdown_soon(sbi, sbi->daemon.fail_msg);
	}
	mxfs_sb_put(sbi);
	return 0;
}

static int mxfs_do_fenced(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi = mxfs_of(info);

	if (IS_ERR(sbi))
		return PTR_ERR(sbi);
	mxfs_take_message(info, sbi->daemon.fail_msg);
	WRITE_ONCE(sbi->daemon.fail_err, -EIO);
	WRITE_ONCE(sbi->change.disowned, true);
	mxfs_shutdown_soon(sbi, sbi->daemon.fail_msg);
	mxfs_sb_put(sbi);
	return 0;
}

static int mxfs_do_left(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi = mxfs_of(info);

	if (IS_ERR(sbi))
		return PTR_ERR(sbi);
	WRITE_ONCE(sbi->daemon.left, true);
	wake_up_all(&sbi->wait);
	mxfs_sb_put(sbi);
	return 0;
}

static int mxfs_do_status(struct sk_buff *skb, struct genl_info *info)
{
	struct mxfs_sb *sbi;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, MXFS_A_MOUNT))
		return -EINVAL;
	sbi = mxfs_find(nla_get_u32(info->attrs[MXFS_A_MOUNT]));
	if (!sbi)
		return -ENODEV;
	err = mxfs_reply(info, sbi, MXFS_CMD_STATUS, true);
	mxfs_sb_put(sbi);
	return err;
}

static int mxfs_put_lockstate(struct sk_buff *skb, struct mxfs_sb *sbi)
{
	struct mxfs_lockstate *state = &sbi->lockstate;
	const struct mxfs_lockstate_map *map = &state->map;
	u32 bytes = 0, i;

	if (nla_put_u32(skb, MXFS_A_MOUNT, sbi->id) ||
	    nla_put_u64_64bit(skb, MXFS_A_GENERATION, state->generation, MXFS_A_PAD))
		return -EMSGSIZE;
	state->answer = *map;
	if (map->err)
		return nla_put_u32(skb, MXFS_A_ERRNO, -map->err) ?: nla_put_string(skb, MXFS_A_MESSAGE, map->reason);
	for (i = 0; i < map->count; i++)
		bytes += map->extents[i].length;
	state->told = true;
	return nla_put_u32(skb, MXFS_A_SLOT_BYTES, bytes / MXFS_LOCKSTATE_HEARTBEATS) ?:
	       nla_put_u32(skb, MXFS_A_SLOTS, MXFS_LOCKSTATE_HEARTBEATS) ?:
	       nla_put(skb, MXFS_A_EXTENTS, map->count * sizeof(map->extents[0]), map->extents);
}

/* From then on it is not made anew, and what is told here is what attaches are compared with (local/lockstate.c). */
static int mxfs_do_lockstate(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	struct mxfs_sb *sbi;
	void *hdr;
	int err;

	if (!reply)
		return -ENOMEM;
	sbi = mxfs_of(info);
	if (IS_ERR(sbi)) {
		nlmsg_free(reply);
		return PTR_ERR(sbi);
	}
	hdr = genlmsg_put_reply(reply, info, &mxfs_genl, 0, MXFS_CMD_LOCKSTATE);
	spin_lock(&sbi->lockstate.lock);
	err = hdr ? mxfs_put_lockstate(reply, sbi) : -EMSGSIZE;
	spin_unlock(&sbi->lockstate.lock);
	mxfs_sb_put(sbi);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

static int mxfs_dump_status(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct mxfs_sb *sbi;
	u32 after = cb->args[0];
	void *hdr;

	mutex_lock(&mxfs_mounts_lock);
	list_for_each_entry(sbi, &mxfs_mounts, list) {
		if (sbi->id <= after)
			continue;
		hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &mxfs_genl,
				  NLM_F_MULTI, MXFS_CMD_STATUS);
		if (!hdr)
			break;
		if (mxfs_put_mount(skb, sbi) || mxfs_put_stats(skb, sbi)) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
		cb->args[0] = sbi->id;
	}
	mutex_unlock(&mxfs_mounts_lock);
	return skb->len;
}

/* Kernel to daemon. */

/* Return: 0; -ENOTCONN when there is no daemon, whose successor is told the state in the answer to HELLO; -EAGAIN. */
static int mxfs_send(struct mxfs_sb *sbi, struct sk_buff *skb, void *hdr, const char *what)
{
	u32 portid = READ_ONCE(sbi->daemon.portid);
	int err;

	genlmsg_end(skb, hdr);
	if (!portid) {
		nlmsg_free(skb);
		return -ENOTCONN;
	}
	err = genlmsg_unicast(&init_net, skb, portid);
	if (err == -ECONNREFUSED)
		return -ENOTCONN;
	if (err)
		mxfs_debug(sbi, "the daemon did not receive %s (%pe); it will be said again", what,
			   ERR_PTR(err));
	return err;
}

static struct sk_buff *mxfs_event(struct mxfs_sb *sbi, u8 cmd, void **hdr)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*hdr = genlmsg_put(skb, 0, 0, &mxfs_genl, 0, cmd);
	if (!*hdr || nla_put_u32(skb, MXFS_A_MOUNT, sbi->id)) {
		nlmsg_free(skb);
		return NULL;
	}
	return skb;
}

/* At most one a second, and the first at once. */
void mxfs_send_want(struct mxfs_sb *sbi)
{
	struct sk_buff *skb;
	unsigned long last;
	void *hdr;

	spin_lock(&sbi->stats_lock);
	last = sbi->daemon.last_want;
	if (last && time_before(jiffies, last + HZ)) {
		spin_unlock(&sbi->stats_lock);
		return;
	}
	/*
	 * A program that still waits asks each second: what is older was wanted by one that has gone. Who asks once (mxfs_enter_to_look(),
	 * mxfs_reap_all()), or has waited through a long attach that failed, may be counted from later.
	 */
	if (!last || time_after(jiffies, last + 2 * HZ))
		sbi->daemon.want_nanos = ktime_get_ns();
	WRITE_ONCE(sbi->daemon.last_want, jiffies ?: 1);
	spin_unlock(&sbi->stats_lock);

	skb = mxfs_event(sbi, MXFS_EV_WANT, &hdr);
	if (skb)
		mxfs_send(sbi, skb, hdr, "WANT");
}

int mxfs_send_leave(struct mxfs_sb *sbi)
{
	void *hdr;
	struct sk_buff *skb = mxfs_event(sbi, MXFS_EV_LEAVE, &hdr);

	return skb ? mxfs_send(sbi, skb, hdr, "LEAVE") : -ENOMEM;
}

static int mxfs_send_one_result(struct mxfs_sb *sbi, const struct mxfs_result *result)
{
	void *hdr;
	struct sk_buff *skb = mxfs_event(sbi, result->event, &hdr);

	if (!skb)
		return -ENOMEM;
	if (nla_put_u64_64bit(skb, MXFS_A_EPOCH, result->epoch, MXFS_A_PAD) ||
	    nla_put_u32(skb, MXFS_A_ERRNO, -result->err) ||
	    nla_put_u64_64bit(skb, MXFS_A_NANOS, result->nanos, MXFS_A_PAD) ||
	    (result->message && nla_put_string(skb, MXFS_A_MESSAGE, result->message))) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	return mxfs_send(sbi, skb, hdr, result->event == MXFS_EV_ATTACHED ? "ATTACHED" : "DETACHED");
}

/*
 * The daemon waits for it, and does nothing else meanwhile: a socket that is full is tried again until it is not. Under
 * tell.lock: a result that is told late would be taken for that of a later command of the same epoch.
 */
static void mxfs_hand_over(struct mxfs_sb *sbi)
{
	struct mxfs_result result;
	int err;

	spin_lock(&sbi->tell.result_lock);
	result = sbi->tell.result;
	spin_unlock(&sbi->tell.result_lock);
	if (!result.portid)
		return;
	err = result.portid == READ_ONCE(sbi->daemon.portid) ? mxfs_send_one_result(sbi, &result) : -ENOTCONN;
	if (err == -EAGAIN || err == -ENOMEM) {
		mod_delayed_work(mxfs_wq, &sbi->tell.work, MXFS_RESULT_JIFFIES);
		return;
	}
	spin_lock(&sbi->tell.result_lock);
	if (sbi->tell.result.event == result.event && sbi->tell.result.epoch == result.epoch)
		sbi->tell.result.portid = 0;
	spin_unlock(&sbi->tell.result_lock);
}

void mxfs_result_workfn(struct work_struct *work)
{
	struct mxfs_sb *sbi = container_of(to_delayed_work(work), struct mxfs_sb, tell.work);

	mutex_lock(&sbi->tell.lock);
	mxfs_hand_over(sbi);
	mutex_unlock(&sbi->tell.lock);
}

/**
 * mxfs_send_result - tell the daemon what became of its command
 * @sbi: the mount
 * @event: MXFS_EV_ATTACHED or MXFS_EV_DETACHED
 * @epoch: of the command
 * @err: 0 or -errno
 * @nanos: how long it took
 * @message: a constant, or NULL
 *
 * A daemon that says HELLO meanwhile either finds the command under way (mxfs_told_state()) and is told the result, or finds
 * it done.
 */
void mxfs_send_result(struct mxfs_sb *sbi, u8 event, u64 epoch, int err, u64 nanos, const char *message)
{
	mutex_lock(&sbi->tell.lock);
	mutex_lock(&sbi->state_lock);
	WRITE_ONCE(sbi->change.doing, MXFS_DO_NOTHING);
	sbi->change.reattaching = false;
	spin_lock(&sbi->tell.result_lock);
	sbi->tell.result = (struct mxfs_result){
		.portid = READ_ONCE(sbi->daemon.portid),
		.event = event,
		.epoch = epoch,
		.err = err,
		.nanos = nanos,
		.message = message,
	};
	spin_unlock(&sbi->tell.result_lock);
	mutex_unlock(&sbi->state_lock);
	mxfs_hand_over(sbi);
	mutex_unlock(&sbi->tell.lock);
}

static const struct nla_policy mxfs_hello_policy[MXFS_A_MAX + 1] = {
	[MXFS_A_UUID] = NLA_POLICY_EXACT_LEN(MXFS_UUID_SIZE),
};

static const struct nla_policy mxfs_policy[MXFS_A_MAX + 1] = {
	[MXFS_A_MOUNT] = { .type = NLA_U32 },
	[MXFS_A_LEASE_END] = { .type = NLA_U64 },
	[MXFS_A_QUANTUM_MS] = NLA_POLICY_RANGE(NLA_U32, 0, 10000),
	[MXFS_A_ROLE] = NLA_POLICY_RANGE(NLA_U32, MXFS_ROLE_MEMBER, MXFS_ROLE_OWNER),
	[MXFS_A_KEY] = { .type = NLA_U64 },
	[MXFS_A_EPOCH] = { .type = NLA_U64 },
	[MXFS_A_ERRNO] = { .type = NLA_U32 },
	[MXFS_A_MESSAGE] = { .type = NLA_NUL_STRING, .len = MXFS_MESSAGE_MAX - 1 },
	[MXFS_A_CLUSTERED] = NLA_POLICY_RANGE(NLA_U32, 0, 1),
	[MXFS_A_ALONE] = NLA_POLICY_RANGE(NLA_U32, 0, 1),
};

#define MXFS_OP(command, handler)                                                                 \
	{                                                                                         \
		.cmd = command, .doit = handler, .flags = GENL_ADMIN_PERM, .policy = mxfs_policy, \
		.maxattr = MXFS_A_MAX                                                             \
	}

static const struct genl_ops mxfs_genl_ops[] = {
	{ .cmd = MXFS_CMD_HELLO,
	  .doit = mxfs_do_hello,
	  .flags = GENL_ADMIN_PERM,
	  .policy = mxfs_hello_policy,
	  .maxattr = MXFS_A_MAX },
	MXFS_OP(MXFS_CMD_KEY, mxfs_do_key),
	MXFS_OP(MXFS_CMD_LEASE, mxfs_do_lease),
	MXFS_OP(MXFS_CMD_ATTACH, mxfs_do_attach),
	MXFS_OP(MXFS_CMD_DETACH, mxfs_do_detach),
	MXFS_OP(MXFS_CMD_READY, mxfs_do_ready),
	MXFS_OP(MXFS_CMD_FAIL, mxfs_do_fail),
	MXFS_OP(MXFS_CMD_FENCED, mxfs_do_fenced),
	MXFS_OP(MXFS_CMD_LEFT, mxfs_do_left),
	MXFS_OP(MXFS_CMD_LOCKSTATE, mxfs_do_lockstate),
	{ .cmd = MXFS_CMD_STATUS,
	  .doit = mxfs_do_status,
	  .dumpit = mxfs_dump_status,
	  .flags = GENL_ADMIN_PERM,
	  .policy = mxfs_policy,
	  .maxattr = MXFS_A_MAX },
};

static struct genl_family mxfs_genl __ro_after_init = {
	.name = MXFS_GENL_NAME,
	.version = MXFS_GENL_VERSION,
	.maxattr = MXFS_A_MAX,
	.module = THIS_MODULE,
	.ops = mxfs_genl_ops,
	.n_ops = ARRAY_SIZE(mxfs_genl_ops),
	.resv_start_op = MXFS_CMD_HELLO,
};

/* A netlink socket was closed: perhaps a daemon died. */
static int mxfs_netlink_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct netlink_notify *n = data;
	struct mxfs_sb *sbi;

	if (event != NETLINK_URELEASE || n->protocol != NETLINK_GENERIC ||
	    !net_eq(n->net, &init_net))
		return NOTIFY_DONE;
	mutex_lock(&mxfs_mounts_lock);
	list_for_each_entry(sbi, &mxfs_mounts, list)
		if (sbi->daemon.portid == n->portid) {
			WRITE_ONCE(sbi->daemon.portid, 0);
			mxfs_daemon_gone(sbi);
		}
	mutex_unlock(&mxfs_mounts_lock);
	return NOTIFY_DONE;
}

/**
 * mxfs_netlink_settle - whose port is seen to be gone, of him mxfs_daemon_gone() has heard
 */
void mxfs_netlink_settle(void)
{
	mutex_lock(&mxfs_mounts_lock);
	mutex_unlock(&mxfs_mounts_lock);
}

static struct notifier_block mxfs_netlink_nb = { .notifier_call = mxfs_netlink_event };

int mxfs_netlink_init(void)
{
	int err = genl_register_family(&mxfs_genl);

	if (err)
		return err;
	err = netlink_register_notifier(&mxfs_netlink_nb);
	if (err)
		genl_unregister_family(&mxfs_genl);
	return err;
}

void mxfs_netlink_exit(void)
{
	netlink_unregister_notifier(&mxfs_netlink_nb);
	genl_unregister_family(&mxfs_genl);
}
