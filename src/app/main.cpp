// SPDX-License-Identifier: BSD-2-Clause
// The program: a command line in, an exit code out. What each command is made
// of stands in its own file.
#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "app/doctor.h"
#include "cli/completion.h"
#include "cli/options.h"
#include "kernel/features.h"
#include "output/schema_json.h"
#include "run/live.h"
#include "run/ports.h"
#include "run/replay.h"
#include "util/message.h"

namespace {

int report(const tcptrail::Error& error) {
  const std::string text = tcptrail::error_text(error);
  std::fwrite(text.data(), 1, text.size(), stderr);
  return error.exit_code;
}

// What was printed to stdout must also have arrived there.
int finish_stdout(int status) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  if (errno == EPIPE) return 0;
  return report({std::string("cannot write to standard output: ") + std::strerror(errno)});
}

// A descriptor that the caller closed would be the next one that is opened: data
// for stdout would go into a BPF map. In its place stands one that refuses.
void occupy_standard_descriptors() {
  for (const int fd : {0, 1, 2})
    if (::fcntl(fd, F_GETFD) < 0) [[maybe_unused]]
      const int opened = ::open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
}

int run(int argc, char** argv) {
  using namespace tcptrail;
  occupy_standard_descriptors();
  Result<CommandLine> line = parse_command_line(argc, argv, feature_names());
  if (!line) return report(line.error());
  if (!line->text.empty()) {
    std::fwrite(line->text.data(), 1, line->text.size(), stdout);
    return finish_stdout(0);
  }
  switch (line->options.command) {
    case Command::kDoctor:
      return finish_stdout(run_doctor(line->options));
    case Command::kSchema:
      std::fwrite(kSchemaJson.data(), 1, kSchemaJson.size(), stdout);
      return finish_stdout(0);
    case Command::kCompletion: {
      const Result<std::string> script = completion_script(line->options.shell, feature_names());
      if (!script) return report(script.error());
      std::fwrite(script->data(), 1, script->size(), stdout);
      return finish_stdout(0);
    }
    case Command::kPorts: {
      if (line->options.watch_ns) break;
      const Result<int> status = run_ports(std::move(line->options));
      return status ? *status : report(status.error());
    }
    case Command::kReplay: {
      const Result<int> status = run_replay(std::move(line->options));
      return status ? *status : report(status.error());
    }
    case Command::kLife:
    case Command::kTrace:
    case Command::kRecord:
    case Command::kExplain:
    case Command::kStats:
      break;
  }
  const Result<int> status = run_live(std::move(line->options));
  return status ? *status : report(status.error());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    return report(
        {.what = "not enough memory",
         .why = "the limit of the machine, of the cgroup or of the address space (ulimit -v) is "
                "reached",
         .fix =
             "a higher limit, or a narrower filter: the number of connections at a time decides"});
  } catch (const std::exception& error) {
    return report({.what = std::string("an unexpected failure: ") + error.what(),
                   .why = "this is a defect of tcptrail",
                   .fix = "report it with the command line and the output of `tcptrail doctor`"});
  }
}
