// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/live_queries.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "kernel/machine.h"
#include "kernel/port_queries.h"

namespace tcptrail {

// "1234 (comm with ) and all) S ...": a zombie (Z, X) holds nothing any more. A pid may have
// been given to another process since: then the name is another one, most often.
std::optional<bool> LiveQueries::is_alive(const Process& process) {
  struct stat info {};
  if (::stat("/proc/self/stat", &info) != 0) return std::nullopt;
  std::ifstream file("/proc/" + std::to_string(process.pid) + "/stat");
  std::ostringstream text;
  text << file.rdbuf();
  const std::string stat = text.str();
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 2 >= stat.size())
    return false;
  const char state = stat[close + 2];
  return state != 'Z' && state != 'X' &&
         std::string_view(stat).substr(open + 1, close - open - 1) == process.comm.view();
}

std::optional<PortSysctls> LiveQueries::port_sysctls(std::uint32_t netns) {
  auto known = known_.find(netns);
  if (known == known_.end() || inode_of(known->second.path) != netns) {
    const std::vector<NetNamespace> all = namespaces_with({netns});
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const NetNamespace& n) { return n.inode == netns; });
    if (found == all.end()) return std::nullopt;
    known = known_.insert_or_assign(netns, *found).first;
  }
  std::optional<PortSysctls> sysctls;
  in_net_namespace(known->second, [&] { sysctls = read_port_sysctls(); });
  return sysctls;
}

}  // namespace tcptrail
