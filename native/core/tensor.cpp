#include "core/tensor.hpp"

#include <new>

namespace trimtab {

namespace {

bool read_head(const TensorFields& fields, Bytes element, TensorHead& head) {
  Field field;
  for (Reader reader(element); !reader.done();) {
    if (!reader.field(field)) return false;
    if (field.number == fields.shape && field.type == WireType::varint) {
      head.shape.push_back(static_cast<int64_t>(field.value));
    } else if (field.type != WireType::length_delimited) {
      continue;
    } else if (field.number == fields.shape) {
      uint64_t dimension;
      for (Reader packed(field.bytes); !packed.done(); head.shape.push_back(static_cast<int64_t>(dimension)))
        if (!packed.varint(dimension)) return false;
    } else if (field.number == fields.datatype) {
      head.datatype = field.bytes;
    } else if (field.number == fields.parameters) {
      head.parameters.push_back(field.bytes);
    } else if (field.number == fields.contents) {
      head.contents.push_back(field.bytes);
    }
  }
  return true;
}

}  // namespace

Status read_tensor_head(const TensorFields& fields, Bytes element, TensorHead& head) noexcept {
  head.datatype = {};
  head.shape.clear();
  head.parameters.clear();
  head.contents.clear();
  try {
    return read_head(fields, element, head) ? Status::ok : Status::malformed;
  } catch (const std::bad_alloc&) {
    return Status::out_of_memory;
  }
}

}  // namespace trimtab
