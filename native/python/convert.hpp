// Between Python objects and the core's.
#pragma once

#include <nanobind/nanobind.h>

#include "core/ledger.hpp"
#include "core/tensor.hpp"

namespace trimtab::python {

namespace nb = nanobind;

// The bytes of a contiguous buffer, valid and of that size while the view lives.
struct View : Py_buffer {
  explicit View(nb::handle object) {
    if (PyObject_GetBuffer(object.ptr(), this, PyBUF_SIMPLE) != 0) throw nb::python_error();
  }
  View(const View&) = delete;
  ~View() { PyBuffer_Release(this); }
  Bytes bytes() const { return Bytes(static_cast<const char*>(buf), static_cast<size_t>(len)); }
};

inline nb::object checked(PyObject* made) {
  if (made == nullptr) throw nb::python_error();
  return nb::steal(made);
}

inline nb::object bytes_of(Bytes bytes) { return nb::bytes(bytes.data(), bytes.size()); }

inline nb::object account_of(const Account& sums) { return nb::make_tuple(sums[0], sums[1], sums[2], sums[3]); }

// Names in payloads are anyone's bytes: what is not UTF-8 is escaped, never an error.
inline nb::object text_of(Bytes name) {
  return checked(PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "backslashreplace"));
}

inline Bytes utf8(nb::handle text) {
  Py_ssize_t size = 0;
  const char* const at = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (at == nullptr) throw nb::python_error();
  return Bytes(at, static_cast<size_t>(size));
}

template <typename Visit>
void for_each(nb::handle sequence, const Visit& visit) {
  const nb::object list = checked(PySequence_List(sequence.ptr()));
  for (Py_ssize_t i = 0, size = PyList_Size(list.ptr()); i < size; ++i) visit(nb::handle(PyList_GetItem(list.ptr(), i)));
}

template <typename Items, typename Convert>
nb::object tuple_of(const Items& items, const Convert& convert) {
  const nb::object tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(items.size())));
  for (size_t i = 0; i < items.size(); ++i)
    PyTuple_SetItem(tuple.ptr(), static_cast<Py_ssize_t>(i), convert(items[i]).release().ptr());
  return tuple;
}

// The named tuple LocatedInput: where one input of a request lies.
inline PyTypeObject* located_type() {
  static PyStructSequence_Field fields[] = {
      {"position", ""}, {"datatype", ""}, {"shape", ""}, {"element_begin", ""}, {"element_end", ""},
      {"parallel_begin", ""}, {"parallel_end", ""}, {"parameters", ""}, {"contents", ""}, {nullptr, nullptr}};
  static PyStructSequence_Desc description = {"trimtab._kernel.LocatedInput", "Where one input lies.", fields, 9};
  static PyTypeObject* const type = PyStructSequence_NewType(&description);
  return type;
}

// position: of the name in the mask. parallel: null where the request has no parallel entries.
inline nb::object locate_input(Bytes payload, uint32_t position, Bytes element, Bytes parallel, const TensorHead& head) {
  const auto number = [](Py_ssize_t value) { return checked(PyLong_FromSsize_t(value)); };
  const auto begin = [&](Bytes part) { return part.data() == nullptr ? -1 : part.data() - payload.data(); };
  const auto end = [&](Bytes part) { return begin(part) + static_cast<Py_ssize_t>(part.size()); };
  const auto range = [&](Bytes part) { return nb::object(nb::make_tuple(begin(part), end(part))); };
  nb::object values[] = {number(position), bytes_of(head.datatype), tuple_of(head.shape, number),
                         number(begin(element)), number(end(element)), number(begin(parallel)), number(end(parallel)),
                         tuple_of(head.parameters, range), tuple_of(head.contents, range)};
  const nb::object located = checked(PyStructSequence_New(located_type()));
  for (Py_ssize_t i = 0; i < 9; ++i) PyStructSequence_SetItem(located.ptr(), i, values[i].release().ptr());
  return located;
}

}  // namespace trimtab::python
