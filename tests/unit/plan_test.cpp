// SPDX-License-Identifier: BSD-2-Clause
// Features in, programs out: no kernel needed.
#include "kernel/plan.h"

#include <gtest/gtest.h>

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

TEST(Plan, WithEverythingOnlyWhatNobodyAskedForStaysOff) {
  const Plan plan = make_plan({}, {.snapshot = true, .command_tree = false});
  EXPECT_TRUE(plan.typed);
  EXPECT_TRUE(plan.limits.empty());
  for (const char* name : {"set_state", "set_state_again", "accept4_return", "accept_return", "bind_return", "listen_return", "send_reset", "receive_reset", "seen_sockets", "seen_holders",
                           "tw_timer", "tw_packet", "tw_packet_done", "tw_reuse", "tw_abort", "tw_kill", "tw_rearm"})
    EXPECT_TRUE(plan.loads(name)) << name;
  EXPECT_FALSE(plan.loads("destroy"));
  EXPECT_FALSE(plan.loads("process_fork"));
}

TEST(Plan, EachProgramThatStaysOffHasAReason) {
  for (std::size_t i = 0; i < kFeatureCount; ++i) {
    const Plan plan = make_plan(without({static_cast<Feature>(i)}), {.snapshot = false, .command_tree = false});
    for (const PlannedProgram& p : plan.programs) EXPECT_EQ(p.load, p.why_not.empty()) << p.name;
  }
}

TEST(Plan, EachMissingFeatureSaysWhatIsLessTrue) {
  for (const Feature feature : {Feature::kTpBtf, Feature::kSecondCopy, Feature::kCookie, Feature::kTimeWaitWalk, Feature::kSendReset, Feature::kAccept, Feature::kRefusedCalls,
                                Feature::kIterTcp, Feature::kIterTaskFile})
    EXPECT_FALSE(make_plan(without({feature}), {}).limits.empty()) << name_of(feature);
}

TEST(Plan, WithoutTypedTracepointsTheClassicObjectTracesAlone) {
  const Plan plan = make_plan(without({Feature::kTpBtf, Feature::kCookie, Feature::kIterTcp, Feature::kIterTaskFile}), {});
  EXPECT_FALSE(plan.typed);
  EXPECT_FALSE(plan.cookie);
  EXPECT_FALSE(plan.snapshot);
  for (const char* name : {"set_state", "set_state_again", "send_reset", "receive_reset"}) EXPECT_TRUE(plan.loads(name)) << name;
  EXPECT_TRUE(plan.loads("destroy")) << "an address is an identity only until its socket is destroyed";
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

TEST(Plan, HooksNeedCookies) {
  const Plan plan = make_plan(without({Feature::kCookie}), {});
  EXPECT_FALSE(plan.timewait_hooks) << "nothing else names a minisocket";
  EXPECT_EQ(program(plan, "tw_kill").why_not, "needs cookie");
}

TEST(Plan, WithoutTheCallTracepointsNoRefusedBindIsSeen) {
  const Plan plan = make_plan(without({Feature::kRefusedCalls}), {});
  EXPECT_FALSE(plan.refused_calls);
  EXPECT_FALSE(plan.loads("bind_return"));
  EXPECT_FALSE(plan.loads("listen_return"));
  EXPECT_TRUE(plan.loads("accept4_return"));
}

TEST(Plan, ACommandNeedsTheForkTracepoint) {
  EXPECT_TRUE(make_plan({}, {.snapshot = true, .command_tree = true}).loads("process_fork"));
  EXPECT_EQ(program(make_plan({}, {}), "process_fork").why_not, "no command is traced");
}

TEST(Plan, ToLookOnlyNothingButTheIteratorsLoads) {
  const Plan plan = make_plan({}, {.snapshot = true, .command_tree = false, .trace = false});
  for (const PlannedProgram& p : plan.programs) {
    EXPECT_EQ(p.load, p.name.starts_with("seen_")) << p.name;
    EXPECT_EQ(p.load, p.why_not.empty()) << p.name;
  }
  EXPECT_TRUE(plan.limits.empty());
  EXPECT_EQ(make_plan(without({Feature::kSendReset}), {.snapshot = true, .command_tree = false, .trace = false}).limits.size(), 0U);
  EXPECT_EQ(make_plan(without({Feature::kIterTaskFile}), {.snapshot = true, .command_tree = false, .trace = false}).limits.size(), 1U);
}

TEST(Plan, NoSnapshotMeansNoIterators) {
  const Plan plan = make_plan({}, {.snapshot = false, .command_tree = false});
  EXPECT_FALSE(plan.loads("seen_sockets"));
  EXPECT_FALSE(plan.loads("seen_holders"));
  EXPECT_TRUE(plan.limits.empty()) << "it was asked for";
}

}  // namespace
}  // namespace tcptrail
