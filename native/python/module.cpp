// trimtab._kernel: the Python face of the core. Converts arguments and results, holds the GIL where Python needs it, and
// decides nothing. Its contract is src/trimtab/_kernel.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <new>
#include <optional>
#include <stdexcept>

#include "core/ledger.hpp"
#include "core/map.hpp"
#include "core/tensor.hpp"
#include "python/convert.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace trimtab::python {

namespace {

// Below these sizes another thread gains less than what handing the GIL over costs (benchmarks/trimming.py).
constexpr size_t kReleaseForReading = 16 * 1024;
constexpr size_t kReleaseForCopying = 64 * 1024;

// A Trimming of this thread. Taken out while it is used: Python code that runs in between (a finalizer) gets another.
class Borrowed {
 public:
  Borrowed() : own_(spare_ ? std::move(spare_) : std::make_unique<Trimming>()) {}
  ~Borrowed() {
    own_->relax();
    spare_ = std::move(own_);
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  Trimming* operator->() const { return own_.get(); }
  Trimming& operator*() const { return *own_; }

 private:
  std::unique_ptr<Trimming> own_;
  static thread_local std::unique_ptr<Trimming> spare_;
};

thread_local std::unique_ptr<Trimming> Borrowed::spare_;

struct Mask {
  NameTable names;
};

template <typename Work>
void without_gil(bool release, const Work& work) {
  std::optional<nb::gil_scoped_release> released;
  if (release) released.emplace();
  work();
}

nb::bytes copy_out(const Trimming& trimming, size_t size) {
  nb::bytes out = new_bytes(size);
  char* const to = PyBytes_AsString(out.ptr());
  without_gil(size >= kReleaseForCopying, [&] { trimming.copy(to); });
  return out;
}

// choose(trimming) selects, and names the outcome of a payload that is well-formed.
template <typename Choose>
nb::tuple trim(nb::handle payload, const PayloadTable& table, Ledger* ledger, const Choose& choose) {
  const View view(payload);
  const Borrowed trimming;
  Status status = Status::ok;
  Outcome outcome = Outcome::malformed;
  size_t size = 0;
  without_gil(view.bytes().size() >= kReleaseForReading, [&] {
    status = trimming->read(table, view.bytes());
    if (status != Status::ok) return;
    outcome = choose(*trimming);
    if (trimming->dropped() > 0) size = trimming->plan();
    if (ledger != nullptr) ledger->count(*trimming);
  });
  if (status == Status::out_of_memory) throw std::bad_alloc();
  if (status == Status::malformed) return nb::make_tuple(payload, static_cast<int>(outcome), 0, 0);
  const nb::object out = trimming->dropped() > 0 ? nb::object(copy_out(*trimming, size)) : nb::borrow(payload);
  return nb::make_tuple(out, static_cast<int>(outcome), trimming->kept(), trimming->dropped());
}

Outcome select(Trimming& trimming, Outcome outcome, const NameTable& names, const NameSet* allowed) {
  if (trimming.aligned()) {
    trimming.select(names, allowed);
    return outcome;
  }
  trimming.select_all();
  return Outcome::misaligned;
}

nb::tuple map_trim(const CompiledMap& map, nb::handle payload, const PayloadTable& table, bool strict, Ledger* ledger) {
  return trim(payload, table, ledger, [&](Trimming& trimming) {
    const Lookup found = map.lookup(trimming.model_name(), trimming.model_version(), strict);
    if (found.allowlist != kNone)
      return select(trimming, found.outcome, map.names(), &map.allowlist(found.allowlist));
    trimming.select_all();
    return found.outcome;
  });
}

nb::tuple mask_trim(const Mask& mask, nb::handle payload, const PayloadTable& table, Ledger* ledger) {
  return trim(payload, table, ledger,
              [&](Trimming& trimming) { return select(trimming, Outcome::exact, mask.names, nullptr); });
}

nb::tuple mask_locate(const Mask& mask, nb::handle payload, const PayloadTable& table, const TensorFields& fields) {
  const View view(payload);
  const Borrowed trimming;
  const auto refuse = [](const char* why) { return nb::make_tuple(why, new_bytes(0), nb::list(), 0); };
  const Status status = trimming->read(table, view.bytes());
  if (status == Status::out_of_memory) throw std::bad_alloc();
  if (status == Status::malformed) return refuse("malformed");
  if (!trimming->aligned()) return refuse("misaligned");
  trimming->select(mask.names, nullptr);
  nb::list inputs;
  TensorHead head;
  LocatedInputs located(view.bytes().data());
  const auto& elements = trimming->elements();
  for (size_t i = 0; i < elements.size(); ++i) {
    if (trimming->selected(i) == kNone) continue;
    const Bytes element = trimming->content(elements[i].whole);
    const Status read = read_tensor_head(fields, element, head);
    if (read == Status::out_of_memory) throw std::bad_alloc();
    if (read == Status::malformed) return refuse("malformed");
    const bool paired = !trimming->parallel().empty();
    const Bytes parallel = paired ? trimming->content(trimming->parallel()[i]) : Bytes();
    inputs.append(located.input(trimming->selected(i), element, parallel, head));
  }
  trimming->select_nothing();
  const size_t size = trimming->plan();
  return nb::make_tuple(nb::none(), copy_out(*trimming, size), inputs, elements.size());
}

nb::object identify(const PayloadTable& table, nb::handle payload) {
  const View view(payload);
  const Borrowed trimming;
  const Status status = trimming->read(table, view.bytes());
  if (status == Status::out_of_memory) throw std::bad_alloc();
  if (status == Status::malformed) return nb::none();
  return nb::make_tuple(bytes_of(trimming->model_name()), bytes_of(trimming->model_version()));
}

void build_map(CompiledMap* self, nb::handle allowlists, nb::handle models) {
  auto map = std::make_unique<CompiledMap>();
  std::vector<std::vector<uint32_t>> numbers;
  for_each(allowlists, [&](nb::handle allowlist) {
    numbers.emplace_back();
    for_each(allowlist, [&](nb::handle name) { numbers.back().push_back(map->names().intern(utf8(name))); });
  });
  for (const auto& ids : numbers) map->add_allowlist(ids);
  for_each(models, [&](nb::handle model) {
    const auto fields = nb::cast<std::tuple<nb::object, bool, uint32_t, uint32_t, nb::object>>(model);
    std::vector<ModelVersion> versions;
    for_each(std::get<4>(fields), [&](nb::handle entry) {
      const auto version = nb::cast<std::tuple<nb::object, uint32_t>>(entry);
      versions.push_back({std::string(utf8(std::get<0>(version))), std::get<1>(version)});
    });
    const std::string refused = map->add_model(utf8(std::get<0>(fields)), std::get<1>(fields), std::get<2>(fields),
                                               std::get<3>(fields), std::move(versions));
    if (!refused.empty()) throw nb::value_error(refused.c_str());
  });
  new (self) CompiledMap(std::move(*map));
}

nb::list names_of_allowlist(const CompiledMap& map, size_t index) {
  if (index >= map.allowlists()) throw nb::index_error("there is no allowlist of that index");
  nb::list names;
  for (const uint32_t id : map.allowlist(index).ids()) names.append(text_of(map.names().name(id)));
  return names;
}

nb::tuple lookup(const CompiledMap& map, nb::handle model, nb::handle version, bool strict) {
  const Lookup found = map.lookup(utf8(model), utf8(version), strict);
  const int64_t allowlist = found.allowlist == kNone ? -1 : int64_t{found.allowlist};
  return nb::make_tuple(static_cast<int>(found.outcome), allowlist);
}

void build_mask(Mask* self, nb::handle names) {
  auto mask = std::make_unique<Mask>();
  uint32_t given = 0;
  for_each(names, [&](nb::handle name) {
    if (mask->names.intern(utf8(name)) != given++) throw nb::value_error("a mask names each feature once");
  });
  new (self) Mask(std::move(*mask));
}

nb::list names_of_mask(const Mask& mask) {
  nb::list names;
  for (uint32_t id = 0; id < mask.names.size(); ++id) names.append(text_of(mask.names.name(id)));
  return names;
}

nb::tuple tuple_of(const Account& account) {
  return nb::make_tuple(account.kept, account.kept_bytes, account.dropped, account.dropped_bytes);
}

struct Snapshot {
  explicit Snapshot(const Ledger& ledger) {
    without_gil(true, [&] { ledger.snapshot(names, accounts, overflow); });
  }
  NameTable names;
  std::vector<Account> accounts;
  Account overflow;
};

nb::dict snapshot(const Ledger& ledger) {
  const Snapshot taken(ledger);
  nb::dict by_name;
  for (uint32_t id = 0; id < taken.names.size(); ++id) by_name[text_of(taken.names.name(id))] = tuple_of(taken.accounts[id]);
  return by_name;
}

nb::tuple overflow(const Ledger& ledger) { return tuple_of(Snapshot(ledger).overflow); }

Path path_of(const std::vector<uint32_t>& numbers) {
  Path path;
  if (numbers.size() > Path::kDeepest) throw nb::value_error("a path has at most 8 field numbers");
  for (const uint32_t number : numbers) {
    if (number == 0 || number > kLargestField) throw nb::value_error("a field number is 1 to 2**29 - 1");
    path.fields[path.depth++] = number;
  }
  return path;
}

void build_table(PayloadTable* self, const std::vector<uint32_t>& model_name, const std::vector<uint32_t>& model_version,
                 uint32_t elements, const std::vector<uint32_t>& key, uint32_t parallel, bool version_is_varint) {
  if (key.empty()) throw nb::value_error("an element's key needs a path");
  if (elements == parallel) throw nb::value_error("elements and parallel entries need different fields");
  path_of({elements});
  if (parallel > kLargestField) throw nb::value_error("a field number is 1 to 2**29 - 1");
  new (self) PayloadTable{path_of(model_name), path_of(model_version), version_is_varint, elements, path_of(key), parallel};
}

nb::tuple outcome_names() {
  nb::list names;
  for (const char* name : kOutcomeNames) names.append(name);
  return nb::tuple(names);
}

}  // namespace

NB_MODULE(_kernel, module) {
  nb::set_leak_warnings(false);  // tables compiled for the life of the process are no leak
  module.doc() = "The native kernel: payloads, compiled maps and per-feature accounting over bytes.";
  module.attr("OUTCOMES") = outcome_names();
  module.attr("LocatedInput") = LocatedInputs::type();

  nb::class_<PayloadTable>(module, "PayloadTable", nb::is_final())
      .def("__init__", &build_table, nb::kw_only(), "model_name"_a, "model_version"_a, "elements"_a, "key"_a,
           "parallel"_a = 0, "version_is_varint"_a = false)
      .def("identify", &identify, "payload"_a);
  nb::class_<TensorFields>(module, "TensorFields", nb::is_final())
      .def(nb::init<uint32_t, uint32_t, uint32_t, uint32_t>(), nb::kw_only(), "datatype"_a, "shape"_a, "parameters"_a,
           "contents"_a);
  nb::class_<Ledger>(module, "Ledger", nb::is_final())
      .def(nb::init<uint32_t>(), "max_names"_a = 65536)
      .def("snapshot", &snapshot)
      .def_prop_ro("overflow", &overflow)
      .def("reset", &Ledger::reset, nb::call_guard<nb::gil_scoped_release>());
  nb::class_<CompiledMap>(module, "CompiledMap", nb::is_final())
      .def("__init__", &build_map, "allowlists"_a, "models"_a)
      .def("lookup", &lookup, "model"_a, "version"_a, "strict"_a = false)
      .def("allowlist", &names_of_allowlist, "index"_a)
      .def("trim", &map_trim, "payload"_a, "table"_a, "strict"_a = false, "ledger"_a.none() = nb::none());
  nb::class_<Mask>(module, "Mask", nb::is_final())
      .def("__init__", &build_mask, "names"_a)
      .def_prop_ro("names", &names_of_mask)
      .def("trim", &mask_trim, "payload"_a, "table"_a, "ledger"_a.none() = nb::none())
      .def("locate", &mask_locate, "payload"_a, "table"_a, "fields"_a);
}

}  // namespace trimtab::python
