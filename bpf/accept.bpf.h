/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who accepted which socket: the return of accept(2) is the only place where a
 * passive socket meets its process before that process closes it.
 * (connect(2) needs no such hook: CLOSE->SYN_SENT runs in the caller with the
 * socket lock held, also for io_uring and TCP Fast Open.)
 */
#ifndef TCPTRAIL_ACCEPT_BPF_H
#define TCPTRAIL_ACCEPT_BPF_H

#include "emit.bpf.h"
#include "filter.bpf.h"
#include "owner.bpf.h"

struct sys_exit_args { /* events/syscalls/sys_exit_accept4/format */
	__u64 common;
	long syscall_nr;
	long ret;
};

static __always_inline struct file **current_fd_array(void)
{
	struct task_struct *task;

#ifndef TCPTRAIL_CLASSIC
	if (have_task_btf)
		return bpf_get_current_task_btf()->files->fdt->fd;
#endif
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, files, fdt, fd);
}

/* This runs for every connection of a server: each probe read of a field costs some 20 ns. */
static __always_inline int on_accept_return(struct sys_exit_args *ctx)
{
	struct tcptrail_holder_record *r;
	struct socket *socket;
	struct file **slot;
	struct file *file;
	struct sock *sk;
	long fd = ctx->ret;
	__u64 cookie;
	__u32 netns = 0;

	if (fd < 0)
		return 0;
	slot = current_fd_array() + fd;
	if (bpf_probe_read_kernel(&file, sizeof(file), slot) || !file)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	/* Another thread may have closed and reused the number already. */
	if (!socket || BPF_CORE_READ(socket, file) != file)
		return 0;
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	/* The child's first transition generated the cookie, if we trace at all. */
	cookie = have_cookie ? (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) :
			       (__u64)(unsigned long)sk;
	if (!cookie)
		return 0;
	if (netns_count) {
		netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
		if (!netns_passes(netns))
			return 0;
	}

	r = TCPTRAIL_RESERVE(struct tcptrail_holder_record, lost_other);
	if (!r)
		return 0;
	r->cookie = cookie;
	r->netns = netns; /* 0 unless filtered: the socket's transitions carry it */
	r->pid = tcptrail_current_tgid();
	tcptrail_leader_comm(&r->comm);
	r->cgroup_id = 0;
	r->uid = BPF_CORE_READ(sk, sk_uid.val);
	r->fd = fd;
	r->pad0 = 0;
	r->pad1[0] = r->pad1[1] = 0;
	r->kind = TCPTRAIL_ACCEPT;
	r->flags = TCPTRAIL_F_OWN | (in_tree(r->pid) ? TCPTRAIL_F_IN_TREE : 0);
	r->ts_boot_ns = bpf_ktime_get_boot_ns();
	tcptrail_submit(r);
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
