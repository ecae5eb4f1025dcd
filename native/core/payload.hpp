// Payloads: where the elements of a serialized request lie, which of them are allowed, and the copy of what is kept.
//
// A format is a table, not a function. The walk never decodes a tensor: it steps from length to length, so that its cost
// is the number of fields, not the number of bytes.
#pragma once

#include "core/names.hpp"

namespace trimtab {

enum class Status : uint8_t { ok, malformed, out_of_memory };

// The field numbers that lead from a message to a value inside it. Empty: the format has no such value.
using Path = std::vector<uint32_t>;

struct PayloadTable {
  Path model_name;
  Path model_version;
  bool version_is_varint = false;  // a number, which becomes decimal text; otherwise a string
  uint32_t elements = 0;           // the repeated message that is trimmed
  Path key;                        // of an element, within it
  uint32_t parallel = 0;           // the repeated field whose i-th entry belongs to the i-th element; 0: none
  uint64_t serial = next_serial();
};

struct Range { uint32_t begin, end; };

struct Element { Range whole, key; };  // whole: with its tag and length

// One payload on its way through the kernel: read, then select, then plan, then copy. Reused from request to request, for
// the memory that it holds and because requests of one client are alike: where the elements are, byte for byte, those of
// the last payload (only raw contents differ), they are not walked again.
class Trimming {
 public:
  // Finds the parts. Gives malformed for bytes that are no well-formed message, or more than protobuf's limit of 2 GiB.
  Status read(const PayloadTable& table, Bytes payload) noexcept;

  Bytes model_name() const noexcept { return model_name_; }
  Bytes model_version() const noexcept { return model_version_; }
  const std::vector<Element>& elements() const noexcept { return elements_; }
  const std::vector<Range>& parallel() const noexcept { return parallel_; }
  bool aligned() const noexcept { return parallel_.empty() || parallel_.size() == elements_.size(); }
  Bytes bytes(Range range) const noexcept { return payload_.substr(range.begin, range.end - range.begin); }
  Bytes content(Range whole) const noexcept;  // without tag and length

  // Marks the elements whose key is in `names`, and in `allowed` where that is given.
  void select(const NameTable& names, const NameSet* allowed) noexcept;
  void select_all() noexcept { select_same(0, static_cast<uint32_t>(elements_.size())); }
  void select_nothing() noexcept { select_same(kNone, 0); }
  // The number of the i-th element's key in the table it was selected by; kNone: the element is dropped.
  uint32_t selected(size_t i) const noexcept { return selected_[i]; }
  uint32_t kept() const noexcept { return kept_; }
  uint32_t dropped() const noexcept { return static_cast<uint32_t>(elements_.size()) - kept_; }

  // The size of what is kept; only where aligned().
  size_t plan() noexcept;
  void copy(char* out) const noexcept;

  // Whether it holds memory that only an unusually large payload needs: better not kept.
  bool oversized() const noexcept { return ranges_.capacity() > (1U << 17) || elements_.capacity() > (1U << 17); }

  // For the ledger: the numbers of the elements' accounts, as long as they are those of the table of that serial.
  std::vector<uint32_t>& accounts() noexcept { return accounts_; }
  uint64_t accounts_serial = 0;

 private:
  bool walk(const PayloadTable& table);
  bool recall(uint32_t begin) noexcept;
  void remember();
  void select_same(uint32_t id, uint32_t kept) noexcept;

  Bytes payload_, model_name_, model_version_;
  char version_text_[24];
  std::vector<Element> elements_;
  std::vector<Range> parallel_;
  std::vector<uint32_t> selected_;
  uint32_t kept_ = 0;
  uint64_t selected_serial_ = 0;  // of the names, with the set, that selected_ holds for
  const NameSet* selected_in_ = nullptr;
  std::vector<uint32_t> guesses_;  // the numbers of earlier keys at the same place, in whatever table
  std::vector<uint32_t> accounts_;
  std::vector<Range> ranges_;  // to copy, coalesced
  size_t range_count_ = 0;

  bool recalled_ = false;  // the elements are those of the last payload
  uint64_t remembered_serial_ = 0;
  std::string remembered_;  // the bytes of the last payload's elements; empty: not worth it
  std::vector<Element> last_elements_;
};

}  // namespace trimtab
