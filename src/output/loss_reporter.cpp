// SPDX-License-Identifier: BSD-2-Clause
// The words for each kind of loss and their rate limit, see loss_reporter.h.
#include "output/loss_reporter.h"

#include "util/message.h"

namespace tcptrail {
namespace {

constexpr std::uint64_t kInterval = 1'000'000'000;

void add(std::string& list, std::uint64_t count, std::string_view reason) {
  if (count == 0) return;
  if (!list.empty()) list += ", ";
  list += std::to_string(count);
  list += ' ';
  list += reason;
}

}  // namespace

std::string loss_text(const Loss& loss) {
  if (loss.total() == 0 && loss.other == 0) return {};
  Error message;
  message.what = std::to_string(loss.total()) +
                 (loss.total() == 1 ? " event was lost" : " events were lost") +
                 "; connections with a gap are marked with *";
  if (loss.total() == 0) message.what = "some owners and endings may be unknown";
  add(message.why, loss.ring, "because the ring buffer was full");
  add(message.why, loss.nested, "because the program was interrupted on its CPU");
  add(message.why, loss.table, "because the connection table was full");
  add(message.why, loss.malformed, "because the record could not be decoded");
  add(message.why, loss.other,
      "that are no transitions (who accepted, RSTs, ends of TIME_WAIT) because the ring buffer or "
      "the table was full");
  if (loss.ring + loss.other != 0)
    message.fix = "a larger --ring-size, a narrower filter, or a faster reader";
  if (loss.ring + loss.other == 0 && loss.table != 0)
    message.fix = "a larger --max-connections, or a narrower filter";
  return warning_text(message);
}

void LossReporter::on(const LossRecord& record) {
  pending_.ring += record.loss.ring;
  pending_.nested += record.loss.nested;
  pending_.table += record.loss.table;
  pending_.malformed += record.loss.malformed;
  pending_.other += record.loss.other;
  if (said_ && record.boot_ns - last_ns_ < kInterval) return;
  last_ns_ = record.boot_ns;
  said_ = true;
  finish();
}

void LossReporter::finish() {
  const std::string text = loss_text(pending_);
  pending_ = {};
  if (!text.empty() && print_) print_(text);
}

}  // namespace tcptrail
