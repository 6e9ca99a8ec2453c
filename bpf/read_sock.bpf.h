/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading a full TCP socket: the tuple, the owner test, the counters, and what
 * took its place in the established hash.
 *
 * The file is compiled twice. Typed programs (tp_btf, iter) load fields
 * directly; the classic tracepoint gets an untyped address and must probe.
 */
#ifndef TCPTRAIL_READ_SOCK_BPF_H
#define TCPTRAIL_READ_SOCK_BPF_H

#include "config.bpf.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#ifdef TCPTRAIL_CLASSIC
#define GET(p, field) BPF_CORE_READ(p, field)
#define GET_BITS(p, field) BPF_CORE_READ_BITFIELD_PROBED(p, field)
#else
#define GET(p, field) ((p)->field)
#define GET_BITS(p, field) BPF_CORE_READ_BITFIELD(p, field)
#endif

static __always_inline __u64 tcptrail_cookie(struct sock *sk)
{
#ifdef TCPTRAIL_CLASSIC
	/* No helper here: the address serves, and tcp_destroy_sock ends its meaning. */
	return (__u64)sk;
#else
	return have_cookie ? bpf_get_socket_cookie(sk) : (__u64)(unsigned long)sk;
#endif
}

static __always_inline __u32 tcptrail_netns(struct sock *sk)
{
	struct net *net = GET(sk, __sk_common.skc_net.net);

	return GET(net, ns.inum);
}

static __always_inline bool v4mapped(const __be32 *a)
{
	return !a[0] && !a[1] && a[2] == bpf_htonl(0xffff);
}

/*
 * The family is that of the packets: an AF_INET6 socket with a mapped peer is IPv4.
 * new_state must be set. Returns the flags F_IPV4 and F_INET6.
 */
static __always_inline __u8 tcptrail_read_tuple(struct tcptrail_record *r, struct tcp_sock *tp,
						struct sock *sk)
{
	__be32 *l = (__be32 *)r->laddr, *p = (__be32 *)r->raddr;
	__u8 flags = TCPTRAIL_F_IPV4;

	/*
	 * skc_num is already 0 at CLOSE (inet_put_port), inet_sport is still valid. When
	 * connect() begins it is the other way round: inet_sport may be left over from
	 * the socket's previous connection, skc_num is the port if bind() chose one.
	 */
	r->lport = r->new_state == TCP_SYN_SENT ?
			   GET(sk, __sk_common.skc_num) :
			   bpf_ntohs(GET(tp, inet_conn.icsk_inet.inet_sport));
	r->rport = bpf_ntohs(GET(sk, __sk_common.skc_dport));

	if (GET(sk, __sk_common.skc_family) == AF_INET6) {
		p[0] = GET(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[0]);
		p[1] = GET(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[1]);
		p[2] = GET(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[2]);
		p[3] = GET(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[3]);
		l[0] = GET(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[0]);
		l[1] = GET(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[1]);
		l[2] = GET(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[2]);
		l[3] = GET(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[3]);
		if (!v4mapped(p))
			return TCPTRAIL_F_INET6;
		flags |= TCPTRAIL_F_INET6;
	}
	p[0] = GET(sk, __sk_common.skc_daddr);
	l[0] = GET(sk, __sk_common.skc_rcv_saddr);
	p[1] = p[2] = p[3] = l[1] = l[2] = l[3] = 0;
	return flags;
}

