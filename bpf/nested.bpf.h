/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program that is interrupted on its CPU is skipped for the event of the
 * interrupt, silently, and one interrupt can hide a hundred transitions. So
 * set_state is attached twice. The guard is per program: what interrupts the
 * first copy is seen by the second, what interrupts the second was seen by the
 * first. A marker per CPU tells the second copy what the first has done.
 *
 * The first copy clears the marker when it begins and sets it when it ends, so
 * an event inside it never matches. Whatever happens in between, the error is a
 * duplicate, which the reader knows by the flag and the states.
 */
#ifndef TCPTRAIL_NESTED_BPF_H
#define TCPTRAIL_NESTED_BPF_H

#include "config.bpf.h"

/* CPUs that share a slot cost duplicates, never a loss. */
#define MARKERS 512

struct tcptrail_marker {
	__u64 sk;
	__u32 pair;
	__u32 pad0;
	__u64 pad[6]; /* a cache line each */
};

static struct tcptrail_marker markers[MARKERS] __attribute__((aligned(64))) = {};

static __always_inline struct tcptrail_marker *tcptrail_marker(void)
{
	return &markers[bpf_get_smp_processor_id() & (MARKERS - 1)];
}

static __always_inline __u32 tcptrail_pair(int old, int new)
{
	return (__u32)old << 8 | (__u32) new;
}

static __always_inline void tcptrail_begin_first(struct tcptrail_marker *marker)
{
	*(volatile __u64 *)&marker->sk = 0;
	barrier();
}

static __always_inline void tcptrail_end_first(struct tcptrail_marker *marker, const void *sk,
					       int old, int new)
{
	marker->pair = tcptrail_pair(old, new);
	barrier();
	*(volatile __u64 *)&marker->sk = (__u64)sk;
}

/* Whether the first copy has handled this very event. */
static __always_inline bool tcptrail_done_by_first(struct tcptrail_marker *marker, const void *sk,
						   int old, int new)
{
	if (*(volatile __u64 *)&marker->sk != (__u64)sk || marker->pair != tcptrail_pair(old, new))
		return false;
	*(volatile __u64 *)&marker->sk = 0;
	return true;
}

#endif
