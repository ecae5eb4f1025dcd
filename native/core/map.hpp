// The compiled map: which allowlist a request's model and version ask for. Immutable once built, so readers never lock.
#pragma once

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
  struct Version { std::string text; uint32_t allowlist; };
  struct Model {
    bool attested_stable;
    uint32_t latest, union_of_all;  // allowlists, by index
    std::vector<Version> versions;
  };

  // Built in this order: names, allowlists of their numbers, models that use these.
  NameTable names;
  std::vector<NameSet> allowlists;
  // An empty text, or why the model is refused.
  std::string add_model(Bytes name, Model model);

  // An empty version: none is named. exact_only: what is said of other versions than the map's might be out of date.
  Lookup lookup(Bytes model, Bytes version, bool strict, bool exact_only) const noexcept;

 private:
  NameTable model_names_;
  std::vector<Model> models_;  // by number of the name; versions sorted
};

inline std::string CompiledMap::add_model(Bytes name, Model model) {
  const auto refuse = [&](const char* why) { return "model \"" + std::string(name) + "\": " + why; };
  auto& versions = model.versions;
  std::sort(versions.begin(), versions.end(), [](const auto& a, const auto& b) { return a.text < b.text; });
  uint32_t largest = std::max(model.latest, model.union_of_all);
  for (const Version& version : versions) largest = std::max(largest, version.allowlist);
  if (versions.empty()) return refuse("it has no version");
  if (versions.front().text.empty()) return refuse("a version is empty");
  if (largest >= allowlists.size()) return refuse("an index is that of no allowlist");
  for (size_t at = 1; at < versions.size(); ++at)
    if (versions[at].text == versions[at - 1].text) return refuse("a version is given twice");
  if (model_names_.intern(name) != models_.size()) return refuse("it is given twice");
  models_.push_back(std::move(model));
  return {};
}

inline Lookup CompiledMap::lookup(Bytes model, Bytes version, bool strict, bool exact_only) const noexcept {
  const uint32_t number = model_names_.find(model);
  if (number == kNone) return {Outcome::unknown_model, kNone};
  const Model& known = models_[number];
  const auto at = std::lower_bound(known.versions.begin(), known.versions.end(), version,
                                   [](const Version& entry, Bytes asked) { return entry.text < asked; });
  if (at != known.versions.end() && at->text == version) return {Outcome::exact, at->allowlist};
  if (exact_only && !strict) return {Outcome::unconfirmed, kNone};
  if (known.attested_stable)
    return {version.empty() ? Outcome::latest_attested_unversioned : Outcome::latest_attested_version, known.latest};
  if (version.empty()) return {Outcome::union_unversioned, known.union_of_all};
  return strict ? Lookup{Outcome::strict_latest, known.latest} : Lookup{Outcome::unknown_version, kNone};
}

}  // namespace trimtab
