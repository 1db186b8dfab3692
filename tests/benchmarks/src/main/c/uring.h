/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring by raw system calls, as little as the twins of the blockio benchmarks need; io_uring(7).
 * The same set-up as the Java side: one thread, deferred task work, file 0 and buffer 0 registered.
 */
#ifndef URING_H
#define URING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct uring {
	int fd;
	unsigned sq_mask, cq_mask, tail;
	unsigned *sq_head, *sq_tail, *cq_head, *cq_tail;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline void uring_open(struct uring *r, unsigned entries)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
					      IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CLAMP };
	size_t sq, cq;
	char *ring;
	unsigned *array;

	r->fd = syscall(SYS_io_uring_setup, entries, &p);
	if (r->fd < 0)
		die("io_uring_setup");
	sq = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	ring = mmap(NULL, sq > cq ? sq : cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		    r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || r->sqes == MAP_FAILED)
		die("mmap");
	r->sq_head = (unsigned *)(ring + p.sq_off.head);
	r->sq_tail = (unsigned *)(ring + p.sq_off.tail);
	r->sq_mask = *(unsigned *)(ring + p.sq_off.ring_mask);
	r->cq_head = (unsigned *)(ring + p.cq_off.head);
	r->cq_tail = (unsigned *)(ring + p.cq_off.tail);
	r->cq_mask = *(unsigned *)(ring + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(ring + p.cq_off.cqes);
	r->tail = *r->sq_tail;
	array = (unsigned *)(ring + p.sq_off.array);
	for (unsigned i = 0; i < p.sq_entries; i++)
		array[i] = i;
}

static inline struct io_uring_sqe *uring_next(struct uring *r)
{
	struct io_uring_sqe *e = &r->sqes[r->tail++ & r->sq_mask];

	memset(e, 0, sizeof(*e));
	return e;
}

/* Entries that the kernel has not taken. */
static inline unsigned uring_placed(struct uring *r)
{
	return r->tail - __atomic_load_n(r->sq_head, __ATOMIC_ACQUIRE);
}

/* Hands over what is new and, unless `wait` is 0, waits for at least that many completions. */
static inline int uring_enter(struct uring *r, unsigned wait)
{
	int got;

	__atomic_store_n(r->sq_tail, r->tail, __ATOMIC_RELEASE);
	do {
		got = syscall(SYS_io_uring_enter, r->fd, uring_placed(r), wait,
			      wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		die("io_uring_enter");
	return got;
}

#endif
