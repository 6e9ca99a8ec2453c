/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When a socket last had no port. A program whose bind() is refused often tries
 * again at once, with another option or another socket. The snapshot that finds
 * the conflicting sockets comes after that and must not take the new one for a
 * conflict. bind() changes no state, so no transition says which came first.
 *
 * Keyed by address: what is found at the address of a socket whose bind() was
 * refused is that socket, or was made after it.
 */
#ifndef TCPTRAIL_PORTLESS_BPF_H
#define TCPTRAIL_PORTLESS_BPF_H

#include "config.bpf.h"

/* Longer than the snapshot that follows a refused call can take to come. */
#define PORTLESS_KEPT_NS 60000000000ull

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} portless SEC(".maps");

volatile __u64 last_refusal_ns = 0;

static __always_inline void had_no_port(struct sock *sk)
{
	__u64 key = (__u64)(unsigned long)sk;
	__u64 now = bpf_ktime_get_boot_ns();

	bpf_map_update_elem(&portless, &key, &now, BPF_ANY);
}

/* A bind() that succeeds is of interest only after one was refused. */
static __always_inline bool after_refusal(void)
{
	return last_refusal_ns && bpf_ktime_get_boot_ns() - last_refusal_ns < PORTLESS_KEPT_NS;
}

/* For tcptrail_owned_record. */
static __always_inline __u32 portless_us(struct sock *sk)
{
	__u64 key = (__u64)(unsigned long)sk;
	__u64 *at;

	if (!last_refusal_ns)
		return 0;
	at = bpf_map_lookup_elem(&portless, &key);
	if (!at || bpf_ktime_get_boot_ns() - *at >= PORTLESS_KEPT_NS)
		return 0;
	return *at / 1000;
}

#endif
