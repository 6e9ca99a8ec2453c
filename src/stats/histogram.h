// SPDX-License-Identifier: BSD-2-Clause
// Counts of values (nanoseconds) by size, for quantiles: log-linear as in HdrHistogram,
// 32 steps in each power of two, so that a quantile is wrong by 1/64 (1.6 %) at most.
// Two shapes: DenseHistogram for a few, PagedHistogram for thousands, which takes a
// page for each power of two that occurs from a pool they share. Pure; no allocation
// once the pool has grown. Used by stats.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tcptrail {

namespace histogram {

inline constexpr unsigned kStepBits = 5;
inline constexpr std::uint32_t kSteps = 1U << kStepBits;  // in each power of two
// Values of 2^50 ns (13 days) and more are counted as that.
inline constexpr unsigned kMaxBits = 50;
inline constexpr std::uint64_t kLargest = (std::uint64_t{1} << kMaxBits) - 1;
// The first two pages hold 0 to 63 one by one, each further page a power of two.
inline constexpr std::uint32_t kPages = kMaxBits - kStepBits + 1;
inline constexpr std::uint32_t kBuckets = kPages * kSteps;

// Below 2^kStepBits each value has a bucket of its own.
constexpr std::uint32_t bucket_of(std::uint64_t value) {
  if (value > kLargest) value = kLargest;
  if (value < kSteps) return static_cast<std::uint32_t>(value);
  const auto power =
      static_cast<std::uint32_t>(std::bit_width(value)) - 1 - kStepBits;  // of the bucket's width
  return power * kSteps + static_cast<std::uint32_t>(value >> power);
}

// The smallest value of a bucket, and how many it has.
constexpr std::uint64_t bucket_low(std::uint32_t bucket) {
  if (bucket < 2 * kSteps) return bucket;
  const std::uint32_t power = bucket / kSteps - 1;
  return std::uint64_t{kSteps + bucket % kSteps} << power;
}
constexpr std::uint64_t bucket_width(std::uint32_t bucket) {
  return bucket < 2 * kSteps ? 1 : std::uint64_t{1} << (bucket / kSteps - 1);
}

// What both shapes know of all values.
struct Totals {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  std::uint64_t least = UINT64_MAX;
  std::uint64_t greatest = 0;
  void add(std::uint64_t value) {
    ++count;
    sum += value;
    least = std::min(least, value);
    greatest = std::max(greatest, value);
  }
};

// The least value that `fraction` of the values do not exceed; nullopt when there are none.
// `count_of(page)` gives the counts of a page, or null.
template <class CountsOf>
std::optional<std::uint64_t> quantile(const Totals& totals, double fraction, CountsOf&& counts_of) {
  if (totals.count == 0) return std::nullopt;
  const double rank = fraction * static_cast<double>(totals.count);
  auto wanted = static_cast<std::uint64_t>(rank);
  if (static_cast<double>(wanted) < rank) ++wanted;
  wanted = std::clamp<std::uint64_t>(wanted, 1, totals.count);
  if (wanted == totals.count) return totals.greatest;
  std::uint64_t seen = 0;
  for (std::uint32_t page = 0; page < kPages; ++page) {
    const std::uint32_t* counts = counts_of(page);
    if (counts == nullptr) continue;
    for (std::uint32_t step = 0; step < kSteps; ++step) {
      seen += counts[step];
      if (seen < wanted) continue;
      const std::uint32_t bucket = page * kSteps + step;
      return std::clamp(bucket_low(bucket) + (bucket_width(bucket) - 1) / 2, totals.least,
                        totals.greatest);
    }
  }
  return totals.greatest;
}

}  // namespace histogram

class DenseHistogram {
 public:
  void add(std::uint64_t value) {
    totals_.add(value);
    ++counts_[histogram::bucket_of(value)];
  }
  void clear() { *this = DenseHistogram(); }
  [[nodiscard]] std::uint64_t count() const { return totals_.count; }
  [[nodiscard]] std::uint64_t greatest() const { return totals_.greatest; }
  [[nodiscard]] std::optional<std::uint64_t> quantile(double fraction) const {
    return histogram::quantile(
        totals_, fraction,
        [this](std::uint32_t page) { return &counts_[page * histogram::kSteps]; });
  }
  // How many values lie in [low, high); exact where the two are limits of buckets, else by share.
  [[nodiscard]] double between(std::uint64_t low, std::uint64_t high) const {
    double n = 0;
    for (std::uint32_t bucket = histogram::bucket_of(low); bucket < histogram::kBuckets; ++bucket) {
      if (counts_[bucket] == 0) continue;
      const std::uint64_t first = histogram::bucket_low(bucket);
      if (first >= high) break;
      const std::uint64_t width = histogram::bucket_width(bucket);
      const std::uint64_t from = std::max(first, low);
      const std::uint64_t to = std::min(first + width, high);
      if (to > from)
        n += static_cast<double>(counts_[bucket]) * static_cast<double>(to - from) /
             static_cast<double>(width);
    }
    return n;
  }

 private:
  histogram::Totals totals_;
  std::array<std::uint32_t, histogram::kBuckets> counts_{};
};

// Pages of 32 counts, taken and given back.
class HistogramPages {
 public:
  using Page = std::array<std::uint32_t, histogram::kSteps>;
  static constexpr std::uint32_t kNone = 0;

  std::uint32_t take() {
    if (!free_.empty()) {
      const std::uint32_t page = free_.back();
      free_.pop_back();
      pages_[page].fill(0);
      return page;
    }
    pages_.emplace_back();
    free_.reserve(pages_.size());  // giving back never allocates
    return static_cast<std::uint32_t>(pages_.size() - 1);
  }
  void give_back(std::uint32_t page) { free_.push_back(page); }
  Page& operator[](std::uint32_t page) { return pages_[page]; }
  const Page& operator[](std::uint32_t page) const { return pages_[page]; }
  [[nodiscard]] std::size_t in_use() const { return pages_.size() - 1 - free_.size(); }

 private:
  std::vector<Page> pages_ = std::vector<Page>(1);  // the first one is kNone
  std::vector<std::uint32_t> free_;
};

class PagedHistogram {
 public:
  void add(HistogramPages& pages, std::uint64_t value) {
    totals_.add(value);
    const std::uint32_t bucket = histogram::bucket_of(value);
    std::uint32_t& page = pages_[bucket / histogram::kSteps];
    if (page == HistogramPages::kNone) page = pages.take();
    ++pages[page][bucket % histogram::kSteps];
  }
  void clear(HistogramPages& pages) {
    if (totals_.count == 0) return;
    for (const std::uint32_t page : pages_)
      if (page != HistogramPages::kNone) pages.give_back(page);
    *this = PagedHistogram();
  }
  [[nodiscard]] std::uint64_t count() const { return totals_.count; }
  [[nodiscard]] std::uint64_t greatest() const { return totals_.greatest; }
  [[nodiscard]] std::optional<std::uint64_t> quantile(const HistogramPages& pages,
                                                      double fraction) const {
    return histogram::quantile(
        totals_, fraction,
        [&](std::uint32_t page) -> const std::uint32_t* {
          return pages_[page] == HistogramPages::kNone ? nullptr : pages[pages_[page]].data();
        });
  }

 private:
  histogram::Totals totals_;
  std::array<std::uint32_t, histogram::kPages> pages_{};
};

}  // namespace tcptrail
