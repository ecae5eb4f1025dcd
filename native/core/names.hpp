// Names, interned once: the table from a feature's name to its number, and sets of such numbers (allowlists).
//
// Equality is always decided on the whole name; the hash only says where to look. It is seeded per process, so that
// whoever sends the names cannot choose ones that collide.
#pragma once

#include <cstring>
#include <vector>

#include "core/wire.hpp"

namespace trimtab {

constexpr uint32_t kNone = UINT32_MAX;

extern const uint64_t kHashSeed;

inline uint64_t load64(const char* at) noexcept {
  uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}

inline uint32_t load32(const char* at) noexcept {
  uint32_t word;
  std::memcpy(&word, at, 4);
  return word;
}

// Multiplies 64 x 64 to 128 bits and folds: one instruction that mixes every bit of both words.
inline uint64_t fold(uint64_t a, uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_of(Bytes name) noexcept {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15, kOther = 0xd1342543de82ef95;
  const char* at = name.data();
  size_t left = name.size();
  uint64_t state = kHashSeed ^ (left * kOdd);
  for (; left > 16; at += 16, left -= 16) state = fold(load64(at) ^ kOdd ^ state, load64(at + 8) ^ kHashSeed);
  uint64_t first = 0, last = 0;
  if (left >= 8) {
    first = load64(at);
    last = load64(at + left - 8);
  } else if (left >= 4) {
    first = load32(at);
    last = load32(at + left - 4);
  } else if (left > 0) {
    first = static_cast<uint8_t>(at[0]) | static_cast<uint64_t>(static_cast<uint8_t>(at[left / 2])) << 8;
    last = static_cast<uint8_t>(at[left - 1]);
  }
  return fold(fold(first ^ kOther ^ state, last ^ kHashSeed), kOdd);
}

// Word-wise comparison: names are short, and a call of memcmp costs more than the comparison.
inline bool same_bytes(const char* a, const char* b, size_t size) noexcept {
  if (size >= 8) {
    uint64_t differs = load64(a + size - 8) ^ load64(b + size - 8);
    for (size_t at = 0; at + 8 < size; at += 8) differs |= load64(a + at) ^ load64(b + at);
    return differs == 0;
  }
  if (size >= 4) return load32(a) == load32(b) && load32(a + size - 4) == load32(b + size - 4);
  for (size_t at = 0; at < size; ++at)
    if (a[at] != b[at]) return false;
  return true;
}

class NameTable {
 public:
  // The number of `name`, kNone when it is not in the table.
  uint32_t find(Bytes name, uint64_t hash) const noexcept {
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.id == kNone) return kNone;
      if (slot.tag != tag_of(hash)) continue;
      const Entry& entry = entries_[slot.id];
      if (entry.size == name.size() && same_bytes(text_.data() + entry.begin, name.data(), name.size()))
        return slot.id;
    }
  }
  uint32_t find(Bytes name) const noexcept { return find(name, hash_of(name)); }

  // The number of `name`, which is added when it is new. Numbers count up from 0.
  uint32_t intern(Bytes name, uint64_t hash);
  uint32_t intern(Bytes name) { return intern(name, hash_of(name)); }

  Bytes name(uint32_t id) const noexcept { return Bytes(text_.data() + entries_[id].begin, entries_[id].size); }
  uint32_t size() const noexcept { return static_cast<uint32_t>(entries_.size()); }
  void clear() noexcept;

 private:
  struct Slot {
    uint32_t tag = 0;
    uint32_t id = kNone;
  };
  struct Entry {
    uint64_t begin;
    uint64_t size;
  };

  static uint32_t tag_of(uint64_t hash) noexcept { return static_cast<uint32_t>(hash >> 32); }
  void grow();

  std::vector<Slot> slots_ = std::vector<Slot>(16);  // a power of two, at most half full
  size_t mask_ = 15;
  std::vector<Entry> entries_;
  std::vector<char> text_;
};

// An immutable set of name numbers: a bit per name of the table where that is small, a hash set of numbers elsewhere.
class NameSet {
 public:
  // universe: one more than the largest number that the table of names has.
  NameSet(const std::vector<uint32_t>& ids, uint32_t universe);

  bool contains(uint32_t id) const noexcept {
    if (!bits_.empty()) return id < universe_ && (bits_[id >> 6] >> (id & 63) & 1) != 0;
    for (size_t at = place_of(id);; at = (at + 1) & mask_) {
      if (places_[at] == id) return true;
      if (places_[at] == kNone) return false;
    }
  }
  std::vector<uint32_t> ids() const;  // ascending

 private:
  size_t place_of(uint32_t id) const noexcept { return (id * 0x9e3779b1U >> 7) & mask_; }

  uint32_t universe_;
  std::vector<uint64_t> bits_;
  std::vector<uint32_t> places_;
  size_t mask_ = 0;
};

}  // namespace trimtab
