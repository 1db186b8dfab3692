// SPDX-License-Identifier: Apache-2.0
/* Batches of 32 NOPs. Usage: blockio_nop SECONDS. Twin of NopRing.java. */
#include "uring.h"

#define BATCH 32

static void batch(struct uring *r)
{
	unsigned head, end;
	long sum = 0;

	for (int i = 0; i < BATCH; i++) {
		struct io_uring_sqe *e = uring_next(r);

		e->opcode = IORING_OP_NOP;
		e->fd = -1;
		e->user_data = i;
	}
	if (uring_enter(r, BATCH) != BATCH)
		die("io_uring_enter took less than the batch");
	head = *r->cq_head;
	end = __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE);
	for (; head != end; head++)
		sum += r->cqes[head & r->cq_mask].user_data + r->cqes[head & r->cq_mask].res;
	__atomic_store_n(r->cq_head, head, __ATOMIC_RELEASE);
	if (sum != BATCH * (BATCH - 1) / 2)
		die("the completions are not those of the batch");
}

static double run(struct uring *r, double seconds)
{
	int64_t start = now_ns(), taken;
	long batches = 0;

	do {
		for (int i = 0; i < 100; i++, batches++)
			batch(r);
		taken = now_ns() - start;
	} while (taken < seconds * 1e9);
	return (double)taken / batches;
}

int main(int argc, char **argv)
{
	struct uring r;

	if (argc != 2) {
		fprintf(stderr, "usage: blockio_nop SECONDS\n");
		return 2;
	}
	uring_open(&r, BATCH);
	run(&r, atof(argv[1]));
	printf("ns %.1f\n", run(&r, atof(argv[1])));
	return 0;
}
