#include "core/map.hpp"

#include <algorithm>

namespace trimtab {

void CompiledMap::add_allowlist(const std::vector<uint32_t>& ids) { allowlists_.emplace_back(ids, names_.size()); }

std::string CompiledMap::add_model(Bytes name, bool attested_stable, uint32_t latest, uint32_t union_of_all,
                                   std::vector<ModelVersion> versions) {
  const auto refuse = [&](const std::string& why) { return "model \"" + std::string(name) + "\": " + why; };
  if (versions.empty()) return refuse("a model needs at least one version");
  const auto exists = [&](uint32_t index) { return index < allowlists_.size(); };
  if (!exists(latest) || !exists(union_of_all)) return refuse("there is no allowlist of that index");
  std::sort(versions.begin(), versions.end(), [](const auto& a, const auto& b) { return a.version < b.version; });
  for (size_t at = 0; at < versions.size(); ++at) {
    if (versions[at].version.empty()) return refuse("a version must not be empty");
    if (!exists(versions[at].allowlist)) return refuse("there is no allowlist of that index");
    if (at > 0 && versions[at - 1].version == versions[at].version) return refuse("a version is given twice");
  }
  if (model_names_.find(name) != kNone) return refuse("the model is given twice");
  model_names_.intern(name);
  models_.push_back({attested_stable, latest, union_of_all, std::move(versions)});
  return {};
}

Lookup CompiledMap::lookup(Bytes model, Bytes version, bool strict) const noexcept {
  const uint32_t number = model_names_.find(model);
  if (number == kNone) return {Outcome::unknown_model, kNone};
  const Model& known = models_[number];
  if (version.empty()) {
    if (known.attested_stable) return {Outcome::latest_attested_unversioned, known.latest};
    return {Outcome::union_unversioned, known.union_of_all};
  }
  const auto at = std::lower_bound(known.versions.begin(), known.versions.end(), version,
                                   [](const ModelVersion& entry, Bytes asked) { return entry.version < asked; });
  if (at != known.versions.end() && at->version == version) return {Outcome::exact, at->allowlist};
  if (known.attested_stable) return {Outcome::latest_attested_version, known.latest};
  if (strict) return {Outcome::strict_latest, known.latest};
  return {Outcome::unknown_version, kNone};
}

}  // namespace trimtab
