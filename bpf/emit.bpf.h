/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Into the ring: reserve or count, nothing in between.
 *
 * No event decides on a wakeup: letting the kernel decide costs about 1.2 us
 * an event. A submit is an atomic exchange and so a full fence; only after it
 * the program looks whether the reader sleeps. Looking before (as a flag of
 * the submit) would let the load pass the program's own stores, and a reader
 * that falls asleep in that moment would wait for the next event.
 */
#ifndef TCPTRAIL_EMIT_BPF_H
#define TCPTRAIL_EMIT_BPF_H

#include "config.bpf.h"

#define TCPTRAIL_TRY_RESERVE(type) ((type *)bpf_ringbuf_reserve(&events, sizeof(type), 0))

#define TCPTRAIL_RESERVE(type, lost)                                              \
	({                                                                        \
		type *record_ = TCPTRAIL_TRY_RESERVE(type);                       \
		if (!record_)                                                     \
			__sync_fetch_and_add(&lost, 1);                           \
		record_;                                                          \
	})

static __always_inline void tcptrail_submit(void *record)
{
	void *bell;

	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	if (!consumer_sleeping)
		return;
	consumer_sleeping = 0;
	/* Cannot fail for lack of room: the reader sleeps on an empty ring only. */
	bell = bpf_ringbuf_reserve(&events, 8, 0);
	if (bell)
		bpf_ringbuf_discard(bell, BPF_RB_FORCE_WAKEUP);
}

/* The clock is read after the reservation: records of one ring are in order of time. */
#define TCPTRAIL_FINISH(record, base)                          \
	do {                                                   \
		(base)->ts_boot_ns = bpf_ktime_get_boot_ns();  \
		tcptrail_submit(record);                       \
	} while (0)

#endif
