// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The stream: every state transition of a TCP socket, RSTs, who accepted what
 * and who was refused a port, into one ring buffer in the order in which they
 * happened.
 *
 * Built twice: as it is (tp_btf, the normal case) and with TCPTRAIL_CLASSIC for
 * kernels where typed tracepoints do not load.
 */
#include "accept.bpf.h"
#include "accept_queue.bpf.h"
#include "emit.bpf.h"
#include "filter.bpf.h"
#include "nested.bpf.h"
#include "owner.bpf.h"
#include "read_end.bpf.h"
#include "refused.bpf.h"

#include <bpf/bpf_tracing.h>

static __always_inline void fill_owned(struct tcptrail_owned_record *r, struct sock *sk)
{
	r->cgroup_id = tcptrail_cgroup_id(sk);
	r->uid = GET(sk, sk_uid.val);
	r->expires_ms = 0;
	__builtin_memset(r->comm, 0, sizeof(r->comm));
	if (r->base.pid)
		tcptrail_leader_comm(&r->comm);
	r->tw = 0;
	r->reuseaddr = GET_BITS(sk, __sk_common.skc_reuse);
	r->reuseport = GET_BITS(sk, __sk_common.skc_reuseport);
	r->has_socket = GET(sk, sk_socket) != NULL;
	__builtin_memset(&r->bound_dev_if, 0,
			 sizeof(*r) -
				 __builtin_offsetof(struct tcptrail_owned_record, bound_dev_if));
	r->bound_dev_if = GET(sk, __sk_common.skc_bound_dev_if);
	if (GET_BITS(sk, __sk_common.skc_ipv6only))
		r->bind = TCPTRAIL_BIND_V6ONLY;
}

/* Written straight into the ring: a copy on the stack first costs 40 ns an event. */
static __always_inline void fill_base(struct tcptrail_record *r, struct sock *sk,
				      struct tcp_sock *tp, int old, int new, __u8 kind, __u32 pid,
				      __u8 flags)
{
	r->cookie = tcptrail_cookie(sk);
	r->netns = tcptrail_netns(sk);
	r->pid = pid;
	r->old_state = old;
	r->new_state = new;
	r->kind = kind;
	flags |= tcptrail_read_tuple(r, tp, sk);
	/*
	 * Since Linux kernel commit a3a128f611a9 ("inet: call inet_csk_clone_lock() after ...")
	 * (in v6.14), a child has its own tuple and cookie at LISTEN->SYN_RECV. Before that,
	 * both are still the listener's and the peer is 0.0.0.0:0.
	 */
	if (old == TCP_LISTEN && new == TCP_SYN_RECV && !r->rport)
		flags |= TCPTRAIL_F_EARLY_CHILD;
	if (old == TCP_SYN_SENT && new == TCP_ESTABLISHED && GET_BITS(tp, repair))
		flags |= TCPTRAIL_F_REPAIRED;
	if (old == TCP_FIN_WAIT1 && new != TCP_FIN_WAIT1 && tcptrail_fin_behind_hole(tp))
		flags |= TCPTRAIL_F_FIN_BEHIND_HOLE;
	if (GET(tp, snd_nxt) == GET(tp, write_seq))
		flags |= TCPTRAIL_F_FIN_SENT;
	r->flags = flags;
}

