// Readers look up and trim by whatever map is in force, while another thread builds maps and swaps them in: each answer
// must be in whole that of one of the two contents. Run under ThreadSanitizer and AddressSanitizer by `make sanitize`.
//
//   kernel_swap SWAPS LOOKUPS
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

#include "core/ledger.hpp"
#include "core/map.hpp"

using namespace trimtab;

namespace {

constexpr uint32_t kNames = 300, kModels = 20;
const PayloadTable kTable{{1}, {2}, false, 5, {1}, 7};

std::string words(uint32_t first, uint32_t step) {
  std::string packed;
  for (uint32_t at = first; at < kNames; at += step) packed += {0, 0, static_cast<char>(at >> 8), static_cast<char>(at)};
  return packed;
}

// Of content 0 and 1, no answer is the same.
std::shared_ptr<const CompiledMap> build(uint32_t content) {
  const auto map = std::make_shared<CompiledMap>();
  for (uint32_t name = 0; name < kNames; ++name) map->names.intern("feature " + std::to_string(name));
  if (content == 1) map->add_allowlist({});
  for (uint32_t model = 0; model < kModels; ++model) map->add_allowlist(words(content, 2 + model));
  for (uint32_t model = 0; model < kModels; ++model) {
    const uint32_t allowlist = model + content;
    map->add_model("model " + std::to_string(model), {content == 1, allowlist, allowlist, {{"7", allowlist}}});
  }
  return map;
}

std::string field(char number, const std::string& content) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  return out + static_cast<char>(content.size()) + content;
}

std::string request(uint32_t model) {
  std::string out = field(1, "model " + std::to_string(model)) + field(2, "7");
  for (uint32_t name = 0; name < kNames; ++name) out += field(5, field(1, "feature " + std::to_string(name)));
  return out;
}

std::string trimmed(const CompiledMap& map, Trimming& trimming, Bytes payload, Ledger& ledger) {
  if (trimming.read(kTable, payload) != Status::ok) std::abort();
  const Lookup found = map.lookup(trimming.model_name(), trimming.model_version(), false, false);
  if (found.outcome != Outcome::exact) std::abort();
  trimming.select(map.names, &map.allowlists[found.allowlist]);
  ledger.count(trimming);
  std::string out(trimming.plan(), '\0');
  trimming.copy(out.data());
  return out;
}

bool same(Lookup one, Lookup other) { return one.outcome == other.outcome && one.allowlist == other.allowlist; }

}  // namespace

int main(int count, char** arguments) {
  const long swaps = count == 3 ? std::atol(arguments[1]) : 1000, lookups = count == 3 ? std::atol(arguments[2]) : 1000000;
  constexpr long kReaders = 4;
  const std::shared_ptr<const CompiledMap> contents[] = {build(0), build(1)};
  std::shared_ptr<const CompiledMap> in_force = contents[0];
  std::atomic<long> wrong{0}, looked_up{0};
  std::atomic<bool> done{false};
  Ledger ledger(64);
  const auto read = [&] {
    Trimming trimming;
    for (uint32_t turn = 0; !done || looked_up < lookups; ++turn) {
      const auto map = std::atomic_load(&in_force);
      bool all[] = {true, true};
      for (uint32_t model = 0; model < kModels; ++model)
        for (const char* version : {"", "7", "8"})
          for (int content = 0; content < 2; ++content)
            all[content] &= same(map->lookup("model " + std::to_string(model), version, false, false),
                                 contents[content]->lookup("model " + std::to_string(model), version, false, false));
      const std::string payload = request(turn % kModels);
      const std::string out = trimmed(*map, trimming, payload, ledger);
      for (int content = 0; content < 2; ++content) {
        Trimming fresh;
        all[content] &= out == trimmed(*contents[content], fresh, payload, ledger);
      }
      wrong += all[0] == all[1];
      looked_up += 3 * kModels;
    }
  };
  std::thread readers[kReaders];
  for (std::thread& each : readers) each = std::thread(read);
  for (long swap = 1; swap <= swaps; ++swap) std::atomic_store(&in_force, build(swap % 2 == 1));
  done = true;
  for (std::thread& each : readers) each.join();
  std::printf("%ld look-ups across %ld swaps: %ld torn\n", looked_up.load(), swaps, wrong.load());
  return wrong == 0 ? 0 : 1;
}
