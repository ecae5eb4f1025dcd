#include "core/payload.hpp"

#include <charconv>
#include <new>

namespace trimtab {

namespace {

// The last value of that type at the end of `path`, as protobuf's merging of repeated submessages gives it.
// False: something on the way is malformed. `found` stays as it is where nothing is found.
bool last_value(Bytes message, const uint32_t* path, uint32_t depth, WireType type, Field& found) noexcept {
  Field field;
  for (Reader reader(message); !reader.done();) {
    if (!reader.field(field)) return false;
    if (field.number != *path) continue;
    if (depth == 1) {
      if (field.type == type) found = field;
    } else if (field.type == WireType::length_delimited) {
      if (!last_value(field.bytes, path + 1, depth - 1, type, found)) return false;
    }
  }
  return true;
}

// The same for a field of the outermost message that is already read.
bool enter(const Field& field, const Path& path, WireType type, Field& found) noexcept {
  if (path.depth == 0 || field.number != path.fields[0]) return true;
  if (path.depth > 1) {
    return field.type != WireType::length_delimited ||
           last_value(field.bytes, path.fields + 1, path.depth - 1, type, found);
  }
  if (field.type == type) found = field;
  return true;
}

constexpr size_t kUsualElements = 1U << 16;

template <typename T>
void shrink(std::vector<T>& items) noexcept {
  if (items.capacity() > kUsualElements) std::vector<T>().swap(items);
}

}  // namespace

Status Trimming::read(const PayloadTable& table, Bytes payload) noexcept {
  payload_ = payload;
  elements_.clear();
  parallel_.clear();
  kept_ = 0;
  if (payload.size() > INT32_MAX) return Status::malformed;
  try {
    if (!walk(table)) return Status::malformed;
    selected_.resize(elements_.size());
    ranges_.resize(elements_.size() + parallel_.size() + 1);
  } catch (const std::bad_alloc&) {
    return Status::out_of_memory;
  }
  return Status::ok;
}

bool Trimming::walk(const PayloadTable& table) {
  const auto offset = [&](const char* at) { return static_cast<uint32_t>(at - payload_.data()); };
  const WireType version_type = table.version_is_varint ? WireType::varint : WireType::length_delimited;
  Field name{}, version{}, field;
  for (Reader reader(payload_); !reader.done();) {
    const uint32_t begin = offset(reader.position());
    if (!reader.field(field)) return false;
    if (field.type == WireType::length_delimited) {
      const Range whole{begin, offset(reader.position())};
      if (field.number == table.elements) {
        Field key{};
        key.bytes = field.bytes.substr(0, 0);
        if (!last_value(field.bytes, table.key.fields, table.key.depth, WireType::length_delimited, key)) return false;
        const uint32_t key_begin = offset(key.bytes.data());
        elements_.push_back({whole, {key_begin, key_begin + static_cast<uint32_t>(key.bytes.size())}});
        continue;
      }
      if (field.number == table.parallel) {
        parallel_.push_back(whole);
        continue;
      }
    }
    if (!enter(field, table.model_name, WireType::length_delimited, name)) return false;
    if (!enter(field, table.model_version, version_type, version)) return false;
  }
  model_name_ = name.bytes;
  model_version_ = version.bytes;
  if (version_type == WireType::varint && version.number != 0) {
    const auto text = std::to_chars(version_text_, version_text_ + sizeof version_text_,
                                    static_cast<int64_t>(version.value));
    model_version_ = Bytes(version_text_, static_cast<size_t>(text.ptr - version_text_));
  }
  return true;
}

Bytes Trimming::content(Range whole) const noexcept {
  Reader reader(bytes(whole));
  Field field{};
  reader.field(field);
  return field.bytes;
}

void Trimming::select(const NameTable& names, const NameSet* allowed) noexcept {
  kept_ = 0;
  for (size_t i = 0; i < elements_.size(); ++i) {
    uint32_t id = names.find(bytes(elements_[i].key));
    if (allowed != nullptr && id != kNone && !allowed->contains(id)) id = kNone;
    selected_[i] = id;
    kept_ += id != kNone;
  }
}

void Trimming::select_all() noexcept {
  for (uint32_t& id : selected_) id = 0;
  kept_ = static_cast<uint32_t>(elements_.size());
}

void Trimming::select_nothing() noexcept {
  for (uint32_t& id : selected_) id = kNone;
  kept_ = 0;
}

size_t Trimming::plan() noexcept {
  const auto& elements = elements_;
  const auto& parallel = parallel_;
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
  for (size_t i = 0; i < elements.size(); ++i) {
    for (; next < parallel.size() && parallel[next].begin < elements[i].whole.begin; ++next)
      if (selected_[next] == kNone) drop(parallel[next]);
    if (selected_[i] == kNone) drop(elements[i].whole);
  }
  for (; next < parallel.size(); ++next)
    if (selected_[next] == kNone) drop(parallel[next]);
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

void Trimming::relax() noexcept {
  shrink(elements_);
  shrink(parallel_);
  shrink(selected_);
  shrink(ranges_);
}

}  // namespace trimtab