static __always_inline void on_transition(struct sock *sk, struct tcp_sock *tp, int old, int new,
					  __u8 copy)
{
	__u32 pid = 0;
	__u8 flags;

	if (!tcptrail_passes(sk, tp, old, new))
		return;
	flags = copy | tcptrail_owner(sk, new, &pid);

	if (new == TCP_CLOSE) {
		struct tcptrail_end_record *r =
			TCPTRAIL_RESERVE(struct tcptrail_end_record, lost_ring);

		if (!r)
			return;
		fill_base(&r->base, sk, tp, old, new, TCPTRAIL_TRANSITION_END, pid, flags);
		r->silent_ms = 0;
		tcptrail_read_end(r, tp, sk);
		__builtin_memset(r->comm, 0, sizeof(r->comm));
		if (old == TCP_LISTEN && (flags & TCPTRAIL_F_OWN))
			tcptrail_begin_listen_stop();
		if (!pid && tcptrail_ends_in_queue(r))
			tcptrail_name_listen_stop(&r->base);
		if (r->base.pid)
			tcptrail_leader_comm(&r->comm);
		else
			r->bound_dev_if = GET(sk, __sk_common.skc_bound_dev_if);
		r->tw = TCPTRAIL_TW_NONE;
		/* The only states from which tcp_time_wait() is called. */
		if (old == TCP_FIN_WAIT2 || old == TCP_CLOSING)
			tcptrail_find_timewait(r, sk);
		TCPTRAIL_FINISH(r, &r->base);
	} else if (pid || new == TCP_LISTEN || (old == TCP_SYN_RECV && new == TCP_ESTABLISHED)) {
		struct tcptrail_owned_record *r =
			TCPTRAIL_RESERVE(struct tcptrail_owned_record, lost_ring);

		if (!r)
			return;
		fill_base(&r->base, sk, tp, old, new, TCPTRAIL_TRANSITION_OWNED, pid, flags);
		fill_owned(r, sk);
		TCPTRAIL_FINISH(r, &r->base);
	} else {
		struct tcptrail_record *r = TCPTRAIL_RESERVE(struct tcptrail_record, lost_ring);

		if (!r)
			return;
		fill_base(r, sk, tp, old, new, TCPTRAIL_TRANSITION, pid, flags);
		TCPTRAIL_FINISH(r, r);
	}
}

static __always_inline void emit_reset(struct sock *sk, __u8 kind, __u8 flags, __u8 reason)
{
	struct tcptrail_reset_record *r;
	__u32 netns = tcptrail_netns(sk);

	if (!netns_passes(netns))
		return;
	r = TCPTRAIL_RESERVE(struct tcptrail_reset_record, lost_other);
	if (!r)
		return;
	r->cookie = tcptrail_cookie(sk);
	r->netns = netns;
	r->pid = 0;
	__builtin_memset(r->pad0, 0, sizeof(r->pad0));
	r->state = GET(sk, __sk_common.skc_state);
	r->reason = reason;
	r->kind = kind;
	r->flags = flags;
	TCPTRAIL_FINISH(r, r);
}

/*
 * Since Linux kernel commit b533fb9cf4f7 ("rstreason: make it work in trace world")
 * (in v6.10), tcp:tcp_send_reset has a third argument. Taken from the context by hand:
 * BPF_PROG would load it where there is none, and the verifier refuse that.
 */
static __always_inline __u8 reset_reason(const __u64 *ctx)
{
	__u64 reason;

	if (!have_reset_reason)
		return 0;
	reason = (__u32)ctx[2];
	return reason < 256 ? reason : 0;
}

#ifdef TCPTRAIL_CLASSIC

struct set_state_args { /* events/sock/inet_sock_set_state/format; the rest moved in 5.6 and is not
			   used */
	__u64 common;
	const void *skaddr;
	int oldstate;
	int newstate;
};

static __always_inline void handle_untyped(struct sock *sk, int old, int new, __u8 copy)
{
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) == IPPROTO_TCP)
		on_transition(sk, (struct tcp_sock *)sk, old, new, copy);
}

SEC("tracepoint/sock/inet_sock_set_state")
int set_state(struct set_state_args *ctx)
{
	struct tcptrail_marker *marker = tcptrail_marker();
	struct sock *sk = (struct sock *)ctx->skaddr;
	int old = ctx->oldstate, new = ctx->newstate;

	tcptrail_begin_first(marker);
	handle_untyped(sk, old, new, 0);
	tcptrail_end_first(marker, sk, old, new);
	return 0;
}

/*
 * Attached after set_state, and so run after it. A raw tracepoint: unlike the classic one
 * it is not skipped while any other program runs on the CPU, another tracer's included.
 */
SEC("raw_tp/inet_sock_set_state")
int BPF_PROG(set_state_again, struct sock *sk, int old, int new)
{
	if (tcptrail_done_by_first(tcptrail_marker(), sk, old, new))
		return 0;
	__sync_fetch_and_add(&recovered, 1);
	handle_untyped(sk, old, new, TCPTRAIL_F_AGAIN);
	return 0;
}

/* As the typed ones below; what a minisocket or a request socket sends has no use for an address.
 */
