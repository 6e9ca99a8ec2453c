/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a socket tells at CLOSE: the fingerprint of its close path, whether the
 * peer still answered, ICMP errors, the counters; and whether the peer's FIN
 * waits behind a hole. Used by trace.bpf.c, which is compiled twice.
 */
#ifndef TCPTRAIL_READ_END_BPF_H
#define TCPTRAIL_READ_END_BPF_H

#include "mptcp.bpf.h"
#include "read_sock.bpf.h"

/*
 * Payload that left the host, each byte once: the sequence numbers that are acknowledged or
 * outstanding. Not bytes_sent - bytes_retrans, which counts a segment that the local queue
 * refuses at each attempt.
 *
 * A FIN has a sequence number too, and so has the SYN of an active socket. bytes_sent, which
 * is never too small, shows the SYN; where the two agree, the loader knows who sent it.
 */
static __always_inline void tcptrail_count_sent(struct tcptrail_end_record *r, struct tcp_sock *tp)
{
	__u32 snd_nxt = GET(tp, snd_nxt);
	__u64 numbers = GET(tp, bytes_acked) + (__u32)(snd_nxt - GET(tp, snd_una));
	__u64 most = GET(tp, bytes_sent) - GET(tp, bytes_retrans);
	__u8 old = r->base.old_state;

	if ((old == TCP_FIN_WAIT1 || old == TCP_FIN_WAIT2 || old == TCP_CLOSING ||
	     old == TCP_LAST_ACK) &&
	    snd_nxt == GET(tp, write_seq) && numbers)
		numbers--;
	if (numbers > most)
		numbers--;
	else
		r->facts |= TCPTRAIL_END_SYN_COUNTED;
	r->tx_bytes = numbers;
}

/*
 * A byte of cb, where each owner of an sk_buff keeps what it knows of it. The offset stays out of
 * the load: libbpf refuses to relocate a load that is not as wide as the field.
 */
static __always_inline __u8 tcptrail_cb(struct sk_buff *skb, __u32 offset)
{
	const __u8 *at;

	barrier_var(offset);
	at = (const __u8 *)skb + bpf_core_field_offset(struct sk_buff, cb) + offset;
#ifdef TCPTRAIL_CLASSIC
	__u8 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), at);
	return value;
#else
	return *at;
#endif
}

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOW_BYTE(type, field) (bpf_core_field_size(type, field) - 1)
#else
#define LOW_BYTE(type, field) 0
#endif

/*
 * The peer's FIN has arrived, and what stands before it has not: no state shows it. The
 * last segment of the queue has the highest numbers, a FIN is always in it.
 */
static __always_inline bool tcptrail_fin_behind_hole(struct tcp_sock *tp)
{
	struct sk_buff *last;

	if (!GET(tp, out_of_order_queue.rb_node))
		return false;
	last = GET(tp, ooo_last_skb);
	return last && (tcptrail_cb(last, bpf_core_field_offset(struct tcp_skb_cb, tcp_flags) +
						  LOW_BYTE(struct tcp_skb_cb, tcp_flags)) &
			TCPHDR_FIN);
}

/*
 * An ICMP error that comes while a call holds the socket, as one does that the SYN itself
 * provokes on this host, ends nothing: tcp_v4_err() leaves it in sk_err_soft and in the error
 * queue. getsockopt(SO_ERROR) takes the first of the two away.
 */
static __always_inline __u8 tcptrail_soft_error(struct sock *sk)
{
	int error = GET(sk, sk_err_soft);
	struct sk_buff *first;
	__u8 origin;

	if (error > 0 && error < 256)
		return error;
	if (!GET(sk, sk_error_queue.qlen))
		return 0;
	first = GET(sk, sk_error_queue.next);
	if (!first)
		return 0;
	origin = tcptrail_cb(first, bpf_core_field_offset(struct sock_exterr_skb, ee.ee_origin));
	if (origin != SO_EE_ORIGIN_ICMP && origin != SO_EE_ORIGIN_ICMP6)
		return 0;
	return tcptrail_cb(first, bpf_core_field_offset(struct sock_exterr_skb, ee.ee_errno) +
					  LOW_BYTE(struct sock_extended_err, ee_errno));
}

