// SPDX-License-Identifier: BSD-2-Clause
// Facts about the machine and the process that are read from /proc and /sys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tcptrail {

inline constexpr std::string_view kBtfPath = "/sys/kernel/btf/vmlinux";

// Root in a user namespace has every capability and none that counts for BPF.
bool in_initial_user_namespace();

// Inode number of our pid namespace when it is not the initial one, else 0.
std::uint32_t foreign_pid_namespace();

// "none", "integrity", "confidentiality"; empty where the kernel has no lockdown.
std::string lockdown_mode();

std::string kernel_release();
std::string host_name();
std::string boot_id();

// Timer ticks per second (CONFIG_HZ): the resolution of the coarse clock is one tick.
std::uint32_t kernel_hz();

// Inode number of a namespace file, 0 when it cannot be read.
std::uint32_t inode_of(const std::string& path);

std::string first_line(const std::string& path);

}  // namespace tcptrail
