// The compiled map: which allowlist a request's model and version ask for. Immutable once built, so readers never lock.
#pragma once

#include <map>
#include <stdexcept>

#include "core/names.hpp"

namespace trimtab {

// In the order of `kOutcomeNames`; the names are public.
enum class Outcome : uint8_t {
  exact, latest_attested_unversioned, union_unversioned, latest_attested_version, unknown_version, unknown_model,
  malformed, misaligned, strict_latest, unconfirmed,
};

constexpr const char* kOutcomeNames[] = {
    "exact", "latest_attested_unversioned", "union_unversioned", "latest_attested_version", "unknown_version",
    "unknown_model", "malformed", "misaligned", "strict_latest", "unconfirmed",
};

struct Lookup { Outcome outcome; uint32_t allowlist; };  // kNone: pass through

class CompiledMap {
 public:
  struct Model {
    bool attested_stable;
    uint32_t latest, union_of_all;  // allowlists, by index, as those of the versions are
    std::map<std::string, uint32_t, std::less<>> versions;
  };

  // Built in this order: names, allowlists of their numbers, models that use these. What fits nothing before it is
  // refused by std::invalid_argument.
  NameTable names;
  std::vector<NameSet> allowlists;
  void add_allowlist(Bytes numbers);  // big-endian words
  void add_model(Bytes name, Model model);

  // An empty version: none is named. exact_only: what is said of other versions than the map's might be out of date.
  Lookup lookup(Bytes model, Bytes version, bool strict, bool exact_only) const noexcept;

 private:
  NameTable model_names_;
  std::vector<Model> models_;  // by number of the name
};

inline void CompiledMap::add_allowlist(Bytes numbers) {
  std::vector<uint32_t> ids(numbers.size() / 4);
  for (uint32_t& id : ids) {
    for (const char byte : numbers.substr(0, 4)) id = id << 8 | static_cast<uint8_t>(byte);
    if (id >= names.size()) throw std::invalid_argument("an allowlist has a number that is of no name");
    numbers.remove_prefix(4);
  }
  allowlists.emplace_back(std::move(ids), names.size());
}

inline void CompiledMap::add_model(Bytes name, Model model) {
  const auto check = [&](bool holds, const char* wrong) {
    if (!holds) throw std::invalid_argument("model \"" + std::string(name) + "\": " + wrong);
  };
  check(!model.versions.empty() && model.versions.count("") == 0, "it has no version, or an empty one");
  uint32_t largest = std::max(model.latest, model.union_of_all);
  for (const auto& [version, allowlist] : model.versions) largest = std::max(largest, allowlist);
  check(largest < allowlists.size(), "an index is that of no allowlist");
  check(model_names_.intern(name) == models_.size(), "it is given twice");
  models_.push_back(std::move(model));
}

inline Lookup CompiledMap::lookup(Bytes model, Bytes version, bool strict, bool exact_only) const noexcept {
  const uint32_t number = model_names_.find(model);
  if (number == kNone) return {Outcome::unknown_model, kNone};
  const Model& known = models_[number];
  const auto at = known.versions.find(version);
  if (at != known.versions.end()) return {Outcome::exact, at->second};
  if (exact_only && !strict) return {Outcome::unconfirmed, kNone};
  if (known.attested_stable)
    return {version.empty() ? Outcome::latest_attested_unversioned : Outcome::latest_attested_version, known.latest};
  if (version.empty()) return {Outcome::union_unversioned, known.union_of_all};
  return strict ? Lookup{Outcome::strict_latest, known.latest} : Lookup{Outcome::unknown_version, kNone};
}

}  // namespace trimtab
