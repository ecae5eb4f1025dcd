// The kernel over arbitrary bytes: what must hold for every payload, checked without trusting how the kernel got there.
//
// The first byte chooses the table and the allowlist, the rest is the payload. Built with libFuzzer by `make fuzz`, and
// run over generated and mutated payloads by the driver (`make sanitize`).
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "core/ledger.hpp"
#include "core/map.hpp"
#include "core/tensor.hpp"

using namespace trimtab;

namespace {

#define HOLDS(condition) \
  do { \
    if (!(condition)) { \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort(); \
    } \
  } while (false)

const PayloadTable kTables[] = {
    {{1}, {2}, false, 5, {1}, 7},
    {{1, 1}, {1, 2, 1}, true, 2, {1}, 0},
    {{1, 3}, {2}, false, 4, {2, 1}, 6},
};
constexpr TensorFields kTensor{2, 3, 4, 5};

// A heap block of exactly the payload's size, so that the sanitizer sees a read of one byte more.
struct Exact {
  explicit Exact(Bytes bytes) : size(bytes.size()), data(new char[size]) {
    for (size_t i = 0; i < size; ++i) data[i] = bytes[i];
  }
  Bytes bytes() const { return Bytes(data.get(), size); }
  size_t size;
  std::unique_ptr<char[]> data;
};

std::string copied(Trimming& trimming) {
  std::string out(trimming.plan(), '\0');
  trimming.copy(out.data());
  return out;
}

void check_parts(const Trimming& trimming, Bytes payload) {
  uint32_t end = 0;
  for (const Element& element : trimming.elements()) {
    HOLDS(end <= element.whole.begin && element.whole.begin < element.whole.end);
    HOLDS(element.whole.begin < element.key.begin && element.key.begin <= element.key.end);
    HOLDS(element.key.end <= element.whole.end);
    end = element.whole.end;
  }
  HOLDS(end <= payload.size());
  end = 0;
  for (const Range& entry : trimming.parallel()) {
    HOLDS(end <= entry.begin && entry.begin < entry.end);
    end = entry.end;
  }
  HOLDS(end <= payload.size());
}

// The output is the payload with the bytes of the dropped elements and their parallel entries taken out, byte by byte.
std::string spelled_out(const Trimming& trimming, Bytes payload) {
  std::vector<bool> gone(payload.size());
  const auto drop = [&](Range range) {
    for (uint32_t at = range.begin; at < range.end; ++at) gone[at] = true;
  };
  for (size_t i = 0; i < trimming.elements().size(); ++i) {
    if (trimming.selected(i) != kNone) continue;
    drop(trimming.elements()[i].whole);
    if (!trimming.parallel().empty()) drop(trimming.parallel()[i]);
  }
  std::string out;
  for (size_t at = 0; at < payload.size(); ++at)
    if (!gone[at]) out += payload[at];
  return out;
}

void check_heads(const Trimming& trimming, Bytes payload) {
  TensorHead head;
  for (const Element& element : trimming.elements()) {
    const Bytes content = trimming.content(element.whole);
    HOLDS(content.end() == payload.begin() + element.whole.end);
    if (!head.read(kTensor, content)) continue;
    for (const Bytes part : head.contents) HOLDS(part.begin() >= content.begin() && part.end() <= content.end());
  }
}

// The ledger grows by this payload's elements, each under its name while there is room for names.
void check_accounts(Ledger& ledger, Trimming& trimming) {
  Accounts before = ledger.snapshot();
  ledger.count(trimming);
  const Accounts after = ledger.snapshot();
  before.list.resize(after.list.size());
  for (size_t i = 0; i < trimming.elements().size(); ++i) {
    const Element& element = trimming.elements()[i];
    uint64_t size = trimming.bytes(element.whole).size();
    if (!trimming.parallel().empty()) size += trimming.bytes(trimming.parallel()[i]).size();
    const uint32_t id = after.names.find(trimming.bytes(element.key));
    uint64_t* const account = before.list[id == kNone ? 0 : id + 1].data() + (trimming.selected(i) == kNone ? 2 : 0);
    account[0] += 1;
    account[1] += size;
  }
  HOLDS(before.list == after.list);
}

void check(const PayloadTable& table, Bytes payload, const NameTable& names, const NameSet* allowed) {
  static Trimming reused;  // recalls earlier payloads; `fresh` does not
  static Ledger ledger(16);
  Trimming fresh;
  const Status status = fresh.read(table, payload);
  HOLDS(reused.read(table, payload) == status);
  if (status != Status::ok) return;
  check_parts(fresh, payload);
  check_heads(fresh, payload);
  HOLDS(reused.model_name() == fresh.model_name() && reused.model_version() == fresh.model_version());
  HOLDS(reused.elements().size() == fresh.elements().size() && reused.aligned() == fresh.aligned());
  if (!fresh.aligned()) return;
  fresh.select(names, allowed);
  reused.select(names, allowed);
  check_accounts(ledger, reused);
  const std::string out = copied(fresh);
  HOLDS(out == spelled_out(fresh, payload) && out == copied(reused));
  HOLDS(fresh.kept() + fresh.dropped() == fresh.elements().size() && fresh.kept() == reused.kept());
  HOLDS(out.size() <= payload.size() && (fresh.dropped() > 0) == (out.size() < payload.size()));
  // Trimming twice is trimming once, also where the second payload was looked at before without selecting.
  const Exact again(out);
  HOLDS(reused.read(table, again.bytes()) == Status::ok);
  HOLDS(reused.read(table, again.bytes()) == Status::ok && reused.aligned());
  reused.select(names, allowed);
  check_accounts(ledger, reused);
  HOLDS(reused.dropped() == 0 && reused.kept() == fresh.kept() && copied(reused) == out);
  HOLDS(reused.read(table, payload) == Status::ok);
  reused.select_nothing();
  HOLDS(copied(reused) == spelled_out(reused, payload));
  // Nothing is left of a selection of nothing, nor of a payload that broke off.
  for (const size_t end : {payload.size(), fresh.elements().empty() ? 0 : size_t{fresh.elements().back().whole.begin}}) {
    const Exact broken(std::string(payload.substr(0, end)) + '\x80');
    HOLDS(reused.read(table, payload) == Status::ok);
    reused.select(names, allowed);
    HOLDS(copied(reused) == out);
    HOLDS(reused.read(table, broken.bytes()) == Status::malformed);
  }
  HOLDS(reused.read(table, payload) == Status::ok);
  reused.select(names, allowed);
  HOLDS(copied(reused) == out);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static NameTable* const names = [] {
    auto* const table = new NameTable;
    for (const char* name : {"age", "price", "", "user.id", "item_embedding_with_a_long_name"}) table->intern(name);
    return table;
  }();
  static const NameSet some({0, 3}, names->size());
  static const NameSet sparse({1, 4}, 1U << 20);
  if (size == 0) return 0;
  const NameSet* const sets[] = {nullptr, &some, &sparse};
  const Exact payload(Bytes(reinterpret_cast<const char*>(data) + 1, size - 1));
  check(kTables[data[0] % 3], payload.bytes(), *names, sets[data[0] / 3 % 3]);
  return 0;
}
