// SPDX-License-Identifier: BSD-2-Clause
// The log-linear histogram against exact quantiles of the same values.
#include "stats/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace tcptrail {
namespace {

using namespace histogram;

std::uint64_t exact(std::vector<std::uint64_t> values, double fraction) {
  std::sort(values.begin(), values.end());
  const auto rank =
      static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(values.size())));
  return values[std::max<std::size_t>(rank, 1) - 1];
}

TEST(Histogram, EveryValueLiesInItsBucketAndBucketsFollowEachOther) {
  for (std::uint32_t bucket = 0; bucket + 1 < kBuckets; ++bucket) {
    ASSERT_EQ(bucket_low(bucket) + bucket_width(bucket), bucket_low(bucket + 1)) << bucket;
    ASSERT_EQ(bucket_of(bucket_low(bucket)), bucket);
    ASSERT_EQ(bucket_of(bucket_low(bucket) + bucket_width(bucket) - 1), bucket);
  }
  EXPECT_EQ(bucket_of(kLargest), kBuckets - 1);
  EXPECT_EQ(bucket_of(UINT64_MAX), kBuckets - 1);
}

TEST(Histogram, NoBucketIsWiderThanASixtyFourthOnEitherSideOfItsMiddle) {
  for (std::uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    if (bucket_width(bucket) == 1) continue;
    ASSERT_LE(
        static_cast<double>(bucket_width(bucket)) / 2 / static_cast<double>(bucket_low(bucket)),
        1.0 / 64)
        << bucket;
  }
}

TEST(Histogram, QuantilesOfRandomValuesAreWithinThreePercent) {
  std::mt19937_64 random(7);
  const auto check = [&](const char* name, auto&& draw) {
    DenseHistogram dense;
    PagedHistogram paged;
    HistogramPages pages;
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 20'000; ++i) {
      values.push_back(draw());
      dense.add(values.back());
      paged.add(pages, values.back());
    }
    for (const double fraction : {0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
      const auto truth = static_cast<double>(exact(values, fraction));
      EXPECT_NEAR(static_cast<double>(*dense.quantile(fraction)), truth, truth * 0.03)
          << name << ' ' << fraction;
      EXPECT_EQ(dense.quantile(fraction), paged.quantile(pages, fraction))
          << name << ' ' << fraction;
    }
    EXPECT_EQ(dense.greatest(), *std::max_element(values.begin(), values.end()));
    EXPECT_EQ(dense.quantile(1.0), dense.greatest());
  };
  std::uniform_int_distribution<std::uint64_t> flat(1000, 5'000'000);
  std::lognormal_distribution<double> skewed(13, 3);
  std::exponential_distribution<double> waiting(1e-6);
  check("uniform", [&] { return flat(random); });
  check("lognormal", [&] { return static_cast<std::uint64_t>(skewed(random)); });
  check("exponential", [&] { return static_cast<std::uint64_t>(waiting(random)); });
  check("two values", [&] { return random() % 2 == 0 ? 40'000ULL : 60'000'000'000ULL; });
  check("one value", [] { return 123'456'789ULL; });
}

TEST(Histogram, OneValueIsExactAtEveryQuantile) {
  DenseHistogram h;
  h.add(123'456'789);
  for (const double fraction : {0.0, 0.5, 0.99, 1.0}) EXPECT_EQ(h.quantile(fraction), 123'456'789U);
}

TEST(Histogram, NothingHasNoQuantile) {
  HistogramPages pages;
  EXPECT_FALSE(DenseHistogram().quantile(0.5));
  EXPECT_FALSE(PagedHistogram().quantile(pages, 0.5));
}

TEST(Histogram, PagesOfAClearedHistogramServeTheNextOne) {
  HistogramPages pages;
  PagedHistogram a, b;
  for (std::uint64_t value = 1; value < 1'000'000'000; value *= 2) a.add(pages, value);
  const std::size_t used = pages.in_use();
  EXPECT_GT(used, 20U);
  a.clear(pages);
  EXPECT_EQ(pages.in_use(), 0U);
  EXPECT_EQ(a.count(), 0U);
  for (std::uint64_t value = 1; value < 1'000'000'000; value *= 2) b.add(pages, value);
  EXPECT_EQ(pages.in_use(), used);
  EXPECT_EQ(*b.quantile(pages, 0.01), 1U);  // and no count of the first one is left in them
}

TEST(Histogram, ValuesBetweenLimitsAreCounted) {
  DenseHistogram h;
  for (std::uint64_t value = 0; value < 100'000; ++value) h.add(value);
  EXPECT_NEAR(h.between(0, 100'000), 100'000, 800);
  EXPECT_NEAR(h.between(1000, 2000), 1000, 20);
  EXPECT_NEAR(h.between(50'000, 1'000'000), 50'000, 800);
  EXPECT_EQ(h.between(200'000, 300'000), 0);
}

}  // namespace
}  // namespace tcptrail
