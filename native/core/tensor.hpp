// The head of one tensor element: what a converter must know to read its bytes in place.
#pragma once

#include "core/payload.hpp"

namespace trimtab {

// Field numbers of an element that is a tensor.
struct TensorFields {
  uint32_t datatype;
  uint32_t shape;
  uint32_t parameters;
  uint32_t contents;
};

struct TensorHead {
  Bytes datatype;                 // empty: not given
  std::vector<int64_t> shape;     // packed or not, in order
  std::vector<Bytes> parameters;  // each entry's content
  std::vector<Bytes> contents;    // several, where an encoder split the message; protobuf merges them
};

// Status::malformed only for a shape that is no list of varints; the rest was checked when the payload was read.
Status read_tensor_head(const TensorFields& fields, Bytes element, TensorHead& head) noexcept;

}  // namespace trimtab
