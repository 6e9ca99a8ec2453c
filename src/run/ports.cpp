// SPDX-License-Identifier: BSD-2-Clause
#include "run/ports.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include "kernel/diagnose.h"
#include "kernel/machine.h"
#include "kernel/netns.h"
#include "kernel/port_queries.h"
#include "kernel/session.h"
#include "output/json.h"
#include "output/ports_json.h"
#include "output/ports_text.h"
#include "ports/port_report.h"
#include "run/model_options.h"
#include "run/signals.h"
#include "run/sinks.h"
#include "run/startup.h"
#include "tcp/event.h"
#include "util/clock.h"
#include "util/message.h"
#include "util/out_file.h"

namespace tcptrail {
namespace {

// Small: the snapshot is drained whenever it is half full.
constexpr std::size_t kDefaultRingBytes = 1U << 20;

// A question is about one namespace, so the answer is one record.
Result<void> check_one_namespace(const Options& options) {
  if (options.netns.size() <= 1 || (!options.bind && !options.connect)) return {};
  return Error{"--bind and --connect answer for one network namespace", "--netns names several",
               "ask once for each of them", 2};
}

class PortsRun {
 public:
  explicit PortsRun(Options options) : options_(std::move(options)) {}
  Result<int> run();

 private:
  Result<void> choose_namespaces();
  Result<void> start_session();
  Result<void> look(std::vector<PortSnapshot>& snapshots);
  Result<void> show(const PortSnapshot& snapshot);
  Result<void> show_inside(const PortSnapshot& snapshot);
  Result<BindQuestion> bind_question(const PortSysctls& sysctls) const;
  Result<ConnectQuestion> connect_question(const PortSysctls& sysctls) const;

  Options options_;
  Signals signals_;
  std::vector<NetNamespace> namespaces_;
  Features features_;
  std::unique_ptr<Session> session_;
  std::optional<OutFile> out_;
  WallClock clock_;
  std::unique_ptr<JsonSink> json_;  // null for text
  std::unique_ptr<PortsJson> ports_json_;
  std::unique_ptr<PortsText> text_;
  std::uint64_t events_ = 0;
  std::uint64_t malformed_ = 0;
};

Result<void> PortsRun::choose_namespaces() {
  if (const Result<void> one = check_one_namespace(options_); !one) return one.error();
  if (options_.netns.empty()) {
    options_.filters.netns = {own_netns()};
  } else {
    for (const std::string& text : options_.netns) {
      const Result<std::uint32_t> inode = resolve_netns(text);
      if (!inode) return inode.error();
      options_.filters.netns.push_back(*inode);
    }
  }
  const std::vector<NetNamespace> known = namespaces_with(options_.filters.netns);
  for (const std::uint32_t inode : options_.filters.netns) {
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const NetNamespace& n) { return n.inode == inode; });
    if (found == known.end())
      return Error{"network namespace " + std::to_string(inode) + " cannot be entered",
                   "no process is in it and `ip netns` has no name for it",
                   "`ip netns list` shows the names, `lsns -t net` what is there", 2};
    namespaces_.push_back(*found);
  }
  return {};
}

Result<void> PortsRun::start_session() {
  if (const auto obstacle = find_obstacle()) return *obstacle;
  features_ = probe_features(options_.denied_features);
  const Plan plan = make_plan(features_, {.snapshot = true, .command_tree = false, .trace = false});
  if (!plan.snapshot) {
    const Feature missing = features_.on(Feature::kTpBtf) ? Feature::kIterTcp : Feature::kTpBtf;
    return Error{
        "cannot look at the sockets of this machine: " + std::string(name_of(missing)) + " is off",
        features_[missing].why_off,
        features_[missing].fix.empty() ? "`tcptrail doctor` says more" : features_[missing].fix};
  }
  SessionOptions session;
  session.filters.netns = options_.filters.netns;
  session.ring_bytes = static_cast<std::size_t>(options_.ring_bytes.value_or(kDefaultRingBytes));
  session.verbose = options_.verbose > 0;
  Result<std::unique_ptr<Session>> started = Session::start(plan, session);
  if (!started) return started.error();
  session_ = std::move(*started);
  for (const std::string& limit : plan.limits)
    print_error(warning_text({limit, "", "`tcptrail doctor` says why"}));
  return {};
}

