/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who accepted which socket: accept(2) is the only place where a passive socket
 * meets its process before that process closes it. Here at its return, where
 * socket_hooks.bpf.h cannot see it.
 * (connect(2) needs no such hook: CLOSE->SYN_SENT runs in the caller with the
 * socket lock held, also for io_uring and TCP Fast Open.)
 */
#ifndef TCPTRAIL_ACCEPT_BPF_H
#define TCPTRAIL_ACCEPT_BPF_H

#include "descriptor.bpf.h"
#include "emit.bpf.h"
#include "filter.bpf.h"
#include "owner.bpf.h"

/* The child's first transition generated the cookie, if we trace at all. */
static __always_inline void emit_accept(__u64 cookie, __u32 netns, __u32 uid, int fd)
{
	struct tcptrail_holder_record *r;

	r = TCPTRAIL_RESERVE(struct tcptrail_holder_record, lost_other);
	if (!r)
		return;
	r->cookie = cookie;
	r->netns = netns; /* 0 unless filtered: the socket's transitions carry it */
	r->pid = tcptrail_current_tgid();
	tcptrail_leader_comm(&r->comm);
	r->cgroup_id = 0;
	r->uid = uid;
	r->fd = fd;
	r->pad0 = 0;
	r->pad1[0] = r->pad1[1] = 0;
	r->kind = TCPTRAIL_ACCEPT;
	r->flags = TCPTRAIL_F_OWN | (in_tree(r->pid) ? TCPTRAIL_F_IN_TREE : 0);
	r->ts_boot_ns = bpf_ktime_get_boot_ns();
	tcptrail_submit(r);
}

/* This runs for every connection of a server: each probe read of a field costs some 20 ns. */
static __always_inline void emit_accept_of(struct sock *sk, int fd)
{
	__u32 netns = 0;
	__u64 cookie = have_cookie ? (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) :
				     (__u64)(unsigned long)sk;

	if (!cookie)
		return;
	if (netns_count) {
		netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
		if (!netns_passes(netns))
			return;
	}
	emit_accept(cookie, netns, BPF_CORE_READ(sk, sk_uid.val), fd);
}

static __always_inline int on_accept_return(struct sys_exit_args *ctx)
{
	struct sock *sk;
	long fd = ctx->ret;

	if (fd < 0)
		return 0;
	sk = tcptrail_tcp_socket(fd);
	if (sk)
		emit_accept_of(sk, fd);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int accept4_return(struct sys_exit_args *ctx)
{
	return on_accept_return(ctx);
}

SEC("tracepoint/syscalls/sys_exit_accept")
int accept_return(struct sys_exit_args *ctx)
{
	return on_accept_return(ctx);
}

#endif
