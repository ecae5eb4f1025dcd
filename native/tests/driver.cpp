// Runs the fuzz target without libFuzzer: over generated requests and over damaged copies of them, always the same ones.
//
//   kernel_driver RUNS           check that many payloads
//   kernel_driver --seeds DIR    write seeds for libFuzzer into DIR
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

std::mt19937_64 random_bits(20260101);

uint64_t below(uint64_t bound) { return random_bits() % bound; }

void varint(std::string& out, uint64_t value) {
  for (; value > 0x7f; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

std::string field(uint64_t number, const std::string& content) {
  std::string out;
  varint(out, number << 3 | 2);
  varint(out, content.size());
  return out + content;
}

std::string number(uint64_t field_number, uint64_t value) {
  std::string out;
  varint(out, field_number << 3);
  varint(out, value);
  return out;
}

std::string element(uint64_t table) {
  static const std::string names[] = {"age", "price", "", "user.id", "item_embedding_with_a_long_name", "other", "ag"};
  const std::string& name = names[below(7)];
  std::string out = table == 2 ? field(2, field(1, name)) : field(1, name);
  if (table != 2) out += field(2, "FP32") + (below(2) ? field(3, std::string("\x40\x01", 2)) : number(3, below(1000)));
  if (below(8) == 0) out += field(4, field(1, "key"));
  if (below(4) == 0) out += field(5, std::string(below(200), 'v'));
  return out;
}

// What the fuzz target takes: a byte that chooses table and allowlist, then a request in that table's format.
std::string request() {
  static const uint64_t element_field[] = {5, 2, 4}, parallel_field[] = {7, 0, 6};
  const uint64_t choice = below(9), table = choice % 3, elements = below(8);
  std::string out(1, static_cast<char>(choice)), raw;
  if (table == 0) out += field(1, "ranker") + field(2, "3");
  if (table == 1) out += field(1, field(1, "ranker") + field(2, number(1, 3)));
  if (table == 2) out += field(1, field(3, "ranker")) + field(2, "3");
  const bool paired = table != 1 && below(3) > 0, mixed = below(4) == 0;
  for (uint64_t i = 0; i < elements; ++i) {
    if (mixed && below(2)) out += field(9, "in between");
    out += field(element_field[table], element(table));
    if (paired) (mixed ? out : raw) += field(parallel_field[table], std::string(below(300), 'r'));
  }
  return out + raw + (below(3) == 0 ? number(12, random_bits()) : "");
}

void damage(std::string& payload) {
  static const char edges[] = {0, 1, 2, 0x7f, static_cast<char>(0x80), static_cast<char>(0xff), 0x2a, 0x3a};
  for (uint64_t turns = 1 + below(4); turns > 0 && payload.size() > 1; --turns) {
    const size_t at = 1 + below(payload.size() - 1);
    switch (below(5)) {
      case 0: payload[at] = static_cast<char>(random_bits()); break;
      case 1: payload[at] = edges[below(sizeof edges)]; break;
      case 2: payload.erase(at, 1 + below(6)); break;
      case 3: payload.insert(at, std::string(1 + below(12), edges[below(sizeof edges)])); break;
      default: payload.resize(at);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 3 && std::strcmp(arguments[1], "--seeds") == 0) {
    for (int i = 0; i < 200; ++i) {
      std::ofstream file(std::string(arguments[2]) + "/request_" + std::to_string(i), std::ios::binary);
      const std::string seed = request();
      if (!file.write(seed.data(), static_cast<std::streamsize>(seed.size()))) return 1;
    }
    return 0;
  }
  const long runs = count == 2 ? std::atol(arguments[1]) : 100000;
  for (long run = 0; run < runs; ++run) {
    std::string payload = request();
    if (run % 4 != 0) damage(payload);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(payload.data()), payload.size());
  }
  std::printf("%ld payloads: every invariant holds\n", runs);
  return 0;
}
