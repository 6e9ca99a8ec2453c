/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What accept.bpf.h and refused.bpf.h tell, where fentry works: at the
 * functions of sockets. A tracepoint of one system call sends every system call
 * of the machine through the slow path, and io_uring passes by it.
 *
 * Sockets without a file are the kernel's own (NFS that looks for a port,
 * MPTCP's below the one that the process has): nobody called.
 */
#ifndef TCPTRAIL_SOCKET_HOOKS_BPF_H
#define TCPTRAIL_SOCKET_HOOKS_BPF_H

#include "accept.bpf.h"
#include "refused.bpf.h"

#include <bpf/bpf_tracing.h>

/*
 * The last thing that sock_graft() does, which gives a socket to whoever accepts it. Not
 * inet_accept(): in later kernels (those with __inet_accept()) a TCP connection that comes
 * through an MPTCP listener does not pass there.
 *
 * Direct loads alone, but for MPTCP: under lockdown=confidentiality this is the only one that
 * loads.
 */
SEC("fentry/security_sock_graft")
int BPF_PROG(accept_hook, struct sock *child)
{
	struct sock *sk = (struct sock *)bpf_skc_to_tcp_sock(child);
	__u64 cookie;
	__u32 netns = 0;

	/* NFS and others accept in kernel threads, and so does io_uring before 5.12. */
	if (current_is_kernel_thread())
		return 0;
	if (!sk) {
		if (!probe_reads ||
		    BPF_CORE_READ_BITFIELD_PROBED(child, sk_protocol) != IPPROTO_MPTCP)
			return 0;
		sk = tcptrail_first_subflow(child);
		if (sk)
			emit_accept_of(sk, -1);
		return 0;
	}
	cookie = have_cookie ? (__u64)sk->__sk_common.skc_cookie.counter : (__u64)(unsigned long)sk;
	if (!cookie)
		return 0;
	if (netns_count) {
		netns = tcptrail_netns(sk);
		if (!netns_passes(netns))
			return 0;
	}
	emit_accept(cookie, netns, sk->sk_uid.val, -1); /* the number is given later */
	return 0;
}

/*
 * The address by a probe read: its type has 16 bytes, in later kernels (struct sockaddr_unsized)
 * two, and the verifier allows no direct load behind them. It is the kernel's copy, of 128 bytes.
 */
static __always_inline int on_refused_call(struct socket *socket, const void *address, int ret,
					   __u8 op)
{
	struct tcptrail_sockaddr asked = {};
	struct sock *sk;

	if (!is_refusal(ret) && !(op == TCPTRAIL_OP_BIND && !ret && after_refusal()))
		return 0;
	if (!BPF_CORE_READ(socket, file))
		return 0;
	sk = tcptrail_tcp_of(socket);
	if (sk && !ret) {
		had_no_port(sk);
		return 0;
	}
	if (!sk || (address && bpf_probe_read_kernel(&asked, sizeof(asked), address)))
		return 0;
	emit_refusal(sk, &asked, op, -ret);
	return 0;
}

SEC("fexit/inet_bind")
int BPF_PROG(bind_hook, struct socket *socket, const void *address, int length, int ret)
{
	return on_refused_call(socket, address, ret, TCPTRAIL_OP_BIND);
}

SEC("fexit/inet6_bind")
int BPF_PROG(bind6_hook, struct socket *socket, const void *address, int length, int ret)
{
	return on_refused_call(socket, address, ret, TCPTRAIL_OP_BIND);
}

SEC("fexit/inet_listen")
int BPF_PROG(listen_hook, struct socket *socket, int backlog, int ret)
{
	return on_refused_call(socket, NULL, ret, TCPTRAIL_OP_LISTEN);
}

#endif
