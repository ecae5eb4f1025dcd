// The protobuf wire format, read within bounds: the only code that turns untrusted bytes into positions.
//
// Stricter than protobuf in one direction only: whatever two parsers might read differently (groups, numbers past 64 bits)
// is malformed here, and a malformed payload is passed on as it came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trimtab {

using Bytes = std::string_view;

enum class WireType : uint8_t { varint = 0, fixed64 = 1, length_delimited = 2, fixed32 = 5 };

constexpr uint32_t kLargestField = (1U << 29) - 1;

struct Field {
  uint32_t number;
  WireType type;
  uint64_t value;  // of a varint
  Bytes bytes;     // of a length-delimited field
};

class Reader {
 public:
  explicit Reader(Bytes bytes) noexcept : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool done() const noexcept { return at_ == end_; }
  const char* position() const noexcept { return at_; }

  // Reads one field whole, tag and content; false when it is malformed or reaches past the end.
  bool field(Field& out) noexcept {
    uint64_t tag;
    if (!varint(tag)) return false;
    const uint64_t number = tag >> 3;
    if (number == 0 || number > kLargestField) return false;
    out.number = static_cast<uint32_t>(number);
    out.type = static_cast<WireType>(tag & 7);
    if (out.type == WireType::length_delimited) {
      uint64_t size;
      return varint(size) && take(size, out.bytes);
    }
    if (out.type == WireType::varint) return varint(out.value);
    if (out.type == WireType::fixed64) return take(8, out.bytes);
    return out.type == WireType::fixed32 && take(4, out.bytes);
  }

  bool varint(uint64_t& out) noexcept {
    if (at_ != end_ && static_cast<uint8_t>(*at_) < 0x80) {
      out = static_cast<uint8_t>(*at_++);
      return true;
    }
    return long_varint(out);
  }

 private:
  bool long_varint(uint64_t& out) noexcept {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && at_ != end_; shift += 7) {
      const uint64_t byte = static_cast<uint8_t>(*at_++);
      if (shift == 63 && byte > 1) return false;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        out = value;
        return true;
      }
    }
    return false;
  }

  bool take(uint64_t size, Bytes& out) noexcept {
    if (size > static_cast<uint64_t>(end_ - at_)) return false;
    out = Bytes(at_, static_cast<size_t>(size));
    at_ += size;
    return true;
  }

  const char* at_;
  const char* end_;
};

}  // namespace trimtab
