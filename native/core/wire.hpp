// The protobuf wire format, read within bounds: the only code that turns untrusted bytes into positions.
//
// Stricter than protobuf in one direction only: what two parsers might read differently (groups, numbers past 64 bits) is
// malformed here, and a malformed payload is passed on as it came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// The walk over a payload is a few instructions per field; a call per field would cost more than they do.
#define TRIMTAB_INLINE inline __attribute__((always_inline))

namespace trimtab {

using Bytes = std::string_view;

enum class WireType : uint8_t { varint = 0, fixed64 = 1, length_delimited = 2, fixed32 = 5 };

constexpr uint32_t kLargestField = (1U << 29) - 1;

struct Field {
  uint32_t number = 0;
  WireType type{};
  uint64_t value = 0;  // of a varint
  Bytes bytes;         // of every other type
};

class Reader {
 public:
  explicit Reader(Bytes bytes) noexcept : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool done() const noexcept { return at_ == end_; }
  const char* position() const noexcept { return at_; }
  void skip(size_t size) noexcept { at_ += size; }

  // Reads one field whole, tag and content; false when it is malformed or reaches past the end.
  TRIMTAB_INLINE bool field(Field& out) noexcept {
    if (end_ - at_ >= 2) {  // nearly always, tag and length are one byte each
      const auto tag = static_cast<uint8_t>(at_[0]), size = static_cast<uint8_t>(at_[1]);
      if ((tag & 0x87) == 2 && tag > 7 && size < 0x80 && size <= end_ - at_ - 2) {
        out.number = tag >> 3;
        out.type = WireType::length_delimited;
        out.bytes = Bytes(at_ + 2, size);
        at_ += 2 + size;
        return true;
      }
    }
    uint64_t tag, size = 8;
    if (!varint(tag) || tag >> 3 == 0 || tag >> 3 > kLargestField) return false;
    out.number = static_cast<uint32_t>(tag >> 3);
    out.type = static_cast<WireType>(tag & 7);
    if (out.type == WireType::varint) return varint(out.value);
    if (out.type == WireType::fixed32) size = 4;
    else if (out.type == WireType::length_delimited ? !varint(size) : out.type != WireType::fixed64) return false;
    if (size > static_cast<uint64_t>(end_ - at_)) return false;
    out.bytes = Bytes(at_, static_cast<size_t>(size));
    at_ += size;
    return true;
  }

  TRIMTAB_INLINE bool varint(uint64_t& out) noexcept {
    const char* at = at_;  // a copy: the reader's own position stays in a register
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && at != end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at++);
      if (shift == 63 && byte > 1) return false;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return out = value, at_ = at, true;
    }
    return false;
  }

 private:
  const char* at_;
  const char* end_;
};

}  // namespace trimtab
