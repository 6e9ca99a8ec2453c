/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket behind a file descriptor of the current process, at the return of
 * a system call. The tracepoints of system calls are untyped in every kernel:
 * all of this is probe reads, in both builds.
 */
#ifndef TCPTRAIL_DESCRIPTOR_BPF_H
#define TCPTRAIL_DESCRIPTOR_BPF_H

#include "mptcp.bpf.h"

#include <bpf/bpf_core_read.h>

struct sys_exit_args { /* events/syscalls/sys_exit_accept4/format */
	__u64 common;
	int syscall_nr;
	int pad;
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

/* Of an MPTCP socket the first subflow; NULL when it is no TCP socket. */
static __always_inline struct sock *tcptrail_tcp_of(struct socket *socket)
{
	struct sock *sk = BPF_CORE_READ(socket, sk);
	__u32 protocol;

	if (!sk)
		return NULL;
	protocol = BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol);
	if (protocol == IPPROTO_MPTCP)
		return tcptrail_first_subflow(sk);
	return protocol == IPPROTO_TCP ? sk : NULL;
}

/* NULL when it is no TCP socket, or not any more. */
static __always_inline struct sock *tcptrail_tcp_socket(long fd)
{
	struct file **slot = current_fd_array() + fd;
	struct socket *socket;
	struct file *file;

	if (bpf_probe_read_kernel(&file, sizeof(file), slot) || !file)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	/* Another thread may have closed and reused the number already. */
	if (!socket || BPF_CORE_READ(socket, file) != file)
		return NULL;
	return tcptrail_tcp_of(socket);
}

#endif
