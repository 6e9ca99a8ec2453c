// SPDX-License-Identifier: BSD-2-Clause
// The user-space filter: what is decided, and what has to wait.
#include "tcp/filter.h"

#include <gtest/gtest.h>

#include "sample_records.h"

namespace tcptrail {
namespace {

using test::comm;

FilterInput facts(std::uint16_t lport = 8080, std::uint16_t rport = 50000) {
  FilterInput f;
  f.tuple = test::tuple_v4(lport, rport);
  f.netns = 100;
  return f;
}

PortSet ports(std::vector<PortRange> ranges) { return PortSet{std::move(ranges)}; }

TEST(PortSet, FindsPortsAtTheEdgesOfRanges) {
  const PortSet set = ports({{80, 80}, {443, 443}, {8000, 8099}});
  for (const int port : {80, 443, 8000, 8050, 8099}) {
    EXPECT_TRUE(set.contains(static_cast<std::uint16_t>(port))) << port;
  }
  for (const int port : {0, 79, 81, 442, 444, 7999, 8100, 65535}) {
    EXPECT_FALSE(set.contains(static_cast<std::uint16_t>(port))) << port;
  }
  EXPECT_FALSE(PortSet{}.contains(80));
}

TEST(Filter, AsksNothingByDefault) {
  EXPECT_EQ(match({}, FilterInput{}), Match::kYes);
  EXPECT_TRUE(match_final({}, test::nothing_known().record));
}

TEST(Filter, LocalPortThatIsNotChosenYetIsUndecided) {
  Filters f;
  f.lports = ports({{50000, 50999}});
  EXPECT_EQ(match(f, facts(0)), Match::kUndecided);
  EXPECT_EQ(match(f, facts(50001)), Match::kYes);
  EXPECT_EQ(match(f, facts(40000)), Match::kNo);
}

TEST(Filter, ListenerNeverMatchesARemotePortOrAddress) {
  Filters f;
  f.rports = ports({{443, 443}});
  FilterInput listener = facts(8080, 0);
  listener.tuple.raddr = {};
  EXPECT_EQ(match(f, listener), Match::kUndecided);  // an early child
  listener.listener = true;
  EXPECT_EQ(match(f, listener), Match::kNo);
  Filters by_address;
  by_address.raddrs = {*parse_prefix("10.0.0.0/8")};
  EXPECT_EQ(match(by_address, listener), Match::kNo);
}

TEST(Filter, OneNoDecidesWhateverElseIsUnknown) {
  Filters f;
  f.pids = {7};
  f.family = FamilyFilter::kIpv6;
  EXPECT_EQ(match(f, facts()), Match::kNo);
  f.family = FamilyFilter::kIpv4;
  EXPECT_EQ(match(f, facts()), Match::kUndecided);
}

TEST(Filter, UnknownOwnerIsUndecidedUntilTheEnd) {
  Filters f;
  f.pids = {7};
  FilterInput x = facts();
  EXPECT_EQ(match(f, x), Match::kUndecided);
  x.ended = true;
  EXPECT_EQ(match(f, x), Match::kNo);
}

TEST(Filter, AnotherOwnerMayStillComeUnlessThisOneClosed) {
  Filters f;
  f.pids = {7};
  FilterInput x = facts();
  x.owner = {8, comm("parent")};
  x.owner_source = OwnerSource::kAccept;
  EXPECT_EQ(match(f, x), Match::kUndecided);
  x.owner_source = OwnerSource::kClose;
  EXPECT_EQ(match(f, x), Match::kNo);
  x.owner.pid = 7;
  EXPECT_EQ(match(f, x), Match::kYes);
}

TEST(Filter, CommIsAGlobOnItsBytes) {
  Filters f;
  f.comm_glob = "ngin*";
  FilterInput x = facts();
  x.owner = {8, comm("nginx")};
  EXPECT_EQ(match(f, x), Match::kYes);
  x.owner.comm = comm("engine");
  x.ended = true;
  EXPECT_EQ(match(f, x), Match::kNo);
}

TEST(Filter, PidAndCommMustBothHold) {
  Filters f;
  f.pids = {8};
  f.comm_glob = "curl";
  FilterInput x = facts();
  x.owner = {8, comm("wget")};
  x.owner_source = OwnerSource::kClose;
  EXPECT_EQ(match(f, x), Match::kNo);
}

TEST(Filter, OriginIsDecidedAsSoonAsItIsKnown) {
  Filters f;
  f.netns = {100, 200};
  f.uid = 1000;
  f.cgroup_ids = {55};
  f.in_tree = true;
  FilterInput x = facts();
  EXPECT_EQ(match(f, x), Match::kUndecided);
  x.uid = 1000;
  x.cgroup_id = 55;
  x.in_tree = true;
  EXPECT_EQ(match(f, x), Match::kYes);
  x.in_tree = false;
  EXPECT_EQ(match(f, x), Match::kNo);
  x.in_tree = true;
  x.netns = 300;
  EXPECT_EQ(match(f, x), Match::kNo);
}

TEST(Filter, AddressesMatchAnyPrefix) {
  Filters f;
  f.laddrs = {*parse_prefix("10.0.0.0/8"), *parse_prefix("127.0.0.0/8")};
  EXPECT_EQ(match(f, facts()), Match::kYes);
  FilterInput unbound = facts();
  unbound.tuple.laddr = {};
  EXPECT_EQ(match(f, unbound), Match::kUndecided);
  f.laddrs = {*parse_prefix("::1")};
  EXPECT_EQ(match(f, facts()), Match::kNo);
}

TEST(FilterFinal, CloserHowAndTimeAreAsked) {
  const test::OwnedConnection c = test::server_closed_first();
  Filters f;
  f.closed_by = {Closer::kLocal};
  f.how = {How::kFin, How::kRefused};
  f.min_duration_ns = 8'000'000'000;
  EXPECT_TRUE(match_final(f, c.record));
  f.min_duration_ns = 9'000'000'000;
  EXPECT_FALSE(match_final(f, c.record));
  f.min_duration_ns.reset();
  f.closed_by = {Closer::kRemote, Closer::kBoth};
  EXPECT_FALSE(match_final(f, c.record));
  f.closed_by.clear();
  f.how = {How::kRefused};
  EXPECT_FALSE(match_final(f, c.record));
}

TEST(FilterFinal, UnknownDurationIsNotLongEnough) {
  Filters f;
  f.min_duration_ns = 0;
  EXPECT_FALSE(match_final(f, test::nothing_known().record));
}

TEST(FilterFinal, UnknownOwnerDoesNotMatchAPid) {
  Filters f;
  f.pids = {12241};
  EXPECT_TRUE(match_final(f, test::server_closed_first().record));
  EXPECT_FALSE(match_final(f, test::nothing_known().record));
}

TEST(FilterFinal, TreeWasDecidedBefore) {
  Filters f;
  f.in_tree = true;
  EXPECT_TRUE(match_final(f, test::server_closed_first().record));
}

TEST(FilterFinal, ErrorsAreEverythingButAnOrderlyEnd) {
  Filters f;
  f.errors_only = true;
  EXPECT_FALSE(match_final(f, test::server_closed_first().record));
  EXPECT_TRUE(match_final(f, test::refused_v6().record));
  ConnectionRecord r = test::server_closed_first().record;
  for (const How how : {How::kRstSent, How::kRstReceived, How::kTimeout, How::kUnreachable,
                        How::kNoPort, How::kAborted, How::kHalfOpen}) {
    r.how = how;
    EXPECT_TRUE(ended_badly(r)) << to_string(how);
  }
  r.how = How::kUnknown;
  EXPECT_FALSE(ended_badly(r));
  r.error = 110;
  EXPECT_TRUE(ended_badly(r));
}

TEST(Words, EveryWordOfAListIsUnderstood) {
  for (const std::string_view word : closer_words())
    EXPECT_EQ(to_string(closer_from_string(word).value()), word);
  for (const std::string_view word : how_words())
    EXPECT_EQ(to_string(how_from_string(word).value()), word);
  EXPECT_EQ(closer_words().back(), "unknown");
  EXPECT_EQ(how_words().back(), "unknown");
}

TEST(Words, EachRecordTypeIsOneWordAndAllIsAllOfThem) {
  EventSet each;
  EventSet all;
  for (const std::string_view word : event_words()) {
    EventSet one;
    EXPECT_TRUE(add_events(one, word));
    EXPECT_NE(one, EventSet{}) << word;
    if (word == "all") {
      all = one;
      continue;
    }
    EXPECT_EQ(one.transition + one.connection + one.time_wait + one.blocked, 1) << word;
    add_events(each, word);
  }
  EXPECT_EQ(each, all);
  EXPECT_EQ(all, (EventSet{true, true, true, true}));
  EXPECT_FALSE(add_events(all, "transitions"));
}

}  // namespace
}  // namespace tcptrail
