#include "core/names.hpp"

#include <atomic>
#include <cstring>
#include <random>

namespace trimtab {

uint64_t next_serial() noexcept {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

uint64_t hash_of(Bytes name) noexcept {
  static const uint64_t seed = static_cast<uint64_t>(std::random_device{}()) << 32 | std::random_device{}();
  // Multiplying 64 x 64 to 128 bits and folding is one instruction that mixes every bit of both words.
  __extension__ using Wide = unsigned __int128;
  const auto mix = [](uint64_t a, uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  uint64_t state = seed ^ name.size(), word = 0;
  for (; name.size() > 8; name.remove_prefix(8)) {
    std::memcpy(&word, name.data(), 8);
    state = mix(state ^ word, 0x9e3779b97f4a7c15);
  }
  word = 0;
  for (const char byte : name) word = word << 8 | static_cast<uint8_t>(byte);
  return mix(mix(state ^ word, 0xd1342543de82ef95), seed | 1);
}

uint32_t NameTable::intern(Bytes name) {
  const uint64_t hash = hash_of(name);
  const uint32_t known = find(name, hash);
  if (known != kNone) return known;
  if ((names_.size() + 1) * 2 > slots_.size()) {
    std::vector<Slot>(slots_.size() * 2).swap(slots_);
    mask_ = slots_.size() - 1;
    for (uint32_t id = 0; id < size(); ++id) place(hash_of(this->name(id)), id);
  }
  names_.emplace_back(name);
  place(hash, size() - 1);
  return size() - 1;
}

void NameTable::place(uint64_t hash, uint32_t id) noexcept {
  size_t at = hash & mask_;
  while (slots_[at].id != kNone) at = (at + 1) & mask_;
  slots_[at] = {tag_of(hash), id};
}

NameSet::NameSet(std::vector<uint32_t> ids, uint32_t names_in_table) {
  if (names_in_table / 64 > ids.size()) {
    std::sort(ids.begin(), ids.end());
    sorted_.assign(ids.begin(), std::unique(ids.begin(), ids.end()));
  } else {
    bits_.resize(names_in_table / 64 + 1);
    for (const uint32_t id : ids) bits_[id / 64] |= uint64_t{1} << (id % 64);
  }
}

}  // namespace trimtab
