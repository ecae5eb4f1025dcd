// Between Python objects and bytes.
#pragma once

#include <nanobind/nanobind.h>

#include <optional>

#include "core/tensor.hpp"

namespace trimtab::python {

namespace nb = nanobind;

// The bytes of a contiguous buffer, valid and of that size while the view lives.
class View {
 public:
  explicit View(nb::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &buffer_, PyBUF_SIMPLE) != 0) throw nb::python_error();
  }
  ~View() { PyBuffer_Release(&buffer_); }
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  Bytes bytes() const { return Bytes(static_cast<const char*>(buffer_.buf), static_cast<size_t>(buffer_.len)); }

 private:
  Py_buffer buffer_;
};

inline nb::bytes new_bytes(size_t size) {
  PyObject* const bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
  if (bytes == nullptr) throw nb::python_error();
  return nb::steal<nb::bytes>(bytes);
}

inline nb::bytes bytes_of(Bytes bytes) { return nb::bytes(bytes.data(), bytes.size()); }

// Names in payloads are anyone's bytes: what is not UTF-8 is escaped, never an error.
inline nb::object text_of(Bytes name) {
  PyObject* const text = PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "backslashreplace");
  if (text == nullptr) throw nb::python_error();
  return nb::steal(text);
}

inline Bytes utf8(nb::handle text) {
  Py_ssize_t size = 0;
  const char* const at = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (at == nullptr) throw nb::python_error();
  return Bytes(at, static_cast<size_t>(size));
}

template <typename Visit>
void for_each(nb::handle sequence, const Visit& visit) {
  PyObject* const list = PySequence_List(sequence.ptr());
  if (list == nullptr) throw nb::python_error();
  const nb::object owner = nb::steal(list);
  for (Py_ssize_t i = 0, size = PyList_Size(list); i < size; ++i) visit(nb::handle(PyList_GetItem(list, i)));
}

// Makes the LocatedInput tuples of one payload. Inputs of a request mostly share datatype and shape, so the objects of the
// previous input are used again.
class LocatedInputs {
 public:
  explicit LocatedInputs(const char* payload) : payload_(payload) {}

  static nb::handle type();
  nb::object input(uint32_t index, Bytes element, Bytes parallel, const TensorHead& head);

 private:
  nb::object ranges(const std::vector<Bytes>& parts) const;
  Py_ssize_t offset(const char* at) const { return at - payload_; }

  const char* payload_;
  std::vector<int64_t> last_shape_;
  nb::object shape_ = nb::steal(PyTuple_New(0));
  Bytes last_datatype_;
  nb::object datatype_ = nb::bytes("", 0);
};

}  // namespace trimtab::python
