#include "python/convert.hpp"

namespace trimtab::python {

namespace {

nb::object integer(Py_ssize_t value) { return nb::steal(PyLong_FromSsize_t(value)); }

}  // namespace

nb::handle LocatedInputs::type() {
  static PyStructSequence_Field fields[] = {
      {"position", "of the name in the mask"},
      {"datatype", "as the request spells it; empty when it does not"},
      {"shape", "dimensions as the request states them"},
      {"element_begin", "offset of the element's content in the payload"},
      {"element_end", "one past its end"},
      {"parallel_begin", "offset of the parallel entry's content; -1: there are no parallel entries"},
      {"parallel_end", "one past its end; -1 likewise"},
      {"parameters", "(begin, end) of each parameters entry"},
      {"contents", "(begin, end) of each occurrence of typed contents"},
      {nullptr, nullptr},
  };
  static PyStructSequence_Desc description = {
      "trimtab._kernel.LocatedInput", "Where one input of a request lies; offsets are in bytes.", fields, 9};
  static PyTypeObject* const type = PyStructSequence_NewType(&description);
  if (type == nullptr) throw nb::python_error();
  return nb::handle(reinterpret_cast<PyObject*>(type));
}

nb::object LocatedInputs::input(uint32_t index, Bytes element, Bytes parallel, const TensorHead& head) {
  if (head.shape != last_shape_) {
    last_shape_ = head.shape;
    shape_ = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(head.shape.size())));
    for (size_t i = 0; i < head.shape.size(); ++i)
      PyTuple_SetItem(shape_.ptr(), static_cast<Py_ssize_t>(i), PyLong_FromLongLong(head.shape[i]));
  }
  if (head.datatype != last_datatype_) {
    last_datatype_ = head.datatype;
    datatype_ = bytes_of(head.datatype);
  }
  const bool paired = parallel.data() != nullptr;
  nb::object values[] = {
      integer(index),
      datatype_,
      shape_,
      integer(offset(element.data())),
      integer(offset(element.data() + element.size())),
      integer(paired ? offset(parallel.data()) : -1),
      integer(paired ? offset(parallel.data() + parallel.size()) : -1),
      ranges(head.parameters),
      ranges(head.contents),
  };
  const nb::object input = nb::steal(PyStructSequence_New(reinterpret_cast<PyTypeObject*>(type().ptr())));
  if (!input.is_valid()) throw nb::python_error();
  Py_ssize_t at = 0;
  for (nb::object& value : values) {
    if (!value.is_valid()) throw nb::python_error();
    PyStructSequence_SetItem(input.ptr(), at++, value.release().ptr());
  }
  return input;
}

nb::object LocatedInputs::ranges(const std::vector<Bytes>& parts) const {
  nb::object ranges = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(parts.size())));
  for (size_t i = 0; i < parts.size(); ++i) {
    const Py_ssize_t begin = offset(parts[i].data());
    PyTuple_SetItem(ranges.ptr(), static_cast<Py_ssize_t>(i),
                    Py_BuildValue("(nn)", begin, begin + static_cast<Py_ssize_t>(parts[i].size())));
  }
  return ranges;
}

}  // namespace trimtab::python
