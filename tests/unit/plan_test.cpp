// SPDX-License-Identifier: BSD-2-Clause
// Features in, programs out: no kernel needed.
#include "kernel/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <set>

namespace tcptrail {
namespace {

Features without(std::initializer_list<Feature> off) {
  Features features;
  for (const Feature feature : off) features.turn_off(feature, "denied");
  return features;
}

const PlannedProgram& program(const Plan& plan, std::string_view name) {
  for (const PlannedProgram& p : plan.programs)
    if (p.name == name) return p;
  throw std::out_of_range(std::string(name));
}

std::vector<std::string_view> names_of(ProgramKind kind) {
  std::vector<std::string_view> names;
  for (const Program& p : all_programs())
    if (p.kind == kind) names.push_back(p.name);
  return names;
}

TEST(Programs, WhatExplainsATransitionIsAttachedBeforeTheTransitions) {
  std::set<int> orders;
  int first = INT_MAX;
  int last = 0;
  for (const Program& p : all_programs()) {
    if (p.kind == ProgramKind::kIterator || p.kind == ProgramKind::kMinisocket) continue;
    EXPECT_TRUE(orders.insert(p.order).second) << p.name;
    if (p.name.starts_with("set_state"))
      first = std::min(first, p.order);
    else
      last = std::max(last, p.order);
  }
  EXPECT_LT(last, first);
}

TEST(Programs, AFunctionIsNamedWhereOneIsHooked) {
  for (const Program& p : all_programs())
    EXPECT_EQ(p.function.empty(),
              p.kind != ProgramKind::kFunction && p.kind != ProgramKind::kMinisocket)
        << p.name;
}

TEST(Plan, WithEverythingOnlyWhatNobodyAskedForStaysOff) {
  const Plan plan = make_plan({}, {.snapshot = true, .command_tree = false});
  EXPECT_TRUE(plan.typed);
  EXPECT_TRUE(plan.limits.empty());
  for (const Program& p : all_programs())
    EXPECT_EQ(plan.loads(p.name), p.kind != ProgramKind::kCall && p.use != ProgramUse::kIdentity &&
                                      p.use != ProgramUse::kCommand && p.use != ProgramUse::kBirths)
        << p.name;
}

TEST(Plan, EachProgramThatStaysOffHasAReason) {
  for (std::size_t i = 0; i < kFeatureCount; ++i) {
    const Plan plan =
        make_plan(without({static_cast<Feature>(i)}), {.snapshot = false, .command_tree = false});
    for (const PlannedProgram& p : plan.programs) EXPECT_EQ(p.load, p.why_not.empty()) << p.name;
  }
}

TEST(Plan, EachMissingFeatureSaysWhatIsLessTrue) {
  for (const Feature feature : {Feature::kTpBtf, Feature::kSecondCopy, Feature::kCookie,
                                Feature::kTimeWaitWalk, Feature::kSendReset, Feature::kAccept,
                                Feature::kRefusedCalls, Feature::kIterTcp, Feature::kIterTaskFile})
    // The hooks can tell what the walk would.
    EXPECT_FALSE(make_plan(without({feature, Feature::kTimeWaitHooks}), {}).limits.empty())
        << name_of(feature);
}

TEST(Plan, TheHooksStandInForTheWalk) {
  const Plan plan = make_plan(without({Feature::kTimeWaitWalk}), {});
  EXPECT_TRUE(plan.births);
  EXPECT_TRUE(plan.limits.empty());
  EXPECT_FALSE(make_plan({}, {}).births) << "the walk is exact, and there without them";
  EXPECT_FALSE(make_plan(without({Feature::kTimeWaitWalk, Feature::kTimeWaitHooks}), {}).births);
}

TEST(Plan, WithoutTypedTracepointsTheClassicObjectTracesAlone) {
  const Plan plan = make_plan(
      without({Feature::kTpBtf, Feature::kCookie, Feature::kIterTcp, Feature::kIterTaskFile}), {});
  EXPECT_FALSE(plan.typed);
  EXPECT_FALSE(plan.cookie);
  EXPECT_FALSE(plan.snapshot);
  for (const char* name : {"set_state", "set_state_again", "send_reset", "receive_reset"})
    EXPECT_TRUE(plan.loads(name)) << name;
  EXPECT_TRUE(plan.loads("destroy"))
      << "an address is an identity only until its socket is destroyed";
}

TEST(Plan, WithoutCookiesDestroyEndsIdentities) {
  EXPECT_TRUE(make_plan(without({Feature::kCookie}), {}).loads("destroy"));
}

TEST(Plan, WithoutHooksTheEndsOfTimeWaitAreLookedForAndNothingSaidIsLessTrue) {
  const Plan plan = make_plan(without({Feature::kTimeWaitHooks}), {});
  EXPECT_FALSE(plan.timewait_hooks);
  EXPECT_FALSE(plan.loads("tw_kill"));
  EXPECT_EQ(program(plan, "tw_kill").why_not, "denied");
  EXPECT_TRUE(plan.limits.empty());
}

TEST(Plan, WhatNobodyAskedForDoesNotLoadAndIsNotMissed) {
  const Plan plan =
      make_plan(without({Feature::kRefusedCalls}), {.blocked = false, .time_wait = false});
  EXPECT_FALSE(plan.refused_calls);
  EXPECT_FALSE(plan.timewait_hooks);
  EXPECT_EQ(program(plan, "bind_return").why_not, "refused attempts are not asked for");
  EXPECT_EQ(program(plan, "tw_kill").why_not, "the ends of TIME_WAIT are not asked for");
  EXPECT_TRUE(plan.limits.empty());
}

TEST(Plan, HooksNeedCookies) {
  const Plan plan = make_plan(without({Feature::kCookie}), {});
  EXPECT_FALSE(plan.timewait_hooks) << "nothing else names a minisocket";
  EXPECT_EQ(program(plan, "tw_kill").why_not, "needs cookie");
}

TEST(Plan, WithSocketHooksNoSystemCallIsTraced) {
  const Plan plan = make_plan({}, {});
  EXPECT_TRUE(plan.socket_hooks);
  for (const std::string_view name : names_of(ProgramKind::kCall)) {
    EXPECT_FALSE(plan.loads(name)) << name;
    EXPECT_EQ(program(plan, name).why_not, "socket_hooks tell as much");
  }
}

TEST(Plan, WithoutSocketHooksTheTracepointsTellAsMuch) {
  for (const Feature feature : {Feature::kSocketHooks, Feature::kTpBtf}) {
    const Plan plan = make_plan(without({feature, Feature::kSocketHooks}), {});
    EXPECT_FALSE(plan.socket_hooks);
    EXPECT_TRUE(plan.refused_calls);
    for (const std::string_view name : names_of(ProgramKind::kCall))
      EXPECT_TRUE(plan.loads(name)) << name;
    for (const std::string_view name : names_of(ProgramKind::kFunction))
      EXPECT_FALSE(plan.loads(name)) << name;
  }
  EXPECT_TRUE(make_plan(without({Feature::kSocketHooks}), {}).limits.empty());
}

TEST(Plan, SocketHooksLoadForWhatIsKnownAndAskedForOnly) {
  const Plan locked = make_plan(without({Feature::kRefusedCalls}), {});
  EXPECT_TRUE(locked.loads("accept_hook"));
  for (const char* name : {"bind_hook", "bind6_hook", "listen_hook"})
    EXPECT_EQ(program(locked, name).why_not, "denied");
  const Plan unasked = make_plan({}, {.blocked = false});
  EXPECT_EQ(program(unasked, "bind_hook").why_not, "refused attempts are not asked for");
  EXPECT_EQ(program(unasked, "listen_return").why_not, "refused attempts are not asked for");
  const Plan no_accept = make_plan(without({Feature::kAccept}), {});
  EXPECT_EQ(program(no_accept, "accept_hook").why_not, "denied");
  EXPECT_EQ(program(no_accept, "accept_return").why_not, "denied");
  EXPECT_TRUE(no_accept.loads("bind_hook"));
}

TEST(Plan, WithoutRefusedCallsNoRefusedBindIsSeen) {
  const Plan plan = make_plan(without({Feature::kRefusedCalls}), {});
  EXPECT_FALSE(plan.refused_calls);
  EXPECT_FALSE(plan.loads("bind_return"));
  EXPECT_FALSE(plan.loads("listen_return"));
}

TEST(Plan, ACommandNeedsTheForkTracepoint) {
  EXPECT_TRUE(make_plan({}, {.snapshot = true, .command_tree = true}).loads("process_fork"));
  EXPECT_TRUE(make_plan(without({Feature::kTpBtf}), {.snapshot = true, .command_tree = true})
                  .loads("process_fork"));
  EXPECT_EQ(program(make_plan({}, {}), "process_fork").why_not, "no command is traced");
}

TEST(Plan, ToLookOnlyNothingButTheIteratorsLoads) {
  const Plan plan = make_plan({}, {.snapshot = true, .command_tree = false, .trace = false});
  for (const PlannedProgram& p : plan.programs) {
    EXPECT_EQ(p.load, p.name.starts_with("seen_")) << p.name;
    EXPECT_EQ(p.load, p.why_not.empty()) << p.name;
  }
  EXPECT_TRUE(plan.limits.empty());
  EXPECT_EQ(make_plan(without({Feature::kSendReset}),
                      {.snapshot = true, .command_tree = false, .trace = false})
                .limits.size(),
            0U);
  EXPECT_EQ(make_plan(without({Feature::kIterTaskFile}),
                      {.snapshot = true, .command_tree = false, .trace = false})
                .limits.size(),
            1U);
}

TEST(Plan, NoSnapshotMeansNoIterators) {
  const Plan plan = make_plan({}, {.snapshot = false, .command_tree = false});
  EXPECT_FALSE(plan.loads("seen_sockets"));
  EXPECT_FALSE(plan.loads("seen_holders"));
  EXPECT_TRUE(plan.limits.empty()) << "it was asked for";
}

}  // namespace
}  // namespace tcptrail
