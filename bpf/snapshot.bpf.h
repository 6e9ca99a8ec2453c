/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The snapshot: every TCP socket of a network namespace (iter/tcp) and every
 * process that holds one (iter/task_file), written into the same ring as the
 * stream. iter/tcp shows a full socket under its lock, where its transitions
 * are reported too, so for each socket the two are in order: no gap, no merge.
 *
 * Returning 1 asks the kernel to show the same object again: read(2) ends with
 * EAGAIN, the reader empties the ring and goes on.
 */
#ifndef TCPTRAIL_SNAPSHOT_BPF_H
#define TCPTRAIL_SNAPSHOT_BPF_H

#include "minisocket.bpf.h"
#include "mptcp.bpf.h"
#include "portless.bpf.h"

static __always_inline bool ring_is_filling(void)
{
	return bpf_ringbuf_query(tcptrail_ring(), BPF_RB_AVAIL_DATA) > snapshot_high_water;
}

/* What the bucket of the port remembers; tb is NULL while a socket has no port. */
static __always_inline void fill_bucket(struct tcptrail_owned_record *r,
					struct inet_bind_bucket *tb)
{
	__be32 *a = (__be32 *)r->fast_addr;

	if (!tb)
		return;
	r->bind |= TCPTRAIL_BIND_BUCKET;
	r->fastreuse = tb->fastreuse;
	r->fastreuseport = tb->fastreuseport;
	r->fastuid = tb->fastuid.val;
	if (tb->fast_ipv6_only)
		r->bind |= TCPTRAIL_BIND_FAST_V6ONLY;
	if (tb->fast_sk_family == AF_INET6 && bpf_core_field_exists(tb->fast_v6_rcv_saddr)) {
		r->bind |= TCPTRAIL_BIND_FAST_INET6;
		a[0] = tb->fast_v6_rcv_saddr.in6_u.u6_addr32[0];
		a[1] = tb->fast_v6_rcv_saddr.in6_u.u6_addr32[1];
		a[2] = tb->fast_v6_rcv_saddr.in6_u.u6_addr32[2];
		a[3] = tb->fast_v6_rcv_saddr.in6_u.u6_addr32[3];
	} else {
		a[2] = bpf_htonl(0xffff);
		a[3] = tb->fast_rcv_saddr;
	}
}

/*
 * A connect() that failed leaves the peer's address behind. A socket without a peer has the
 * family of its own address.
 */
static __always_inline void show_no_peer(struct tcptrail_record *r, struct sock_common *skc)
{
	__be32 *l = (__be32 *)r->laddr, *p = (__be32 *)r->raddr;

	p[0] = p[1] = p[2] = p[3] = 0;
	r->rport = 0;
	if (skc->skc_family != AF_INET6)
		return;
	l[0] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
	l[1] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
	l[2] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
	l[3] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
	r->flags = TCPTRAIL_F_INET6;
}

static __always_inline int show_full_socket(struct tcp_sock *tp, struct sock_common *skc)
{
	struct sock *sk = (struct sock *)tp;
	struct tcptrail_owned_record *r;

	r = TCPTRAIL_TRY_RESERVE(struct tcptrail_owned_record);
	if (!r)
		return 1;
	__builtin_memset(r, 0, sizeof(*r));
	r->base.kind = TCPTRAIL_SEEN_SOCKET;
	r->base.new_state = r->base.old_state = skc->skc_state;
	r->base.netns = tcptrail_netns(sk);
	r->base.flags = tcptrail_read_tuple(&r->base, tp, sk);
	if (skc->skc_state == TCP_CLOSE || skc->skc_state == TCP_LISTEN)
		show_no_peer(&r->base, skc);
	r->base.cookie = tcptrail_cookie(sk);
	if (tp->snd_nxt == tp->write_seq)
		r->base.flags |= TCPTRAIL_F_FIN_SENT;
	fill_owned(r, sk);
	r->portless_us = portless_us(sk);
	if (GET_BITS(sk, sk_userlocks) & SOCK_BINDPORT_LOCK)
		r->bind |= TCPTRAIL_BIND_PORT_LOCK;
	if (skc->skc_state == TCP_LISTEN)
		r->backlog = sk->sk_ack_backlog;
	else
		r->unread = tp->rcv_nxt - tp->copied_seq;
	fill_bucket(r, tp->inet_conn.icsk_bind_hash);
	TCPTRAIL_FINISH(r, &r->base);
	return 0;
}

/*
 * The clocks of a minisocket's record, read for one in 16: a virtual machine's cost a
 * sixth of the whole. Who was preempted in between notices it by the tick.
 */
static __u64 snapshot_boot_ns = 0;
static __u64 snapshot_mono_ns = 0;
static __u64 snapshot_tick = 0;
static __u32 snapshot_count = 0;

static __always_inline void read_snapshot_clocks(void)
{
	__u64 tick = bpf_jiffies64();

	if (tick == snapshot_tick && (++snapshot_count & 15))
		return;
	snapshot_tick = tick;
	snapshot_boot_ns = bpf_ktime_get_boot_ns();
	snapshot_mono_ns = bpf_ktime_get_ns();
}

/*
 * The delay of tcp_tw_reuse counts from tw_entry_stamp where there is one (not in 6.12, in
 * 6.16), before that from the second of the peer's last timestamp: tcp_twsk_unique().
 */
static __always_inline __u32 reuse_age_ms(struct tcp_timewait_sock *tcptw)
{
	__u32 now_ms = snapshot_mono_ns / 1000000;

	if (bpf_core_field_exists(tcptw->tw_sk.tw_entry_stamp))
		return now_ms - tcptw->tw_sk.tw_entry_stamp;
	return now_ms - (__u32)tcptw->tw_ts_recent_stamp * 1000;
}

