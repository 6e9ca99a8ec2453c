// SPDX-License-Identifier: BSD-2-Clause
// The two ends of a connection, each in a process of its own, directed from here; and the line that
// says what became of them and what a tracer has to report.
#pragma once

#include <optional>
#include <string>

#include "end.h"
#include "path.h"

namespace tcpload {

// What a tracer has to say about one end. A null pointer is "not determined"; kNull is the JSON
// null.
inline constexpr const char* kNull = "";
struct Expect {
  const char* closer = nullptr;
  const char* how = nullptr;
  const char* error = nullptr;
  const char* timewait = nullptr;
  const char* role = nullptr;
  std::optional<pid_t> closer_pid{};  // unset: the owner of the end that `closer` names
};

inline constexpr Expect kLocalFin{"local", "fin", kNull, "local"};
inline constexpr Expect kRemoteFin{"remote", "fin", kNull, "remote"};
inline constexpr Expect kBothFin{"both", "fin", kNull, "both"};
inline constexpr Expect kLocalReset{"local", "rst-sent", kNull, "none"};
inline constexpr Expect kRemoteReset{"remote", "rst-received", "ECONNRESET", "none"};
inline constexpr Expect kTimeout{"none", "timeout", "ETIMEDOUT", "none"};

class Stage {
 public:
  Stage(std::string name, Family family, Path* path = nullptr, std::size_t payload = 0);

  // A connection from client to server, open at both ends, `payload` bytes exchanged each way.
  void open();
  // The same in steps, for cases that set options in between.
  void listen();
  void connect();
  void exchange();

  // One line on stdout: both ends, or only the client's.
  void report(const Expect& client, const Expect& server);
  void report(const Expect& client);
  // An end beside the two of the stage: alone, or with a peer that the server never accepted.
  void report(const End& other, const Expect& expect);
  void report(const End& other, const Expect& expect, const Expect& never_accepted);

  unsigned reported() const { return reported_; }  // connections
  Path& path() { return *path_; }

  End client;
  End server;

 private:
  std::string line(const End& end, const Tuple& tuple, const End* other,
                   const Expect& expect) const;
  void print(const std::string& client_line, const std::string& server_line);

  std::string name_;
  Family family_;
  Path* path_;
  std::size_t payload_;
  unsigned reported_ = 0;
};

}  // namespace tcpload
