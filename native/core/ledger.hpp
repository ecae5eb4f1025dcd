// Bytes per feature, counted as requests are trimmed.
//
// Counters lie in a few shards; a request takes one that is free, for as long as it counts, so threads do not wait for each
// other. Names come from requests, hence from anyone: their number and length are bounded, the rest shares one counter.
#pragma once

#include <array>
#include <mutex>

#include "core/payload.hpp"

namespace trimtab {

struct Account {
  uint64_t kept = 0;
  uint64_t kept_bytes = 0;
  uint64_t dropped = 0;
  uint64_t dropped_bytes = 0;

  void add(const Account& other) noexcept;
};

class Ledger {
 public:
  static constexpr size_t kLongestName = 256;

  explicit Ledger(uint32_t max_names) noexcept : max_names_(max_names) {}

  // Counts the elements of a request as it was selected, each with its parallel entry.
  void count(const Trimming& trimming) noexcept;

  // The sums over the shards, in `names` and `accounts` by number; `overflow` for the names that are not kept apart.
  void snapshot(NameTable& names, std::vector<Account>& accounts, Account& overflow) const;
  // Zeroes every counter and forgets the names.
  void reset() noexcept;

 private:
  struct Shard {
    mutable std::mutex mutex;
    NameTable names;
    std::vector<Account> accounts;
    Account overflow;
  };

  Account& account_of(Shard& shard, Bytes name) const noexcept;

  const uint32_t max_names_;
  std::array<Shard, 4> shards_;
};

}  // namespace trimtab
