/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Filters on facts that a socket has from its first event to its last, so that
 * a connection passes whole or not at all. What may be known only later
 * passes here and is decided by the loader: the port that connect() has not
 * chosen yet, the uid before accept(), and every owner.
 */
#ifndef TCPTRAIL_FILTER_BPF_H
#define TCPTRAIL_FILTER_BPF_H

#include "read_sock.bpf.h"

static __always_inline bool port_in(const volatile __u64 *bits, __u16 port)
{
	return bits[port >> 6] & (1ULL << (port & 63));
}

static __always_inline bool address_in(const volatile struct tcptrail_prefix *list, __u32 count,
				       const __u8 *address, bool ipv4)
{
	const __u64 *a = (const __u64 *)address;
	__u32 i;

	for (i = 0; i < MAX_PREFIXES; i++) {
		if (i >= count)
			break;
		if (list[i].ipv4 == ipv4 && (a[0] & list[i].mask[0]) == list[i].value[0] &&
		    (a[1] & list[i].mask[1]) == list[i].value[1])
			return true;
	}
	return false;
}

static __always_inline bool netns_passes(__u32 netns)
{
	__u32 i;

	if (!netns_count)
		return true;
	for (i = 0; i < MAX_NETNS; i++) {
		if (i >= netns_count)
			break;
		if (want_netns[i] == netns)
			return true;
	}
	return false;
}

static __always_inline bool cgroup_passes(struct sock *sk)
{
	struct cgroup_subsys_state *parent;
	struct kernfs_node *kn;
	struct cgroup *cgroup;
	int i;

	if (!bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return true;
	cgroup = GET(sk, sk_cgrp_data.cgroup);
	for (i = 0; i < MAX_CGROUP_DEPTH && cgroup; i++) {
		kn = GET(cgroup, kn);
		if (kn && GET(kn, id) == want_cgroup)
			return true;
		parent = GET(cgroup, self.parent);
		cgroup = parent ? GET(parent, cgroup) : NULL;
	}
	return false;
}

/* Whether any filter looks at the tuple: otherwise it is read only once, into the ring. */
static __always_inline bool tuple_filter(void)
{
	return want_family || lport_on || rport_on || laddr_count || raddr_count;
}

/* r has both ports and addresses. */
static __always_inline bool peer_passes(const struct tcptrail_record *r, bool ipv4)
{
	if (rport_on && !port_in(rport_bits, r->rport))
		return false;
	if (laddr_count && !address_in(laddrs, laddr_count, r->laddr, ipv4))
		return false;
	if (raddr_count && !address_in(raddrs, raddr_count, r->raddr, ipv4))
		return false;
	return true;
}

static __always_inline bool tuple_passes(struct sock *sk, struct tcp_sock *tp, int old, int new)
{
	struct tcptrail_record r = {.old_state = old, .new_state = new};
	bool ipv4 = tcptrail_read_tuple(&r, tp, sk) & TCPTRAIL_F_IPV4;

	if (want_family && want_family != (ipv4 ? 4 : 6))
		return false;
	/* The event that shows connect()'s choice always passes: it decides about the one before.
	 */
	if (lport_on && r.lport && old != TCP_SYN_SENT && !port_in(lport_bits, r.lport))
		return false;
	if (old == TCP_LISTEN && !r.rport) /* an early child: no peer yet, the listener's address */
		return true;
	return peer_passes(&r, ipv4);
}

static __always_inline bool tcptrail_passes(struct sock *sk, struct tcp_sock *tp, int old, int new)
{
	if (netns_count && !netns_passes(tcptrail_netns(sk)))
		return false;
	/* Listeners are few, and their owners explain connections that do pass. */
	if (old == TCP_LISTEN ? new == TCP_CLOSE : new == TCP_LISTEN)
		return true;
	if (tuple_filter() && !tuple_passes(sk, tp, old, new))
		return false;
	/* accept() gives the socket the uid of the accepting process. */
	if (uid_on && new != TCP_CLOSE && GET(sk, sk_socket) && GET(sk, sk_uid.val) != want_uid)
		return false;
	if (want_cgroup && !cgroup_passes(sk))
		return false;
	return true;
}

#endif
