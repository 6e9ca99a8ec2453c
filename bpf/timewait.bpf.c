// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The exact life of a minisocket where fentry works: each death with its cause,
 * each time the timer is set anew. An object of its own, so that a kernel that
 * refuses any of it loses nothing else; the ring is the stream's.
 *
 * Every death passes inet_twsk_kill(). Why is known from what ran just before on
 * the same CPU for the same minisocket: all ways there have BH off, and who is
 * next on this CPU leaves its own mark.
 */
#include "minisocket.bpf.h"
#include "nested.bpf.h"
#include "owner.bpf.h"

#include <bpf/bpf_tracing.h>

struct tcptrail_death {
	__u64 tw; /* its address; 0 = no mark */
	__u32 pid;
	__u8 cause;
	__u8 flags;
	__u8 pad0[2];
	__u64 pad[6]; /* a cache line each */
};

static struct tcptrail_death deaths[MARKERS] = {};

static __always_inline struct tcptrail_death *tcptrail_death(void)
{
	return &deaths[bpf_get_smp_processor_id() & (MARKERS - 1)];
}

static __always_inline void expect(const void *tw, __u8 cause)
{
	struct tcptrail_death *death = tcptrail_death();

	death->pid = 0;
	death->flags = 0;
	death->cause = cause;
	death->tw = (__u64)tw;
}

/* The same where the current task does it. */
static __always_inline void expect_by_current(const void *tw, __u8 cause, __u8 flags)
{
	struct tcptrail_death *death = tcptrail_death();

	expect(tw, cause);
	if (current_is_kernel_thread())
		return;
	death->pid = tcptrail_current_tgid();
	if (death->pid)
		death->flags = flags;
}

SEC("fentry/tw_timer_handler")
int BPF_PROG(tw_timer, struct timer_list *timer)
{
	expect((void *)timer - bpf_core_field_offset(struct inet_timewait_sock, tw_timer),
	       TCPTRAIL_CAUSE_EXPIRED);
	return 0;
}

/* What dies inside was killed by a RST (tcp_rfc1337 off): "assassination". */
SEC("fentry/tcp_timewait_state_process")
int BPF_PROG(tw_packet, struct inet_timewait_sock *tw)
{
	expect(tw, TCPTRAIL_CAUSE_RESET);
	return 0;
}

/* What dies after it, dies by what tcp_v4_rcv() makes of the answer. */
SEC("fexit/tcp_timewait_state_process")
int BPF_PROG(tw_packet_done, struct inet_timewait_sock *tw)
{
	__u64 status;

	/*
	 * Since Linux kernel commit f92c1e183604 ("bpf: Add get_func_[arg|ret|arg_cnt] helpers")
	 * (in v5.17), the result is there whatever the arguments are. Before that they are three;
	 * 6.12 has four, 6.16 five.
	 */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_func_ret)) {
		if (bpf_get_func_ret(ctx, &status))
			return 0;
	} else {
		status = ctx[3];
	}
	if ((__u32)status == bpf_core_enum_value(enum tcp_tw_status, TCP_TW_SYN))
		expect(tw, TCPTRAIL_CAUSE_REUSED_BY_SYN); /* if there is a listener */
	else if ((__u32)status == bpf_core_enum_value(enum tcp_tw_status, TCP_TW_RST))
		expect(tw, TCPTRAIL_CAUSE_RESET);
	else
		tcptrail_death()->tw = 0;
	return 0;
}

SEC("fexit/tcp_twsk_unique")
int BPF_PROG(tw_reuse, struct sock *sk, struct sock *sktw, void *twp, int may)
{
	if (may)
		expect_by_current(sktw, TCPTRAIL_CAUSE_REUSED_BY_CONNECT, TCPTRAIL_F_OWN);
	return 0;
}

/* ss -K and bpf_sock_destroy(): of minisockets since 6.1. */
SEC("fentry/tcp_abort")
int BPF_PROG(tw_abort, struct sock *sk)
{
	if (sk->__sk_common.skc_state == TCP_TIME_WAIT)
		expect_by_current(sk, TCPTRAIL_CAUSE_KILLED, TCPTRAIL_F_KILLER);
	return 0;
}

SEC("fentry/inet_twsk_kill")
int BPF_PROG(tw_kill, struct inet_timewait_sock *tw)
{
	struct tcp_timewait_sock *tcptw = bpf_skc_to_tcp_timewait_sock(tw);
	struct tcptrail_death *death = tcptrail_death();
	__u8 cause = TCPTRAIL_CAUSE_UNKNOWN, flags = 0;
	struct sock_common *skc;
	__u32 pid = 0;

	if (!tcptw)
		return 0;
	if (death->tw == (__u64)tw) {
		cause = death->cause;
		flags = death->flags;
		pid = death->pid;
		death->tw = 0;
	} else if (current_is_kernel_thread()) {
		/* inet_twsk_purge() from the worker that takes a network namespace away. */
		cause = TCPTRAIL_CAUSE_NETNS_EXIT;
	}
	skc = &tcptw->tw_sk.__tw_common;
	if (!tuple_filter() || timewait_passes(skc))
		emit_timewait_end(skc, cause, pid, flags);
	return 0;
}

static __always_inline void note_birth(struct inet_timewait_sock *tw, struct sock_common *skc)
{
	__u64 cookie = skc->skc_cookie.counter;
	struct tcptrail_birth *birth = tcptrail_birth(cookie);

	*(volatile __u64 *)&birth->cookie = 0;
	barrier();
	birth->jiffies = bpf_jiffies64();
	birth->expires_ms = timewait_left_ms(tw);
	birth->tw = read_timewait(tw, skc);
	birth->step_32ms = tcptrail_step_32ms(
		tcptrail_wheel_step_ms(tw->tw_timer.expires, tw->tw_timer.flags));
	barrier();
	*(volatile __u64 *)&birth->cookie = cookie;
	births_seen = 1;
}

/*
 * Later kernels (6.12 and 7.2; not 6.1) set the timer inside this function, and there the one
 * below may have become part of it.
 */
SEC("fexit/inet_twsk_hashdance_schedule")
int BPF_PROG(tw_born, struct inet_timewait_sock *tw)
{
	struct tcp_timewait_sock *tcptw = bpf_skc_to_tcp_timewait_sock(tw);

	if (tcptw)
		note_birth(&tcptw->tw_sk, &tcptw->tw_sk.__tw_common);
	return 0;
}

/*
 * The timer set for the first time, or anew: to 60 s, or from FIN_WAIT2 to TIME_WAIT. rearm is
 * a bool, of which 5.10 stores one byte of eight.
 */
SEC("fexit/__inet_twsk_schedule")
int BPF_PROG(tw_rearm, struct inet_timewait_sock *tw, int timeo, unsigned char rearm)
{
	struct tcptrail_timewait_record *r;
	struct tcp_timewait_sock *tcptw;
	struct sock_common *skc;

	if (!rearm && !births_wanted)
		return 0;
	tcptw = bpf_skc_to_tcp_timewait_sock(tw);
	if (!tcptw)
		return 0;
	skc = &tcptw->tw_sk.__tw_common;
	if (!rearm) {
		note_birth(&tcptw->tw_sk, skc);
		return 0;
	}
	if (!netns_passes(skc->skc_net.net->ns.inum) || (tuple_filter() && !timewait_passes(skc)))
		return 0;
	r = TCPTRAIL_RESERVE(struct tcptrail_timewait_record, lost_other);
	if (!r)
		return 0;
	fill_timewait(r, &tcptw->tw_sk, skc);
	TCPTRAIL_FINISH(r, r);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
