// SPDX-License-Identifier: Apache-2.0
/*
 * Speed of two file systems, in operations or MiB a second, in one process that goes from one to the other every few
 * milliseconds (A B B A): whatever slows the machine meanwhile slows both, and the ratio stays.
 *
 *	fsbench meta DIRECTORY-A DIRECTORY-B FILES	create, stat, readdir, unlink of empty files in one directory; stat of some after
 *							the caches were dropped
 *	fsbench data DIRECTORY-A DIRECTORY-B MIB	sequential and random, through the cache and O_DIRECT, on one file
 *	fsbench deep DIRECTORY-A DIRECTORY-B MIB	by hand: of these only the asynchronous ones, 4 and 32 requests at a time
 *
 * Each line is a result: "name A B"; most come more than once. Making durable is part of what writes, slice by slice.
 *
 * LDLIBS: -luring
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MIB	(1 << 20)
#define SMALL	4096

struct side {
	const char *place;
	int dir;		/* its directory */
	int fd;			/* its file */
	uint64_t random;	/* both draw the same numbers */
	double seconds, amount;
};

static struct side sides[2];
static char *buf;
static int files, mib;
static int first;		/* the side that begins */

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fsbench: %s: %s\n", what, strerrorname_np(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void begin(void)
{
	for (int n = 0; n < 2; n++) {
		sides[n].seconds = sides[n].amount = 0;
		sides[n].random = 1;
	}
}

/* slice(side, i) for i in 0..slices-1 on each side, timed; it returns how much it did. */
static void slices_of(int slices, double (*slice)(struct side *s, int i))
{
	double start;

	for (int i = 0; i < slices; i++) {
		for (int n = 0; n < 2; n++) {
			struct side *s = &sides[(first + n + i) % 2];

			start = now();
			s->amount += slice(s, i);
			s->seconds += now() - start;
		}
	}
}

static void end(const char *name)
{
	printf("%s %.1f %.1f\n", name, sides[0].amount / sides[0].seconds, sides[1].amount / sides[1].seconds);
	fflush(stdout);
}

static void measure(const char *name, int slices, double (*slice)(struct side *s, int i))
{
	begin();
	slices_of(slices, slice);
	end(name);
}

/*
 * For what can be repeated: a slice of each first, untimed. Who comes first finds the code cold, and with few slices that
 * shows: XFS beside XFS had 0.93 in readdir, 0.96 in stat.
 */
static void measure_warm(const char *name, int slices, double (*slice)(struct side *s, int i))
{
	slices_of(1, slice);
	measure(name, slices, slice);
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	must(fd >= 0 && write(fd, "3", 1) == 1, "drop_caches");
	close(fd);
}

/* ---- names */

enum { CREATES = 50, STATS = 1000, UNLINKS = 50, COLD = 30, COLD_SLICES = 10 };

static void file_name(char *name, int i)
{
	sprintf(name, "file-%07d", i);
}

static double creates(struct side *s, int slice)
{
	char name[32];
	int fd;

	for (int i = 0; i < CREATES; i++) {
		file_name(name, slice * CREATES + i);
		fd = openat(s->dir, name, O_CREAT | O_EXCL | O_WRONLY, 0644);
		must(fd >= 0, "create");
		close(fd);
	}
	return CREATES;
}

static double stats(struct side *s, int slice)
{
	struct stat st;
	char name[32];

	/* Not in the order of creation. */
	for (int i = 0; i < STATS; i++) {
		file_name(name, (int)((uint64_t)(slice * STATS + i) * 7919 % files));
		must(!fstatat(s->dir, name, &st, 0), "stat");
	}
	return STATS;
}

/* Files of which nothing is in memory. */
static double cold_stats(struct side *s, int slice)
{
	struct stat st;
	char name[32];

	for (int i = 0; i < COLD; i++) {
		file_name(name, slice * COLD + i);
		must(!fstatat(s->dir, name, &st, 0), "stat");
	}
	return COLD;
}

static double readdirs(struct side *s, int slice)
{
	struct dirent *entry;
	int found = 0;
	DIR *dir = fdopendir(openat(s->dir, ".", O_RDONLY | O_DIRECTORY));

	(void)slice;
	must(dir != NULL, "opendir");
	while ((entry = readdir(dir)))
		found += entry->d_name[0] == 'f';
	closedir(dir);
	must(found == files, "number of entries");
	return found;
}

static double unlinks(struct side *s, int slice)
{
	char name[32];

	for (int i = 0; i < UNLINKS; i++) {
		file_name(name, slice * UNLINKS + i);
		must(!unlinkat(s->dir, name, 0), "unlink");
	}
	return UNLINKS;
}

