/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the loader decides before the programs are loaded (read-only data: the
 * verifier drops the branches that are off) and the few words that both sides
 * share while they run.
 */
#ifndef TCPTRAIL_CONFIG_BPF_H
#define TCPTRAIL_CONFIG_BPF_H

#include "core_types.h"

#include <tcptrail/event.h>

#include <bpf/bpf_helpers.h>

#define MAX_PREFIXES 8
#define MAX_NETNS 16
#define MAX_CGROUP_DEPTH 24
#define MAX_PIDNS_DEPTH 8

/* Filters. A count or switch of 0 is "all". */
const volatile __u32 want_family = 0; /* 4, 6 */
const volatile __u32 lport_on = 0;
const volatile __u32 rport_on = 0;
const volatile __u32 laddr_count = 0;
const volatile __u32 raddr_count = 0;
const volatile __u32 netns_count = 0;
const volatile __u32 uid_on = 0;
const volatile __u32 want_uid = 0;
const volatile __u64 want_cgroup = 0; /* the cgroup or any below it */
const volatile __u64 lport_bits[1024] = {};
const volatile __u64 rport_bits[1024] = {};
const volatile struct tcptrail_prefix laddrs[MAX_PREFIXES] = {};
const volatile struct tcptrail_prefix raddrs[MAX_PREFIXES] = {};
const volatile __u32 want_netns[MAX_NETNS] = {};

/* Features (docs/kernels.md). */
/* bpf_probe_read_kernel(): off under lockdown=confidentiality */
const volatile bool probe_reads = true;
const volatile bool have_cookie = true; /* bpf_get_socket_cookie() in tracing programs (5.12) */
/* tcp:tcp_send_reset has a third argument, enum sk_rst_reason */
const volatile bool have_reset_reason = false;
const volatile bool have_task_btf = true; /* bpf_get_current_task_btf() (5.11) */
const volatile bool trace_tree = false;	  /* -- CMD: mark what its processes do */
const volatile __u32 kernel_hz = 250;	  /* jiffies per second */
const volatile __u32 pid_namespace = 0;	  /* inode of the tracer's, 0 = the initial one */
const volatile __u32 ring_mask = 0;	  /* rings that exist, a power of two, minus 1 */
/* Bytes in a ring at which the snapshot waits for the reader. */
const volatile __u64 snapshot_high_water = 0;

/* Of this and timewait.bpf.c, which write into one ring: their memory is one as well. */
#define TCPTRAIL_SHARED SEC(".data.shared")

/* The reader sets this before it sleeps; the first event after that wakes it. */
volatile __u32 consumer_sleeping TCPTRAIL_SHARED = 0;

/* What the next snapshot shows, set by the loader before it runs the iterators. */
volatile __u32 snapshot_is_scan = 0; /* minisockets only */
volatile __u32 snapshot_netns = 0;   /* whose holders; 0 = as filtered */
/* In a scan seen_holders says only whether snapshot_netns has a socket. */
volatile __u32 snapshot_found = 0;

/* Transitions that found the ring full, and other records (accepted, RST, destroyed) that did. */
volatile __u64 lost_ring = 0;
volatile __u64 lost_other TCPTRAIL_SHARED = 0;

/*
 * Minisockets that were just made, by cookie: what the walk would find, for CLOSE events where
 * the kernel's memory may not be read. timewait.bpf.c writes them, in the call that reports
 * CLOSE a moment later.
 */
#define BIRTHS 1024
const volatile bool births_wanted = false;
struct tcptrail_birth births[BIRTHS] TCPTRAIL_SHARED = {};
/* Whether any was seen: a compiler may have made the function part of its callers. */
volatile __u32 births_seen TCPTRAIL_SHARED = 0;

/* Transitions that set_state_again found not done: recovered ones, and duplicates. */
volatile __u64 recovered = 0;

/*
 * A ring's lock costs 220 ns an event as soon as a second CPU uses it. So there are several,
 * each CPU writes into one of them, and the reader merges them by time (src/kernel/ring_source.h).
 */
#define TCPTRAIL_EACH_RING(X)                                                                      \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define TCPTRAIL_RING(n)                                                                           \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_RINGBUF);                                                \
		__uint(max_entries, 4096);                                                         \
	} events_##n SEC(".maps");
TCPTRAIL_EACH_RING(TCPTRAIL_RING)

/* Processes that descend from the traced command. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u8);
} tree SEC(".maps");

#endif
