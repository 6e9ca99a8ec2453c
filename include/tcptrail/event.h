/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The records that the BPF programs write and the loader reads: the one file
 * that both compilers see.
 *
 * Two sizes only. Every record is 64 bytes and carries all that is needed to
 * understand it alone; where a life begins, ends or meets its owner, a tail of
 * another 64 bytes follows. A lost record therefore damages one connection and
 * never the ones after it.
 *
 * Addresses are bytes in network order, ports are in host order. An IPv4
 * address takes the first four bytes and leaves the others zero.
 */
#ifndef TCPTRAIL_EVENT_H
#define TCPTRAIL_EVENT_H

#include <linux/types.h>

/* Raised when the meaning of a field changes; recordings carry it. */
#define TCPTRAIL_LAYOUT_VERSION 1

#define TCPTRAIL_COMM_LEN 16 /* TASK_COMM_LEN, include/linux/sched.h */

enum tcptrail_kind {
	TCPTRAIL_TRANSITION = 1,       /* tcptrail_record */
	TCPTRAIL_TRANSITION_OWNED = 2, /* tcptrail_owned_record */
	TCPTRAIL_TRANSITION_END = 3,   /* tcptrail_end_record, new state CLOSE */
	TCPTRAIL_RESET_SENT = 4,       /* tcptrail_reset_record */
	TCPTRAIL_RESET_RECEIVED = 5,   /* tcptrail_reset_record */
	TCPTRAIL_ACCEPT = 6,	       /* tcptrail_holder_record */
	TCPTRAIL_SEEN_SOCKET = 7,      /* tcptrail_owned_record: snapshot, state in new_state */
	TCPTRAIL_SEEN_HOLDER = 8, /* tcptrail_holder_record: snapshot, one per process and socket */
	TCPTRAIL_DESTROY = 9,	  /* tcptrail_reset_record */
	TCPTRAIL_SEEN_TIMEWAIT = 10, /* tcptrail_timewait_record: a rescan of the minisockets */
	TCPTRAIL_TIMEWAIT_END = 11,  /* tcptrail_record of a minisocket, the cause in new_state */
	TCPTRAIL_REFUSED = 12,	     /* tcptrail_refused_record: a bind() or listen() that failed */
};

/* new_state of TCPTRAIL_TIMEWAIT_END */
enum tcptrail_timewait_cause {
	TCPTRAIL_CAUSE_UNKNOWN = 0,
	TCPTRAIL_CAUSE_EXPIRED = 1,
	TCPTRAIL_CAUSE_REUSED_BY_SYN = 2,
	TCPTRAIL_CAUSE_REUSED_BY_CONNECT = 3,
	TCPTRAIL_CAUSE_RESET = 4,
	TCPTRAIL_CAUSE_KILLED = 5,
	TCPTRAIL_CAUSE_NETNS_EXIT = 6,
};

/* op of tcptrail_refused_record */
enum tcptrail_refused_op {
	TCPTRAIL_OP_BIND = 1,
	TCPTRAIL_OP_LISTEN = 2,
};

/* flags */
/* the packets are IPv4 (AF_INET, or AF_INET6 with mapped addresses) */
#define TCPTRAIL_F_IPV4 0x01
/* sk_lock.owned and a user task: pid and comm are a holder of the socket */
#define TCPTRAIL_F_OWN 0x02
#define TCPTRAIL_F_IN_TREE 0x04 /* that task belongs to the command being traced (-- CMD) */
/* snd_nxt == write_seq: whatever is queued has been on the wire */
#define TCPTRAIL_F_FIN_SENT 0x08
/* LISTEN->SYN_RECV: cookie and tuple are still the listener's (before 6.14) */
#define TCPTRAIL_F_EARLY_CHILD 0x10
/* SYN_SENT->ESTABLISHED: no SYN was sent, TCP_REPAIR restored the connection */
#define TCPTRAIL_F_REPAIRED 0x10
/* to CLOSE, not out of LISTEN or FIN_WAIT1: it ended in the accept queue of a listener that the
 * process pid and comm was closing */
