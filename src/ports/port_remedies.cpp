// SPDX-License-Identifier: BSD-2-Clause
#include "ports/port_remedies.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ports/port_report.h"
#include "tcp/phrase.h"

namespace tcptrail {
namespace {

bool is_loopback_pair(const Tuple& tuple) {
  return is_loopback(tuple.laddr, tuple.family) || is_loopback(tuple.raddr, tuple.family);
}

// What the sockets in the way have in common.
struct Blockers {
  std::uint64_t minisockets = 0;
  std::uint64_t without_reuseaddr = 0;  // minisockets
  std::uint64_t fin_wait2 = 0;          // minisockets
  std::uint64_t full = 0;
  std::uint64_t orphans = 0;
  bool one_address = true;  // none is bound to a wildcard
  bool foreign_reuseport = false;
  // What each process does here; the busiest first would need a count, three are shown.
  struct Deeds {
    Process process;
    std::uint64_t listen = 0, bound = 0, close_wait = 0, open = 0;
  };
  std::map<std::uint32_t, Deeds> processes;
};

Blockers survey(const BindCase& c) {
  Blockers b;
  for (const PortSocket* s : c.blockers) {
    if (s->bound.any() || s->bound.any_mapped()) b.one_address = false;
    if (s->minisocket) {
      ++b.minisockets;
      if (!s->reuseaddr) ++b.without_reuseaddr;
      if (s->state == TcpState::kFinWait2) ++b.fin_wait2;
      continue;
    }
    ++b.full;
    if (s->reuseport && s->uid != c.question.uid) b.foreign_reuseport = true;
    const auto holders = c.holders ? c.holders(s->cookie) : std::span<const Process>{};
    if (s->orphan) ++b.orphans;
    for (const Process& process : holders) {
      Blockers::Deeds& deeds = b.processes[process.pid];
      deeds.process = process;
      switch (s->state) {
        case TcpState::kListen:
          ++deeds.listen;
          break;
        case TcpState::kBound:
          ++deeds.bound;
          break;
        case TcpState::kCloseWait:
          ++deeds.close_wait;
          break;
        default:
          ++deeds.open;
          break;
      }
    }
  }
  return b;
}

// Never that the caller is to be stopped: it is the one that asks.
std::string about_caller(const Blockers::Deeds& d) {
  const std::string who = process_text(d.process);
  if (d.listen != 0)
    return fmt::format("{} itself listens here already: close that socket, or use another port.",
                       who);
  if (d.bound != 0)
    return fmt::format("{} itself has the port on another socket: close that socket, or use it.",
                       who);
  return fmt::format("{} itself still has {} here: close {} first.", who,
                     count_text(d.close_wait + d.open, "connection", "connections"),
                     d.close_wait + d.open == 1 ? "it" : "them");
}

std::string about_process(const Blockers::Deeds& d, const Process& asker) {
  if (d.process.pid == asker.pid) return about_caller(d);
  if (d.listen != 0 && d.process.pid == 1 && d.process.comm.view() == "systemd")
    return "systemd (pid 1) listens here for a socket unit: `systemctl list-sockets` names it. "
           "Stop "
           "that unit, or use another port.";
  if (d.listen != 0)
    return fmt::format("Stop {}, which listens here, or use another port.",
                       process_text(d.process));
  if (d.close_wait != 0)
    return fmt::format(
        "Make {} close its {} whose peer has already finished (CLOSE_WAIT), or restart it.",
        process_text(d.process),
        d.close_wait == 1 ? "connection" : fmt::format("{} connections", d.close_wait));
  if (d.bound != 0)
    return fmt::format("Stop {}, which holds the port with bind() and does not use it.",
                       process_text(d.process));
  return fmt::format("Let {} close its {} here, or stop it.", process_text(d.process),
                     d.open == 1 ? "connection" : fmt::format("{} connections", d.open));
}

std::string in_close_wait(const IdlePeer& peer) {
  return peer.for_ns ? fmt::format("CLOSE_WAIT for {}", duration_text(*peer.for_ns / 1'000'000))
                     : "CLOSE_WAIT";
}

// Why a FIN_WAIT2 is in the way, and what its end will be: a FIN that still comes re-arms the
// timer.
std::string still_open(const BindCase& c) {
  const std::string peer =
      c.peer_that_stays
          ? fmt::format(": {} has not closed the other end ({}).",
                        process_text(c.peer_that_stays->process), in_close_wait(*c.peer_that_stays))
          : ": the peer has not closed yet (FIN_WAIT2).";
  return peer + " When it does, 60 s of TIME_WAIT begin.";
}

std::string refusal_text(const BindCase& c, const PortSysctls& sysctls) {
  switch (c.refusal) {
    case BindRefusal::kNoPermission:
      return fmt::format(
          "Ports below {} (net.ipv4.ip_unprivileged_port_start) need CAP_NET_BIND_SERVICE "
          "(EACCES): grant it, or use a higher port.",
          sysctls.unprivileged_port_start);
    case BindRefusal::kMappedV6Only:
      return "An IPv6-only socket cannot have an IPv4-mapped address (EINVAL): clear IPV6_V6ONLY, "
             "or use an AF_INET socket.";
    case BindRefusal::kNotLocal:
    case BindRefusal::kNone:
      break;
  }
  return {};
}

std::vector<std::string> not_local(bool ipv4) {
  return {ipv4 ? "This is no address of this network namespace (EADDRNOTAVAIL): use one that `ip "
                 "address` shows."
               : "This address cannot be bound here now (EADDRNOTAVAIL): `ip -6 address` does not "
                 "show it, or shows it as tentative or dadfailed.",
          fmt::format("For a virtual address that is on another machine now: `sysctl -w "
                      "net.ipv{}.ip_nonlocal_bind=1`, or set {}_FREEBIND before bind().",
                      ipv4 ? 4 : 6, ipv4 ? "IP" : "IPV6")};
}

// IPV6_V6ONLY on one of the two parts a dual-stack wildcard from an IPv4 socket.
std::string v6only_remedy(const BindCase& c) {
  if (c.v6only_ok)
    return fmt::format(
        "Set IPV6_V6ONLY before bind() to [::]:{}: only IPv4 sockets are in the way.",
        c.question.port);
  const auto is_dual_stack = [](const PortSocket* s) {
    return s->state == TcpState::kListen && s->bound.any() && !s->bound.v6only;
  };
  if (c.question.address.mapped() && !c.blockers.empty() &&
      std::all_of(c.blockers.begin(), c.blockers.end(), is_dual_stack))
    return fmt::format(
        "Set IPV6_V6ONLY on the socket that is bound to [::]:{}, before its bind(): it takes the "
        "port of IPv4 too.",
        c.question.port);
  return {};
}

// A wildcard that meets sockets on single addresses only.
std::string other_addresses(const BindCase& c) {
  constexpr std::size_t kNamed = 3;
  std::vector<std::string> taken;
  for (const PortSocket* s : c.blockers) {
    std::string address = address_text(s->tuple.laddr, s->tuple.family);
    if (std::find(taken.begin(), taken.end(), address) == taken.end())
      taken.push_back(std::move(address));
    if (taken.size() > kNamed) return {};
  }
  return fmt::format("Bind the other addresses one by one: the port is taken at {} only.",
                     fmt::join(taken, ", "));
}

std::string no_port_left(const PortSysctls& sysctls) {
  return fmt::format(
      "Every port of net.ipv4.ip_local_port_range ({} {}) is taken at this address: widen it, or "
      "name a port.",
      sysctls.range_low, sysctls.range_high);
}

}  // namespace

std::vector<std::string> bind_remedies(const BindCase& c, const PortSysctls& sysctls) {
  std::vector<std::string> out;
  if (c.refusal == BindRefusal::kNotLocal) return not_local(c.question.address.mapped());
  if (c.refusal != BindRefusal::kNone) return {refusal_text(c, sysctls)};
  const bool asked_reuseaddr = c.asked == BindOptions::kReuseAddr || c.asked == BindOptions::kBoth;
  const bool asked_reuseport = c.asked == BindOptions::kReusePort || c.asked == BindOptions::kBoth;

  if (c.question.port == 0) {
    out.push_back(no_port_left(sysctls));
    if (!sysctls.autobind_reuse)
      out.push_back(
          "For a client: set IP_BIND_ADDRESS_NO_PORT, so that connect() chooses the port for its "
          "destination.");
    return out;
  }

  if (c.reuseaddr_ok && !asked_reuseaddr)
    out.push_back(
        "Set SO_REUSEADDR on the new socket: every socket in the way has it too, and none of them "
        "listens.");
  if (c.reuseport_ok && !asked_reuseport)
    out.push_back(
        "Set SO_REUSEPORT on the new socket: then it may share the port with what holds it.");

  if (std::string v6only = v6only_remedy(c); !v6only.empty()) out.push_back(std::move(v6only));

  const Blockers b = survey(c);
  const bool wildcard = c.question.address.any() || c.question.address.any_mapped();
  if (wildcard && b.one_address && b.full != 0)
    if (std::string others = other_addresses(c); !others.empty()) out.push_back(std::move(others));
  std::size_t named = 0;
  for (const auto& [pid, deeds] : b.processes) {
    if (++named > 3) break;
    out.push_back(about_process(deeds, c.asker));
  }
  if (b.foreign_reuseport && !c.reuseport_ok)
    out.push_back(
        "SO_REUSEPORT shares a port between sockets of one user only: run as the user of the other "
        "socket.");

  if (b.full == 0 && b.minisockets != 0 && c.free_in_ms) {
    std::string wait = fmt::format("Wait {}", duration_text(*c.free_in_ms));
    if (b.one_address) wait += ", or bind another local address or port";
    out.push_back(wait + (b.fin_wait2 == 0
                              ? ": nothing shortens TIME_WAIT (tcp_fin_timeout does not)."
                              : still_open(c)));
  } else if (c.peer_that_stays) {
    out.push_back(
        fmt::format("{} keeps the other end open ({}): it has not noticed, or not acted on, the "
                    "end of the connection.",
                    process_text(c.peer_that_stays->process), in_close_wait(*c.peer_that_stays)));
  }
  if (b.orphans != 0)
    out.push_back(fmt::format(
        "{} no process any more and are still being closed by the kernel: wait for it, or `ss -K "
        "sport = :{}`.",
        count_text(b.orphans, "connection belongs to", "connections belong to"), c.question.port));
  if (c.client_port && c.question.port >= sysctls.range_low &&
      c.question.port <= sysctls.range_high) {
    out.push_back(
        fmt::format("An outgoing connection was given this port: list it in "
                    "net.ipv4.ip_local_reserved_ports, or let the server use one outside {}-{}.",
                    sysctls.range_low, sysctls.range_high));
  } else if (b.without_reuseaddr != 0) {
    out.push_back(
        "For next time set SO_REUSEADDR before every bind() to this port, from the first start on "
        "(a listener passes it to its connections); on the restarted one alone it does not help.");
  }
  if (b.minisockets != 0) {
    out.push_back(
        "For next time let the other side close first: TIME_WAIT stays where the first FIN came "
        "from.");
    out.push_back(fmt::format(
        "`ss -K sport = :{}` ends what is in the way at once (TIME_WAIT since Linux 6.1).",
        c.question.port));
  }
  if (out.empty())
    out.push_back(
        "No process was found that holds the port: it belongs to the kernel, or to a process that "
        "is not visible here. Use another port.");
  return out;
}

std::string client_ports_remedy(const PortSysctls& sysctls) {
  return fmt::format(
      "Outgoing connections were given these ports: a server's belongs outside {}-{}, or into "
      "net.ipv4.ip_local_reserved_ports.",
      sysctls.range_low, sysctls.range_high);
}

std::vector<std::string> bound_connect_remedies(const PortSocket& blocker,
                                                std::span<const Process> holders,
                                                std::uint64_t now_ns) {
  std::vector<std::string> out;
  const std::string kept = fmt::format("port {} to this destination", blocker.tuple.lport);
  out.push_back(
      "Bind another local port, or none: connect() then takes a free one (IP_BIND_ADDRESS_NO_PORT "
      "where bind() is for the address).");
  if (blocker.orphan) {
    out.push_back(fmt::format(
        "A connection in {} that belongs to no process any more has {}: the kernel ends it when "
        "the peer acknowledges, or after net.ipv4.tcp_orphan_retries.",
        state_name(blocker.state), kept));
    return out;
  }
  if (!blocker.minisocket) {
    out.push_back(holders.empty() ? fmt::format("A connection that still lives has {}.", kept)
                                  : fmt::format("{} has {} in a connection that still lives.",
                                                process_text(holders.front()), kept));
    return out;
  }
  if (const auto gone = gone_in_ms(blocker, now_ns))
    out.push_back(fmt::format("Wait {}: then {} is free again.", duration_text(*gone), kept));
  if (!blocker.timestamps)
    out.push_back(
        "With TCP timestamps on both ends (net.ipv4.tcp_timestamps=1) a bound port may be taken "
        "over at once; the last connection had none.");
  out.push_back("Let the other side close first: then TIME_WAIT, and the port, is its own.");
  return out;
}

std::vector<std::string> connect_remedies(const ConnectCase& c, const PortSysctls& sysctls) {
  std::vector<std::string> out;
  const ConnectAnswer& v = c.answer;
  const bool loopback = is_loopback_pair(c.question.tuple);
  std::uint64_t with_timestamps = 0;
  std::uint64_t without = 0;
  std::uint64_t open = 0;
  std::map<std::uint32_t, std::pair<Process, std::uint64_t>> owners;
  for (const PortSocket* s : v.blockers) {
    if (s->minisocket) {
      if (s->state == TcpState::kTimeWait) ++(s->timestamps ? with_timestamps : without);
      continue;
    }
    ++open;
    if (c.holders)
      for (const Process& process : c.holders(s->cookie)) {
        auto& [known, count] = owners[process.pid];
        known = process;
        ++count;
      }
  }
  const bool reuse_applies = sysctls.tcp_tw_reuse == 1 || (sysctls.tcp_tw_reuse == 2 && loopback);
  if (!v.ok && reuse_applies && with_timestamps != 0 && v.free_in_ms)
    out.push_back(
        fmt::format("Wait {}: then tcp_tw_reuse lets connect() take over a port in TIME_WAIT.",
                    duration_text(*v.free_in_ms)));
  if (!reuse_applies && with_timestamps != 0)
    out.push_back(fmt::format(
        "net.ipv4.tcp_tw_reuse=1 (now {}) lets connect() take over a port in TIME_WAIT after {} "
        "({} of them).",
        sysctls.tcp_tw_reuse, duration_text(sysctls.tw_reuse_delay_ms), with_timestamps));
  if (without != 0 && !sysctls.tcp_timestamps)
    out.push_back(
        fmt::format("net.ipv4.tcp_timestamps=1{}: tcp_tw_reuse takes over no TIME_WAIT of a "
                    "connection without timestamps. It helps those made from then on.",
                    reuse_applies ? std::string()
                                  : fmt::format(" together with net.ipv4.tcp_tw_reuse=1 (now {})",
                                                sysctls.tcp_tw_reuse)));
  if (open != 0 && !owners.empty()) {
    const auto busiest = std::max_element(
        owners.begin(), owners.end(),
        [](const auto& a, const auto& b) { return a.second.second < b.second.second; });
    out.push_back(
        fmt::format("{} holds {}: keep fewer, or use them for more than one request.",
                    process_text(busiest->second.first),
                    count_text(busiest->second.second, "open connection", "open connections")));
  }
  if (v.pinned != 0)
    out.push_back(
        fmt::format("{} of the range {} closed to connect() because bind() chose or holds {}: "
                    "clients should use IP_BIND_ADDRESS_NO_PORT, servers ports outside the range.",
                    count_text(v.pinned, "port", "ports"), v.pinned == 1 ? "is" : "are",
                    v.pinned == 1 ? "it" : "them"));
  if (const unsigned reserved = reserved_in_range(sysctls); reserved != 0)
    out.push_back(fmt::format("net.ipv4.ip_local_reserved_ports takes {} out of the range.",
                              count_text(reserved, "port", "ports")));
  if (sysctls.own_range)
    out.push_back(fmt::format("Widen the socket's own range (IP_LOCAL_PORT_RANGE, now {} {}).",
                              sysctls.range_low, sysctls.range_high));
  else if (sysctls.range_high - sysctls.range_low < 60000)
    out.push_back(fmt::format("Widen net.ipv4.ip_local_port_range (now {} {}).", sysctls.range_low,
                              sysctls.range_high));
  out.push_back(
      "Another source address, destination address or destination port has ports of its own.");
  if (with_timestamps + without != 0)
    out.push_back("Let the other side close first: then TIME_WAIT, and the port, is its own.");
  if (!v.ok && !reuse_applies && v.free_in_ms)
    out.push_back(
        fmt::format("Wait {}: then the first port is free again.", duration_text(*v.free_in_ms)));
  return out;
}

}  // namespace tcptrail
