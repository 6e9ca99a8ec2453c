// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/capabilities.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace tcptrail {

std::optional<Capabilities> read_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return std::nullopt;
  return Capabilities{.effective = data[0].effective | CapabilitySet{data[1].effective} << 32,
                      .permitted = data[0].permitted | CapabilitySet{data[1].permitted} << 32};
}

bool write_capabilities(const Capabilities& capabilities) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = static_cast<std::uint32_t>(capabilities.effective);
  data[1].effective = static_cast<std::uint32_t>(capabilities.effective >> 32);
  data[0].permitted = static_cast<std::uint32_t>(capabilities.permitted);
  data[1].permitted = static_cast<std::uint32_t>(capabilities.permitted >> 32);
  return ::syscall(SYS_capset, &header, data) == 0;
}

}  // namespace tcptrail
