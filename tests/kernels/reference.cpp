#include "tests/kernels/reference.h"

#include <cmath>

namespace radgpt::kernels {

namespace {

/// Double, nothing rounded.
struct Exact {
  using Sum = double;
  static double round(double value) { return value; }
};

/// Every result of an operation is a T, its sums are not.
template <typename T>
struct Plain {
  using Sum = Compute<T>;
  static Sum round(Sum value) { return static_cast<Sum>(T(value)); }
};

template <typename P>
using Matrix = std::vector<typename P::Sum>;

template <typename P>
std::vector<double> widened(const Matrix<P>& values) {
  return {values.begin(), values.end()};
}

/// dropout(x) as an operation of its own.
template <typename P>
Matrix<P> dropped(const Matrix<P>& x, const DropoutMask& mask, int64_t columns) {
  using Sum = typename P::Sum;
  if (!mask.drops()) return x;
  Matrix<P> result(x.size());
  for (size_t at = 0; at < x.size(); ++at) {
    const auto row = static_cast<uint32_t>(at / columns);
    const auto column = static_cast<uint32_t>(at % columns);
    const bool kept = mask.keeps(row, column);
    result[at] = kept ? P::round(x[at] * static_cast<Sum>(mask.kept)) : Sum{0};
  }
  return result;
}

/// y and the border S of it.
template <typename P, typename Call>
Arrays with_border(const Call& call, const Matrix<P>& y) {
  using Sum = typename P::Sum;
  std::vector<double> s(call.rows * call.border);
  for (int i = 0; i < call.inputs.count; ++i) {
    const auto& adapter = call.inputs.adapters[i];
    const Matrix<P> input = dropped<P>(y, adapter.mask, call.columns);
    for (int64_t row = 0; row < call.rows; ++row) {
      for (int64_t r = 0; r < adapter.rank; ++r) {
        Sum sum = 0;
        for (int64_t k = 0; k < call.columns; ++k) {
          sum += input[row * call.columns + k] * static_cast<Sum>(adapter.a[r * call.columns + k]);
        }
        s[row * call.border + adapter.column + r] = P::round(sum);
      }
    }
  }
  return {{"y", widened<P>(y)}, {"s", s}};
}

/// dA of each adapter that wants one, from its input.
template <typename P, typename Call>
Arrays adapter_gradients(const Call& call, const Matrix<P>& y) {
  using Sum = typename P::Sum;
  Arrays result;
  for (int i = 0; i < call.inputs.count; ++i) {
    if (call.gradients.da[i] == nullptr) continue;
    const auto& adapter = call.inputs.adapters[i];
    const Matrix<P> input = dropped<P>(y, adapter.mask, call.columns);
    Matrix<P> da;
    for (int64_t r = 0; r < adapter.rank; ++r) {
      const auto* ds = call.gradients.ds + adapter.column + r;
      for (int64_t k = 0; k < call.columns; ++k) {
        Sum sum = 0;
        for (int64_t row = 0; row < call.rows; ++row) {
          sum +=
              static_cast<Sum>(ds[row * call.gradients.ds_stride]) * input[row * call.columns + k];
        }
        da.push_back(sum);
      }
    }
    result["da" + std::to_string(i)] = widened<P>(da);
  }
  return result;
}

/// The gradient of y: dY0 and the adapters' share, one after the other.
template <typename P, typename Call>
Matrix<P> output_gradient(const Call& call) {
  using Sum = typename P::Sum;
  Matrix<P> dy;
  for (int64_t row = 0; row < call.rows; ++row) {
    for (int64_t k = 0; k < call.columns; ++k) {
      dy.push_back(static_cast<Sum>(call.dy[row * call.dy_stride + k]));
    }
  }
  for (int i = 0; i < call.inputs.count; ++i) {
    const auto& adapter = call.inputs.adapters[i];
    Matrix<P> update;
    for (int64_t row = 0; row < call.rows; ++row) {
      const auto* ds = call.gradients.ds + row * call.gradients.ds_stride + adapter.column;
      for (int64_t k = 0; k < call.columns; ++k) {
        Sum sum = 0;
        for (int64_t r = 0; r < adapter.rank; ++r) {
          sum += static_cast<Sum>(ds[r]) * static_cast<Sum>(adapter.a[r * call.columns + k]);
        }
        update.push_back(P::round(sum));
      }
    }
    update = dropped<P>(update, adapter.mask, call.columns);
    for (size_t at = 0; at < dy.size(); ++at) dy[at] = P::round(dy[at] + update[at]);
  }
  return dy;
}

/// x / rms, rounded, and then times the weight.
template <typename P, typename Call>
Matrix<P> normalised(const Call& call, const Matrix<P>& x, const Matrix<P>& inverse_rms) {
  Matrix<P> n;
  for (size_t at = 0; at < x.size(); ++at) {
    n.push_back(P::round(x[at] * inverse_rms[at / call.columns]));
  }
  return n;
}

template <typename P, typename T>
Matrix<P> times_weight(const Matrix<P>& n, const T* weight, int64_t columns) {
  Matrix<P> y;
  for (size_t at = 0; at < n.size(); ++at) {
    y.push_back(P::round(n[at] * static_cast<typename P::Sum>(weight[at % columns])));
  }
  return y;
}

template <typename P, typename T>
Arrays formula(const RmsNormForward<T>& call) {
  using Sum = typename P::Sum;
  Matrix<P> x(call.x, call.x + call.rows * call.columns), inverse_rms;
  for (size_t at = 0; at < x.size() && call.residual != nullptr; ++at) {
    x[at] = P::round(x[at] + static_cast<Sum>(call.residual[at]));
  }
  for (int64_t row = 0; row < call.rows; ++row) {
    Sum squares = 0;
    for (int64_t k = 0; k < call.columns; ++k) {
      squares += x[row * call.columns + k] * x[row * call.columns + k];
    }
    const Sum mean = squares / static_cast<Sum>(call.columns);
    inverse_rms.push_back(1 / std::sqrt(mean + static_cast<Sum>(call.epsilon)));
  }
  const Matrix<P> n = normalised<P>(call, x, inverse_rms);
  Arrays result = with_border<P>(call, times_weight<P>(n, call.weight, call.columns));
  result["inverse_rms"] = widened<P>(inverse_rms);
  if (call.residual != nullptr) result["sum"] = widened<P>(x);
  return result;
}

template <typename P, typename T>
Arrays formula(const RmsNormBackward<T>& call) {
  using Sum = typename P::Sum;
  const int64_t columns = call.columns;
  const Matrix<P> x(call.x, call.x + call.rows * columns);
  const Matrix<P> n =
      normalised<P>(call, x, Matrix<P>(call.inverse_rms, call.inverse_rms + call.rows));
  Arrays result = adapter_gradients<P>(call, times_weight<P>(n, call.weight, columns));
  if (call.dy == nullptr) return result;
  const Matrix<P> dy = output_gradient<P>(call);
  const Matrix<P> g = times_weight<P>(dy, call.weight, columns);
  Matrix<P> dx(x.size()), dweight(columns);
  for (int64_t row = 0; row < call.rows; ++row) {
    const Sum inverse = call.inverse_rms[row];
    Sum projection = 0;
    for (int64_t at = row * columns; at < (row + 1) * columns; ++at) {
      projection += g[at] * (x[at] * inverse);
      dweight[at % columns] += P::round(dy[at] * n[at]);
    }
    projection /= static_cast<Sum>(columns);
    for (int64_t at = row * columns; at < (row + 1) * columns; ++at) {
      dx[at] = P::round((g[at] - x[at] * inverse * projection) * inverse);
      if (call.residual_gradient == nullptr) continue;
      dx[at] = P::round(dx[at] + static_cast<Sum>(call.residual_gradient[at]));
    }
  }
  result["dx"] = widened<P>(dx);
  if (call.dweight != nullptr) result["dweight"] = widened<P>(dweight);
  return result;
}

/// Row by row: gate, its sigmoid, up.
template <typename P, typename Call, typename Work>
void for_each_gate(const Call& call, Work work) {
  using Sum = typename P::Sum;
  for (int64_t row = 0; row < call.rows; ++row) {
    const auto* gates = call.gate_up + row * 2 * call.columns;
    for (int64_t k = 0; k < call.columns; ++k) {
      const Sum gate = static_cast<Sum>(gates[k]), up = static_cast<Sum>(gates[call.columns + k]);
      work(row, k, gate, 1 / (1 + std::exp(-gate)), up);
    }
  }
}

template <typename P, typename Call>
Matrix<P> swiglu(const Call& call) {
  using Sum = typename P::Sum;
  Matrix<P> y;
  for_each_gate<P>(call, [&](int64_t, int64_t, Sum gate, Sum sigmoid, Sum up) {
    y.push_back(P::round(P::round(gate * sigmoid) * up));
  });
  return y;
}

template <typename P, typename T>
Arrays formula(const SwigluForward<T>& call) {
  return with_border<P>(call, swiglu<P>(call));
}

template <typename P, typename T>
Arrays formula(const SwigluBackward<T>& call) {
  using Sum = typename P::Sum;
  Arrays result = adapter_gradients<P>(call, swiglu<P>(call));
  if (call.dy == nullptr) return result;
  const Matrix<P> dy = output_gradient<P>(call);
  Matrix<P> d(2 * dy.size());
  for_each_gate<P>(call, [&](int64_t row, int64_t k, Sum gate, Sum sigmoid, Sum up) {
    const Sum gradient = dy[row * call.columns + k];
    const Sum d_silu = P::round(gradient * up);
    Sum* out = d.data() + row * 2 * call.columns + k;
    out[0] = P::round(d_silu * sigmoid * (1 + gate * (1 - sigmoid)));
    out[call.columns] = P::round(gradient * P::round(gate * sigmoid));
  });
  result["d_gate_up"] = widened<P>(d);
  return result;
}

template <typename P, typename T>
Arrays formula(const LoraInputForward<T>& call) {
  return with_border<P>(call, Matrix<P>(call.x, call.x + call.rows * call.columns));
}

template <typename P, typename T>
Arrays formula(const LoraInputBackward<T>& call) {
  Arrays result = adapter_gradients<P>(call, Matrix<P>(call.x, call.x + call.rows * call.columns));
  if (call.dy != nullptr) result["dx"] = widened<P>(output_gradient<P>(call));
  return result;
}

template <typename P, typename T>
std::vector<double> output_ds(const LoraOutputBackward<T>& call) {
  using Sum = typename P::Sum;
  std::vector<double> ds(call.rows * call.border);
  for (int i = 0; i < call.count; ++i) {
    const AdapterOutput<T>& adapter = call.adapters[i];
    for (int64_t row = 0; row < call.rows; ++row) {
      const T* dy = call.dy + row * call.out_features;
      for (int64_t c = adapter.column; c < adapter.column + adapter.rank; ++c) {
        Sum sum = 0;
        for (int64_t j = adapter.row_begin; j < adapter.row_end; ++j) {
          sum += static_cast<Sum>(dy[j]) *
                 static_cast<Sum>(call.weight_border[j * call.weight_stride + c]);
        }
        ds[row * call.border + c] = P::round(sum);
      }
    }
  }
  return ds;
}

template <typename P, typename T>
std::vector<double> output_db(const LoraOutputBackward<T>& call, const AdapterOutput<T>& adapter) {
  using Sum = typename P::Sum;
  std::vector<double> db;
  for (int64_t j = adapter.row_begin; j < adapter.row_end; ++j) {
    for (int64_t c = adapter.column; c < adapter.column + adapter.rank; ++c) {
      Sum sum = 0;
      for (int64_t row = 0; row < call.rows; ++row) {
        sum += P::round(static_cast<Sum>(call.dy[row * call.out_features + j]) *
                        static_cast<Sum>(adapter.scale)) *
               static_cast<Sum>(call.s[row * call.s_stride + c]);
      }
      db.push_back(sum);
    }
  }
  return db;
}

template <typename P, typename T>
Arrays formula(const LoraOutputBackward<T>& call) {
  Arrays result;
  result["ds"] = output_ds<P>(call);
  for (int i = 0; i < call.count; ++i) {
    result["db" + std::to_string(i)] = output_db<P>(call, call.adapters[i]);
  }
  return result;
}

template <typename T, template <typename> typename Call>
Arrays evaluate(const Call<T>& call, Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kExact ? formula<Exact>(call) : formula<Plain<T>>(call);
}

}  // namespace

template <typename T>
Arrays Reference<T>::of(const RmsNormForward<T>& call, Arithmetic arithmetic) {
  return evaluate(call, arithmetic);
}

template <typename T>
Arrays Reference<T>::of(const RmsNormBackward<T>& call, Arithmetic arithmetic) {
  return evaluate(call, arithmetic);
}

template <typename T>
Arrays Reference<T>::of(const SwigluForward<T>& call, Arithmetic arithmetic) {
  return evaluate(call, arithmetic);
}

template <typename T>
Arrays Reference<T>::of(const SwigluBackward<T>& call, Arithmetic arithmetic) {
  return evaluate(call, arithmetic);
}

template <typename T>
Arrays Reference<T>::of(const LoraInputForward<T>& call, Arithmetic arithmetic) {
  return evaluate(call, arithmetic);
}

template <typename T>
Arrays Reference<T>::of(const LoraInputBackward<T>& call, Arithmetic arithmetic) {
  return evaluate(call, arithmetic);
}

template <typename T>
Arrays Reference<T>::of(const LoraOutputBackward<T>& call, Arithmetic arithmetic) {
  return evaluate(call, arithmetic);
}

template struct Reference<float>;
template struct Reference<double>;
template struct Reference<BFloat16>;

}  // namespace radgpt::kernels