static void meta(void)
{
	files -= files % CREATES;
	measure("create", files / CREATES, creates);
	measure_warm("stat", files * 3 / STATS, stats);
	for (int pass = 0; pass < 2 && files >= COLD * COLD_SLICES; pass++) {
		drop_caches();
		first = pass % 2;
		measure("stat-cold", COLD_SLICES, cold_stats);
	}
	first = 0;
	measure_warm("readdir", 30, readdirs);
	measure("unlink", files / UNLINKS, unlinks);
}

/* ---- data */

/*
 * Every so many slices something is made durable. The numbers are odd, so that each side is as often the first of the two
 * to do so: who comes second waits for what the disk still does for the first. With even ones XFS beside XFS had 0.96.
 */
enum { SLICE_MIB = 4, CACHED = 500, DIRECT = 25, DURABLE = 3, DURABLE_CACHED = 7, DURABLE_DIRECT = 15 };

static bool is_durable(int slice, int every)
{
	return slice % every == every - 1;
}

static double write_slice(struct side *s, int slice)
{
	for (int i = 0; i < SLICE_MIB; i++)
		must(write(s->fd, buf, MIB) == MIB, "write");
	if (is_durable(slice, DURABLE))
		must(!fsync(s->fd), "fsync");
	return SLICE_MIB;
}

static double read_slice(struct side *s, int slice)
{
	(void)slice;
	for (int i = 0; i < SLICE_MIB; i++)
		must(read(s->fd, buf, MIB) == MIB, "read");
	return SLICE_MIB;
}

static off_t draw(struct side *s)
{
	s->random = s->random * 6364136223846793005ull + 1442695040888963407ull;
	return (off_t)((s->random >> 33) % ((uint64_t)mib * MIB / SMALL) * SMALL);
}

static double read_small(struct side *s, int count)
{
	for (int i = 0; i < count; i++)
		must(pread(s->fd, buf, SMALL, draw(s)) == SMALL, "pread");
	return count;
}

static double write_small(struct side *s, int count, bool durable)
{
	for (int i = 0; i < count; i++)
		must(pwrite(s->fd, buf, SMALL, draw(s)) == SMALL, "pwrite");
	if (durable)
		must(!fsync(s->fd), "fsync");
	return count;
}

static double read_cached(struct side *s, int slice)
{
	(void)slice;
	return read_small(s, CACHED);
}

static double write_cached(struct side *s, int slice)
{
	return write_small(s, CACHED, is_durable(slice, DURABLE_CACHED));
}

static double read_direct(struct side *s, int slice)
{
	(void)slice;
	return read_small(s, DIRECT);
}

static double write_direct(struct side *s, int slice)
{
	return write_small(s, DIRECT, is_durable(slice, DURABLE_DIRECT));
}

/* Many requests under way, by libaio's system calls and by io_uring: each is begun when another one ends. */
enum { DEEPEST = 32, REQUESTS = 256 };

static int depth;
static aio_context_t aio;
static struct io_uring ring;

static double deep(struct side *s, bool writes)
{
	struct iocb cbs[DEEPEST], *list;
	struct io_event events[DEEPEST];
	int begun = 0, done = 0, got, slots[DEEPEST];

	for (int i = 0; i < depth; i++)
		slots[i] = i;
	for (got = depth; done < REQUESTS; done += got) {
		for (int i = 0; i < got && begun < REQUESTS; i++, begun++) {
			struct iocb *cb = list = &cbs[slots[i]];

			*cb = (struct iocb){ .aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD, .aio_fildes = s->fd,
					     .aio_buf = (uintptr_t)(buf + slots[i] * SMALL), .aio_nbytes = SMALL,
					     .aio_offset = draw(s), .aio_data = slots[i] };
			must(syscall(SYS_io_submit, aio, 1, &list) == 1, "io_submit");
		}
		got = syscall(SYS_io_getevents, aio, 1, DEEPEST, events, NULL);
		must(got > 0, "io_getevents");
		for (int i = 0; i < got; i++) {
			must(events[i].res == SMALL, "result of a request");
			slots[i] = events[i].data;
		}
	}
	return REQUESTS;
}

static double read_deep(struct side *s, int slice)
{
	(void)slice;
	return deep(s, false);
}

static double write_deep(struct side *s, int slice)
{
	(void)slice;
	return deep(s, true);
}

static double read_uring(struct side *s, int slice)
{
	int begun = 0, done = 0, flying = 0, ended;
	struct io_uring_cqe *cqes[DEEPEST];
	struct io_uring_sqe *sqe;

	(void)slice;
	while (done < REQUESTS) {
		for (; flying < depth && begun < REQUESTS; flying++, begun++) {
			sqe = io_uring_get_sqe(&ring);
			io_uring_prep_read(sqe, s->fd, buf + begun % (2 * DEEPEST) * SMALL, SMALL, draw(s));
		}
		must(io_uring_submit_and_wait(&ring, 1) >= 0, "io_uring_enter");
		ended = io_uring_peek_batch_cqe(&ring, cqes, DEEPEST);
		for (int i = 0; i < ended; i++)
			must(cqes[i]->res == SMALL, "result of a request");
		io_uring_cq_advance(&ring, ended);
		flying -= ended;
		done += ended;
	}
	return REQUESTS;
}

