// SPDX-License-Identifier: BSD-2-Clause
#include "run/replay.h"

#include <memory>
#include <optional>

#include "cli/version.h"
#include "recording/reader.h"
#include "run/model_options.h"
#include "run/replay_filters.h"
#include "run/signals.h"
#include "run/sinks.h"
#include "tcp/phrase.h"
#include "util/message.h"

namespace tcptrail {
namespace {

// A snapshot is not called old that is as young as those of `ports --watch`.
constexpr std::uint64_t kFreshNs = 2'000'000'000;

// Before the model: what the summary needs of the stream.
class ReplayInput final : public ForwardingInput {
 public:
  using ForwardingInput::ForwardingInput;
  void event(const Event& event) override {
    ++events_;
    ForwardingInput::event(event);
  }
  void begin_snapshot(std::uint64_t boot_ns, bool minisockets_only) override {
    in_snapshot_ = true;
    ForwardingInput::begin_snapshot(boot_ns, minisockets_only);
  }
  void end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) override {
    in_snapshot_ = false;
    if (!scope.minisockets_only) snapshot_ns_ = boot_ns;
    ForwardingInput::end_snapshot(boot_ns, scope);
  }
  void round(std::uint64_t boot_ns) override {
    rounds_ = true;
    if (show_rounds_) ForwardingInput::round(boot_ns);
  }
  void loss(const LossRecord& record) override {
    loss_ = loss_ + record.loss;
    ForwardingInput::loss(record);
  }

  // --at shows one round; those of `ports --watch` on the way there are passed over.
  void hide_rounds() { show_rounds_ = false; }
  [[nodiscard]] bool rounds() const { return rounds_; }
  [[nodiscard]] bool in_snapshot() const { return in_snapshot_; }
  // Of the recorder's last full snapshot; 0 = none so far.
  [[nodiscard]] std::uint64_t snapshot_ns() const { return snapshot_ns_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] const Loss& loss() const { return loss_; }

 private:
  std::uint64_t events_ = 0;
  Loss loss_;
  std::uint64_t snapshot_ns_ = 0;
  bool in_snapshot_ = false;
  bool rounds_ = false;
  bool show_rounds_ = true;
};

class Replay {
 public:
  explicit Replay(Options options) : options_(std::move(options)) {}
  Result<int> run();

 private:
  using Status = RecordingReader::Status;

  Result<void> open();
  void start();
  Status read();
  bool check_signals();
  void show_ports(std::uint64_t boot_ns);
  void summarize();