#define TCPTRAIL_F_LISTEN_STOP 0x10
/* out of FIN_WAIT1: the peer's FIN has arrived and waits behind a hole */
#define TCPTRAIL_F_FIN_BEHIND_HOLE 0x10
#define TCPTRAIL_F_SKB 0x20 /* RESET_SENT: the RST answers a packet */
/* transition: from the second copy of the program; the first may have told it too */
#define TCPTRAIL_F_AGAIN 0x20
#define TCPTRAIL_F_INET6 0x40 /* the socket is AF_INET6 */
/* pid and comm are those of the task that killed the socket (tcp_abort) */
#define TCPTRAIL_F_KILLER 0x80

/* facts of tcptrail_end: the fingerprint of the close path (docs/kernels.md) */
#define TCPTRAIL_END_DONE 0x0001      /* SOCK_DONE: the peer's FIN was received */
#define TCPTRAIL_END_DEAD 0x0002      /* SOCK_DEAD: no descriptor is left */
#define TCPTRAIL_END_SHUT_RCV 0x0004  /* sk_shutdown & RCV_SHUTDOWN */
#define TCPTRAIL_END_SHUT_SEND 0x0008 /* sk_shutdown & SEND_SHUTDOWN */
#define TCPTRAIL_END_LINGER0 0x0010   /* SO_LINGER with a time of 0 */
#define TCPTRAIL_END_UNREAD 0x0020    /* bytes were received and never read */
/* sk_socket is NULL: orphan, or never accepted; of a subflow: of its MPTCP socket */
#define TCPTRAIL_END_NO_SOCKET 0x0040
#define TCPTRAIL_END_ALL_ACKED 0x0080	/* snd_una == write_seq */
#define TCPTRAIL_END_NO_SEGS_OUT 0x0100 /* nothing was ever sent */
#define TCPTRAIL_END_REPAIR 0x0200	/* TCP_REPAIR: leaves without a packet */
#define TCPTRAIL_END_BOUND 0x0400	/* SOCK_BINDPORT_LOCK: the port was chosen by bind() */
/* tx_bytes still counts the SYN, if this socket sent one */
#define TCPTRAIL_END_SYN_COUNTED 0x0800
/* data waits that the peer's receive window has no room for */
#define TCPTRAIL_END_WINDOW_FULL 0x1000
/* the peer has answered since the last probe or retransmission went out */
#define TCPTRAIL_END_HEARD 0x2000
#define TCPTRAIL_END_LINGER2 0x4000 /* TCP_LINGER2 < 0: no FIN_WAIT2 */

/* tw of tcptrail_end and tcptrail_owned: what took the socket's place */
#define TCPTRAIL_TW_PHASE 0x03 /* mask of the next four */
#define TCPTRAIL_TW_NONE 0x00
#define TCPTRAIL_TW_FIN_WAIT2 0x01
#define TCPTRAIL_TW_TIME_WAIT 0x02
#define TCPTRAIL_TW_UNKNOWN 0x03 /* the table could not be read */
#define TCPTRAIL_TW_REUSEADDR 0x04
#define TCPTRAIL_TW_REUSEPORT 0x08
#define TCPTRAIL_TW_WHOLE_PORT 0x10 /* the port bucket is closed to connect()'s own choice */

/* bind of tcptrail_owned; all but V6ONLY in SEEN_SOCKET only */
/* fastreuse, fastreuseport, fastuid and fast_addr are the port bucket's */
#define TCPTRAIL_BIND_BUCKET 0x01
#define TCPTRAIL_BIND_FAST_INET6 0x02  /* fast_addr was bound by an AF_INET6 socket */
#define TCPTRAIL_BIND_FAST_V6ONLY 0x04 /* ... that is sk_ipv6only */
#define TCPTRAIL_BIND_V6ONLY 0x08      /* sk_ipv6only; set too by bind() of an IPv6 address */
#define TCPTRAIL_BIND_PORT_LOCK 0x10   /* SOCK_BINDPORT_LOCK: the port was chosen by bind() */
#define TCPTRAIL_BIND_TIMESTAMPS 0x20  /* minisocket: the connection used TCP timestamps */

