/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading a minisocket (struct inet_timewait_sock) through a typed pointer, and
 * the two records about one: it is there, and it is no more.
 */
#ifndef TCPTRAIL_MINISOCKET_BPF_H
#define TCPTRAIL_MINISOCKET_BPF_H

#include "emit.bpf.h"
#include "filter.bpf.h"
#include "read_sock.bpf.h"

/* Made where nobody has asked for it yet: nothing else names the same minisocket twice. */
static __always_inline __u64 timewait_cookie(struct sock_common *skc)
{
	__u64 cookie = skc->skc_cookie.counter;

	return cookie || !have_cookie ? cookie : bpf_get_socket_cookie(skc);
}

/* Not through the iterator's own pointer: the verifier takes 1 ms for a pointer that is read
 * through a trusted one. */
static __always_inline __u32 timewait_netns(struct inet_timewait_sock *tw)
{
	return tw->__tw_common.skc_net.net->ns.inum;
}

/* Returns F_IPV4 and F_INET6. */
static __always_inline __u8 read_timewait_tuple(__be32 *l, __be32 *p, struct sock_common *skc)
{
	__u8 flags = TCPTRAIL_F_IPV4;

	if (skc->skc_family == AF_INET6) {
		p[0] = skc->skc_v6_daddr.in6_u.u6_addr32[0];
		p[1] = skc->skc_v6_daddr.in6_u.u6_addr32[1];
		p[2] = skc->skc_v6_daddr.in6_u.u6_addr32[2];
		p[3] = skc->skc_v6_daddr.in6_u.u6_addr32[3];
		l[0] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		l[1] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		l[2] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		l[3] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		if (!v4mapped(p))
			return TCPTRAIL_F_INET6;
		flags |= TCPTRAIL_F_INET6;
	}
	p[0] = skc->skc_daddr;
	l[0] = skc->skc_rcv_saddr;
	p[1] = p[2] = p[3] = l[1] = l[2] = l[3] = 0;
	return flags;
}

static __always_inline __u8 read_timewait(struct inet_timewait_sock *tw, struct sock_common *skc)
{
	__u8 bits =
		tw->tw_substate == TCP_TIME_WAIT ? TCPTRAIL_TW_TIME_WAIT : TCPTRAIL_TW_FIN_WAIT2;
	struct inet_bind_bucket *tb = tw->tw_tb;

	if (BPF_CORE_READ_BITFIELD(skc, skc_reuse))
		bits |= TCPTRAIL_TW_REUSEADDR;
	if (BPF_CORE_READ_BITFIELD(skc, skc_reuseport))
		bits |= TCPTRAIL_TW_REUSEPORT;
	if (tb && (tb->fastreuse >= 0 || tb->fastreuseport >= 0))
		bits |= TCPTRAIL_TW_WHOLE_PORT;
	return bits;
}

static __always_inline __u32 timewait_left_ms(struct inet_timewait_sock *tw)
{
	long left = (long)(tw->tw_timer.expires - bpf_jiffies64());

	return left > 0 ? (__u64)left * 1000 / kernel_hz : 0;
}

static __always_inline void fill_timewait(struct tcptrail_timewait_record *r,
					  struct inet_timewait_sock *tw, struct sock_common *skc)
{
	r->cookie = timewait_cookie(skc);
	r->netns = timewait_netns(tw);
	r->expires_ms = timewait_left_ms(tw);
	r->lport = skc->skc_num;
	r->rport = bpf_ntohs(skc->skc_dport);
	r->tw = read_timewait(tw, skc);
	r->step_32ms = tcptrail_step_32ms(
		tcptrail_wheel_step_ms(tw->tw_timer.expires, tw->tw_timer.flags));
	r->kind = TCPTRAIL_SEEN_TIMEWAIT;
	r->flags = read_timewait_tuple((__be32 *)r->laddr, (__be32 *)r->raddr, skc);
}

/* What the stream has not told of need not be found again. */
static __always_inline bool timewait_passes(struct sock_common *skc)
{
	struct tcptrail_record r = {};
	bool ipv4 =
		read_timewait_tuple((__be32 *)r.laddr, (__be32 *)r.raddr, skc) & TCPTRAIL_F_IPV4;

	r.rport = bpf_ntohs(skc->skc_dport);
	if (want_family && want_family != (ipv4 ? 4 : 6))
		return false;
	if (lport_on && !port_in(lport_bits, skc->skc_num))
		return false;
	return peer_passes(&r, ipv4);
}

static __always_inline void emit_timewait_end(struct sock_common *skc, __u8 cause, __u32 pid,
					      __u8 flags)
{
	__u32 netns = skc->skc_net.net->ns.inum;
	struct tcptrail_record *r;

	if (!netns_passes(netns))
		return;
	r = TCPTRAIL_RESERVE(struct tcptrail_record, lost_other);
	if (!r)
		return;
	r->cookie = have_cookie ? skc->skc_cookie.counter : 0;
	r->netns = netns;
	r->pid = pid;
	r->lport = skc->skc_num;
	r->rport = bpf_ntohs(skc->skc_dport);
	r->old_state = TCP_TIME_WAIT;
	r->new_state = cause;
	r->kind = TCPTRAIL_TIMEWAIT_END;
	r->flags = flags | read_timewait_tuple((__be32 *)r->laddr, (__be32 *)r->raddr, skc);
	TCPTRAIL_FINISH(r, r);
}

#endif
