#include "tests/kernels/written.h"

namespace radgpt::kernels {

namespace {

template <typename T>
WrittenArray read(const T* from, int64_t rows, int64_t columns, int64_t stride) {
  std::vector<T> values;
  for (int64_t row = 0; row < rows; ++row) {
    values.insert(values.end(), from + row * stride, from + row * stride + columns);
  }
  return written_array(values);
}

template <typename Call>
WrittenArrays written_border(const Call& call) {
  return {{"y", read(call.y, call.rows, call.columns, call.y_stride)},
          {"s", read(call.y + call.columns, call.rows, call.border, call.y_stride)}};
}

template <typename Call>
WrittenArrays written_gradients(const Call& call) {
  WrittenArrays result;
  for (int i = 0; i < call.inputs.count; ++i) {
    if (call.gradients.da[i] == nullptr) continue;
    result["da" + std::to_string(i)] =
        read(call.gradients.da[i], call.inputs.adapters[i].rank, call.columns, call.columns);
  }
  return result;
}

}  // namespace

template <typename T>
WrittenArrays Written<T>::of(const RmsNormForward<T>& call) {
  WrittenArrays result = written_border(call);
  result["inverse_rms"] = read(call.inverse_rms, call.rows, 1, 1);
  if (call.residual != nullptr)
    result["sum"] = read(call.sum, call.rows, call.columns, call.columns);
  return result;
}

template <typename T>
WrittenArrays Written<T>::of(const RmsNormBackward<T>& call) {
  WrittenArrays result = written_gradients(call);
  if (call.dy == nullptr) return result;
  result["dx"] = read(call.dx, call.rows, call.columns, call.columns);
  if (call.dweight != nullptr)
    result["dweight"] = read(call.dweight, 1, call.columns, call.columns);
  return result;
}

template <typename T>
WrittenArrays Written<T>::of(const SwigluForward<T>& call) {
  return written_border(call);
}

template <typename T>
WrittenArrays Written<T>::of(const SwigluBackward<T>& call) {
  WrittenArrays result = written_gradients(call);
  if (call.dy == nullptr) return result;
  result["d_gate_up"] = read(call.d_gate_up, call.rows, 2 * call.columns, 2 * call.columns);
  return result;
}

template <typename T>
WrittenArrays Written<T>::of(const LoraInputForward<T>& call) {
  return written_border(call);
}

template <typename T>
WrittenArrays Written<T>::of(const LoraInputBackward<T>& call) {
  WrittenArrays result = written_gradients(call);
  if (call.dy != nullptr) result["dx"] = read(call.dx, call.rows, call.columns, call.columns);
  return result;
}

template <typename T>
WrittenArrays Written<T>::of(const LoraOutputBackward<T>& call) {
  WrittenArrays result;
  result["ds"] = read(call.ds, call.rows, call.border, call.ds_stride);
  for (int i = 0; i < call.count; ++i) {
    const AdapterOutput<T>& adapter = call.adapters[i];
    result["db" + std::to_string(i)] =
        read(adapter.db, adapter.row_end - adapter.row_begin, adapter.rank, adapter.rank);
  }
  return result;
}

template struct Written<float>;
template struct Written<double>;
template struct Written<BFloat16>;

}  // namespace radgpt::kernels
