#include "core/ledger.hpp"

#include <new>

namespace trimtab {

void Account::add(const Account& other) noexcept {
  kept += other.kept;
  kept_bytes += other.kept_bytes;
  dropped += other.dropped;
  dropped_bytes += other.dropped_bytes;
}

void Ledger::count(const Trimming& trimming) noexcept {
  std::unique_lock<std::mutex> held;
  Shard* shard = &shards_[0];
  for (Shard& candidate : shards_) {
    held = std::unique_lock(candidate.mutex, std::try_to_lock);
    shard = &candidate;
    if (held.owns_lock()) break;
  }
  if (!held.owns_lock()) held.lock();
  const auto& elements = trimming.elements();
  const auto& parallel = trimming.parallel();
  const bool paired = parallel.size() == elements.size();
  for (size_t i = 0; i < elements.size(); ++i) {
    uint64_t size = elements[i].whole.end - elements[i].whole.begin;
    if (paired) size += parallel[i].end - parallel[i].begin;
    Account& account = account_of(*shard, trimming.bytes(elements[i].key));
    const bool kept = trimming.selected(i) != kNone;
    (kept ? account.kept : account.dropped) += 1;
    (kept ? account.kept_bytes : account.dropped_bytes) += size;
  }
}

Account& Ledger::account_of(Shard& shard, Bytes name) const noexcept {
  if (name.size() > kLongestName) return shard.overflow;
  const uint64_t hash = hash_of(name);
  const uint32_t known = shard.names.find(name, hash);
  if (known != kNone) return shard.accounts[known];
  if (shard.names.size() >= max_names_) return shard.overflow;
  try {
    if (shard.accounts.size() == shard.names.size()) shard.accounts.emplace_back();
    return shard.accounts[shard.names.intern(name, hash)];
  } catch (const std::bad_alloc&) {
    return shard.overflow;
  }
}

void Ledger::snapshot(NameTable& names, std::vector<Account>& accounts, Account& overflow) const {
  for (const Shard& shard : shards_) {
    const std::lock_guard held(shard.mutex);
    for (uint32_t id = 0; id < shard.names.size(); ++id) {
      const Bytes name = shard.names.name(id);
      if (names.size() >= max_names_ && names.find(name) == kNone) {
        overflow.add(shard.accounts[id]);
        continue;
      }
      const uint32_t merged = names.intern(name);
      if (merged == accounts.size()) accounts.emplace_back();
      accounts[merged].add(shard.accounts[id]);
    }
    overflow.add(shard.overflow);
  }
}

void Ledger::reset() noexcept {
  for (Shard& shard : shards_) {
    const std::lock_guard held(shard.mutex);
    shard.names.clear();
    shard.accounts.clear();
    shard.overflow = {};
  }
}

}  // namespace trimtab
