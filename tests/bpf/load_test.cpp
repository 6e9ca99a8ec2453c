// SPDX-License-Identifier: BSD-2-Clause
// Every program and every plan on the running kernel: compiling proves nothing
// about loading. And the in-kernel decisions with chosen inputs.
#include <algorithm>
#include <map>
#include <string>

#include "live.h"
#include "tcptrail_classic.skel.h"
#include "tcptrail_timewait.skel.h"
#include "tcptrail_typed.skel.h"

namespace tcptrail {
namespace {

using test::kRing;

class Load : public test::OnThisKernel {
 protected:
  // Under lockdown=confidentiality only typed programs with a typed current task can do without
  // probe reads.
  static bool must_fail(const std::vector<std::string>& denied) {
    if (probe_features({})[Feature::kTimeWaitWalk].on) return false;
    return std::any_of(denied.begin(), denied.end(), [](const std::string& name) {
      return name == "tp_btf" || name == "task_btf";
    });
  }
  static void loads(const std::vector<std::string>& denied, const SessionOptions& options) {
    if (!must_fail(denied)) {
      EXPECT_NE(start(denied, {}, options), nullptr);
      return;
    }
    const auto session = Session::start(make_plan(probe_features(denied), {}), options);
    ASSERT_FALSE(session);
    EXPECT_NE(session.error().why.find("lockdown"), std::string::npos) << session.error().why;
  }
};

// Section by name.
std::map<std::string, std::string> programs_in(const void* elf, std::size_t size) {
  const std::unique_ptr<bpf_object, Deleter<bpf_object__close>> object(
      bpf_object__open_mem(elf, size, nullptr));
  std::map<std::string, std::string> programs;
  bpf_program* program = nullptr;
  if (object)
    bpf_object__for_each_program(program, object.get()) programs[bpf_program__name(program)] =
        bpf_program__section_name(program);
  return programs;
}

TEST(Programs, TheTableHasThoseOfTheObjectsAndWhatTheyHook) {
  std::size_t size = 0;
  const void* elf = tcptrail_typed__elf_bytes(&size);
  auto typed = programs_in(elf, size);
  elf = tcptrail_classic__elf_bytes(&size);
  auto classic = programs_in(elf, size);
  elf = tcptrail_timewait__elf_bytes(&size);
  auto timewait = programs_in(elf, size);
  for (const Program& program : all_programs()) {
    SCOPED_TRACE(program.name);
    const std::string name(program.name);
    const bool minisocket = program.kind == ProgramKind::kMinisocket;
    const std::string section = (minisocket ? timewait : typed)[name];
    EXPECT_FALSE(section.empty());
    if (!program.function.empty()) {
      EXPECT_EQ(section.substr(section.find('/') + 1), program.function);
    }
    EXPECT_EQ((minisocket ? timewait : typed).erase(name), 1U);
    if (program.kind == ProgramKind::kEvent || program.kind == ProgramKind::kCall) {
      EXPECT_EQ(classic.erase(name), 1U);
    }
  }
  for (const auto* rest : {&typed, &classic, &timewait})
    for (const auto& [name, section] : *rest) ADD_FAILURE() << name << " is not in the table";
}

TEST_F(Load, EveryProgramLoadsAndAttaches) {
  EXPECT_NE(start({"cookie"}, {.snapshot = true, .command_tree = true},
                  {.filters = {}, .ring_bytes = kRing, .command_pid = 1}),
            nullptr)
      << "without the cookie `destroy` loads too";
}

TEST_F(Load, EveryPlanWithOneFeatureDeniedLoads) {
  for (const std::string_view feature : feature_names()) {
    SCOPED_TRACE(feature);
    loads({std::string(feature)}, {.filters = {}, .ring_bytes = kRing});
  }
}

TEST_F(Load, ThePlanWithEverythingDeniedStillTraces) {
  std::vector<std::string> all(feature_names().begin(), feature_names().end());
  loads(all, {.filters = {}, .ring_bytes = kRing});
}

// `ports`: the iterators alone, and a socket that is in no list of the kernel's.
TEST_F(Load, ToLookOnlyASnapshotNeedsNoTracing) {
  if (!probe_features({}).on(Feature::kIterTaskFile)) GTEST_SKIP() << "iter_task_file is off here";
  const auto session = start({}, {.snapshot = true, .command_tree = false, .trace = false},
                             {.filters = {}, .ring_bytes = kRing});
  ASSERT_NE(session, nullptr);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  bool seen = false;
  Event event{};
  const auto drain = [&] {
    session->ring().drain([&](std::span<const std::byte> bytes) {
      EXPECT_TRUE(decode(bytes, event));
      EXPECT_TRUE(event.kind() == TCPTRAIL_SEEN_SOCKET || event.kind() == TCPTRAIL_SEEN_HOLDER);
      if (event.kind() == TCPTRAIL_SEEN_SOCKET && event.base.lport == ntohs(address.sin_port) &&
          event.new_state() == TcpState::kClose) {
        seen = true;
        EXPECT_TRUE((event.owned.bind & TCPTRAIL_BIND_BUCKET) != 0 && event.owned.fastreuse == 0);
      }
      return true;
    });
  };
  session->snapshot({}, drain);
  drain();
  ::close(fd);
  EXPECT_EQ(seen, probe_features({}).on(Feature::kIterTaskFile))
      << "its holder is the only way to it";
}

TEST_F(Load, EveryFilterLoads) {
  SessionOptions options{.filters = {}, .ring_bytes = kRing};
  options.filters.lports.ranges = {{80, 80}, {8000, 8099}};
  options.filters.rports.ranges = {{443, 443}};
  options.filters.family = FamilyFilter::kIpv4;
  for (int i = 0; i < 8; ++i) {
    options.filters.laddrs.push_back(*parse_prefix("10.0.0.0/8"));
    options.filters.raddrs.push_back(*parse_prefix("fd00::/8"));
  }
  options.filters.netns = {1, 2, 3};
  options.filters.uid = 0;
  options.filters.cgroup_ids = {1};
  for (const std::vector<std::string>& denied :
       {std::vector<std::string>{}, std::vector<std::string>{"tp_btf"}})
    loads(denied, options);
}

TEST_F(Load, ASnapshotShowsSocketsAndHoldersAndReadsItsOwnNamespaceToTheEnd) {
  const auto session = start({}, {}, {.filters = {}, .ring_bytes = kRing});
  ASSERT_NE(session, nullptr);
  std::size_t malformed = 0;
  Event event{};
  const auto drain = [&] {
    session->ring().drain([&](std::span<const std::byte> bytes) {
      if (!decode(bytes, event)) ++malformed;
      return true;
    });
  };
  const std::vector<std::uint32_t> read = session->snapshot({}, drain).netns_read;
  drain();
  EXPECT_FALSE(read.empty());
  EXPECT_EQ(malformed, 0U);
}

}  // namespace
}  // namespace tcptrail
