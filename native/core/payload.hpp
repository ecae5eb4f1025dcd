// Payloads: where the elements of a serialized request lie, which of them are allowed, and the copy of what is kept.
//
// A format is a table, not a function. The walk never decodes a tensor: it steps from length to length, so that its cost
// is the number of fields, not the number of bytes.
#pragma once

#include "core/names.hpp"

namespace trimtab {

enum class Status : uint8_t { ok, malformed, out_of_memory };

// The field numbers that lead from a message to a value inside it. Empty: the format has no such value.
struct Path {
  static constexpr size_t kDeepest = 8;
  uint32_t fields[kDeepest] = {};
  uint32_t depth = 0;
};

struct PayloadTable {
  Path model_name;
  Path model_version;
  bool version_is_varint = false;  // a number, which becomes decimal text; otherwise a string
  uint32_t elements = 0;           // the repeated message that is trimmed
  Path key;                        // of an element, within it
  uint32_t parallel = 0;           // the repeated field whose i-th entry belongs to the i-th element; 0: none
};

struct Range {
  uint32_t begin;
  uint32_t end;
};

struct Element {
  Range whole;  // with its tag and length
  Range key;
};

// One payload on its way through the kernel: read, then select, then plan, then copy. Reused from request to request for
// the memory that it holds; nothing in it outlives the payload that it points into.
class Trimming {
 public:
  // Finds the parts. Gives malformed for bytes that are no well-formed message, or more than protobuf's limit of 2 GiB.
  Status read(const PayloadTable& table, Bytes payload) noexcept;

  Bytes model_name() const noexcept { return model_name_; }
  Bytes model_version() const noexcept { return model_version_; }
  const std::vector<Element>& elements() const noexcept { return elements_; }
  const std::vector<Range>& parallel() const noexcept { return parallel_; }
  Bytes bytes(Range range) const noexcept { return payload_.substr(range.begin, range.end - range.begin); }
  Bytes content(Range whole) const noexcept;  // without tag and length
  bool aligned() const noexcept { return parallel_.empty() || parallel_.size() == elements_.size(); }

  // Marks the elements whose key is in `names`, and in `allowed` where that is given.
  void select(const NameTable& names, const NameSet* allowed) noexcept;
  void select_all() noexcept;
  void select_nothing() noexcept;
  // The number of the i-th element's key in the table it was selected by; kNone: the element is dropped.
  uint32_t selected(size_t i) const noexcept { return selected_[i]; }
  uint32_t kept() const noexcept { return kept_; }
  uint32_t dropped() const noexcept { return static_cast<uint32_t>(elements_.size()) - kept_; }

  // The size of what is kept; only where aligned().
  size_t plan() noexcept;
  void copy(char* out) const noexcept;

  // Gives back memory that only an unusually large payload needed.
  void relax() noexcept;

 private:
  bool walk(const PayloadTable& table);

  Bytes payload_;
  Bytes model_name_;
  Bytes model_version_;
  char version_text_[24];
  uint32_t kept_ = 0;
  std::vector<Element> elements_;
  std::vector<Range> parallel_;
  std::vector<uint32_t> selected_;
  std::vector<Range> ranges_;  // to copy, coalesced
  size_t range_count_ = 0;
};

}  // namespace trimtab
