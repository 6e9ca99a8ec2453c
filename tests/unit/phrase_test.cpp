// SPDX-License-Identifier: BSD-2-Clause
// The small words that every sentence and table shares.
#include "tcp/phrase.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "sample_records.h"

namespace tcptrail {
namespace {

TEST(Phrase, SpansKeepThreeDigits) {
  EXPECT_EQ(span_text(0), "0 us");
  EXPECT_EQ(span_text(400), "< 1 us");
  EXPECT_EQ(span_text(40'000), "40 us");
  EXPECT_EQ(span_text(999'600), "1.00 ms");
  EXPECT_EQ(span_text(12'345'678), "12.3 ms");
  EXPECT_EQ(span_text(250'000'000), "250 ms");
  EXPECT_EQ(span_text(8'213'000'000), "8.21 s");
  EXPECT_EQ(span_text(60'000'000'000), "60.0 s");
  EXPECT_EQ(span_text(312'000'000'000), "5 min 12 s");
  EXPECT_EQ(span_text(12'000'000'000'000), "3 h 20 min");
  EXPECT_EQ(span_text(187'200'000'000'000), "2 d 4 h");
  EXPECT_EQ(span_text(UINT64_MAX), "213503 d 23 h");
}

TEST(Phrase, BytesHaveBinaryUnits) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(20'203), "19.7 KiB");
  EXPECT_EQ(bytes_text(123'456'789), "118 MiB");
  EXPECT_EQ(bytes_text(UINT64_MAX), "16.0 EiB");
}

TEST(Phrase, EndpointsOfIpv6StandInBrackets) {
  EXPECT_EQ(endpoint_text(test::tuple_v6(1, 2).laddr, Family::kIpv6, 443), "[2001:db8::10]:443");
  EXPECT_EQ(endpoint_text(test::tuple_v4(1, 2).laddr, Family::kIpv4, 0), "127.0.0.1:*");
}

TEST(Phrase, TimeLeftIsRoundedUp) {
  EXPECT_EQ(duration_text(0), "0 ms");
  EXPECT_EQ(duration_text(999), "999 ms");
  EXPECT_EQ(duration_text(1001), "1.1 s");
  EXPECT_EQ(duration_text(59'001), "60 s");
}

TEST(Phrase, NumbersAreGroupedByThree) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

TEST(Phrase, ErrnoWithoutANameIsANumber) {
  EXPECT_EQ(errno_text(ECONNRESET), "ECONNRESET");
  EXPECT_EQ(errno_text(4000), "errno-4000");
  EXPECT_EQ(errno_text(0), "no error");
}

TEST(Phrase, ProcessThatIsNotKnownIsCalledAsTheSentenceNeedsIt) {
  Process process;
  EXPECT_EQ(process_text(process), "");
  EXPECT_EQ(process_text(process, "this end"), "this end");
  EXPECT_EQ(process_cell(process), "-");
  process.pid = 12;
  EXPECT_EQ(process_text(process, "this end"), "a process (pid 12)");
}

}  // namespace
}  // namespace tcptrail
