// SPDX-License-Identifier: BSD-2-Clause
#include "run/snapshot_taker.h"

#include <string>
#include <utility>

#include "run/sinks.h"
#include "util/clock.h"
#include "util/message.h"

namespace tcptrail {

SnapshotTaker::SnapshotTaker(const Options& options, Parts parts)
    : options_(options),
      parts_(std::move(parts)),
      schedule_(options.command == Command::kRecord, options.watch_ns) {}

SnapshotNeeds SnapshotTaker::needs() const {
  const Model& model = parts_.model;
  // A new part of a recording is to be readable without the one before it.
  return {.gap = model.wants_snapshot() || (parts_.writer && parts_.writer->wants_snapshot()),
          .connections = model.follows_any(),
          .blocked = !model.wants_blockers().empty(),
          .minisockets = !model.wants_scan().empty()};
}

SnapshotScope SnapshotTaker::read_tables(const SnapshotRequest& request) {
  parts_.drain();
  parts_.input.begin_snapshot(boot_now_ns(), request.minisockets_only);
  SnapshotScope scope = parts_.session.snapshot(request, parts_.drain);
  parts_.drain();
  parts_.input.end_snapshot(boot_now_ns(), scope);
  return scope;
}

SnapshotScope SnapshotTaker::take(SnapshotKind kind) {
  const std::uint64_t began_ns = boot_now_ns();
  const std::uint64_t before = process_cpu_ns();
  SnapshotScope scope;
  switch (kind) {
    case SnapshotKind::kFull:
      scope = read_tables({});
      break;
    case SnapshotKind::kRound:
      scope = read_tables({.netns = options_.filters.netns});
      parts_.input.round(boot_now_ns());
      parts_.out.flush();
      break;
    case SnapshotKind::kBlocked:
      scope = read_tables({.netns = parts_.model.wants_blockers()});
      break;
    case SnapshotKind::kScan:
      scope = read_tables({.netns = parts_.model.wants_scan(), .minisockets_only = true});
      break;
  }
  schedule_.taken(kind, began_ns, process_cpu_ns() - before);
  return scope;
}

void SnapshotTaker::take_first() {
  const SnapshotScope scope = take(SnapshotKind::kFull);
  if (!scope.netns_refused.empty())
    print_error(warning_text({std::to_string(scope.netns_refused.size()) +
                                  " network namespace(s) could not be read: their older "
                                  "connections are known from their first event on",
                              "entering a namespace needs CAP_SYS_ADMIN", "run as root"}));
}

void SnapshotTaker::take_due() {
  const std::uint64_t now = boot_now_ns();
  SnapshotNeeds wanted = needs();
  for (const SnapshotKind kind : kSnapshotKinds) {
    if (!schedule_.due(kind, now, wanted)) continue;
    take(kind);
    tell_slow(kind);
    wanted = needs();  // what it has found may make the next one needless
  }
}

void SnapshotTaker::take_last() {
  if (parts_.model.follows_any() || !parts_.model.wants_blockers().empty() || parts_.writer)
    take(SnapshotKind::kFull);
  // Calls that were refused in the meantime. A flood has no end: what it still brings is told
  // without its blockers.
  if (!parts_.model.wants_blockers().empty()) take(SnapshotKind::kBlocked);
}

// Once for each kind that promises an interval.
void SnapshotTaker::tell_slow(SnapshotKind kind) {
  const auto slow = schedule_.slowed_to_ns(kind);
  if (!slow) return;
  const std::string interval = std::to_string(*slow / 1'000'000) + " ms";
  if (kind == SnapshotKind::kRound && !std::exchange(told_slow_rounds_, true))
    print_error(warning_text(
        {"the view is refreshed every " + interval + " only",
         "a snapshot reads every socket of the namespace and every open file of the machine, and "
         "snapshots may take a tenth of a core",
         "ask for a longer interval: --watch " + std::to_string(*slow / 1'000'000'000 + 1) + "s"}));
  if (kind == SnapshotKind::kScan && !std::exchange(told_slow_scans_, true))
    print_error(warning_text({"the end of a TIME_WAIT is reported up to " + interval + " late",
                              "looking at " + std::to_string(parts_.model.minisockets()) +
                                  " of them more often would take more than a tenth of a core",
                              ""}));
}

}  // namespace tcptrail
