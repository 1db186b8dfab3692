// SPDX-License-Identifier: Apache-2.0
/*
 * Prints the rate of this machine's time stamp counter in kHz. QEMU's TCG hands that counter to its guests (cpu_get_ticks()),
 * and a guest that calibrates it by itself on a busy host can be wrong by a factor of three: it looks at the counter while
 * its processor's thread waits for a turn, and takes the smallest of a few readings.
 * LDLIBS: -static
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct pair {
	uint64_t nanos, ticks;
};

static uint64_t nanos(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Both clocks at one moment: of many tries the one with the least time in between. */
static struct pair now(void)
{
	struct pair best = { 0, 0 };
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 200; i++) {
		uint64_t before = nanos(), ticks = __rdtsc(), after = nanos();

		if (after - before < least) {
			least = after - before;
			best = (struct pair){ before + least / 2, ticks };
		}
	}
	return best;
}

int main(void)
{
	struct timespec span = { 0, 200000000 };
	struct pair from = now();

	nanosleep(&span, NULL);

	struct pair to = now();

	printf("%.0f\n", (double)(to.ticks - from.ticks) * 1e6 / (double)(to.nanos - from.nanos));
	return 0;
}