struct tcptrail_record {
	__u64 ts_boot_ns; /* CLOCK_BOOTTIME, taken after the ring space was reserved */
	__u64 cookie;	  /* sock_gen_cookie(); struct sock address where the helper is missing */
	__u32 netns;	  /* inode number of the network namespace */
	__u32 pid;	  /* tgid; 0 unless F_OWN or F_KILLER */
	__u8 laddr[16];
	__u8 raddr[16];
	__u16 lport;
	__u16 rport;
	__u8 old_state;
	__u8 new_state;
	__u8 kind;
	__u8 flags;
};

struct tcptrail_owned_record {
	struct tcptrail_record base;
	__u64 cgroup_id;
	__u32 uid;
	union {
		__u32 expires_ms; /* SEEN_SOCKET of a minisocket: until its timer fires */
		/* of a full socket: the low half of the boot time in us at which it had no port, or
		 * had just been given one by bind(); 0 = not known (bpf/portless.bpf.h) */
		__u32 portless_us;
	};
	union {
		char comm[TCPTRAIL_COMM_LEN]; /* thread group leader's; empty unless F_OWN */
		__u8 fast_addr[16]; /* SEEN_SOCKET, which is never F_OWN: an IPv4 address as
				       ::ffff:a.b.c.d */
	};
	__u8 tw;
	__u8 reuseaddr;
	__u8 reuseport;
	__u8 has_socket; /* SEEN_SOCKET: sk_socket is not NULL */
	__u32 bound_dev_if;
	/* From here on SEEN_SOCKET only, but for TCPTRAIL_BIND_V6ONLY; a bound-only socket has
	 * state CLOSE and a port. */
	__u32 fastuid;
	__u32 reuse_age_ms; /* minisocket: what tcp_tw_reuse_delay counts, or since the peer's last
			       timestamp */
	__u32 backlog;	    /* listener: connections that wait for accept() */
	__u32 unread;	    /* bytes received and not read yet */
	__u16 step_ms; /* minisocket: how much later than expires_ms the timer wheel may fire */
	__u8 bind;     /* TCPTRAIL_BIND_* */
	__s8 fastreuse;
	__s8 fastreuseport;
	__u8 pad[3];
};

struct tcptrail_end_record {
	struct tcptrail_record base;
	__u64 tx_bytes; /* payload, each byte once */
	__u64 rx_bytes; /* payload, without the peer's FIN */
	__u32 tx_segs;
	__u32 rx_segs;
	__u32 retransmits; /* segments */
	__u32 rtt_us;	   /* smoothed; 0 = no sample */
	__u32 min_rtt_us;  /* ~0 = no sample */
	union {
		__u32 tw_expires_ms; /* tw names a minisocket */
		/* else: since the last ACK from the peer, rounded up; 0 = not known */
		__u32 silent_ms;
		/* of a connect() that failed before its SYN: the socket's IP_LOCAL_PORT_RANGE,
		 * last port << 16 | first port; 0 = none */
		__u32 port_range;
	};
	union {
		char comm[TCPTRAIL_COMM_LEN]; /* F_OWN, F_KILLER or F_LISTEN_STOP */
		__u32 bound_dev_if;	      /* none of them; 0 = bound to no device */
	};
	__u16 mss;
	__u16 error; /* sk_err: a positive errno, 0 = none */
	__u16 facts; /* TCPTRAIL_END_* */
	__u8 tw;     /* TCPTRAIL_TW_* */
	union {
		/* how much later than tw_expires_ms the timer wheel may fire, in units of 32 ms,
		 * rounded up */
		__u8 tw_step_32ms;
		/* without a minisocket: an ICMP error that did not end the socket (sk_err_soft, or
		 * the error queue), a positive errno; 0 = none */
		__u8 soft_error;
	};
};

struct tcptrail_holder_record {
	__u64 ts_boot_ns;
	__u64 cookie;
	__u32 netns;
	__u32 pid;
	char comm[TCPTRAIL_COMM_LEN];
	__u64 cgroup_id;
	__u32 uid;
	__u32 fd;
	__u32 pad0;
	__u8 pad1[2];
	__u8 kind;
	__u8 flags;
};

