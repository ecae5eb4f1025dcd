// The compiled map: which allowlist a request's model and version ask for. Immutable once built, so readers never lock.
#pragma once

#include <string>

#include "core/names.hpp"

namespace trimtab {

// In the order of `kOutcomeNames`; the names are public.
enum class Outcome : uint8_t {
  exact,
  latest_attested_unversioned,
  union_unversioned,
  latest_attested_version,
  unknown_version,
  unknown_model,
  malformed,
  misaligned,
  strict_latest,
};

constexpr const char* kOutcomeNames[] = {
    "exact",         "latest_attested_unversioned", "union_unversioned", "latest_attested_version", "unknown_version",
    "unknown_model", "malformed",                   "misaligned",        "strict_latest",
};

struct Lookup {
  Outcome outcome;
  uint32_t allowlist;  // kNone: pass through
};

struct ModelVersion {
  std::string version;
  uint32_t allowlist;
};

class CompiledMap {
 public:
  // Building: names, then allowlists of their numbers, then models that use these.
  NameTable& names() noexcept { return names_; }
  void add_allowlist(const std::vector<uint32_t>& ids);
  // An empty text, or why the model is refused.
  std::string add_model(Bytes name, bool attested_stable, uint32_t latest, uint32_t union_of_all,
                        std::vector<ModelVersion> versions);

  // Reading. An empty version means that the request names none.
  Lookup lookup(Bytes model, Bytes version, bool strict) const noexcept;
  const NameTable& names() const noexcept { return names_; }
  const NameSet& allowlist(uint32_t index) const noexcept { return allowlists_[index]; }
  size_t allowlists() const noexcept { return allowlists_.size(); }

 private:
  struct Model {
    bool attested_stable;
    uint32_t latest;
    uint32_t union_of_all;
    std::vector<ModelVersion> versions;  // sorted
  };

  NameTable names_;
  std::vector<NameSet> allowlists_;
  NameTable model_names_;
  std::vector<Model> models_;  // by their number in model_names_
};

}  // namespace trimtab
