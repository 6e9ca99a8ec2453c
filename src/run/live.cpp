// SPDX-License-Identifier: BSD-2-Clause
#include "run/live.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "kernel/live_queries.h"
#include "kernel/wait_any.h"
#include "model/model.h"
#include "recording/recorder.h"
#include "run/child.h"
#include "run/live_start.h"
#include "run/model_options.h"
#include "run/record_progress.h"
#include "run/signals.h"
#include "run/sinks.h"
#include "run/snapshot_taker.h"
#include "run/startup.h"
#include "tcp/event.h"
#include "util/clock.h"
#include "util/message.h"
#include "util/out_file.h"

namespace tcptrail {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
// Records are drained in batches while there is work: one wakeup then serves
// thousands of events, and a record still reaches stdout within tens of ms.
constexpr std::uint64_t kBatchNs = 5 * kMs;
// The first batches after a sleep are shorter, each twice as long as the one before: what is left
// of a burst (a connection that ends has three or four more transitions to make) does not wait for
// traffic that never comes.
constexpr std::uint64_t kFirstBatchNs = kMs / 4;
// A record older than this is in the ring already, whatever CPU wrote it.
constexpr std::uint64_t kRingDelayNs = 100'000;
constexpr std::uint64_t kLossCheckNs = 100 * kMs;
constexpr std::uint64_t kClockCheckNs = 10'000 * kMs;

class LiveRun {
 public:
  explicit LiveRun(Options options) : options_(std::move(options)) {}
  Result<int> run();

 private:
  Result<void> start_programs();
  Result<void> start_recording();
  void start_model();
  void loop();
  void drop_own_pid(Event& event) const;
  void drain();
  bool wait();
  void check_signals();
  void check_loss(bool now);
  void check_clock();
  [[nodiscard]] bool recording_goes_on();
  void finish();
  [[nodiscard]] int exit_code() const;

  Options options_;
  Signals signals_;
  LiveQueries facts_;
  LivePrograms programs_;
  std::optional<Child> child_;
  Fd stop_reasons_;
  std::optional<OutFile> out_;
  WallClock clock_;
  std::unique_ptr<RecordSink> sink_;
  std::unique_ptr<CountingSink> counting_;
  std::unique_ptr<Model> model_;
  ModelInput* input_ = nullptr;              // the model, or what stands before it
  std::unique_ptr<RecordingWriter> writer_;  // of --record and record
  std::unique_ptr<RecordedQueries> recorded_facts_;
  std::unique_ptr<Recorder> recorder_;
  std::optional<SnapshotTaker> snapshots_;  // where the kernel shows its tables
  RecordProgress progress_;
  bool told_failed_recording_ = false;