struct tcptrail_reset_record {
	__u64 ts_boot_ns;
	__u64 cookie;
	__u32 netns;
	__u32 pid;
	__u8 pad0[36];
	__u8 state; /* of the socket when the tracepoint fired */
	/* RESET_SENT: enum sk_rst_reason of the kernel that wrote it; 0 = not specified, or the
	 * kernel does not say */
	__u8 reason;
	__u8 kind;
	__u8 flags;
};

/*
 * A minisocket that a rescan found: what a ledger needs to know it again, half the
 * size of a SEEN_SOCKET. ts is that of the sighting.
 */
struct tcptrail_timewait_record {
	__u64 ts_boot_ns;
	__u64 cookie; /* 0 where the cookie helper is missing and nobody ever asked for it */
	__u32 netns;
	__u32 expires_ms; /* until its timer fires */
	__u8 laddr[16];
	__u8 raddr[16];
	__u16 lport;
	__u16 rport;
	__u8 tw;	/* TCPTRAIL_TW_* */
	__u8 step_32ms; /* how much later the timer wheel may fire, in units of 32 ms, rounded up */
	__u8 kind;
	__u8 flags;
};

/* laddr and lport are what the caller asked for (listen(): what the socket has); the peer is zero.
 */
struct tcptrail_refused_record {
	struct tcptrail_record
		base; /* cookie, netns, pid, F_IPV4 and F_INET6 as for a bound socket */
	__u64 cgroup_id;
	__u32 uid;   /* of the socket */
	__u16 error; /* a positive errno: EADDRINUSE, EADDRNOTAVAIL */
	__u8 op;     /* enum tcptrail_refused_op */
	__u8 v6only; /* the socket is sk_ipv6only, or bind() would have made it so */
	char comm[TCPTRAIL_COMM_LEN];
	__u32 bound_dev_if;
	__u8 reuseaddr;
	__u8 reuseport;
	__u8 pad[26];
};

/* The other direction: one prefix of an address filter, in the programs' read-only data. */
struct tcptrail_prefix { /* address & mask == value, words in network order */
	__u64 value[2];
	__u64 mask[2];
	__u32 ipv4;
	__u32 pad;
};

/* Shared by the programs only: a minisocket that was just made. */
struct tcptrail_birth {
	__u64 cookie;
	__u64 jiffies;
	__u32 expires_ms;
	__u8 tw; /* TCPTRAIL_TW_* */
	__u8 step_32ms;
	__u8 pad0[2];
};

#ifdef __cplusplus
#define TCPTRAIL_ASSERT(x) static_assert(x, #x)
#else
#define TCPTRAIL_ASSERT(x) _Static_assert(x, #x)
#endif

/* The ring and the recordings depend on these numbers; kind must be readable before the kind is
 * known. */
TCPTRAIL_ASSERT(sizeof(struct tcptrail_record) == 64);
TCPTRAIL_ASSERT(sizeof(struct tcptrail_owned_record) == 128);
TCPTRAIL_ASSERT(sizeof(struct tcptrail_end_record) == 128);
TCPTRAIL_ASSERT(sizeof(struct tcptrail_holder_record) == 64);
TCPTRAIL_ASSERT(sizeof(struct tcptrail_reset_record) == 64);
TCPTRAIL_ASSERT(sizeof(struct tcptrail_timewait_record) == 64);
TCPTRAIL_ASSERT(sizeof(struct tcptrail_refused_record) == 128);
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_record, kind) == 62);
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_timewait_record, kind) == 62);
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_refused_record, comm) % 8 == 0);
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_holder_record, kind) == 62);
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_reset_record, kind) == 62);
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_end_record, mss) == 120);
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_owned_record, bound_dev_if) == 100);
/* Written as two words. */
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_owned_record, comm) % 8 == 0);
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_end_record, comm) % 8 == 0);
TCPTRAIL_ASSERT(__builtin_offsetof(struct tcptrail_holder_record, comm) % 8 == 0);

#undef TCPTRAIL_ASSERT

#endif