static __always_inline int show_timewait(struct tcp_timewait_sock *tcptw, struct sock_common *skc)
{
	struct inet_timewait_sock *tw = &tcptw->tw_sk;
	struct tcptrail_owned_record *r;

	r = TCPTRAIL_TRY_RESERVE(struct tcptrail_owned_record);
	if (!r)
		return 1;
	__builtin_memset(r, 0, sizeof(*r));
	r->base.kind = TCPTRAIL_SEEN_SOCKET;
	r->base.old_state = r->base.new_state = TCP_TIME_WAIT;
	r->base.netns = timewait_netns(tw);
	r->base.cookie = timewait_cookie(skc);
	r->base.lport = skc->skc_num;
	r->base.rport = bpf_ntohs(skc->skc_dport);
	r->base.flags = read_timewait_tuple((__be32 *)r->base.laddr, (__be32 *)r->base.raddr, skc);
	r->tw = read_timewait(tw, skc);
	r->reuseaddr = BPF_CORE_READ_BITFIELD(skc, skc_reuse);
	r->reuseport = BPF_CORE_READ_BITFIELD(skc, skc_reuseport);
	r->expires_ms = timewait_left_ms(tw);
	r->step_ms = tcptrail_wheel_step_ms(tw->tw_timer.expires, tw->tw_timer.flags);
	r->bound_dev_if = skc->skc_bound_dev_if;
	if (BPF_CORE_READ_BITFIELD(skc, skc_ipv6only))
		r->bind |= TCPTRAIL_BIND_V6ONLY;
	if (tcptw->tw_ts_recent_stamp)
		r->bind |= TCPTRAIL_BIND_TIMESTAMPS;
	read_snapshot_clocks();
	r->reuse_age_ms = reuse_age_ms(tcptw);
	fill_bucket(r, tw->tw_tb);
	r->base.ts_boot_ns = snapshot_boot_ns;
	tcptrail_submit(r);
	return 0;
}

/* The same for a scan, in which there may be a hundred thousand of them each second. */
static __always_inline int scan_timewait(struct sock_common *skc)
{
	struct tcp_timewait_sock *tcptw = bpf_skc_to_tcp_timewait_sock(skc);
	struct tcptrail_timewait_record *r;
	struct inet_timewait_sock *tw;

	if (!tcptw || (tuple_filter() && !timewait_passes(skc)))
		return 0;
	tw = &tcptw->tw_sk;
	r = TCPTRAIL_TRY_RESERVE(struct tcptrail_timewait_record);
	if (!r)
		return 1;
	fill_timewait(r, tw, skc);
	read_snapshot_clocks();
	r->ts_boot_ns = snapshot_boot_ns;
	tcptrail_submit(r);
	return 0;
}

SEC("iter/tcp")
int seen_sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tcp_timewait_sock *tw;
	struct tcp_sock *tp;

	if (!skc)
		return 0;
	if (ring_is_filling())
		return 1;
	if (snapshot_is_scan) {
		if (skc->skc_state == TCP_TIME_WAIT)
			return scan_timewait(skc);
		if (skc->skc_state != TCP_SYN_SENT)
			return 0;
	}
	tp = bpf_skc_to_tcp_sock(skc);
	if (tp) {
		/* Listeners explain connections that do pass. */
		if (want_cgroup && skc->skc_state != TCP_LISTEN &&
		    !cgroup_passes((struct sock *)tp))
			return 0;
		return show_full_socket(tp, skc);
	}
	tw = bpf_skc_to_tcp_timewait_sock(skc);
	if (tw)
		return show_timewait(tw, skc);
	return 0; /* a request socket: not a connection yet */
}

SEC("iter/task_file")
int seen_holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tcptrail_holder_record *r;
	struct socket *socket;
	struct tcp_sock *tp;
	struct sock *sk, *first;
	__u64 cookie;
	__u32 netns;

	if (!file || !task)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		cookie = tcptrail_cookie(sk);
	} else {
		if (BPF_CORE_READ_BITFIELD(sk, sk_protocol) != IPPROTO_MPTCP)
			return 0;
		/* seen_sockets() came first and gave each subflow its cookie. */
		first = tcptrail_first_subflow(sk);
		if (!first)
			return 0;
		cookie = have_cookie ? (__u64)BPF_CORE_READ(first, __sk_common.skc_cookie.counter) :
				       (__u64)(unsigned long)first;
	}
	netns = tcptrail_netns(sk);
	if (snapshot_netns ? snapshot_netns != netns : !netns_passes(netns))
		return 0;
	if (snapshot_is_scan) {
		snapshot_found = 1;
		return 0;
	}
	if (ring_is_filling())
		return 1;
	/* Neither listening nor connected: in no table that iter/tcp walks, but it holds its port.
	 */
	if (tp && sk->__sk_common.skc_state == TCP_CLOSE && sk->__sk_common.skc_num &&
	    show_full_socket(tp, &sk->__sk_common))
		return 1;
	r = TCPTRAIL_TRY_RESERVE(struct tcptrail_holder_record);
	if (!r)
		return 1;
	__builtin_memset(r, 0, sizeof(*r));
	r->cookie = cookie;
	r->netns = netns;
	r->pid = tcptrail_tgid(task);
	if (probe_reads)
		BPF_CORE_READ_STR_INTO(&r->comm, task, group_leader, comm);
	r->cgroup_id = tcptrail_cgroup_id(sk);
	r->uid = sk->sk_uid.val;
	r->fd = ctx->fd;
	r->kind = TCPTRAIL_SEEN_HOLDER;
	r->flags = TCPTRAIL_F_OWN;
	TCPTRAIL_FINISH(r, r);
	return 0;
}

#endif