Result<void> PortsRun::look(std::vector<PortSnapshot>& snapshots) {
  for (const NetNamespace& netns : namespaces_) snapshots.emplace_back(netns.inode);
  Event event{};
  const auto drain = [&] {
    session_->ring().drain([&](std::span<const std::byte> bytes) {
      ++events_;
      if (!decode(bytes, event)) {
        ++malformed_;
        return true;
      }
      for (PortSnapshot& snapshot : snapshots) snapshot.apply(event);
      return true;
    });
  };
  const std::vector<std::uint32_t> read = session_->snapshot({}, drain).netns_read;
  drain();
  for (PortSnapshot& snapshot : snapshots) {
    if (!std::binary_search(read.begin(), read.end(), snapshot.netns()))
      return Error{"network namespace " + std::to_string(snapshot.netns()) + " could not be read",
                   "it has gone, or may not be entered",
                   "run as root in the initial user namespace"};
    snapshot.finish();
  }
  return {};
}

Result<BindQuestion> PortsRun::bind_question(const PortSysctls& sysctls) const {
  AddressPort asked = *options_.bind;
  if (asked.default_family) {
    asked.inet6 = sysctls.ipv6;
    asked.family = sysctls.ipv6 ? Family::kIpv6 : Family::kIpv4;
  }
  if (asked.inet6 && !sysctls.ipv6)
    return Error{"no AF_INET6 socket exists here", "IPv6 is off in this network namespace",
                 "ask for an IPv4 address", 2};
  if (options_.v6only && !asked.inet6)
    return Error{"--v6only with an IPv4 address", "it is an option of AF_INET6 sockets",
                 "--bind '[::]:PORT' --v6only", 2};
  BindQuestion question;
  question.port = asked.port;
  question.address = address_to_bind(asked.address, asked.family, asked.inet6,
                                     asked.inet6 && (options_.v6only || sysctls.bindv6only));
  question.uid = options_.filters.uid.value_or(::geteuid());
  question.may_bind_low = may_bind_low_ports(question.uid);
  Address ipv4;
  if (asked.inet6 && question.address.mapped())
    std::copy(asked.address.bytes.begin() + 12, asked.address.bytes.end(), ipv4.bytes.begin());
  question.address_is_local = asked.inet6 && question.address.mapped()
                                  ? address_is_bindable(ipv4, Family::kIpv4)
                                  : address_is_bindable(asked.address, asked.family);
  return question;
}

// Both ends as the packets have them: IPv4 for ::ffff:a.b.c.d.
Result<ConnectQuestion> PortsRun::connect_question(const PortSysctls& sysctls) const {
  const auto as_packets = [](AddressPort a) {
    const BoundAddress bound = bound_address(a.address, a.family, true, false);
    if (a.family == Family::kIpv6 && bound.mapped()) {
      a.address = Address{};
      std::copy(bound.bytes.begin() + 12, bound.bytes.end(), a.address.bytes.begin());
      a.family = Family::kIpv4;
    }
    return a;
  };
  AddressPort to = *options_.connect;
  if (to.default_family) to.family = sysctls.ipv6 ? Family::kIpv6 : Family::kIpv4;
  to = as_packets(to);
  ConnectQuestion question;
  question.tuple.family = to.family;
  question.tuple.rport = to.port;
  question.tuple.raddr = to.address;
  // connect() to a wildcard goes to this machine.
  if (to.address == Address{}) {
    if (to.family == Family::kIpv4)
      question.tuple.raddr.bytes = {127, 0, 0, 1};
    else
      question.tuple.raddr.bytes[15] = 1;
  }
  if (options_.from) {
    const AddressPort from = as_packets(*options_.from);
    if (from.address != Address{} && from.family != to.family)
      return Error{"--from and --connect are of two families",
                   "a connection has addresses of one family",
                   "--from with an address of the other kind", 2};
    if (from.address != Address{}) {
      if (!address_is_bindable(from.address, from.family))
        return Error{
            address_text(from.address, from.family) + " is no address of this network namespace",
            "connect() cannot come from it (EADDRNOTAVAIL)", "use one that `ip address` shows", 2};
      question.tuple.laddr = from.address;
      return question;
    }
  }
  const auto source = source_address_to(question.tuple.raddr, question.tuple.family);
  if (!source)
    return Error{
        "no route to " + address_text(question.tuple.raddr, question.tuple.family),
        "connect() fails before it sends a SYN: there is no route, or no source address for it",
        fmt::format("`ip route get {}` shows which{}",
                    address_text(question.tuple.raddr, question.tuple.family),
                    question.tuple.family == Family::kIpv6 &&
                            is_loopback(question.tuple.raddr, Family::kIpv6)
                        ? "; `sysctl net.ipv6.conf.lo.disable_ipv6` whether IPv6 is on"
                        : ""),
        1};
  question.tuple.laddr = *source;
  return question;
}

