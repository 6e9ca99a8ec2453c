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

static __always_inline bool ring_is_filling(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > snapshot_high_water;
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
	r->base.cookie = tcptrail_cookie(sk);
	if (tp->snd_nxt == tp->write_seq)
		r->base.flags |= TCPTRAIL_F_FIN_SENT;
	fill_owned(r, sk);
	TCPTRAIL_FINISH(r, &r->base);
	return 0;
}

static __always_inline int show_timewait(struct inet_timewait_sock *tw, struct sock_common *skc)
{
	struct tcptrail_owned_record *r;
	struct inet_bind_bucket *tb;
	__be32 *l, *p;
	long left;

	r = TCPTRAIL_TRY_RESERVE(struct tcptrail_owned_record);
	if (!r)
		return 1;
	__builtin_memset(r, 0, sizeof(*r));
	r->base.kind = TCPTRAIL_SEEN_SOCKET;
	r->base.old_state = r->base.new_state = TCP_TIME_WAIT;
	r->base.netns = skc->skc_net.net->ns.inum;
	r->base.cookie = skc->skc_cookie.counter; /* 0 when nobody ever asked for it */
	r->base.lport = skc->skc_num;
	r->base.rport = bpf_ntohs(skc->skc_dport);
	l = (__be32 *)r->base.laddr;
	p = (__be32 *)r->base.raddr;
	r->base.flags = TCPTRAIL_F_IPV4;
	if (skc->skc_family == AF_INET6) {
		r->base.flags = TCPTRAIL_F_INET6;
		p[0] = skc->skc_v6_daddr.in6_u.u6_addr32[0];
		p[1] = skc->skc_v6_daddr.in6_u.u6_addr32[1];
		p[2] = skc->skc_v6_daddr.in6_u.u6_addr32[2];
		p[3] = skc->skc_v6_daddr.in6_u.u6_addr32[3];
		l[0] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		l[1] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		l[2] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		l[3] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		if (v4mapped(p))
			r->base.flags |= TCPTRAIL_F_IPV4;
	}
	if (r->base.flags & TCPTRAIL_F_IPV4) {
		p[0] = skc->skc_daddr;
		l[0] = skc->skc_rcv_saddr;
		p[1] = p[2] = p[3] = l[1] = l[2] = l[3] = 0;
	}
	r->tw = tw->tw_substate == TCP_TIME_WAIT ? TCPTRAIL_TW_TIME_WAIT : TCPTRAIL_TW_FIN_WAIT2;
	r->reuseaddr = BPF_CORE_READ_BITFIELD(skc, skc_reuse);
	r->reuseport = BPF_CORE_READ_BITFIELD(skc, skc_reuseport);
	if (r->reuseaddr)
		r->tw |= TCPTRAIL_TW_REUSEADDR;
	if (r->reuseport)
		r->tw |= TCPTRAIL_TW_REUSEPORT;
	tb = tw->tw_tb;
	if (tb && (tb->fastreuse >= 0 || tb->fastreuseport >= 0))
		r->tw |= TCPTRAIL_TW_WHOLE_PORT;
	left = (long)(tw->tw_timer.expires - bpf_jiffies64());
	r->expires_ms = left > 0 ? (__u64)left * 1000 / kernel_hz : 0;
	TCPTRAIL_FINISH(r, &r->base);
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
	tp = bpf_skc_to_tcp_sock(skc);
	if (tp)
		return show_full_socket(tp, skc);
	tw = bpf_skc_to_tcp_timewait_sock(skc);
	if (tw)
		return show_timewait(&tw->tw_sk, skc);
	return 0; /* a request socket: not a connection yet */
}

SEC("iter/task_file")
int seen_holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tcptrail_holder_record *r;
	struct socket *socket;
	struct sock *sk;

	if (!file || !task)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !bpf_skc_to_tcp_sock(sk))
		return 0;
	if (ring_is_filling())
		return 1;
	r = TCPTRAIL_TRY_RESERVE(struct tcptrail_holder_record);
	if (!r)
		return 1;
	__builtin_memset(r, 0, sizeof(*r));
	r->cookie = tcptrail_cookie(sk);
	r->netns = tcptrail_netns(sk);
	r->pid = probe_reads ? tcptrail_tgid(task) : task->tgid;
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
