// SPDX-License-Identifier: BSD-2-Clause
#include "stage.h"

#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tcpload {

Stage::Stage(std::string name, Family family, Path* path, std::size_t payload)
    : client("load-client", family, "active"),
      server("load-server", family, "passive"),
      name_(std::move(name)),
      family_(family),
      path_(path),
      payload_(payload) {
  client.peer_ = &server;
  server.peer_ = &client;
}

void Stage::listen() { server.listen(path_ != nullptr ? Path::server() : loopback(family_, 0)); }

void Stage::connect() {
  if (path_ != nullptr) client.bind(Path::client());
  if (const int error = client.connect(server.listening()); error != 0)
    throw std::system_error(error, std::generic_category(), "connect");
}

void Stage::open() {
  listen();
  connect();
  server.accept();
  exchange();
}

void Stage::exchange() {
  if (payload_ == 0) return;
  client.send(payload_);
  server.receive(payload_);
  server.send(payload_);
  client.receive(payload_);
}

namespace {

std::string quoted(const char* text) {
  return *text == '\0' ? "null" : fmt::format(R"("{}")", text);
}

std::string port_text(std::uint16_t port) { return port == 0 ? "null" : std::to_string(port); }

}  // namespace

std::string Stage::line(const End& end, const Tuple& tuple, const End* other,
                        const Expect& expect) const {
  std::vector<std::string> facts;
  const auto fact = [&](const char* name, const char* value) {
    if (value != nullptr) facts.push_back(fmt::format(R"("{}":{})", name, quoted(value)));
  };
  fact("closer", expect.closer);
  fact("how", expect.how);
  fact("error", expect.error);
  fact("timewait", expect.timewait);
  fact("role", expect.role != nullptr ? expect.role : end.role_);
  std::optional<pid_t> closer_pid = expect.closer_pid;
  if (!closer_pid && expect.closer != nullptr) {
    const std::string_view closer = expect.closer;
    if (closer == "local")
      closer_pid = end.pid();
    else if (closer == "remote" && other != nullptr)
      closer_pid = other->pid();
    else if (closer == "none")
      closer_pid = 0;
  }
  if (closer_pid) {
    facts.push_back(
        fmt::format(R"("closer_pid":{})", *closer_pid == 0 ? "null" : std::to_string(*closer_pid)));
  }
  return fmt::format(
      R"({{"laddr":"{}","lport":{},"raddr":"{}","rport":{},"generation":{},"pid":{},"sent":{},"orphan":{},"expect":{{{}}}}})",
      text(tuple.local), port_text(tuple.local.port), text(tuple.remote),
      port_text(tuple.remote.port), end.generation_, end.pid(), end.sent_, end.orphan_,
      fmt::join(facts, ","));
}

void Stage::print(const std::string& client_line, const std::string& server_line) {
  print_line(fmt::format(R"({{"case":"{}","family":"{}","netns":{},"client":{},"server":{}}})",
                         name_, packet_family(family_), network_namespace(), client_line,
                         server_line));
  ++reported_;
}

void Stage::report(const Expect& for_client, const Expect& for_server) {
  if (server.tuple_.local.port == 0) {  // never accepted: nobody could ask for its names
    report(client, for_client, for_server);
  } else {
    print(line(client, client.tuple_, &server, for_client),
          line(server, server.tuple_, &client, for_server));
  }
}

void Stage::report(const Expect& for_client) { report(client, for_client); }

void Stage::report(const End& other, const Expect& expect) {
  print(line(other, other.tuple_, nullptr, expect), "null");
}

void Stage::report(const End& other, const Expect& expect, const Expect& never_accepted) {
  print(line(other, other.tuple_, &server, expect),
        line(server, {other.tuple_.remote, other.tuple_.local}, &other, never_accepted));
}

}  // namespace tcpload
