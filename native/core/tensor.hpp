// The head of one tensor element: what a converter must know to read its bytes in place.
#pragma once

#include "core/payload.hpp"

namespace trimtab {

// Field numbers of an element that is a tensor.
struct TensorFields {
  uint32_t datatype, shape, parameters, contents;
};

struct TensorHead {
  Bytes datatype;                 // empty: not given
  std::vector<int64_t> shape;     // packed or not, in order
  std::vector<Bytes> parameters;  // each entry's content
  std::vector<Bytes> contents;    // several, where an encoder split the message; protobuf merges them

  // False for a malformed element. Throws nothing but std::bad_alloc.
  bool read(const TensorFields& fields, Bytes element) {
    *this = {};
    Field field;
    uint64_t dimension;
    for (Reader reader(element); !reader.done();) {
      if (!reader.field(field)) return false;
      if (field.number == fields.shape && field.type == WireType::varint)
        shape.push_back(static_cast<int64_t>(field.value));
      if (field.type != WireType::length_delimited) continue;
      if (field.number == fields.datatype) datatype = field.bytes;
      if (field.number == fields.parameters) parameters.push_back(field.bytes);
      if (field.number == fields.contents) contents.push_back(field.bytes);
      if (field.number != fields.shape) continue;
      for (Reader packed(field.bytes); !packed.done(); shape.push_back(static_cast<int64_t>(dimension)))
        if (!packed.varint(dimension)) return false;
    }
    return true;
  }
};

}  // namespace trimtab
