// SPDX-License-Identifier: BSD-2-Clause
#include "run/live.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "core/event.h"
#include "core/lifecycle.h"
#include "kernel/cgroup.h"
#include "kernel/diagnose.h"
#include "kernel/machine.h"
#include "kernel/netns.h"
#include "kernel/session.h"
#include "output/blocks.h"
#include "output/csv.h"
#include "output/explain.h"
#include "output/json.h"
#include "output/stats_sink.h"
#include "output/text.h"
#include "run/child.h"
#include "run/clock.h"
#include "run/signals.h"
#include "run/startup.h"
#include "util/message.h"
#include "util/out_file.h"

namespace tcptrail {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
// Records are drained in batches while there is work: one wakeup then serves
// thousands of events, and a record still reaches stdout within tens of ms.
constexpr std::uint64_t kBatchNs = 5 * kMs;
// A record older than this is in the ring already, whatever CPU wrote it.
constexpr std::uint64_t kRingDelayNs = 100'000;
constexpr std::uint64_t kLossCheckNs = 100 * kMs;
constexpr std::uint64_t kClockCheckNs = 10'000 * kMs;
// After a gap in some chain, and now and then without one: a loss that nothing counts is found too.
constexpr std::uint64_t kRescanNs = 1'000 * kMs;
constexpr std::uint64_t kCheckUpNs = 60'000 * kMs;
constexpr std::size_t kDefaultRingBytes = 8U << 20;

void print_error(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

std::unique_ptr<RecordSink> make_explain_sink(const Options& options, OutFile& out, WallClock& clock) {
  if (options.format == Format::kJson) return std::make_unique<ExplainJson>(out, clock, ExplainJsonOptions{options.local_time, options.labels});
  const bool color = use_color(options.color, out.is_terminal(), std::getenv("NO_COLOR"), std::getenv("TERM"));
  return std::make_unique<ExplainText>(out, clock, ExplainTextOptions{color, options.local_time, options.labels, print_error});
}

std::unique_ptr<RecordSink> make_stats_sink(const Options& options, OutFile& out, WallClock& clock) {
  if (options.format == Format::kJson) return std::make_unique<StatsJson>(out, clock, StatsJsonOptions{options.interval_ns, options.labels});
  if (options.diagram != Diagram::kNone)
    return std::make_unique<StatsDiagram>(out, options.diagram == Diagram::kDot ? DiagramForm::kDot : DiagramForm::kText, print_error);
  StatsTextOptions text;
  text.interval_ns = options.interval_ns;
  text.color = use_color(options.color, out.is_terminal(), std::getenv("NO_COLOR"), std::getenv("TERM"));
  text.unicode = utf8_locale(std::getenv("LC_ALL"), std::getenv("LC_CTYPE"), std::getenv("LANG"));
  text.local_time = options.local_time;
  text.labels = options.labels;
  text.warn = print_error;
  return std::make_unique<StatsText>(out, clock, text);
}

std::unique_ptr<RecordSink> make_sink(const Options& options, OutFile& out, WallClock& clock) {
  if (options.command == Command::kStats) return make_stats_sink(options, out, clock);
  if (options.command == Command::kExplain) return make_explain_sink(options, out, clock);
  if (options.format == Format::kJson) return std::make_unique<JsonSink>(out, clock, JsonOptions{options.events, options.labels});
  TableOptions table;
  table.events = options.events;
  table.life_columns = options.life_columns;
  table.trace_columns = options.trace_columns;
  table.local_time = options.local_time;
  table.timestamps = options.timestamps;
  table.wide = options.wide;
  table.labels = options.labels;
  table.warn = print_error;
  if (options.format == Format::kCsv) return std::make_unique<CsvSink>(out, clock, std::move(table));
  table.color = use_color(options.color, out.is_terminal(), std::getenv("NO_COLOR"), std::getenv("TERM"));
  winsize size{};
  if (out.is_terminal() && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) table.terminal_width = size.ws_col;
  return std::make_unique<TextSink>(out, clock, std::move(table));
}

// The records that --count counts: an explanation is of a connection, or of a refused call.
EventSet counted_events(const Options& options) {
  if (options.command == Command::kExplain) return {.connection = true, .blocked = true};
  return options.events;
}

// Counts what is printed for --count, and passes on.
class CountingSink final : public RecordSink {
 public:
  CountingSink(RecordSink& next, const EventSet& events, const EventSet& counted, std::optional<std::uint64_t> limit)
      : next_(next), events_(events), counted_(counted), left_(limit.value_or(UINT64_MAX)) {}
  [[nodiscard]] bool full() const { return left_ == 0; }
  void on(const StartupRecord& r) override { next_.on(r); }
  void on(const LossRecord& r) override { next_.on(r); }
  void on(const SummaryRecord& r) override { next_.on(r); }
  void on(const TransitionRecord& r) override { pass(r, events_.transition, counted_.transition); }
  void on(const ConnectionRecord& r) override { pass(r, events_.connection, counted_.connection); }
  void on(const TimeWaitRecord& r) override { pass(r, events_.time_wait, counted_.time_wait); }
  void on(const BlockedRecord& r) override { pass(r, events_.blocked, counted_.blocked); }

 private:
  template <class Record>
  void pass(const Record& record, bool printed, bool counted) {
    if (!printed || left_ == 0) return;
    if (counted) --left_;
    next_.on(record);
  }
  RecordSink& next_;
  EventSet events_;
  EventSet counted_;
  std::uint64_t left_;
};

class LiveRun {
 public:
  explicit LiveRun(Options options) : options_(std::move(options)) {}
  Result<int> run();

 private:
  Result<void> resolve_filters();
  Result<void> start_session();
  void start_model();
  void take_snapshot();
  void loop();
  void drain();
  bool wait();
  void check_signals();
  void check_loss(bool now);
  void check_up();
  void finish();
  [[nodiscard]] int exit_code() const;

  Options options_;
  Signals signals_;
  Cgroups cgroups_;
  Features features_;
  Plan plan_;
  std::optional<Child> child_;
  Fd stop_reasons_;
  std::unique_ptr<Session> session_;
  std::optional<OutFile> out_;
  WallClock clock_;
  std::unique_ptr<RecordSink> sink_;
  std::unique_ptr<CountingSink> counting_;
  std::unique_ptr<Lifecycle> model_;

  bool stop_ = false;
  bool signalled_ = false;
  std::uint64_t started_ns_ = 0;
  std::uint64_t deadline_ns_ = UINT64_MAX;
  std::uint64_t events_ = 0;
  std::uint64_t malformed_ = 0;
  std::uint64_t next_loss_check_ns_ = 0;
  std::uint64_t next_clock_check_ns_ = 0;
  std::uint64_t next_rescan_ns_ = 0;
  std::size_t drained_ = 0;
  Loss loss_;
  std::uint64_t loss_since_ns_ = 0;
};

Result<void> LiveRun::resolve_filters() {
  for (const std::string& text : options_.netns) {
    const Result<std::uint32_t> inode = resolve_netns(text);
    if (!inode) return inode.error();
    options_.filters.netns.push_back(*inode);
  }
  if (!options_.cgroup.empty()) {
    const Result<std::uint64_t> id = cgroups_.id_of(options_.cgroup);
    if (!id) return id.error();
    options_.filters.cgroup_ids.push_back(*id);
  }
  options_.filters.in_tree = !options_.child.empty();
  return {};
}

Result<void> LiveRun::start_session() {
  if (const auto obstacle = find_obstacle()) return *obstacle;
  features_ = probe_features(options_.denied_features);
  const PlanRequest request{.snapshot = !options_.no_snapshot, .command_tree = !options_.child.empty()};
  plan_ = make_plan(features_, request);
  SessionOptions session;
  session.filters = options_.filters;
  session.ring_bytes = static_cast<std::size_t>(options_.ring_bytes.value_or(kDefaultRingBytes));
  session.command_pid = child_ ? static_cast<std::uint32_t>(child_->pid()) : 0;
  session.verbose = options_.verbose > 0;
  Result<std::unique_ptr<Session>> started = Session::start(plan_, session);
  if (!started) return started.error();
  session_ = std::move(*started);
  for (const std::string& warning : session_->warnings()) print_error(warning_text({warning}));
  for (const std::string& limit : plan_.limits) print_error(warning_text({limit, "", "`tcptrail doctor` says why"}));
  return {};
}

void LiveRun::start_model() {
  LifecycleOptions model;
  model.filters = options_.filters;
  model.filters.cgroup_ids.clear();  // the programs know which cgroup lies below which; ids alone do not tell
  model.want_transitions = options_.events.transition;
  model.resets_traced = plan_.resets;
  model.cookie_is_address = !plan_.cookie;
  model.cgroup_path = [this](std::uint64_t id) { return cgroups_.path_of(id); };
  model_ = std::make_unique<Lifecycle>(std::move(model), *counting_);
}

void LiveRun::take_snapshot() {
  if (!plan_.snapshot) return;
  drain();
  model_->begin_snapshot(boot_now_ns());
  const Snapshot snapshot = session_->snapshot([this] { drain(); });
  drain();
  model_->end_snapshot(boot_now_ns(), snapshot.netns_read, snapshot.netns_refused);
  if (!snapshot.netns_refused.empty() && next_rescan_ns_ == 0)
    print_error(warning_text({std::to_string(snapshot.netns_refused.size()) +
                                  " network namespace(s) could not be read: their older connections are known from their first event on",
                              "entering a namespace needs CAP_SYS_ADMIN", "run as root"}));
  next_rescan_ns_ = boot_now_ns() + kRescanNs;
}

void LiveRun::drain() {
  const std::uint64_t complete_until = boot_now_ns() - kRingDelayNs;
  Event event{};
  const std::size_t n = session_->ring().drain([&](std::span<const std::byte> bytes) {
    ++events_;
    if (decode(bytes, event))
      model_->apply(event);
    else
      ++malformed_;
    return !counting_->full();
  });
  drained_ += n;
  // Nothing that is older can still come, so verdicts that waited for it are due.
  if (model_->waiting()) model_->advance_to(complete_until);
  if (complete_until >= sink_->next_tick()) sink_->tick(complete_until);
}

// Sleeps until there is something to do. False when the run is over.
bool LiveRun::wait() {
  const std::uint64_t now = boot_now_ns();
  std::uint64_t wake = std::min(deadline_ns_, sink_->next_tick() == UINT64_MAX ? UINT64_MAX : sink_->next_tick() + kRingDelayNs);
  const bool idle = drained_ == 0 && !model_->waiting() && session_->ring().prepare_to_sleep();
  if (!idle) wake = std::min(wake, now + kBatchNs);
  if (model_->wants_snapshot() && model_->follows_any()) wake = std::min(wake, std::max(next_rescan_ns_, now + kBatchNs));
  drained_ = 0;

  std::array<pollfd, 4> fds{{{signals_.stop_fd(), POLLIN, 0},
                             {signals_.other_fd(), POLLIN, 0},
                             {out_->watch_fd(), 0, 0},
                             {idle ? session_->ring().fd() : -1, POLLIN, 0}}};
  timespec timeout{};
  if (wake != UINT64_MAX) {
    const std::uint64_t left = wake > now ? wake - now : 0;
    timeout = {static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
  }
  ::ppoll(fds.data(), fds.size(), wake == UINT64_MAX ? nullptr : &timeout, nullptr);
  session_->ring().awake();

  if (fds[0].revents != 0 || fds[1].revents != 0) check_signals();
  if ((fds[2].revents & (POLLERR | POLLHUP)) != 0) stop_ = true;  // the reader has gone
  if (boot_now_ns() >= deadline_ns_) stop_ = true;
  return !stop_;
}

void LiveRun::check_signals() {
  while (const int signal = Signals::take(signals_.other_fd())) {
    if (signal == SIGHUP) {
      if (const Result<void> reopened = out_->reopen(); !reopened) print_error(error_text(reopened.error()));
    } else if (signal == SIGCHLD && child_ && child_->ended()) {
      stop_ = true;
    }
  }
  while (const int signal = Signals::take(signals_.stop_fd())) {
    // A command of ours is asked to end first; its end, or a second signal, ends us.
    if (child_ && !child_->ended() && !signalled_)
      child_->send(signal);
    else
      stop_ = true;
    signalled_ = true;
  }
}

// At most ten times a second, and whenever nothing is left to do: what was lost
// last must not wait for the next event.
void LiveRun::check_loss(bool now) {
  const std::uint64_t boot_ns = boot_now_ns();
  if (!now && boot_ns < next_loss_check_ns_) return;
  next_loss_check_ns_ = boot_ns + kLossCheckNs;
  const Loss loss{.ring = session_->lost_ring(),
                  .nested = session_->lost_nested(model_->duplicates()),
                  .table = model_->evicted(),
                  .malformed = malformed_,
                  .other = session_->lost_other()};
  if (loss == loss_) return;
  sink_->on(LossRecord{boot_ns, loss - loss_, loss_since_ns_});
  loss_since_ns_ = boot_ns;
  loss_ = loss;
}

// Connections whose end was lost are found by looking at what still exists.
void LiveRun::check_up() {
  if (model_->follows_any() && boot_now_ns() >= next_rescan_ns_ + (model_->wants_snapshot() ? 0 : kCheckUpNs)) take_snapshot();
}

void LiveRun::loop() {
  do {
    drain();
    check_loss(drained_ == 0);
    check_up();
    if (const std::uint64_t boot_ns = boot_now_ns(); boot_ns >= next_clock_check_ns_) {
      clock_.set_offset(realtime_offset_ns());
      next_clock_check_ns_ = boot_ns + kClockCheckNs;
    }
    if (counting_->full()) return;
    if (!out_->flush()) return;
  } while (wait());
}

void LiveRun::finish() {
  // While events still come: what closes now must not look as if its end were lost.
  if (model_->follows_any() && !counting_->full()) take_snapshot();
  session_->detach();
  drain();
  model_->finish(boot_now_ns());
  check_loss(true);
  const std::uint64_t now = boot_now_ns();
  SummaryRecord summary;
  summary.boot_ns = now;
  summary.events = events_;
  summary.transitions = model_->transitions();
  summary.connections = model_->connections();
  summary.open = model_->open();
  summary.incomplete = model_->incomplete();
  summary.loss = loss_;
  summary.duration_ns = now - started_ns_;
  sink_->on(summary);
  out_->request_stop();
  out_->flush();
}

int LiveRun::exit_code() const {
  if (out_->state() == OutFile::State::kFailed || out_->state() == OutFile::State::kGaveUp) {
    print_error(error_text(out_->failure()));
    return 1;
  }
  if (options_.fail_on_loss && loss_.total() != 0) return 3;
  return child_ ? child_->exit_status() : 0;
}

Result<int> LiveRun::run() {
  if (const Result<void> resolved = resolve_filters(); !resolved) return resolved.error();
  if (options_.output.empty()) {
    out_.emplace(OutFile::on_descriptor(STDOUT_FILENO, "standard output"));
  } else {
    Result<OutFile> file = OutFile::open(options_.output);
    if (!file) return file.error();
    out_.emplace(std::move(*file));
  }
  if (!options_.child.empty()) {
    Result<Child> child = Child::prepare(options_.child);
    if (!child) return child.error();
    child_.emplace(std::move(*child));
  }
  // Either ends the run, also while the output waits for a slow reader.
  stop_reasons_ = readable_when_any({signals_.stop_fd(), child_ ? child_->pid_fd() : -1});
  out_->set_stop_fd(stop_reasons_.get());

  clock_.set_offset(realtime_offset_ns());
  sink_ = make_sink(options_, *out_, clock_);
  counting_ = std::make_unique<CountingSink>(*sink_, options_.events, counted_events(options_), options_.count);
  if (const Result<void> started = start_session(); !started) return started.error();
  start_model();
  started_ns_ = loss_since_ns_ = boot_now_ns();
  next_clock_check_ns_ = started_ns_ + kClockCheckNs;
  sink_->on(startup_record(options_, features_, started_ns_));
  take_snapshot();
  out_->flush();
  if (options_.run_for_ns) {
    deadline_ns_ = boot_now_ns() + *options_.run_for_ns;
    out_->set_stop_at(deadline_ns_);
  }
  print_error("tcptrail: ready\n");

  if (child_)
    if (const Result<void> released = child_->release(); !released) return released.error();
  loop();
  finish();
  // Stopped before it (--for, --count, a closed pipe, a second signal): what we started ends with us.
  if (child_ && !child_->ended()) child_->end();
  return exit_code();
}

}  // namespace

Result<int> run_live(Options options) { return LiveRun(std::move(options)).run(); }

}  // namespace tcptrail
