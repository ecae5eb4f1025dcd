#include "core/names.hpp"

#include <algorithm>
#include <random>

namespace trimtab {

namespace {

uint64_t random_seed() noexcept {
  try {
    std::random_device device;
    return static_cast<uint64_t>(device()) << 32 | device();
  } catch (...) {  // no entropy source: the address space layout is what is left
    static const char here = 0;
    return fold(reinterpret_cast<uintptr_t>(&here), 0x9e3779b97f4a7c15);
  }
}

}  // namespace

const uint64_t kHashSeed = random_seed();

uint32_t NameTable::intern(Bytes name, uint64_t hash) {
  const uint32_t known = find(name, hash);
  if (known != kNone) return known;
  if ((entries_.size() + 1) * 2 > slots_.size()) grow();
  const uint32_t id = size();
  const size_t begin = text_.size();
  text_.insert(text_.end(), name.begin(), name.end());
  entries_.push_back({begin, name.size()});
  size_t at = hash & mask_;
  while (slots_[at].id != kNone) at = (at + 1) & mask_;
  slots_[at] = {tag_of(hash), id};
  return id;
}

void NameTable::clear() noexcept {
  std::fill(slots_.begin(), slots_.end(), Slot{});
  entries_.clear();
  text_.clear();
}

void NameTable::grow() {
  std::vector<Slot> slots(slots_.size() * 2);
  const size_t mask = slots.size() - 1;
  for (uint32_t id = 0; id < size(); ++id) {
    const uint64_t hash = hash_of(name(id));
    size_t at = hash & mask;
    while (slots[at].id != kNone) at = (at + 1) & mask;
    slots[at] = {tag_of(hash), id};
  }
  slots_ = std::move(slots);
  mask_ = mask;
}

NameSet::NameSet(const std::vector<uint32_t>& ids, uint32_t universe) : universe_(universe) {
  const size_t words = (static_cast<size_t>(universe) + 63) / 64;
  size_t places = 2;
  while (places < 2 * ids.size()) places *= 2;
  if (words * sizeof(uint64_t) <= places * sizeof(uint32_t)) {
    bits_.assign(std::max<size_t>(words, 1), 0);
    for (const uint32_t id : ids) bits_[id >> 6] |= uint64_t{1} << (id & 63);
    return;
  }
  places_.assign(places, kNone);
  mask_ = places - 1;
  for (const uint32_t id : ids) {
    size_t at = place_of(id);
    while (places_[at] != kNone && places_[at] != id) at = (at + 1) & mask_;
    places_[at] = id;
  }
}

std::vector<uint32_t> NameSet::ids() const {
  std::vector<uint32_t> ids;
  for (uint32_t word = 0; word < bits_.size(); ++word)
    for (uint32_t bit = 0; bit < 64; ++bit)
      if ((bits_[word] >> bit & 1) != 0) ids.push_back(word * 64 + bit);
  for (const uint32_t id : places_)
    if (id != kNone) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace trimtab
