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

/*
 * The ring of this CPU. A choice and no array of maps: each slot of one waits 6 ms at start for
 * the kernel. The verifier knows ring_mask and drops the rings that do not exist.
 */
static __always_inline void *tcptrail_ring(void)
{
	void *ring = &events_0;

#define TCPTRAIL_RING_OF(n)                                                                        \
	case n:                                                                                    \
		ring = &events_##n;                                                                \
		barrier_var(ring); /* no table of addresses */                                     \
		break;
	switch (bpf_get_smp_processor_id() & ring_mask) {
		TCPTRAIL_EACH_RING(TCPTRAIL_RING_OF)
	}
#undef TCPTRAIL_RING_OF
	return ring;
}

#define TCPTRAIL_TRY_RESERVE(type) ((type *)bpf_ringbuf_reserve(tcptrail_ring(), sizeof(type), 0))

#define TCPTRAIL_RESERVE(type, lost)                                                               \
	({                                                                                         \
		type *record_ = TCPTRAIL_TRY_RESERVE(type);                                        \
		if (!record_)                                                                      \
			__sync_fetch_and_add(&lost, 1);                                            \
		record_;                                                                           \
	})

static __always_inline void tcptrail_submit(void *record)
{
	void *bell;

	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	if (!consumer_sleeping)
		return;
	/* There is room: the reader sleeps only when every ring is empty. */
	bell = bpf_ringbuf_reserve(tcptrail_ring(), 8, 0);
	if (!bell)
		return;
	consumer_sleeping = 0;
	bpf_ringbuf_discard(bell, BPF_RB_FORCE_WAKEUP);
}

/* The clock is read after the reservation: what is older than a moment is in its ring by then
 * (src/kernel/ring_source.h). */
#define TCPTRAIL_FINISH(record, base)                                                              \
	do {                                                                                       \
		(base)->ts_boot_ns = bpf_ktime_get_boot_ns();                                      \
		tcptrail_submit(record);                                                           \
	} while (0)

#endif
