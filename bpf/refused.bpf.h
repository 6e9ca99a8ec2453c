/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who was refused which port: bind(2) and listen(2) that return EADDRINUSE or
 * EADDRNOTAVAIL. A refused bind() shows in no state of the socket, and the
 * address that was asked for is gone from it.
 *
 * Only the returns are hooked. The arguments are still there, in the registers
 * that the call saved on its stack: nothing is kept between entry and return,
 * so nothing can leak or overflow, and hooking one entry would cost every
 * system call of the machine 10 ns (the exit path is slow already for accept).
 *
 * What comes another way is seen by socket_hooks.bpf.h only: io_uring
 * (IORING_OP_BIND, 6.11) makes no system call of this name, and the tracepoints
 * leave out 32-bit calls on a 64-bit kernel.
 */
#ifndef TCPTRAIL_REFUSED_BPF_H
#define TCPTRAIL_REFUSED_BPF_H

#include "descriptor.bpf.h"
#include "emit.bpf.h"
#include "filter.bpf.h"
#include "owner.bpf.h"
#include "portless.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define TCPTRAIL_CALL_NUMBER(regs) BPF_CORE_READ(regs, orig_ax)
#define TCPTRAIL_CALL_FIRST(regs) BPF_CORE_READ(regs, di)
#define TCPTRAIL_CALL_SECOND(regs) BPF_CORE_READ(regs, si)
#elif defined(__TARGET_ARCH_arm64)
#define TCPTRAIL_CALL_NUMBER(regs) BPF_CORE_READ(regs, syscallno)
#define TCPTRAIL_CALL_FIRST(regs) BPF_CORE_READ(regs, orig_x0)
#define TCPTRAIL_CALL_SECOND(regs) BPF_CORE_READ(regs, regs[1])
#else /* the loader says so: feature refused_calls */
#define TCPTRAIL_CALL_NUMBER(regs) ((void)(regs), -1)
#define TCPTRAIL_CALL_FIRST(regs) (-1)
#define TCPTRAIL_CALL_SECOND(regs) (-1)
#endif

struct tcptrail_sockaddr { /* sockaddr_in, and sockaddr_in6 with the flow label in ipv4 */
	__u16 family;
	__be16 port;
	__be32 ipv4;
	__be32 ipv6[4];
};

/* NULL unless they are those of the call with this number. */
static __always_inline struct pt_regs *tcptrail_call_regs(int number)
{
	struct task_struct *task;
	struct pt_regs *regs;

#ifndef TCPTRAIL_CLASSIC
	/*
	 * Since Linux kernel commit dd6e10fbd9fb ("bpf: Add bpf_task_pt_regs() helper")
	 * (in v5.15), the kernel says where they are.
	 */
	if (have_task_btf && bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
		regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
		return (int)TCPTRAIL_CALL_NUMBER(regs) == number ? regs : NULL;
	}
#endif
	/*
	 * Before that: at the top of a stack of 16 KiB (x86-64 and arm64 without KASAN), with
	 * 16 bytes above them under CONFIG_X86_FRED.
	 */
	task = (void *)bpf_get_current_task();
	regs = BPF_CORE_READ(task, stack) + (16 << 10) - bpf_core_type_size(struct pt_regs);
	if ((int)TCPTRAIL_CALL_NUMBER(regs) == number)
		return regs;
	regs = (void *)regs - 16;
	return (int)TCPTRAIL_CALL_NUMBER(regs) == number ? regs : NULL;
}

