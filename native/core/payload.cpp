#include "core/payload.hpp"

#include <charconv>
#include <cstring>
#include <new>

namespace trimtab {

namespace {

// Follows the rest of `path` into a field, to the last value of that type at its end: what protobuf's merging of repeated
// submessages gives. False: something on the way is malformed. `found` stays as it is where nothing is found.
bool follow(const Field& field, const Path& path, size_t level, WireType type, Field& found) noexcept {
  if (level == path.size() || field.number != path[level]) return true;
  if (level + 1 == path.size()) {
    if (field.type == type) found = field;
    return true;
  }
  if (field.type != WireType::length_delimited) return true;
  Field inner;
  for (Reader reader(field.bytes); !reader.done();)
    if (!reader.field(inner) || !follow(inner, path, level + 1, type, found)) return false;
  return true;
}

// The key of an element, as its offset and size there: plain numbers, which stay in registers.
TRIMTAB_INLINE bool find_key(const Path& path, Bytes element, size_t& begin, size_t& size) noexcept {
  Field field, found;
  begin = size = 0;
  for (Reader reader(element); !reader.done();) {
    if (!reader.field(field)) return false;
    if (field.number != path[0] || field.type != WireType::length_delimited) continue;
    Bytes key = field.bytes;
    if (path.size() > 1) {
      if (!follow(field, path, 0, WireType::length_delimited, found)) return false;
      if (found.number == 0) continue;
      key = found.bytes;
    }
    begin = static_cast<size_t>(key.data() - element.data());
    size = key.size();
  }
  return true;
}

}  // namespace

Status Trimming::read(const PayloadTable& table, Bytes payload) noexcept {
  payload_ = payload;
  if (remembered_serial_ != table.serial) remembered_.clear();
  remembered_serial_ = 0;  // until this payload is read to its end
  last_elements_.swap(elements_);
  elements_.clear();
  parallel_.clear();
  recalled_ = false;
  if (payload.size() > INT32_MAX) return Status::malformed;
  try {
    if (!walk(table)) return Status::malformed;
    if (!recalled_) remember();
    selected_.resize(elements_.size());
    accounts_.resize(elements_.size());
    if (guesses_.size() < elements_.size()) guesses_.resize(elements_.size(), kNone);
    ranges_.resize(elements_.size() + parallel_.size() + 1);
  } catch (const std::bad_alloc&) {
    return Status::out_of_memory;
  }
  remembered_serial_ = table.serial;
  return Status::ok;
}

bool Trimming::walk(const PayloadTable& table) {
  const auto offset = [&](const char* at) { return static_cast<uint32_t>(at - payload_.data()); };
  const WireType version_type = table.version_is_varint ? WireType::varint : WireType::length_delimited;
  Field name, version, field;
  for (Reader reader(payload_); !reader.done();) {
    const uint32_t begin = offset(reader.position());
    if (!reader.field(field)) return false;
    const bool is_message = field.type == WireType::length_delimited;
    if (is_message && field.number == table.elements) {
      if (elements_.empty() && recall(begin)) {
        reader.skip(remembered_.size() - (reader.position() - payload_.data() - begin));
        continue;
      }
      recalled_ = false;
      size_t key, key_size;
      if (!find_key(table.key, field.bytes, key, key_size)) return false;
      Element& element = elements_.emplace_back();  // filled in place: a copied struct stalls on its own stores
      element.whole.begin = begin;
      element.whole.end = offset(reader.position());
      element.key.begin = offset(field.bytes.data() + key);
      element.key.end = offset(field.bytes.data() + key + key_size);
    } else if (is_message && field.number == table.parallel) {
      Range& entry = parallel_.emplace_back();
      entry.begin = begin;
      entry.end = offset(reader.position());
    } else if (!follow(field, table.model_name, 0, WireType::length_delimited, name) ||
               !follow(field, table.model_version, 0, version_type, version)) {
      return false;
    }
  }
  model_name_ = name.bytes;
  model_version_ = version.bytes;
  if (table.version_is_varint && version.number != 0) {
    const auto number = static_cast<int64_t>(version.value);
    const auto text = std::to_chars(version_text_, version_text_ + sizeof version_text_, number);
    model_version_ = Bytes(version_text_, static_cast<size_t>(text.ptr - version_text_));
  }
  return true;
}

// The same bytes at the same kind of place have the same parts: only their offsets shift.
bool Trimming::recall(uint32_t begin) noexcept {
  if (remembered_.empty() || payload_.compare(begin, remembered_.size(), remembered_) != 0) return false;
  elements_.swap(last_elements_);
  const uint32_t shift = begin - elements_[0].whole.begin;  // modulo 2**32, hence also backwards
  for (Element& element : elements_) {
    for (uint32_t* offset : {&element.whole.begin, &element.whole.end, &element.key.begin, &element.key.end})
      *offset += shift;
  }
  return recalled_ = true;
}

void Trimming::remember() {
  constexpr size_t kWorthwhile = 1U << 20;
  selected_serial_ = accounts_serial = 0;
  remembered_.clear();
  if (parallel_.empty() || elements_.empty()) return;  // typed contents differ in every payload
  const Range all{elements_.front().whole.begin, elements_.back().whole.end};
  for (size_t i = 1; i < elements_.size(); ++i)
    if (elements_[i].whole.begin != elements_[i - 1].whole.end) return;
  if (all.end - all.begin <= kWorthwhile) remembered_ = bytes(all);
}

Bytes Trimming::content(Range whole) const noexcept {
  Field field;
  Reader(bytes(whole)).field(field);
  return field.bytes;
}

void Trimming::select(const NameTable& names, const NameSet* allowed) noexcept {
  if (selected_serial_ == names.serial() && selected_in_ == allowed) return;
  selected_serial_ = names.serial();
  selected_in_ = allowed;
  kept_ = 0;
  for (size_t i = 0; i < elements_.size(); ++i) {
    const Bytes key = bytes(elements_[i].key);
    uint32_t id = guesses_[i];  // requests of one client name the same feature at the same place
    if (id >= names.size() || names.name(id) != key) guesses_[i] = id = names.find(key);
    if (allowed != nullptr && id != kNone && !allowed->contains(id)) id = kNone;
    selected_[i] = id;
    kept_ += id != kNone;
  }
}

void Trimming::select_same(uint32_t id, uint32_t kept) noexcept {
  selected_serial_ = 0;
  kept_ = kept;
  for (uint32_t& selected : selected_) selected = id;
}

size_t Trimming::plan() noexcept {
  Range* range = ranges_.data();
  uint32_t cursor = 0;
  size_t size = 0;
  const auto drop = [&](Range dropped) {
    if (dropped.begin > cursor) {
      size += dropped.begin - cursor;
      *range++ = {cursor, dropped.begin};
    }
    cursor = dropped.end;
  };
  // Both lists are in message order, usually one after the other: a merge is right for every order.
  size_t next = 0;
  for (size_t i = 0; i < elements_.size(); ++i) {
    for (; next < parallel_.size() && parallel_[next].begin < elements_[i].whole.begin; ++next)
      if (selected_[next] == kNone) drop(parallel_[next]);
    if (selected_[i] == kNone) drop(elements_[i].whole);
  }
  for (; next < parallel_.size(); ++next)
    if (selected_[next] == kNone) drop(parallel_[next]);
  const auto end = static_cast<uint32_t>(payload_.size());
  drop({end, end});
  range_count_ = static_cast<size_t>(range - ranges_.data());
  return size;
}

void Trimming::copy(char* out) const noexcept {
  for (size_t i = 0; i < range_count_; ++i) {
    const Bytes kept = bytes(ranges_[i]);
    std::memcpy(out, kept.data(), kept.size());
    out += kept.size();
  }
}

}  // namespace trimtab
