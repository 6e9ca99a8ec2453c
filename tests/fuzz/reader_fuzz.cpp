// SPDX-License-Identifier: BSD-2-Clause
// A whole file as it is, to the reader and the model behind it. Nearly every
// change fails a checksum at once: items_fuzz goes behind them.
#include "recording/reader.h"
#include "targets.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tcptrail;
  auto reader = RecordingReader::open(
      std::make_unique<MemorySource>(std::as_bytes(std::span(data, size))), "FILE");
  if (!reader) return 0;
  ReplayedQueries facts((*reader)->answers());
  RecordSink sink;
  Model model(fuzz::every_view(), facts, sink);
  for (;;) {
    const RecordingReader::Status status = (*reader)->next(model);
    if (status != RecordingReader::Status::kItem && status != RecordingReader::Status::kBlock)
      return 0;
  }
}