// Its sysctls and routes are those of the thread that asks.
Result<void> PortsRun::show(const PortSnapshot& snapshot) {
  const auto netns =
      std::find_if(namespaces_.begin(), namespaces_.end(),
                   [&](const NetNamespace& n) { return n.inode == snapshot.netns(); });
  Result<void> shown;
  if (!in_net_namespace(*netns, [&] { shown = show_inside(snapshot); }))
    return Error{"network namespace " + std::to_string(snapshot.netns()) + " cannot be entered",
                 "it has gone, or may not be entered",
                 "ask again; `ip netns list` shows what is there"};
  return shown;
}

Result<void> PortsRun::show_inside(const PortSnapshot& snapshot) {
  const PortSysctls sysctls = read_port_sysctls();
  const std::uint64_t now = boot_now_ns();

  if (options_.bind) {
    const Result<BindQuestion> question = bind_question(sysctls);
    if (!question) return question.error();
    const PortRecord record = answer_bind(snapshot, sysctls, *question, now);
    if (ports_json_)
      ports_json_->put(record);
    else
      text_->answer(record, question->address.any() && question->address.v6only);
    return {};
  }
  if (options_.connect) {
    const Result<ConnectQuestion> question = connect_question(sysctls);
    if (!question) return question.error();
    const DestinationRecord record = answer_connect(snapshot, sysctls, *question, now);
    if (ports_json_)
      ports_json_->put(record);
    else
      text_->answer(record);
    return {};
  }
  const PortReport report =
      report_ports(snapshot, sysctls, options_.filters, now, port_list(options_));
  if (!ports_json_) {
    if (namespaces_.size() > 1) text_->heading(snapshot.netns());
    text_->report(report);
    return {};
  }
  for (const PortRecord& record : report.ports) ports_json_->put(record);
  for (const DestinationRecord& record : report.destinations) ports_json_->put(record);
  if (options_.events.time_wait)
    report_time_wait(snapshot, options_.filters, now,
                     [this](const TimeWaitRecord& record) { json_->on(record); });
  return {};
}

Result<int> PortsRun::run() {
  if (const Result<void> ready = signals_.ready(); !ready) return ready.error();
  const std::uint64_t started = boot_now_ns();
  if (const Result<void> chosen = choose_namespaces(); !chosen) return chosen.error();
  if (const Result<void> ready = start_session(); !ready) return ready.error();
  std::vector<PortSnapshot> snapshots;
  if (const Result<void> seen = look(snapshots); !seen) return seen.error();

  if (options_.output.empty()) {
    out_.emplace(OutFile::on_descriptor(STDOUT_FILENO, "standard output"));
  } else {
    Result<OutFile> file = OutFile::open(options_.output);
    if (!file) return file.error();
    out_.emplace(std::move(*file));
  }
  out_->set_stop_fd(signals_.stop_fd());
  clock_.set_offset(realtime_offset_ns());
  if (options_.format == Format::kJson) {
    json_ =
        std::make_unique<JsonSink>(*out_, clock_, JsonOptions{options_.events, options_.labels});
    ports_json_ = std::make_unique<PortsJson>(*out_, clock_, json_->tail());
    json_->on(startup_record(options_, features_, started));
  } else {
    PortsTextOptions text;
    text.color = use_color(options_.color, out_->is_terminal(), std::getenv("NO_COLOR"),
                           std::getenv("TERM"));
    if (!options_.filters.lports.empty() || !options_.filters.rports.empty()) text.most = 0;
    text_ = std::make_unique<PortsText>(*out_, text);
  }
  for (const PortSnapshot& snapshot : snapshots)
    if (const Result<void> shown = show(snapshot); !shown) return shown.error();

  if (json_) {
    SummaryRecord summary;
    summary.boot_ns = boot_now_ns();
    summary.events = events_;
    summary.loss.malformed = malformed_;
    summary.duration_ns = summary.boot_ns - started;
    json_->on(summary);
  }
  out_->request_stop();
  out_->flush();
  if (out_->state() == OutFile::State::kFailed || out_->state() == OutFile::State::kGaveUp) {
    print_error(error_text(out_->failure()));
    return 1;
  }
  return options_.fail_on_loss && malformed_ != 0 ? 3 : 0;
}

}  // namespace

Result<int> run_ports(Options options) { return PortsRun(std::move(options)).run(); }

}  // namespace tcptrail