  Options options_;
  Signals signals_;
  std::unique_ptr<RecordingReader> reader_;
  std::optional<ReplayedQueries> facts_;
  std::optional<OutFile> out_;
  WallClock clock_;
  std::unique_ptr<RecordSink> sink_;
  std::unique_ptr<CountingSink> counting_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ReplayInput> input_;
  std::uint64_t at_ns_ = UINT64_MAX;  // boot ns of --at
};

Result<void> Replay::open() {
  Result<std::unique_ptr<FileSource>> source = FileSource::open(options_.replay_file);
  if (!source) return source.error();
  (*source)->set_stop_fd(signals_.stop_fd());
  const std::string name = options_.replay_file == "-" ? "standard input" : options_.replay_file;
  Result<std::unique_ptr<RecordingReader>> reader = RecordingReader::open(std::move(*source), name);
  if (!reader) return reader.error();
  reader_ = std::move(*reader);
  const RecordingHeader& header = reader_->header();
  if (const Result<void> joined = join_recorded_filters(options_, header); !joined)
    return joined.error();
  // As `ports`: the recorder's own, unless others are named.
  if (view_of(options_) == Command::kPorts && options_.filters.netns.empty() &&
      header.own_netns != 0)
    options_.filters.netns = {header.own_netns};
  clock_.set_offset(header.clock_offset_ns);
  if (options_.at)
    at_ns_ = options_.at->after_ns
                 ? header.startup.boot_ns + *options_.at->after_ns
                 : static_cast<std::uint64_t>(options_.at->unix_ns - header.clock_offset_ns);

  Result<OutFile> output = open_output(options_);
  if (!output) return output.error();
  out_.emplace(std::move(*output));
  // However it is named: to replace it would destroy it, to append to it would never end.
  if (out_->is_same_file(options_.replay_file == "-" ? "/dev/stdin" : options_.replay_file))
    return Error{"the output is the recording itself: " + out_->name() + " is " + name,
                 "the recording would be overwritten while it is read", "name another file with -o",
                 2};
  out_->set_stop_fd(signals_.stop_fd());
  sink_ = make_sink(options_, *out_, clock_);
  counting_ = std::make_unique<CountingSink>(*sink_, options_.events, counted_events(options_),
                                             options_.count);
  facts_.emplace(reader_->answers());
  ModelOptions model = model_options(options_, header.programs);
  model.on_clock_offset = [this](std::int64_t ns) { clock_.set_offset(ns); };
  model_ = std::make_unique<Model>(model, *facts_, *counting_);
  input_ = std::make_unique<ReplayInput>(*model_);
  if (options_.at) input_->hide_rounds();
  return {};
}

// Who, where and how is what the recording says; the version is that of the program that prints.
void Replay::start() {
  StartupRecord startup = reader_->header().startup;
  startup.version = TCPTRAIL_VERSION;
  startup.command = to_string(options_.command);
  startup.filters = options_.given_filters;
  sink_->on(startup);
}

// True when the run is to end.
bool Replay::check_signals() {
  while (const int signal = Signals::take(signals_.other_fd()))
    if (signal == SIGHUP)
      if (const Result<void> reopened = out_->reopen(); !reopened)
        print_error(error_text(reopened.error()));
  return Signals::take(signals_.stop_fd()) != 0;
}

Replay::Status Replay::read() {
  for (;;) {
    // A snapshot that has begun is read to its end. Until then the model has only some of the
    // sockets, and would call the ports of all others free.
    if (reader_->next_boot_ns() > at_ns_ && !input_->in_snapshot()) return Status::kEnd;
    const Status status = reader_->next(*input_);
    if (status == Status::kItem) {
      if (counting_->full()) return Status::kStopped;
      continue;
    }
    // Between two blocks: a reader of ours sees what a recorder that still runs has just written.
    if (!out_->flush() || check_signals()) return Status::kStopped;
    if (status != Status::kBlock) return status;
  }
}

// `ports` of a recording: at the time of --at, or at the end where the run had no round of its own.
void Replay::show_ports(std::uint64_t boot_ns) {
  if (options_.replay_view != Command::kPorts || (!options_.at && input_->rounds())) return;
  model_->round(boot_ns);
  const std::uint64_t taken = input_->snapshot_ns();
  if (taken != 0 && boot_ns < taken + kFreshNs) return;
  const std::string what =
      taken == 0 ? "the recorder had not looked at the sockets by then"
                 : "these are the sockets of " + duration_text((boot_ns - taken) / 1'000'000) +
                       " before that: the recorder had last looked at them then";
  print_error(message_text(
      "note",
      {what, "",
       "`tcptrail ports --watch --record FILE` looks every second, `tcptrail record` every ten"}));
}

void Replay::summarize() {
  SummaryRecord summary;
  summary.boot_ns = reader_->boot_ns();
  model_->connections().sum_up(summary);
  summary.events = input_->events();
  summary.loss = input_->loss();
  const std::uint64_t began = reader_->header().startup.boot_ns;
  summary.duration_ns = summary.boot_ns > began ? summary.boot_ns - began : 0;
  sink_->on(summary);
}

Result<int> Replay::run() {
  if (const Result<void> opened = open(); !opened) return opened.error();
  start();
  const Status status = read();
  // What waited for an event behind the damage is not shown: it could be something else than it
  // was.
  if (status == Status::kEnd) show_ports(options_.at ? at_ns_ : reader_->boot_ns());
  summarize();
  out_->request_stop();
  out_->flush();
  if (const int failed = output_status(*out_); failed != 0) return failed;
  if (status == Status::kDamaged) return reader_->failure();
  if (status == Status::kEnd && reader_->continued())
    print_error("tcptrail: note: the recording goes on in another file (--rotate)\n");
  return options_.fail_on_loss && input_->loss().total() != 0 ? 3 : 0;
}

}  // namespace

Result<int> run_replay(Options options) { return Replay(std::move(options)).run(); }

}  // namespace tcptrail
