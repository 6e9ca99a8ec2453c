// SPDX-License-Identifier: BSD-2-Clause
// The payload of a block, behind its checksum and its compression: items, answers,
// and the model that is told of them. What begins as JSON goes to the header's parser.
#include "recording/header.h"
#include "recording/items.h"
#include "targets.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tcptrail;
  if (size == 0) return 0;
  if (data[0] == '{') {
    (void)header_from_json({reinterpret_cast<const char*>(data), size});
    return 0;
  }
  RecordedFacts answers;
  ReplayedQueries facts(answers);
  RecordSink sink;
  Model model(fuzz::every_view(), facts, sink);
  ItemDecoder items;
  items.start(std::as_bytes(std::span(data, size)), TCPTRAIL_LAYOUT_VERSION);
  while (items.next(model, answers) == ItemDecoder::Status::kItem) (void)items.next_boot_ns();
  return 0;
}
