// SPDX-License-Identifier: BSD-2-Clause
// The program: a command line in, an exit code out. What each command is made
// of stands in its own file.
#include <fmt/core.h>

#include <cstdio>

#include "cli/doctor.h"
#include "cli/options.h"
#include "kernel/features.h"
#include "output/schema_json.h"
#include "run/live.h"
#include "util/message.h"

namespace {

int report(const tcptrail::Error& error) {
  const std::string text = tcptrail::error_text(error);
  std::fwrite(text.data(), 1, text.size(), stderr);
  return error.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace tcptrail;
  Result<CommandLine> line = parse_command_line(argc, argv, feature_names());
  if (!line) return report(line.error());
  if (!line->text.empty()) {
    std::fwrite(line->text.data(), 1, line->text.size(), stdout);
    return std::fflush(stdout) == 0 ? 0 : 1;
  }
  switch (line->options.command) {
    case Command::kDoctor:
      return run_doctor(line->options);
    case Command::kSchema:
      std::fwrite(kSchemaJson.data(), 1, kSchemaJson.size(), stdout);
      return std::fflush(stdout) == 0 ? 0 : 1;
    case Command::kLife:
    case Command::kTrace:
      break;
  }
  const Result<int> status = run_live(std::move(line->options));
  return status ? *status : report(status.error());
}
