/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * MPTCP: a process has the MPTCP socket, and the connections of TCP are its subflows.
 * The first subflow is the one that plain TCP would have. All of this is probe reads:
 * no program may reach an MPTCP socket directly. Without CONFIG_MPTCP it is pruned.
 */
#ifndef TCPTRAIL_MPTCP_BPF_H
#define TCPTRAIL_MPTCP_BPF_H

#include "config.bpf.h"

#include <bpf/bpf_core_read.h>

/* The listener, or the connection, of an MPTCP socket; NULL when there is none (any more). */
static __always_inline struct sock *tcptrail_first_subflow(struct sock *msk)
{
	if (!probe_reads || !bpf_core_field_exists(struct mptcp_sock, first))
		return NULL;
	return BPF_CORE_READ((struct mptcp_sock *)msk, first);
}

static __always_inline bool tcptrail_is_subflow(struct tcp_sock *tp)
{
	return bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ(tp, is_mptcp);
}

/*
 * close() takes the MPTCP socket off its subflows without making them orphans. One whose
 * context is gone was not left in an accept queue.
 */
static __always_inline bool tcptrail_subflow_not_accepted(struct tcp_sock *tp)
{
	struct mptcp_subflow_context *context;
	struct sock *msk;

	if (!bpf_core_field_exists(struct mptcp_subflow_context, conn))
		return false;
	context = BPF_CORE_READ(tp, inet_conn.icsk_ulp_data);
	if (!context)
		return false;
	msk = BPF_CORE_READ(context, conn);
	return msk && !BPF_CORE_READ(msk, sk_socket) &&
	       !(BPF_CORE_READ(msk, __sk_common.skc_flags) &
		 (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DEAD)));
}

#endif