static __always_inline __u64 tcptrail_cgroup_id(struct sock *sk)
{
	struct cgroup *cgroup;
	struct kernfs_node *kn;

	if (!bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return 0;
	cgroup = GET(sk, sk_cgrp_data.cgroup);
	if (!cgroup)
		return 0;
	kn = GET(cgroup, kn);
	return kn ? GET(kn, id) : 0;
}

/*
 * The timer wheel rounds up to the end of the slot that it has put the timer in, and says
 * in flags which one that is: the slots of level n are 8^n ticks wide, each level has 64
 * (kernel/time/timer.c: calc_index(), TIMER_ARRAYSHIFT).
 */
static __always_inline __u32 tcptrail_wheel_step_ms(unsigned long expires, __u32 flags)
{
	__u32 shift = (flags >> 22) / 64 * 3;

	if (shift > 24)
		shift = 24;
	/* One tick more: the present one has begun, and the timers of the last run in it. */
	return (((((expires >> shift) + 1) << shift) - expires + 1) * 1000 + kernel_hz - 1) /
	       kernel_hz;
}

/* In the units that a record of 64 bytes has room for. */
static __always_inline __u8 tcptrail_step_32ms(__u32 step_ms)
{
	__u32 units = (step_ms + 31) / 32;

	return units > 255 ? 255 : units;
}

/* Cookies are given out in blocks of a CPU each: their low bits alone would collide. */
static __always_inline struct tcptrail_birth *tcptrail_birth(__u64 cookie)
{
	return &births[(cookie * 0x9e3779b97f4a7c15ULL >> 32) & (BIRTHS - 1)];
}

/*
 * The same from the hook at __inet_twsk_schedule(). A slot that another one has taken within the
 * last second may have been ours: then nothing is known.
 */
static __always_inline void tcptrail_find_birth(struct tcptrail_end_record *r)
{
	struct tcptrail_birth *birth = tcptrail_birth(r->base.cookie);

	r->tw = TCPTRAIL_TW_UNKNOWN;
	if (!births_seen)
		return;
	if (*(volatile __u64 *)&birth->cookie != r->base.cookie) {
		if (!birth->jiffies || bpf_jiffies64() - birth->jiffies > kernel_hz)
			r->tw = TCPTRAIL_TW_NONE;
		return;
	}
	barrier();
	r->tw = birth->tw;
	r->tw_expires_ms = birth->expires_ms;
	r->tw_step_32ms = birth->step_32ms;
}

/*
 * A cookie is one socket's and its minisocket's, and fill_base() has seen to it that there is one.
 * Without the helper each has the one that somebody else has asked for, ss for instance, or none.
 */
static __always_inline bool tcptrail_took_place(struct inet_timewait_sock *tw,
						const struct tcptrail_end_record *r, __u64 cookie,
						__u32 hash)
{
	if (have_cookie)
		return BPF_CORE_READ(tw, __tw_common.skc_cookie.counter) == (__s64)cookie;
	return BPF_CORE_READ(tw, __tw_common.skc_state) == TCP_TIME_WAIT &&
	       BPF_CORE_READ(tw, __tw_common.skc_hash) == hash &&
	       BPF_CORE_READ(tw, __tw_common.skc_num) == r->base.lport &&
	       bpf_ntohs(BPF_CORE_READ(tw, __tw_common.skc_dport)) == r->base.rport;
}

/*
 * tcp_time_wait() hashes the minisocket and arms its timer before tcp_done()
 * reports CLOSE, so when this runs it stands in sk's chain (since 6.9 even in
 * sk's own place). No lock is needed: we are inside the call that put it there.
 */
static __always_inline void tcptrail_find_timewait(struct tcptrail_end_record *r, struct sock *sk)
{
	__u64 cookie = GET(sk, __sk_common.skc_cookie.counter);
	__u32 hash = GET(sk, __sk_common.skc_hash);
	struct inet_hashinfo *hashinfo = NULL;
	struct inet_ehash_bucket *buckets;
	struct hlist_nulls_node *node;
	struct inet_timewait_sock *tw;
	struct inet_bind_bucket *tb;
	struct proto *prot;
	unsigned long expires;
	struct net *net;
	long left;
	int i;

	if (births_wanted) {
		tcptrail_find_birth(r);
		return;
	}
	r->tw = TCPTRAIL_TW_UNKNOWN;
	if (!probe_reads)
		return;

	if (bpf_core_field_exists(struct proto, h.hashinfo)) {
		prot = GET(sk, __sk_common.skc_prot);
		hashinfo = GET(prot, h.hashinfo);
	}
	/*
	 * Since Linux kernel commit 4461568aa4e5 ("tcp: Access &tcp_hashinfo via net.")
	 * (in v6.1), the table hangs on the network namespace and h.hashinfo is NULL.
	 */
	if (!hashinfo && bpf_core_field_exists(struct inet_timewait_death_row, hashinfo)) {
		net = GET(sk, __sk_common.skc_net.net);
		hashinfo = GET(net, ipv4.tcp_death_row.hashinfo);
	}
	if (!hashinfo)
		return;
	buckets = BPF_CORE_READ(hashinfo, ehash);
	buckets += hash & GET(hashinfo, ehash_mask);
	node = BPF_CORE_READ(buckets, chain.first);

	/* The verifier walks through this 64 times, by every way that leads to the next round: one
	 * only. */
	for (i = 0; i < 64; i++) {
		if (!node || ((unsigned long)node & 1)) { /* the end of the chain */
			r->tw = TCPTRAIL_TW_NONE;
			return;
		}
		tw = (void *)node - bpf_core_field_offset(struct sock_common, skc_nulls_node);
		if (tcptrail_took_place(tw, r, cookie, hash))
			goto found;
		node = BPF_CORE_READ(node, next);
	}
	return;

found:
	/* The socket itself has left the chain: nothing else has its cookie. */
	if (BPF_CORE_READ(tw, __tw_common.skc_state) != TCP_TIME_WAIT)
		return;
	r->tw = BPF_CORE_READ(tw, tw_substate) == TCP_TIME_WAIT ? TCPTRAIL_TW_TIME_WAIT :
								  TCPTRAIL_TW_FIN_WAIT2;
	/* tcp_time_wait() copies both from the socket. */
	if (GET_BITS(sk, __sk_common.skc_reuse))
		r->tw |= TCPTRAIL_TW_REUSEADDR;
	if (GET_BITS(sk, __sk_common.skc_reuseport))
		r->tw |= TCPTRAIL_TW_REUSEPORT;
	/* __inet_hash_connect() passes over every bucket that is not -1/-1. */
	tb = BPF_CORE_READ(tw, tw_tb);
	if (tb && (BPF_CORE_READ(tb, fastreuse) >= 0 || BPF_CORE_READ(tb, fastreuseport) >= 0))
		r->tw |= TCPTRAIL_TW_WHOLE_PORT;
	expires = BPF_CORE_READ(tw, tw_timer.expires);
	r->tw_step_32ms = tcptrail_step_32ms(
		tcptrail_wheel_step_ms(expires, BPF_CORE_READ(tw, tw_timer.flags)));
	left = (long)(expires - bpf_jiffies64());
	r->tw_expires_ms = left > 0 ? (__u64)left * 1000 / kernel_hz : 0;
}

/*
 * Payload that left the host, each byte once: the sequence numbers that are acknowledged or
 * outstanding. Not bytes_sent - bytes_retrans, which counts a segment that the local queue
 * refuses at each attempt.
 *
 * A FIN has a sequence number too, and so has the SYN of an active socket. bytes_sent, which
 * is never too small, shows the SYN; where the two agree, the loader knows who sent it.
 */
static __always_inline void tcptrail_count_sent(struct tcptrail_end_record *r, struct tcp_sock *tp)
{
	__u32 snd_nxt = GET(tp, snd_nxt);
	__u64 numbers = GET(tp, bytes_acked) + (__u32)(snd_nxt - GET(tp, snd_una));
	__u64 most = GET(tp, bytes_sent) - GET(tp, bytes_retrans);
	__u8 old = r->base.old_state;

	if ((old == TCP_FIN_WAIT1 || old == TCP_FIN_WAIT2 || old == TCP_CLOSING ||
	     old == TCP_LAST_ACK) &&
	    snd_nxt == GET(tp, write_seq) && numbers)
		numbers--;
	if (numbers > most)
		numbers--;
	else
		r->facts |= TCPTRAIL_END_SYN_COUNTED;
	r->tx_bytes = numbers;
}

static __always_inline void tcptrail_read_end(struct tcptrail_end_record *r, struct tcp_sock *tp,
					      struct sock *sk)
{
	unsigned long flags = GET(sk, __sk_common.skc_flags);
	bool done = flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DONE));
	__u8 shutdown = GET(sk, sk_shutdown);
	__u32 write_seq = GET(tp, write_seq);
	__u32 rcv_nxt = GET(tp, rcv_nxt);
	__u16 facts = 0;

	if (done)
		facts |= TCPTRAIL_END_DONE;
	if (flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DEAD)))
		facts |= TCPTRAIL_END_DEAD;
	if (shutdown & RCV_SHUTDOWN)
		facts |= TCPTRAIL_END_SHUT_RCV;
	if (shutdown & SEND_SHUTDOWN)
		facts |= TCPTRAIL_END_SHUT_SEND;
	if ((flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_LINGER))) &&
	    !GET(sk, sk_lingertime))
		facts |= TCPTRAIL_END_LINGER0;
	/* The FIN takes a sequence number that no reader consumes. */
	if ((__s32)(rcv_nxt - GET(tp, copied_seq)) > (done ? 1 : 0))
		facts |= TCPTRAIL_END_UNREAD;
	if (!GET(sk, sk_socket))
		facts |= TCPTRAIL_END_NO_SOCKET;
	if (GET(tp, snd_una) == write_seq)
		facts |= TCPTRAIL_END_ALL_ACKED;
	if (GET_BITS(tp, repair))
		facts |= TCPTRAIL_END_REPAIR;
	if (GET_BITS(sk, sk_userlocks) & SOCK_BINDPORT_LOCK)
		facts |= TCPTRAIL_END_BOUND;

	/* bytes_received counts the peer's FIN. */
	r->rx_bytes = GET(tp, bytes_received) - done;
	r->tx_segs = GET(tp, segs_out);
	r->rx_segs = GET(tp, segs_in);
	if (!r->tx_segs)
		facts |= TCPTRAIL_END_NO_SEGS_OUT;
	r->retransmits = GET(tp, total_retrans);
	r->rtt_us = GET(tp, srtt_us) >> 3;
	r->min_rtt_us = GET(tp, rtt_min.s[0].v);
	r->mss = GET(tp, mss_cache);
	r->error = GET(sk, sk_err);
	r->facts = facts;
	tcptrail_count_sent(r, tp);
}

#endif
