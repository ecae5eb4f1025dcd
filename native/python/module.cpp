// trimtab._kernel: the Python face of the core. Converts arguments and results, holds the GIL where Python needs it, and
// decides nothing. Its contract is src/trimtab/_kernel.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <list>
#include <memory>
#include <optional>

#include "core/map.hpp"
#include "python/convert.hpp"

namespace trimtab::python {

using namespace nb::literals;

namespace {

// Of fewer bytes, another thread gains less than what handing the GIL over costs.
constexpr size_t kWorthReleasing = 32 * 1024;

// A Trimming of this thread. Taken out while it is used: Python code that runs in between (a finalizer) gets another.
thread_local std::unique_ptr<Trimming> spare;

struct GiveBack {
  void operator()(Trimming* used) const {
    std::unique_ptr<Trimming> own(used);
    if (!used->oversized()) spare = std::move(own);
  }
};

std::unique_ptr<Trimming, GiveBack> borrow() {
  return std::unique_ptr<Trimming, GiveBack>(spare ? spare.release() : new Trimming);
}

template <typename Work>
void over(size_t bytes, const Work& work) {
  std::optional<nb::gil_scoped_release> released;
  if (bytes >= kWorthReleasing) released.emplace();
  work();
}

bool well_formed(Status status) {
  if (status == Status::out_of_memory) throw std::bad_alloc();
  return status == Status::ok;
}

nb::object copy_out(const Trimming& trimming, size_t size) {
  const nb::object out = checked(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
  char* const to = PyBytes_AsString(out.ptr());
  over(size, [&] { trimming.copy(to); });
  return out;
}

// choose(trimming) selects, and names the outcome of a payload that is well-formed.
template <typename Choose>
nb::tuple trim(nb::handle payload, const PayloadTable& table, Ledger* ledger, const Choose& choose) {
  const View view(payload);
  const auto trimming = borrow();
  Status status = Status::ok;
  Outcome outcome = Outcome::malformed;
  size_t size = 0;
  over(view.bytes().size(), [&] {
    status = trimming->read(table, view.bytes());
    if (status != Status::ok) return;
    outcome = choose(*trimming);
    if (trimming->dropped() > 0) size = trimming->plan();
    if (ledger != nullptr) ledger->count(*trimming);
  });
  if (!well_formed(status)) return nb::make_tuple(payload, static_cast<int>(outcome), 0, 0);
  const nb::object out = trimming->dropped() > 0 ? copy_out(*trimming, size) : nb::borrow(payload);
  return nb::make_tuple(out, static_cast<int>(outcome), trimming->kept(), trimming->dropped());
}

Outcome select(Trimming& trimming, Outcome outcome, const NameTable& names, const NameSet* allowed) {
  trimming.aligned() ? trimming.select(names, allowed) : trimming.select_all();
  return trimming.aligned() ? outcome : Outcome::misaligned;
}

// A map, or the same one as it answers while it is not confirmed.
struct MapFace {
  std::shared_ptr<const CompiledMap> map;
  bool exact_only = false;
  Lookup lookup(Bytes model, Bytes version, bool strict) const { return map->lookup(model, version, strict, exact_only); }
};

nb::tuple trim_by_map(const MapFace& face, nb::handle payload, const PayloadTable& table, bool strict, Ledger* ledger) {
  return trim(payload, table, ledger, [&, &map = *face.map](Trimming& trimming) {
    const Lookup found = face.lookup(trimming.model_name(), trimming.model_version(), strict);
    if (found.allowlist != kNone) return select(trimming, found.outcome, map.names, &map.allowlists[found.allowlist]);
    trimming.select_all();
    return found.outcome;
  });
}

nb::tuple trim_by_mask(const NameTable& mask, nb::handle payload, const PayloadTable& table, Ledger* ledger) {
  return trim(payload, table, ledger, [&](Trimming& each) { return select(each, Outcome::exact, mask, nullptr); });
}

nb::tuple locate(const NameTable& mask, nb::handle payload, const PayloadTable& table, const TensorFields& fields) {
  const View view(payload);
  const auto trimming = borrow();
  const auto refuse = [](const char* why) { return nb::make_tuple(why, bytes_of({}), nb::list(), 0); };
  if (!well_formed(trimming->read(table, view.bytes()))) return refuse("malformed");
  if (!trimming->aligned()) return refuse("misaligned");
  trimming->select(mask, nullptr);
  nb::list inputs;
  TensorHead head;
  for (size_t i = 0; i < trimming->elements().size(); ++i) {
    if (trimming->selected(i) == kNone) continue;
    const Bytes element = trimming->content(trimming->elements()[i].whole);
    const Bytes parallel = trimming->parallel().empty() ? Bytes() : trimming->content(trimming->parallel()[i]);
    if (!head.read(fields, element)) return refuse("malformed");
    inputs.append(locate_input(view.bytes(), trimming->selected(i), element, parallel, head));
  }
  trimming->select_nothing();
  const size_t size = trimming->plan();
  return nb::make_tuple(nb::none(), copy_out(*trimming, size), inputs, trimming->elements().size());
}

nb::object identify(const PayloadTable& table, nb::handle payload) {
  const View view(payload);
  const auto trimming = borrow();
  if (!well_formed(trimming->read(table, view.bytes()))) return nb::none();
  return nb::make_tuple(bytes_of(trimming->model_name()), bytes_of(trimming->model_version()));
}

NameTable table_of(nb::handle names) {
  NameTable table;
  uint32_t given = 0;
  for_each(names, [&](nb::handle name) {
    if (table.intern(utf8(name)) != given++) throw nb::value_error("each name is given once");
  });
  return table;
}

void build_map(MapFace* self, nb::handle names, nb::handle allowlists, nb::handle models) {
  const auto map = std::make_shared<CompiledMap>();
  map->names = table_of(names);
  std::list<View> packed;
  for_each(allowlists, [&](nb::handle allowlist) { packed.emplace_back(allowlist); });
  {
    const nb::gil_scoped_release released;
    for (const View& each : packed) map->add_allowlist(each.bytes());
  }
  for_each(models, [&](nb::handle model) {
    const auto [name, stable, latest, all, versions] =
        nb::cast<std::tuple<nb::object, bool, uint32_t, uint32_t, nb::object>>(model);
    CompiledMap::Model compiled{stable, latest, all, {}};
    for_each(versions, [&](nb::handle version) {
      const auto [text, allowlist] = nb::cast<std::tuple<nb::object, uint32_t>>(version);
      if (!compiled.versions.emplace(utf8(text), allowlist).second) throw nb::value_error("a model has a version twice");
    });
    map->add_model(utf8(name), std::move(compiled));
  });
  new (self) MapFace{map};
}

nb::list names_of_allowlist(const MapFace& face, size_t index) {
  if (index >= face.map->allowlists.size()) throw nb::index_error("there is no allowlist of that index");
  nb::list names;
  for (uint32_t id = 0; id < face.map->names.size(); ++id)
    if (face.map->allowlists[index].contains(id)) names.append(text_of(face.map->names.name(id)));
  return names;
}

nb::tuple lookup(const MapFace& face, nb::handle model, nb::handle version, bool strict) {
  const Lookup found = face.lookup(utf8(model), utf8(version), strict);
  return nb::make_tuple(static_cast<int>(found.outcome), static_cast<int32_t>(found.allowlist));  // kNone becomes -1
}

nb::dict snapshot(const Ledger& ledger) {
  const Accounts sums = ledger.snapshot();
  nb::dict by_name;
  for (uint32_t id = 0; id < sums.names.size(); ++id) by_name[text_of(sums.names.name(id))] = account_of(sums.list[id + 1]);
  return by_name;
}

void build_table(PayloadTable* self, const Path& model_name, const Path& model_version, uint32_t elements, const Path& key,
                 uint32_t parallel, bool version_is_varint) {
  if (key.empty() || elements == parallel) throw nb::value_error("elements need a key, and a field of their own");
  for (const Path& path : {model_name, model_version, key, Path{elements, std::max(parallel, 1U)}})
    for (const uint32_t number : path)
      if (number == 0 || number > kLargestField) throw nb::value_error("a field number is 1 to 2**29 - 1");
  new (self) PayloadTable{model_name, model_version, version_is_varint, elements, key, parallel};
}

}  // namespace

NB_MODULE(_kernel, module) {
  nb::set_leak_warnings(false);  // tables compiled for the life of the process are no leak
  nb::list outcomes;
  for (const char* name : kOutcomeNames) outcomes.append(name);
  module.attr("OUTCOMES") = nb::tuple(outcomes);
  module.attr("LocatedInput") = nb::handle(reinterpret_cast<PyObject*>(located_type()));
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
      .def_prop_ro("overflow", [](const Ledger& ledger) { return account_of(ledger.snapshot().list[0]); })
      .def("reset", &Ledger::reset);
  nb::class_<MapFace>(module, "CompiledMap", nb::is_final())
      .def("__init__", &build_map, "names"_a, "allowlists"_a, "models"_a)
      .def("lookup", &lookup, "model"_a, "version"_a, "strict"_a = false)
      .def("allowlist", &names_of_allowlist, "index"_a)
      .def_prop_ro("exact_only", [](const MapFace& face) { return MapFace{face.map, true}; })
      .def("trim", &trim_by_map, "payload"_a, "table"_a, "strict"_a = false, "ledger"_a.none() = nb::none());
  nb::class_<NameTable>(module, "Mask", nb::is_final())
      .def("__init__", [](NameTable* self, nb::handle names) { new (self) NameTable(table_of(names)); }, "names"_a)
      .def("trim", &trim_by_mask, "payload"_a, "table"_a, "ledger"_a.none() = nb::none())
      .def("locate", &locate, "payload"_a, "table"_a, "fields"_a);
}

}  // namespace trimtab::python