/* The wanted cgroup or one below it: cgroup_passes() by probe reads. */
static __always_inline bool cgroup_passes_probed(struct sock *sk)
{
	struct cgroup *cgroup;
	int i;

	if (!bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return true;
	cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	for (i = 0; i < MAX_CGROUP_DEPTH && cgroup; i++) {
		if (BPF_CORE_READ(cgroup, kn, id) == want_cgroup)
			return true;
		cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
	}
	return false;
}

static __always_inline bool is_refusal(long ret)
{
	return ret == -EADDRINUSE || ret == -EADDRNOTAVAIL;
}

/* *asked is what bind() was given. The socket is untyped here: all of this is probe reads. */
static __always_inline void emit_refusal(struct sock *sk, struct tcptrail_sockaddr *asked, __u8 op,
					 int error)
{
	struct tcptrail_refused_record *r;
	bool inet6, ipv4;
	__u32 netns, uid;
	__u16 port;

	/* SOCK_RAW has protocol 6 too: IPPROTO_TCP, and NETLINK_XFRM. */
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_type) != SOCK_STREAM)
		return;
	netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (!netns_passes(netns))
		return;

	inet6 = BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6;
	if (op == TCPTRAIL_OP_BIND) {
		port = bpf_ntohs(asked->port);
	} else {
		port = BPF_CORE_READ(sk, __sk_common.skc_num);
		asked->ipv4 = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		if (inet6)
			BPF_CORE_READ_INTO(&asked->ipv6, sk,
					   __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
	}
	ipv4 = !inet6 || v4mapped(asked->ipv6);
	uid = BPF_CORE_READ(sk, sk_uid.val);
	if (want_family && want_family != (ipv4 ? 4 : 6))
		return;
	if (lport_on && !port_in(lport_bits, port))
		return;
	if (uid_on && uid != want_uid)
		return;
	if (want_cgroup && !cgroup_passes_probed(sk))
		return;

	r = TCPTRAIL_RESERVE(struct tcptrail_refused_record, lost_other);
	if (!r)
		return;
	__builtin_memset(r, 0, sizeof(*r));
	/* 0 when nobody has asked for it yet: no program of this kind can generate one. */
	r->base.cookie = have_cookie ? (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) :
				       (__u64)(unsigned long)sk;
	r->base.netns = netns;
	r->base.pid = tcptrail_current_tgid();
	r->base.lport = port;
	r->base.old_state = r->base.new_state = TCP_CLOSE;
	r->base.kind = TCPTRAIL_REFUSED;
	if (r->base.pid) {
		r->base.flags = TCPTRAIL_F_OWN | (in_tree(r->base.pid) ? TCPTRAIL_F_IN_TREE : 0);
		tcptrail_leader_comm(&r->comm);
	}
	if (inet6)
		r->base.flags |= TCPTRAIL_F_INET6;
	if (ipv4) {
		r->base.flags |= TCPTRAIL_F_IPV4;
		*(__be32 *)r->base.laddr = inet6 ? asked->ipv6[3] : asked->ipv4;
	} else {
		__builtin_memcpy(r->base.laddr, asked->ipv6, sizeof(asked->ipv6));
	}
	/* bind() of an IPv6 address sets sk_ipv6only, and takes it back when it fails. */
	r->v6only = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only) ||
		    (!ipv4 && (asked->ipv6[0] | asked->ipv6[1] | asked->ipv6[2] | asked->ipv6[3]));
	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		r->cgroup_id = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	r->uid = uid;
	r->error = error;
	r->op = op;
	r->bound_dev_if = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
	r->reuseaddr = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuse);
	r->reuseport = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport);
	TCPTRAIL_FINISH(r, &r->base);
	last_refusal_ns = bpf_ktime_get_boot_ns();
	if (op == TCPTRAIL_OP_BIND) /* not before the record's own time */
		had_no_port(sk);
}

static __always_inline int on_return(struct sys_exit_args *ctx, __u8 op)
{
	struct tcptrail_sockaddr asked = {};
	struct pt_regs *regs;
	struct sock *sk;

	if (!is_refusal(ctx->ret) && !(op == TCPTRAIL_OP_BIND && !ctx->ret && after_refusal()))
		return 0;
	regs = tcptrail_call_regs(ctx->syscall_nr);
	if (!regs)
		return 0;
	sk = tcptrail_tcp_socket((int)TCPTRAIL_CALL_FIRST(regs));
	if (!sk)
		return 0;
	if (!ctx->ret) {
		had_no_port(sk);
		return 0;
	}
	if (op == TCPTRAIL_OP_BIND) {
		const void *address = (void *)TCPTRAIL_CALL_SECOND(regs);

		/* The kernel has just copied it from there: the page is present. */
		if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6 ?
			    bpf_probe_read_user(&asked, sizeof(asked), address) :
			    bpf_probe_read_user(&asked,
						__builtin_offsetof(struct tcptrail_sockaddr, ipv6),
						address))
			return 0;
	}
	emit_refusal(sk, &asked, op, -ctx->ret);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_bind")
int bind_return(struct sys_exit_args *ctx)
{
	return on_return(ctx, TCPTRAIL_OP_BIND);
}

SEC("tracepoint/syscalls/sys_exit_listen")
int listen_return(struct sys_exit_args *ctx)
{
	return on_return(ctx, TCPTRAIL_OP_LISTEN);
}

#endif
