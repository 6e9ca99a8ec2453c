/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who holds the socket. The current task counts only while sk_lock.owned is
 * set: then it is inside a system call on this very socket. In softirq, timers
 * and with BH off (a TUN writer, ss) current is whoever happens to run there.
 */
#ifndef TCPTRAIL_OWNER_BPF_H
#define TCPTRAIL_OWNER_BPF_H

#include "read_sock.bpf.h"

static __always_inline bool current_is_kernel_thread(void)
{
	struct task_struct *task;

#ifndef TCPTRAIL_CLASSIC
	if (have_task_btf)
		return bpf_get_current_task_btf()->flags & PF_KTHREAD;
#endif
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, flags) & PF_KTHREAD;
}

/* The process's number in pid_namespace; 0 for one that is outside it. */
static __always_inline __u32 tcptrail_tgid_there(struct task_struct *task)
{
	struct upid *numbers;
	struct pid *pid;
	__u32 level, i;

	pid = BPF_CORE_READ(task, group_leader, thread_pid);
	level = BPF_CORE_READ(pid, level);
	numbers = (void *)pid + bpf_core_field_offset(struct pid, numbers);
	for (i = 0; i < MAX_PIDNS_DEPTH && i <= level; i++) {
		struct upid *number = (void *)numbers + i * bpf_core_type_size(struct upid);

		if (BPF_CORE_READ(number, ns, ns.inum) == pid_namespace)
			return BPF_CORE_READ(number, nr);
	}
	return 0;
}

static __always_inline __u32 tcptrail_current_tgid(void)
{
	if (!pid_namespace)
		return bpf_get_current_pid_tgid() >> 32;
	return tcptrail_tgid_there((void *)bpf_get_current_task());
}

/*
 * comm is the thread's own; a process is called by its leader's. Of the leader itself it
 * is two direct loads (bpf_get_current_comm() costs 80 ns), else a walk.
 */
static __always_inline void tcptrail_leader_comm(char (*comm)[TCPTRAIL_COMM_LEN])
{
	__u64 *words = (__u64 *)comm;
#ifndef TCPTRAIL_CLASSIC
	if (have_task_btf) {
		struct task_struct *current = bpf_get_current_task_btf();

		if (current->pid == current->tgid) {
			words[0] = *(__u64 *)&current->comm[0];
			words[1] = *(__u64 *)&current->comm[8];
			return;
		}
	}
#endif
	words[0] = words[1] = 0;
	if (probe_reads) {
		struct task_struct *task = (void *)bpf_get_current_task();

		task = BPF_CORE_READ(task, group_leader);
		bpf_core_read_str(comm, sizeof(*comm), &task->comm);
	} else {
		bpf_get_current_comm(comm, sizeof(*comm));
	}
}

static __always_inline bool in_tree(__u32 pid)
{
	__u32 key;

	if (!trace_tree)
		return false;
	key = pid; /* on the stack only here: the verifier keeps ways apart whose stacks differ */
	return bpf_map_lookup_elem(&tree, &key);
}

/* The same of another task. */
static __always_inline __u32 tcptrail_tgid(struct task_struct *task)
{
	return pid_namespace ? tcptrail_tgid_there(task) : (__u32)GET(task, tgid);
}

/* The flags that say what *pid is worth; 0 and no pid when current is nobody. */
static __always_inline __u8 tcptrail_owner(struct sock *sk, int new, __u32 *pid)
{
	__u8 flags = TCPTRAIL_F_OWN;

	if (!GET(sk, sk_lock.owned))
		return 0;
	/* Deferred fput and the MPTCP worker hold the lock for somebody else. */
	if (current_is_kernel_thread())
		return 0;
	*pid = tcptrail_current_tgid();
	if (!*pid)
		return 0;
	/* tcp_abort() runs in the task that asked for it, ss -K: never the owner. */
	if (new == TCP_CLOSE && GET(sk, sk_err) == ECONNABORTED)
		flags = TCPTRAIL_F_KILLER;
	if (in_tree(*pid))
		flags |= TCPTRAIL_F_IN_TREE;
	return flags;
}

#endif
