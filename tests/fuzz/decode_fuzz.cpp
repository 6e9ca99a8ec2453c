// SPDX-License-Identifier: BSD-2-Clause
// Bytes as a ring hands them over: each record cut to the size of its kind, then
// decode(), then the model.
#include <algorithm>

#include "targets.h"
#include "tcp/event.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tcptrail;
  RecordedFacts answers;
  ReplayedQueries facts(answers);
  RecordSink sink;
  Model model(fuzz::every_view(), facts, sink);
  model.begin_snapshot(0, false);
  model.end_snapshot(1, {});
  auto bytes = std::as_bytes(std::span(data, size));
  Event event{};
  while (bytes.size() >= sizeof(tcptrail_record)) {
    const std::size_t known = size_of_kind(std::to_integer<std::uint8_t>(bytes[62]));
    const std::size_t record = std::min(bytes.size(), known != 0 ? known : sizeof(tcptrail_record));
    if (decode(bytes.first(record), event)) model.event(event);
    bytes = bytes.subspan(record);
  }
  if (decode(bytes, event)) model.event(event);  // never whole
  model.round(event.boot_ns());
  model.finish(event.boot_ns());
  return 0;
}