SEC("raw_tp/tcp_send_reset")
int BPF_PROG(send_reset, struct sock *sk, struct sk_buff *skb)
{
	__u8 state;

	if (!sk)
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV)
		emit_reset(sk, TCPTRAIL_RESET_SENT, skb ? TCPTRAIL_F_SKB : 0, reset_reason(ctx));
	return 0;
}

SEC("raw_tp/tcp_receive_reset")
int BPF_PROG(receive_reset, struct sock *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE)
		emit_reset(sk, TCPTRAIL_RESET_RECEIVED, 0, 0);
	return 0;
}

struct sk_event_args {
	__u64 common;
	const void *first;
	const void *second;
};

SEC("tracepoint/tcp/tcp_destroy_sock")
int destroy(struct sk_event_args *ctx)
{
	/* An address is reused at once: without the cookie this is where an identity ends. */
	emit_reset((struct sock *)ctx->first, TCPTRAIL_DESTROY, 0, 0);
	return 0;
}

#else

#include "snapshot.bpf.h"
#include "socket_hooks.bpf.h"

static __always_inline void handle(struct sock *sk, int old, int new, __u8 copy)
{
	/*
	 * NULL for MPTCP's and SCTP's own sockets, which share the tracepoint. Everything
	 * is read through this pointer and not through sk: for each pointer-typed field of
	 * a trusted argument the verifier searches all of vmlinux BTF by name, 1 ms each.
	 */
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp)
		on_transition((struct sock *)tp, tp, old, new, copy);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, struct sock *sk, int old, int new)
{
	struct tcptrail_marker *marker = tcptrail_marker();

	tcptrail_begin_first(marker);
	handle(sk, old, new, 0);
	tcptrail_end_first(marker, sk, old, new);
	return 0;
}

/* Attached after set_state, and so run after it. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state_again, struct sock *sk, int old, int new)
{
	if (tcptrail_done_by_first(tcptrail_marker(), sk, old, new))
		return 0;
	__sync_fetch_and_add(&recovered, 1);
	handle(sk, old, new, TCPTRAIL_F_AGAIN);
	return 0;
}

/*
 * A RST in answer to data after close() runs through tcp_reset() like one that
 * was received (sk_err ECONNRESET, tcp_receive_reset fires). What tells them
 * apart is that here a RST is sent by the same socket, right after its CLOSE.
 *
 * Since Linux kernel commit 19822a980e19 ("trace: tcp: fully support trace_tcp_send_reset")
 * (in v6.10), sk may also be NULL, a request or a minisocket: the helpers sort them
 * out. A minisocket that sends a RST is taken away in the same call, tcp_v4_rcv():
 * its timer has nothing to do with it.
 */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(send_reset, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_timewait_sock *tw;
	struct tcp_sock *tp;

	if (!sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		emit_reset((struct sock *)tp, TCPTRAIL_RESET_SENT, skb ? TCPTRAIL_F_SKB : 0,
			   reset_reason(ctx));
		return 0;
	}
	tw = bpf_skc_to_tcp_timewait_sock(sk);
	if (tw)
		emit_timewait_end(&tw->tw_sk.__tw_common, TCPTRAIL_CAUSE_RESET, 0, 0);
	return 0;
}

/* Tells a refusal by RST from one by ICMP. */
SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(receive_reset, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp && sk->__sk_common.skc_state != TCP_CLOSE)
		emit_reset((struct sock *)tp, TCPTRAIL_RESET_RECEIVED, 0, 0);
	return 0;
}

/* Only where the cookie helper is missing: an address is reused at once, here its meaning ends. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy, struct sock *sk)
{
	emit_reset(sk, TCPTRAIL_DESTROY, 0, 0);
	return 0;
}

#endif

#ifdef TCPTRAIL_CLASSIC
#define TCPTRAIL_FORK SEC("raw_tp/sched_process_fork")
#else
#define TCPTRAIL_FORK SEC("tp_btf/sched_process_fork")
#endif

/* -- CMD: a new process belongs to the tree when its parent does; a reused pid does not. */
TCPTRAIL_FORK
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_tgid = tcptrail_tgid(parent), tgid = tcptrail_tgid(child);
	__u8 one = 1;

	if (GET(child, pid) != GET(child, tgid))
		return 0;
	if (bpf_map_lookup_elem(&tree, &parent_tgid))
		bpf_map_update_elem(&tree, &tgid, &one, BPF_ANY);
	else
		bpf_map_delete_elem(&tree, &tgid);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