/* Whether a peer that is said not to answer does. The write queue is already purged here. */
static __always_inline __u16 tcptrail_read_silence(struct tcptrail_end_record *r,
						   struct tcp_sock *tp)
{
	__u32 silent = (__u32)bpf_jiffies64() - GET(tp, rcv_tstamp);
	__u16 facts = 0;

	if (GET(tp, snd_nxt) != GET(tp, write_seq) && GET(tp, snd_wnd) < GET(tp, mss_cache)) {
		facts |= TCPTRAIL_END_WINDOW_FULL;
		/* Each ACK sets it back to 0. */
		if (!GET(tp, inet_conn.icsk_probes_out))
			facts |= TCPTRAIL_END_HEARD;
	}
	if (silent < GET(tp, inet_conn.icsk_rto))
		facts |= TCPTRAIL_END_HEARD;
	if (GET(tp, rcv_tstamp) && silent < 1U << 31)
		r->silent_ms = ((__u64)silent * 1000 + kernel_hz - 1) / kernel_hz + 1;
	return facts;
}

static __always_inline void tcptrail_read_end(struct tcptrail_end_record *r, struct tcp_sock *tp,
					      struct sock *sk)
{
	unsigned long flags = GET(sk, __sk_common.skc_flags);
	bool done = flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DONE));
	__u8 shutdown = GET(sk, sk_shutdown);
	__u32 write_seq = GET(tp, write_seq);
	__u32 rcv_nxt = GET(tp, rcv_nxt);
	__u16 facts = 0;

	if (done)
		facts |= TCPTRAIL_END_DONE;
	if (flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DEAD)))
		facts |= TCPTRAIL_END_DEAD;
	if (shutdown & RCV_SHUTDOWN)
		facts |= TCPTRAIL_END_SHUT_RCV;
	if (shutdown & SEND_SHUTDOWN)
		facts |= TCPTRAIL_END_SHUT_SEND;
	if ((flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_LINGER))) &&
	    !GET(sk, sk_lingertime))
		facts |= TCPTRAIL_END_LINGER0;
	/* The FIN takes a sequence number that no reader consumes. */
	if ((__s32)(rcv_nxt - GET(tp, copied_seq)) > (done ? 1 : 0))
		facts |= TCPTRAIL_END_UNREAD;
	if (!GET(sk, sk_socket) && ((facts & TCPTRAIL_END_DEAD) || !probe_reads ||
				    !tcptrail_is_subflow(tp) || tcptrail_subflow_not_accepted(tp)))
		facts |= TCPTRAIL_END_NO_SOCKET;
	if (GET(tp, snd_una) == write_seq)
		facts |= TCPTRAIL_END_ALL_ACKED;
	if (GET_BITS(tp, repair))
		facts |= TCPTRAIL_END_REPAIR;
	if (GET_BITS(sk, sk_userlocks) & SOCK_BINDPORT_LOCK)
		facts |= TCPTRAIL_END_BOUND;

	/* bytes_received counts the peer's FIN. */
	r->rx_bytes = GET(tp, bytes_received) - done;
	r->tx_segs = GET(tp, segs_out);
	r->rx_segs = GET(tp, segs_in);
	if (!r->tx_segs)
		facts |= TCPTRAIL_END_NO_SEGS_OUT;
	r->retransmits = GET(tp, total_retrans);
	r->rtt_us = GET(tp, srtt_us) >> 3;
	r->min_rtt_us = GET(tp, rtt_min.s[0].v);
	r->mss = GET(tp, mss_cache);
	r->error = GET(sk, sk_err);
	if (GET(tp, linger2) < 0)
		facts |= TCPTRAIL_END_LINGER2;
	if (r->error && r->base.old_state != TCP_SYN_SENT)
		facts |= tcptrail_read_silence(r, tp);
	if (r->base.old_state == TCP_SYN_SENT && !r->tx_segs &&
	    bpf_core_field_exists(tp->inet_conn.icsk_inet.local_port_range))
		r->port_range = GET(tp, inet_conn.icsk_inet.local_port_range);
	r->soft_error = tcptrail_soft_error(sk);
	r->facts = facts;
	tcptrail_count_sent(r, tp);
}

#endif