  bool stop_ = false;
  bool signalled_ = false;
  std::uint64_t started_ns_ = 0;
  std::uint64_t deadline_ns_ = UINT64_MAX;
  std::uint64_t events_ = 0;
  std::uint64_t malformed_ = 0;
  const std::uint32_t own_pid_ = static_cast<std::uint32_t>(::getpid());
  std::uint64_t next_loss_check_ns_ = 0;
  std::uint64_t next_clock_check_ns_ = 0;
  std::size_t drained_ = 0;
  std::uint64_t batch_ns_ = kFirstBatchNs;
  Loss loss_;
  std::uint64_t loss_since_ns_ = 0;
};

Result<void> LiveRun::start_programs() {
  Result<LivePrograms> programs =
      tcptrail::start_programs(options_, child_ ? static_cast<std::uint32_t>(child_->pid()) : 0);
  if (!programs) return programs.error();
  programs_ = std::move(*programs);
  return {};
}

Result<void> LiveRun::start_recording() {
  if (options_.record_path.empty()) return {};
  auto writer = tcptrail::start_recording(options_, programs_, *out_, started_ns_, clock_.offset());
  if (!writer) return writer.error();
  writer_ = std::move(*writer);
  writer_->file().set_stop_fd(stop_reasons_.get());
  recorded_facts_ = std::make_unique<RecordedQueries>(facts_, *writer_);
  return {};
}

void LiveRun::start_model() {
  ModelOptions model = model_options(options_, capabilities_of(programs_.plan));
  model.only_traced = !model.filters.cgroup_ids.empty();
  model.filters.cgroup_ids
      .clear();  // the programs know which cgroup lies below which; ids alone do not tell
  model.on_clock_offset = [this](std::int64_t ns) { clock_.set_offset(ns); };
  MachineQueries& facts = recorded_facts_ ? static_cast<MachineQueries&>(*recorded_facts_) : facts_;
  model_ = std::make_unique<Model>(model, facts, *counting_);
  input_ = model_.get();
  if (!writer_) return;
  recorder_ = std::make_unique<Recorder>(*model_, *recorded_facts_, *writer_);
  input_ = recorder_.get();
}

// Reading the descriptors of a process holds each file for a moment. When the process closes it
// just then, the kernel finishes the close() in this process, whose socket it never was.
void LiveRun::drop_own_pid(Event& event) const {
  const bool at_end = event.kind() == TCPTRAIL_TRANSITION_END;
  if (event.base.pid != own_pid_ || (!at_end && event.kind() != TCPTRAIL_TRANSITION_OWNED)) return;
  event.base.pid = 0;
  (at_end ? event.end.comm : event.owned.comm)[0] = '\0';
}

void LiveRun::drain() {
  const std::uint64_t complete_until = boot_now_ns() - kRingDelayNs;
  Event event{};
  const auto take = [&](std::span<const std::byte> bytes) {
    ++events_;
    if (decode(bytes, event)) {
      drop_own_pid(event);
      input_->event(event);
    } else {
      ++malformed_;
    }
    return !counting_->full();
  };
  const auto soon = [&](std::span<const std::byte> bytes) {
    tcptrail_record record;
    if (bytes.size() < sizeof record) return;
    std::memcpy(&record, bytes.data(), sizeof record);
    model_->prefetch(record);
  };
  drained_ += programs_.session->ring().drain(take, soon);
  // Nothing that is older can still come, so verdicts that waited for it are due.
  if (model_->due(complete_until)) input_->advance_to(complete_until);
}

// Sleeps until there is something to do. False when the run is over.
bool LiveRun::wait() {
  const std::uint64_t now = boot_now_ns();
  std::uint64_t wake = std::min(deadline_ns_, snapshots_ ? snapshots_->next_ns() : UINT64_MAX);
  if (writer_) wake = std::min(wake, writer_->due_ns());
  const auto decision = model_->wakes_at();
  if (decision && *decision != 0) wake = std::min(wake, *decision + kRingDelayNs);
  const bool idle = drained_ == 0 && !(decision && *decision == 0) &&
                    programs_.session->ring().prepare_to_sleep();
  if (!idle) wake = std::min(wake, now + batch_ns_);
  batch_ns_ = idle ? kFirstBatchNs : std::min(2 * batch_ns_, kBatchNs);
  drained_ = 0;

  // `record` writes nothing to stdout, whoever reads there.
  std::array<pollfd, 5> fds{
      {{signals_.stop_fd(), POLLIN, 0},
       {signals_.other_fd(), POLLIN, 0},
       {options_.command == Command::kRecord ? -1 : out_->watch_fd(), 0, 0},
       {idle ? programs_.session->bell() : -1, POLLIN, 0},
       {options_.command == Command::kRecord ? writer_->file().watch_fd() : -1, 0, 0}}};
  timespec timeout{};
  if (wake != UINT64_MAX) {
    const std::uint64_t left = wake > now ? wake - now : 0;
    timeout = {static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
  }
  ::ppoll(fds.data(), fds.size(), wake == UINT64_MAX ? nullptr : &timeout, nullptr);
  programs_.session->ring().awake();

  if (fds[0].revents != 0 || fds[1].revents != 0) check_signals();
  if (((fds[2].revents | fds[4].revents) & (POLLERR | POLLHUP)) != 0)
    stop_ = true;  // the reader has gone
  if (boot_now_ns() >= deadline_ns_) stop_ = true;
  return !stop_;
}

void LiveRun::check_signals() {
  while (const int signal = Signals::take(signals_.other_fd())) {
    if (signal == SIGHUP) {
      if (const Result<void> reopened = out_->reopen(); !reopened)
        print_error(error_text(reopened.error()));
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
  const Loss loss{.ring = programs_.session->lost_ring(),
                  .nested = programs_.session->lost_nested(model_->connections().duplicates()),
                  .table = model_->evicted(),
                  .malformed = malformed_,
                  .other = programs_.session->lost_other() + model_->evicted_minisockets()};
  if (loss == loss_) return;
  input_->loss(LossRecord{boot_ns, loss - loss_, loss_since_ns_});
  loss_since_ns_ = boot_ns;
  loss_ = loss;
}

void LiveRun::check_clock() {
  const std::uint64_t boot_ns = boot_now_ns();
  if (boot_ns < next_clock_check_ns_) return;
  next_clock_check_ns_ = boot_ns + kClockCheckNs;
  input_->clock_offset(realtime_offset_ns());
}

// A recording that can go no further ends `record`; a view that is recorded beside goes on
// without it, unless the file was to have this size and no more.
bool LiveRun::recording_goes_on() {
  if (!writer_) return true;
  const std::uint64_t now = boot_now_ns();
  writer_->tick(now);
  if (options_.command == Command::kRecord)
    progress_.tick(now, writer_->events(), writer_->bytes(), loss_.total());
  if (!writer_->ok() && !std::exchange(told_failed_recording_, true))
    print_error(error_text(writer_->failure()));
  if (writer_->full())
    print_error("tcptrail: note: " + options_.record_path +
                " has the size that --max-size allows\n");
  return !writer_->full() &&
         (options_.command != Command::kRecord || (writer_->ok() && !writer_->reader_gone()));
}

void LiveRun::loop() {
  do {
    drain();
    check_loss(drained_ == 0);
    if (snapshots_) snapshots_->take_due();
    check_clock();
    if (!recording_goes_on()) return;
    if (counting_->full()) return;
    if (!out_->flush()) return;
  } while (wait());
}

void LiveRun::finish() {
  // While events still come: what closes now must not look as if its end were lost.
  drain();
  if (snapshots_ && !counting_->full()) snapshots_->take_last();
  programs_.session->detach();
  programs_.session->ring().drain_all([this] { drain(); });
  input_->finish(boot_now_ns());
  check_loss(true);
  if (writer_) {
    writer_->file().request_stop();
    writer_->close();
    if (options_.command == Command::kRecord)
      progress_.finish(writer_->events(), writer_->bytes(), loss_.total());
  }
  const std::uint64_t now = boot_now_ns();
  SummaryRecord summary;
  summary.boot_ns = now;
  summary.events = events_;
  model_->connections().sum_up(summary);
  summary.loss = loss_;
  summary.duration_ns = now - started_ns_;
  sink_->on(summary);
  out_->request_stop();
  out_->flush();
}

int LiveRun::exit_code() const {
  if (const int status = output_status(*out_); status != 0) return status;
  if (writer_ && !writer_->ok()) {
    if (!told_failed_recording_) print_error(error_text(writer_->failure()));
    return 1;
  }
  if (options_.fail_on_loss && loss_.total() != 0) return 3;
  return child_ ? child_->exit_status() : 0;
}

Result<int> LiveRun::run() {
  if (const Result<void> ready = signals_.ready(); !ready) return ready.error();
  if (const Result<void> resolved = resolve_filters(options_); !resolved) return resolved.error();
  if (!options_.child.empty()) {
    Result<Child> child = Child::prepare(options_.child);
    if (!child) return child.error();
    child_.emplace(std::move(*child));
  }
  // Either ends the run, also while the output waits for a slow reader.
  stop_reasons_ = wait_any({signals_.stop_fd(), child_ ? child_->pid_fd() : -1});
  clock_.set_offset(realtime_offset_ns());
  if (const Result<void> started = start_programs(); !started) return started.error();
  // From here on the run can start: existing files may be replaced.
  Result<OutFile> output = open_output(options_);
  if (!output) return output.error();
  out_.emplace(std::move(*output));
  out_->set_stop_fd(stop_reasons_ ? stop_reasons_.get() : signals_.stop_fd());
  sink_ = make_sink(options_, *out_, clock_);
  counting_ = std::make_unique<CountingSink>(*sink_, options_.events, counted_events(options_),
                                             options_.count);
  started_ns_ = loss_since_ns_ = boot_now_ns();
  if (const Result<void> started = start_recording(); !started) return started.error();
  start_model();
  next_clock_check_ns_ = started_ns_ + kClockCheckNs;
  sink_->on(startup_record(options_, programs_.features, started_ns_));
  if (programs_.plan.snapshot) {
    snapshots_.emplace(options_, SnapshotTaker::Parts{*programs_.session, *model_, *input_,
                                                      writer_.get(), *out_, [this] { drain(); }});
    snapshots_->take_first();
  }
  out_->flush();
  if (options_.run_for_ns) {
    deadline_ns_ = boot_now_ns() + *options_.run_for_ns;
    const std::uint64_t stop_at_ns =
        deadline_ns_ + static_cast<std::uint64_t>(boot_namespace_offset_ns());  // as poll() sees it
    out_->set_stop_at(stop_at_ns);
    if (writer_) writer_->file().set_stop_at(stop_at_ns);
  }
  give_up_privileges(options_, programs_, *out_);
  print_error("tcptrail: ready\n");

  if (child_)
    if (const Result<void> released = child_->release(); !released) return released.error();
  loop();
  finish();
  // Stopped before it (--for, --count, a closed pipe, a second signal): what we started ends with
  // us.
  if (child_ && !child_->ended()) child_->end();
  return exit_code();
}

}  // namespace

Result<int> run_live(Options options) { return LiveRun(std::move(options)).run(); }

}  // namespace tcptrail