static void all_deep(void)
{
	char name[64];

	must(!syscall(SYS_io_setup, DEEPEST, &aio), "io_setup");
	must(!io_uring_queue_init(2 * DEEPEST, &ring, 0), "io_uring_setup");
	for (int pass = 0; pass < 4; pass++) {
		first = pass % 2;
		for (depth = 4; depth <= DEEPEST; depth *= 8) {
			sprintf(name, "random-read-aio-%d", depth);
			measure_warm(name, 6, read_deep);
			sprintf(name, "random-read-uring-%d", depth);
			measure_warm(name, 6, read_uring);
			sprintf(name, "random-write-aio-%d", depth);
			measure_warm(name, 6, write_deep);
		}
	}
	io_uring_queue_exit(&ring);
	must(!syscall(SYS_io_destroy, aio), "io_destroy");
}

static void open_all(int flags)
{
	for (int n = 0; n < 2; n++) {
		if (sides[n].fd >= 0)
			close(sides[n].fd);
		sides[n].fd = openat(sides[n].dir, "data", flags, 0644);
		must(sides[n].fd >= 0, "open");
	}
}

static void only_deep(void)
{
	open_all(O_CREAT | O_TRUNC | O_WRONLY);
	for (int i = 0; i < mib; i++)
		must(write(sides[0].fd, buf, MIB) == MIB && write(sides[1].fd, buf, MIB) == MIB, "write");
	sync();
	open_all(O_RDWR | O_DIRECT);
	all_deep();
}

static void data(void)
{
	mib -= mib % (SLICE_MIB * DURABLE * 2);
	for (int direct = 0; direct < 2; direct++) {
		int flags = direct ? O_DIRECT : 0;

		/*
		 * All several times, each with a line of its own: a pass takes from a tenth of a second to a few, and one
		 * moment in which the machine does something else halves or doubles its ratio.
		 */
		for (int pass = 0; pass < 6; pass++) {
			open_all(O_CREAT | O_TRUNC | O_WRONLY | flags);
			first = pass % 2;
			measure(direct ? "sequential-write-direct" : "sequential-write-cached", mib / SLICE_MIB, write_slice);
		}
		/* From the disk. */
		for (int pass = 0; pass < (direct ? 6 : 16); pass++) {
			open_all(O_RDONLY | flags);
			drop_caches();
			first = pass % 2;
			measure(direct ? "sequential-read-direct" : "sequential-read-cached", mib / SLICE_MIB, read_slice);
		}
		/* Through the cache everything is in memory by now: what is timed is the way there. */
		open_all(O_RDWR | flags);
		for (int pass = 0; pass < (direct ? 2 : 10); pass++) {
			first = pass % 2;
			measure_warm(direct ? "random-read-direct" : "random-read-cached", direct ? 80 : 200,
				     direct ? read_direct : read_cached);
		}
		/* What fsync waits for is half of it, and that is the disk's. */
		for (int pass = 0; pass < (direct ? 6 : 4); pass++) {
			first = pass % 2;
			measure(direct ? "random-write-direct" : "random-write-cached",
				4 * (direct ? DURABLE_DIRECT : DURABLE_CACHED), direct ? write_direct : write_cached);
		}
		first = 0;
	}
	all_deep();
}

int main(int argc, char **argv)
{
	bool is_meta = argc == 5 && !strcmp(argv[1], "meta"), is_deep = argc == 5 && !strcmp(argv[1], "deep");
	void *memory;

	if (argc != 5 || (!is_meta && !is_deep && strcmp(argv[1], "data")) || posix_memalign(&memory, SMALL, MIB)) {
		fprintf(stderr, "usage: %s meta|data|deep DIRECTORY-A DIRECTORY-B FILES|MIB\n", argv[0]);
		return 2;
	}
	buf = memory;
	memset(buf, 0x5a, MIB);
	files = mib = atoi(argv[4]);
	for (int n = 0; n < 2; n++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/bench", argv[2 + n]);
		must(!mkdir(name, 0755), name);
		sides[n] = (struct side){ .place = argv[2 + n], .dir = open(name, O_RDONLY | O_DIRECTORY), .fd = -1 };
		must(sides[n].dir >= 0, name);
	}
	sync();
	if (is_meta)
		meta();
	else if (is_deep)
		only_deep();
	else
		data();
	for (int n = 0; n < 2; n++) {
		char name[4096];

		unlinkat(sides[n].dir, "data", 0);
		snprintf(name, sizeof(name), "%s/bench", sides[n].place);
		must(!rmdir(name), name);
	}
	return 0;
}
