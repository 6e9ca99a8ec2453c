// SPDX-License-Identifier: BSD-2-Clause
// Small things in words, the same in every sentence and table: a length of time, an amount
// of bytes, a number, an endpoint, a process, an errno. Pure; used by ports, explain and the
// text views.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tcp/record.h"

namespace tcptrail {

// Three digits or so: "40 us", "1.02 ms", "250 ms", "8.21 s", "5 min 12 s", "3 h 20 min", "2 d 4
// h".
std::string span_text(std::uint64_t ns);
// What is left of a timer: "250 ms", "1.3 s", "57 s". Rounded up, so that it is over by then.
std::string duration_text(std::uint64_t ms);
// "120 B", "19.7 KiB", "3.2 GiB".
std::string bytes_text(std::uint64_t bytes);
// "1 segment", "3 segments".
std::string count_text(std::uint64_t n, std::string_view one, std::string_view many);
// "1,234,567".
std::string grouped(std::uint64_t n);
// "127.0.0.1:80", "[::1]:80"; port 0 is `*`.
std::string endpoint_text(const Address& address, Family family, std::uint16_t port);
// "nginx (pid 12)", escaped; `otherwise` when the process is not known.
std::string process_text(const Process& process, std::string_view otherwise = {});
// "12/nginx" for a table, escaped; "-" when the process is not known.
std::string process_cell(const Process& process);
// "ECONNRESET"; "errno-200" where the C library has no name; "no error" for 0.
std::string errno_text(int error);

}  // namespace tcptrail
