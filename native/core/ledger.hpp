// Bytes per feature, counted as requests are trimmed.
//
// One lock per request, held for a few additions per element. Names come from requests, hence from anyone: their number
// and length are bounded, the rest shares one account.
#pragma once

#include <array>
#include <mutex>
#include <new>

#include "core/payload.hpp"

namespace trimtab {

using Account = std::array<uint64_t, 4>;  // elements kept, bytes kept, elements dropped, bytes dropped

struct Accounts {
  NameTable names;
  std::vector<Account> list = std::vector<Account>(1);  // first that of names without one, then by number of the name
};

class Ledger {
 public:
  explicit Ledger(uint32_t max_names) noexcept : max_names_(max_names) {}

  // Counts the elements of a request as it was selected, each with its parallel entry.
  void count(Trimming& trimming) noexcept {
    const auto& elements = trimming.elements();
    const auto& parallel = trimming.parallel();
    auto& numbers = trimming.accounts();
    const bool paired = parallel.size() == elements.size();
    const std::lock_guard held(mutex_);
    if (trimming.accounts_serial != accounts_.names.serial())
      for (size_t i = 0; i < elements.size(); ++i) numbers[i] = number_of(trimming.bytes(elements[i].key));
    trimming.accounts_serial = accounts_.names.serial();
    for (size_t i = 0; i < elements.size(); ++i) {
      const uint32_t size = elements[i].whole.end - elements[i].whole.begin;
      uint64_t* const account = accounts_.list[numbers[i]].data() + (trimming.selected(i) == kNone ? 2 : 0);
      account[0] += 1;
      account[1] += paired ? size + (parallel[i].end - parallel[i].begin) : size;
    }
  }

  Accounts snapshot() const {
    const std::lock_guard held(mutex_);
    return accounts_;
  }

  // Zeroes every account and forgets the names.
  void reset() {
    const std::lock_guard held(mutex_);
    accounts_ = {};
  }

 private:
  // The index in the list, of a new account where there is room for one.
  uint32_t number_of(Bytes name) noexcept {
    constexpr size_t kLongestName = 256;
    if (name.size() > kLongestName) return 0;
    const uint32_t known = accounts_.names.find(name);
    if (known != kNone) return known + 1;
    if (accounts_.names.size() >= max_names_) return 0;
    try {
      accounts_.list.resize(accounts_.names.size() + 2);
      return accounts_.names.intern(name) + 1;
    } catch (const std::bad_alloc&) {
      return 0;
    }
  }

  const uint32_t max_names_;
  mutable std::mutex mutex_;
  Accounts accounts_;
};

}  // namespace trimtab
