// SPDX-License-Identifier: Apache-2.0
/*
 * Keeps a number of requests under way on a file or device.
 * Usage: blockio_load FILE read|write|randread|randwrite BYTES DEPTH SECONDS. Twin of BlockioLoad.java.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "uring.h"

#define STEP_BITS 7
#define STEPS (1 << 20)
#define SENT_TOGETHER 4 /* as the Java side does */

static struct uring ring;
static char *memory;
static int64_t *started;
static unsigned counts[STEPS];
static uint64_t total, state = 0x9e3779b97f4a7c15u, next, blocks;
static int is_write, is_random, bytes, depth;

static uint64_t offset(void)
{
	if (!is_random) {
		next = next + 1 == blocks ? 0 : next + 1;
		return next * bytes;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint64_t)(((unsigned __int128)state * blocks) >> 64) * bytes;
}

static void start(int i, int64_t now)
{
	struct io_uring_sqe *e = uring_next(&ring);

	started[i] = now;
	e->opcode = is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
	e->flags = IOSQE_FIXED_FILE;
	e->off = offset();
	e->addr = (uintptr_t)(memory + (size_t)i * bytes);
	e->len = bytes;
	e->user_data = i;
}

static double run(double seconds, double *cpu_ns)
{
	int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int64_t begin = now_ns(), end = begin + (int64_t)(seconds * 1e9), now;
	int under_way = depth;
	uint64_t done = 0;

	memset(counts, 0, sizeof(counts));
	total = 0;
	for (int i = 0; i < depth; i++)
		start(i, now_ns());
	while (under_way > 0) {
		unsigned head, tail;

		uring_enter(&ring, 1);
		head = *ring.cq_head;
		tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
		for (; head != tail; head++) {
			struct io_uring_cqe *c = &ring.cqes[head & ring.cq_mask];
			int i = c->user_data;
			int64_t step;

			if (c->res != bytes) {
				fprintf(stderr, "a request ended with %d\n", c->res);
				exit(1);
			}
			__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
			now = now_ns();
			step = (now - started[i]) >> STEP_BITS;
			counts[step < STEPS ? step : STEPS - 1]++;
			total++;
			done++;
			if (now >= end)
				under_way--;
			else
				start(i, now);
			if (uring_placed(&ring) >= SENT_TOGETHER)
				uring_enter(&ring, 0);
		}
	}
	*cpu_ns = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / done;
	return done / ((now_ns() - begin) / 1e9);
}

static double quantile(double q)
{
	uint64_t left = total * q;
	int at = 0;

	while (left >= counts[at] && at < STEPS - 1)
		left -= counts[at++];
	return ((at + 1ll) << STEP_BITS) / 1e3;
}

int main(int argc, char **argv)
{
	struct iovec buffer;
	double iops, cpu_ns;
	int fd;

	if (argc != 6) {
		fprintf(stderr, "usage: blockio_load FILE read|write|randread|randwrite BYTES DEPTH SECONDS\n");
		return 2;
	}
	is_write = strstr(argv[2], "write") != NULL;
	is_random = strncmp(argv[2], "rand", 4) == 0;
	bytes = atoi(argv[3]);
	depth = atoi(argv[4]);
	fd = open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		die(argv[1]);
	blocks = lseek(fd, 0, SEEK_END) / bytes;
	buffer.iov_len = (size_t)bytes * depth;
	memory = mmap(NULL, buffer.iov_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	started = calloc(depth, sizeof(*started));
	if (memory == MAP_FAILED || !started)
		die("memory");
	buffer.iov_base = memory;
	uring_open(&ring, depth);
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &fd, 1) < 0 ||
	    syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffer, 1) < 0)
		die("io_uring_register");
	run(atof(argv[5]), &cpu_ns);
	iops = run(atof(argv[5]), &cpu_ns);
	printf("iops %.1f\np99us %.2f\ncpuns %.1f\n", iops, quantile(0.99), cpu_ns);
	return 0;
}
