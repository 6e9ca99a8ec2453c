/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections that end in an accept queue because their listener is closed:
 * inet_csk_listen_stop() ends each of them inside the close() of the listener,
 * after the CLOSE of the listener itself. No socket points back to its listener,
 * so the task is remembered that closed one. Used by trace.bpf.c.
 */
#ifndef TCPTRAIL_ACCEPT_QUEUE_BPF_H
#define TCPTRAIL_ACCEPT_QUEUE_BPF_H

#include "owner.bpf.h"

/* Tasks that share a slot cost a name, never give a wrong one. */
#define CLOSING_TASKS 512

static __u64 closing_tasks[CLOSING_TASKS] = {};

static __always_inline __u64 *tcptrail_closing_task(__u64 task)
{
	return &closing_tasks[(task * 0x9e3779b97f4a7c15ULL >> 32) & (CLOSING_TASKS - 1)];
}

/* A listener is closed by its holder. */
static __always_inline void tcptrail_begin_listen_stop(void)
{
	__u64 task = bpf_get_current_pid_tgid();

	*tcptrail_closing_task(task) = task;
}

/*
 * inet_child_forget() locks the child with bh_lock_sock() and sets no error. Nothing else ends
 * a connection without an error that no process has had.
 */
static __always_inline bool tcptrail_ends_in_queue(const struct tcptrail_end_record *r)
{
	return !r->error && r->base.old_state != TCP_SYN_RECV && r->base.old_state != TCP_LISTEN &&
	       (r->facts & (TCPTRAIL_END_NO_SOCKET | TCPTRAIL_END_DEAD)) == TCPTRAIL_END_NO_SOCKET;
}

/* Names the process that is closing the listener; leaves r as it is when that is not known. */
static __always_inline void tcptrail_name_listen_stop(struct tcptrail_record *r)
{
	__u64 task = bpf_get_current_pid_tgid();

	if (*tcptrail_closing_task(task) != task)
		return;
	r->pid = tcptrail_current_tgid();
	if (!r->pid)
		return;
	r->flags |= TCPTRAIL_F_LISTEN_STOP;
	if (in_tree(r->pid))
		r->flags |= TCPTRAIL_F_IN_TREE;
}

#endif
