// Names, interned once: the table from a feature's name to its number, and sets of such numbers (allowlists).
//
// Equality is always decided on the whole name; the hash only says where to look. It is seeded per process, so that
// whoever sends the names cannot choose ones that collide.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/wire.hpp"

namespace trimtab {

constexpr uint32_t kNone = UINT32_MAX;

// Tells apart what may come to lie at one address after another.
uint64_t next_serial() noexcept;

uint64_t hash_of(Bytes name) noexcept;

class NameTable {
 public:
  // The number of `name`, kNone when it is not in the table.
  uint32_t find(Bytes name, uint64_t hash) const noexcept {
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.id == kNone || (slot.tag == tag_of(hash) && names_[slot.id] == name)) return slot.id;
    }
  }
  uint32_t find(Bytes name) const noexcept { return find(name, hash_of(name)); }

  // The number of `name`, which is added when it is new. Numbers count up from 0.
  uint32_t intern(Bytes name);

  Bytes name(uint32_t id) const noexcept { return names_[id]; }
  uint32_t size() const noexcept { return static_cast<uint32_t>(names_.size()); }
  uint64_t serial() const noexcept { return serial_; }

 private:
  struct Slot {
    uint32_t tag = 0;
    uint32_t id = kNone;
  };

  static uint32_t tag_of(uint64_t hash) noexcept { return static_cast<uint32_t>(hash >> 32); }
  void place(uint64_t hash, uint32_t id) noexcept;

  uint64_t serial_ = next_serial();
  std::vector<Slot> slots_ = std::vector<Slot>(16);  // a power of two, at most half full
  size_t mask_ = 15;
  std::vector<std::string> names_;
};

// An immutable set of name numbers: a bit per name of the table, or a sorted list where that is smaller.
class NameSet {
 public:
  NameSet(std::vector<uint32_t> ids, uint32_t names_in_table);

  bool contains(uint32_t id) const noexcept {
    if (id / 64 < bits_.size()) return (bits_[id / 64] >> (id % 64) & 1) != 0;
    return std::binary_search(sorted_.begin(), sorted_.end(), id);
  }

 private:
  std::vector<uint64_t> bits_;
  std::vector<uint32_t> sorted_;
};

}  // namespace trimtab
